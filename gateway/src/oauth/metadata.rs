//! Authorization server metadata (RFC 8414), made once at the start.

use bytes::Bytes;
use crds::gateway_config::{ClientAuth, GatewayConfig, Surface};
use serde::Serialize;

use crate::{scopes::Catalogue, surface::standard};

#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    token_endpoint: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    jwks_uri: String,
    scopes_supported: Vec<&'a str>,
    /// Required by section 2; empty as long as there is no authorization
    /// endpoint.
    response_types_supported: [&'static str; 0],
    grant_types_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: &'a [&'static str],
    revocation_endpoint_auth_methods_supported: &'a [&'static str],
    introspection_endpoint_auth_methods_supported: &'a [&'static str],
}

/// The metadata of this gateway under `issuer`.
pub(crate) fn document(config: &GatewayConfig, catalogue: &Catalogue, issuer: &str) -> Bytes {
    let base = config
        .surfaces
        .iter()
        .map(|Surface::Standard(standard)| standard.base.as_str())
        .next();
    let origin = config_origin(issuer);
    let at = |path: &str| format!("{origin}{}{path}", base.unwrap_or_default());
    let methods: Vec<&'static str> = [
        (ClientAuth::Basic, "client_secret_basic"),
        (ClientAuth::Post, "client_secret_post"),
    ]
    .into_iter()
    .filter(|(method, _)| {
        config
            .profiles
            .values()
            .any(|profile| profile.client_auth.contains(method))
    })
    .map(|(_, name)| name)
    .collect();
    let metadata = Metadata {
        issuer,
        token_endpoint: at("/token"),
        revocation_endpoint: at("/revoke"),
        introspection_endpoint: at("/introspect"),
        jwks_uri: format!("{origin}{}", standard::JWKS),
        scopes_supported: catalogue.list(catalogue.offered()).collect(),
        response_types_supported: [],
        grant_types_supported: ["client_credentials"],
        token_endpoint_auth_methods_supported: &methods,
        revocation_endpoint_auth_methods_supported: &methods,
        introspection_endpoint_auth_methods_supported: &methods,
    };
    serde_json::to_vec(&metadata).unwrap_or_default().into()
}

/// Scheme, host and port of the issuer: its endpoints stand beside its path,
/// not below it.
fn config_origin(issuer: &str) -> &str {
    let host = issuer.find("://").map_or(0, |at| at + 3);
    issuer[host..]
        .find('/')
        .map_or(issuer, |slash| &issuer[..host + slash])
}
