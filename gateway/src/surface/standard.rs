//! The endpoints under the names that the RFCs give them, at a configured base.

use crds::gateway_config::{GatewayConfig, Surface};
use http::Method;

use super::Endpoint;

/// Well-known path of the metadata (RFC 8414 section 3).
const METADATA: &str = "/.well-known/oauth-authorization-server";
/// Path of the public keys.
pub const JWKS: &str = "/.well-known/jwks.json";

/// The path of each endpoint below a base.
const BELOW_BASE: [(&str, Method, Endpoint); 3] = [
    ("/token", Method::POST, Endpoint::Token),
    ("/introspect", Method::POST, Endpoint::Introspect),
    ("/revoke", Method::POST, Endpoint::Revoke),
];

/// Path, method and endpoint of everything that the configuration asks for.
pub fn endpoints(config: &GatewayConfig) -> Vec<(String, Method, Endpoint)> {
    let mut endpoints = vec![
        (metadata_path(config), Method::GET, Endpoint::Metadata),
        (JWKS.to_owned(), Method::GET, Endpoint::Jwks),
    ];
    for surface in &config.surfaces {
        let Surface::Standard(standard) = surface;
        for (name, method, endpoint) in &BELOW_BASE {
            endpoints.push((
                format!("{}{name}", standard.base),
                method.clone(),
                *endpoint,
            ));
        }
    }
    endpoints
}

/// Where the metadata stands: the issuer's path comes after the well-known one
/// (RFC 8414 section 3.1).
fn metadata_path(config: &GatewayConfig) -> String {
    format!("{METADATA}{}", config.issuer.path().trim_end_matches('/'))
}
