//! The endpoints under the names that the RFCs give them, at a configured base.

use crds::gateway_config::{GatewayConfig, Revocation, StandardSurface};
use http::Method;

use super::Endpoint;

/// Well-known path of the metadata (RFC 8414 section 3).
const METADATA: &str = "/.well-known/oauth-authorization-server";
/// Path of the public keys.
pub const JWKS: &str = "/.well-known/jwks.json";

/// What stands outside of every base.
pub(super) fn well_known(config: &GatewayConfig) -> Vec<(String, Method, Endpoint)> {
    // The issuer's path comes after the well-known one (RFC 8414 section 3.1).
    let metadata = format!("{METADATA}{}", config.issuer.path().trim_end_matches('/'));
    vec![
        (metadata, Method::GET, Endpoint::Metadata),
        (JWKS.to_owned(), Method::GET, Endpoint::Jwks),
    ]
}

/// The endpoints below the base.
pub(super) fn endpoints(surface: &StandardSurface) -> Vec<(String, Method, Endpoint)> {
    let revoke = match surface.revocation {
        Revocation::Client => Endpoint::Revoke,
        Revocation::Bearer => Endpoint::RevokeByBearer,
    };
    [
        ("/authorize", Method::GET, Endpoint::Authorize),
        ("/authorize", Method::POST, Endpoint::Authorize),
        ("/userinfo", Method::GET, Endpoint::Userinfo),
        ("/userinfo", Method::POST, Endpoint::Userinfo),
        ("/token", Method::POST, Endpoint::Token),
        (
            "/device_authorization",
            Method::POST,
            Endpoint::DeviceAuthorization,
        ),
        ("/introspect", Method::POST, Endpoint::Introspect),
        ("/revoke", Method::POST, revoke),
    ]
    .map(|(name, method, endpoint)| (format!("{}{name}", surface.base), method, endpoint))
    .into()
}
