//! The gateway's own endpoints, and under which paths a partner programme
//! expects them.

use crds::gateway_config::{GatewayConfig, Surface};
use http::Method;

pub mod logbook;
pub mod people;
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

            /// Whether scripts of any site may read its answer: those that single-page
            /// applications need (AF-17), none of which looks at a cookie. Never the
            /// authorization endpoint (RFC 9700 section 2.6).
            pub const fn is_for_scripts(self) -> bool {
                matches!(
                    self,
                    Self::Token
                        | Self::DeviceAuthorization
                        | Self::Revoke
                        | Self::RevokeByBearer
                        | Self::Userinfo
                        | Self::Metadata
                        | Self::Jwks
                        | Self::Preflight
                )
            }

            /// Whether a browser asks for it, and a page answers.
            pub const fn is_page(self) -> bool {
                matches!(
                    self,
                    Self::Authorize
                        | Self::LogbookAuthorize
                        | Self::SignIn
                        | Self::SignInReturn
                        | Self::SignOut
                        | Self::Device
                        | Self::Account
                )
            }

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
    /// RFC 6749 section 3.1.
    Authorize = "authorize";
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
    /// What is known of the user behind a token (AF-38).
    Userinfo = "userinfo";
    /// RFC 8414.
    Metadata = "metadata";
    /// RFC 7517: the keys that identities are signed with.
    Jwks = "jwks";
    /// Where a user signs in.
    SignIn = "sign_in";
    /// Where an upstream provider sends a user back to.
    SignInReturn = "sign_in_return";
    /// Where a user signs out.
    SignOut = "sign_out";
    /// Where a user types the code of a device (RFC 8628 section 3.3).
    Device = "device";
    /// What a user has connected.
    Account = "account";
    /// What a browser asks before a script may ask (Fetch section 4.8).
    Preflight = "preflight";
    /// The stylesheet of the pages.
    Style = "style";
    /// The authorization page of Flight Crew View (FCV-12).
    LogbookAuthorize = "logbook_authorize";
    /// The token endpoint of Flight Crew View (FCV-31).
    LogbookToken = "logbook_token";
    /// The revocation of Flight Crew View (FCV-103).
    LogbookRevoke = "logbook_revoke";
}

/// Path, method and endpoint of everything that the configuration asks for.
pub fn endpoints(config: &GatewayConfig) -> Vec<(String, Method, Endpoint)> {
    let mut endpoints = standard::well_known(config);
    endpoints.extend(people::endpoints(&config.pages.base));
    for surface in &config.surfaces {
        match surface {
            Surface::Standard(surface) => endpoints.extend(standard::endpoints(surface)),
            Surface::Logbook(surface) => endpoints.extend(logbook::endpoints(surface)),
        }
    }
    let mut open: Vec<_> = endpoints
        .iter()
        .filter(|(_, _, endpoint)| endpoint.is_for_scripts())
        .map(|(path, ..)| path.clone())
        .collect();
    open.sort_unstable();
    open.dedup();
    endpoints.extend(
        open.into_iter()
            .map(|path| (path, Method::OPTIONS, Endpoint::Preflight)),
    );
    endpoints
}
