//! The gateway's own endpoints, and under which paths a partner programme
//! expects them.

use crds::gateway_config::{GatewayConfig, Surface};
use http::Method;

pub mod logbook;
pub mod standard;

macro_rules! endpoints {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal;)*) => {
        /// An endpoint of the gateway itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Endpoint {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Endpoint {
            /// Every endpoint.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// Its name in metrics.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

endpoints! {
    /// RFC 6749 section 3.2.
    Token = "token";
    /// RFC 8628 section 3.1.
    DeviceAuthorization = "device_authorization";
    /// RFC 7662.
    Introspect = "introspect";
    /// RFC 7009.
    Revoke = "revoke";
    /// RFC 7009, for whoever has the token (AF-41).
    RevokeByBearer = "revoke_by_bearer";
    /// RFC 8414.
    Metadata = "metadata";
    /// RFC 7517: the keys that identities are signed with.
    Jwks = "jwks";
    /// The token endpoint of Flight Crew View (FCV-31).
    LogbookToken = "logbook_token";
    /// The revocation of Flight Crew View (FCV-103).
    LogbookRevoke = "logbook_revoke";
}

/// Path, method and endpoint of everything that the configuration asks for.
pub fn endpoints(config: &GatewayConfig) -> Vec<(String, Method, Endpoint)> {
    let mut endpoints = standard::well_known(config);
    for surface in &config.surfaces {
        match surface {
            Surface::Standard(surface) => endpoints.extend(standard::endpoints(surface)),
            Surface::Logbook(surface) => endpoints.extend(logbook::endpoints(surface)),
        }
    }
    endpoints
}
