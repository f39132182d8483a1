//! The gateway's own endpoints, and under which paths a partner programme
//! expects them.

pub mod standard;

/// An endpoint of the gateway itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// RFC 6749 section 3.2.
    Token,
    /// RFC 7662.
    Introspect,
    /// RFC 7009.
    Revoke,
    /// RFC 8414.
    Metadata,
    /// RFC 7517: the keys that identities are signed with.
    Jwks,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 5] = [
        Self::Token,
        Self::Introspect,
        Self::Revoke,
        Self::Metadata,
        Self::Jwks,
    ];

    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Introspect => "introspect",
            Self::Revoke => "revoke",
            Self::Metadata => "metadata",
            Self::Jwks => "jwks",
        }
    }
}
