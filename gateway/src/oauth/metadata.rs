//! Authorization server metadata (RFC 8414), made once at the start.

use bytes::Bytes;
use crds::gateway_config::{ClientAuth, GatewayConfig, Surface};
use serde::Serialize;

use crate::{scopes::Catalogue, surface::standard};

/// The members that are there whatever the configuration says, and the
/// endpoints of the first standard surface.
#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    #[serde(flatten)]
    endpoints: Endpoints,
    jwks_uri: String,
    scopes_supported: Vec<&'a str>,
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 4],
    code_challenge_methods_supported: [&'static str; 1],
    /// RFC 9207.
    authorization_response_iss_parameter_supported: bool,
    prompt_values_supported: [&'static str; 4],
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    introspection_endpoint_auth_methods_supported: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Endpoints {
    Standard {
        authorization_endpoint: String,
        token_endpoint: String,
        device_authorization_endpoint: String,
        revocation_endpoint: String,
        introspection_endpoint: String,
        userinfo_endpoint: String,
    },
    Logbook {
        authorization_endpoint: String,
        token_endpoint: String,
    },
}

impl Endpoints {
    fn of(config: &GatewayConfig, origin: &str) -> Self {
        let mut standard = config.surfaces.iter().filter_map(|surface| match surface {
            Surface::Standard(standard) => Some(&standard.base),
            Surface::Logbook(_) => None,
        });
        let first = config.surfaces.first().map_or("", Surface::base);
        if let Some(base) = standard.next() {
            let at = |path: &str| format!("{origin}{base}{path}");
            Self::Standard {
                authorization_endpoint: at("/authorize"),
                token_endpoint: at("/token"),
                device_authorization_endpoint: at("/device_authorization"),
                revocation_endpoint: at("/revoke"),
                introspection_endpoint: at("/introspect"),
                userinfo_endpoint: at("/userinfo"),
            }
        } else {
            Self::Logbook {
                authorization_endpoint: format!("{origin}{first}/logbookuserauth/"),
                token_endpoint: format!("{origin}{first}/api/token/"),
            }
        }
    }
}

/// The metadata of this gateway under `issuer`.
pub(crate) fn document(config: &GatewayConfig, catalogue: &Catalogue, issuer: &str) -> Bytes {
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
    let origin = origin(issuer);
    let or_none = [&methods[..], &["none"]].concat();
    let endpoints = Endpoints::of(config, origin);
    let metadata = Metadata {
        issuer,
        authorization_response_iss_parameter_supported: matches!(
            endpoints,
            Endpoints::Standard { .. }
        ),
        endpoints,
        jwks_uri: format!("{origin}{}", standard::JWKS),
        scopes_supported: catalogue.list(catalogue.offered()).collect(),
        response_types_supported: ["code"],
        response_modes_supported: ["query"],
        grant_types_supported: [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:device_code",
        ],
        code_challenge_methods_supported: ["S256"],
        prompt_values_supported: ["none", "login", "consent", "select_account"],
        token_endpoint_auth_methods_supported: or_none.clone(),
        revocation_endpoint_auth_methods_supported: or_none,
        introspection_endpoint_auth_methods_supported: methods,
    };
    serde_json::to_vec(&metadata).unwrap_or_default().into()
}

/// Scheme, host and port of the issuer: its endpoints stand beside its path,
/// not below it.
pub(crate) fn origin(issuer: &str) -> &str {
    let host = issuer.find("://").map_or(0, |at| at + 3);
    issuer[host..]
        .find('/')
        .map_or(issuer, |slash| &issuer[..host + slash])
}
