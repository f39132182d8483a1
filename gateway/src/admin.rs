//! The listeners that are not for partners: `admin` for the platform, and
//! `internal` for the upstream beside the gateway.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus::{Encoder, Registry, TextEncoder};
use serde::Serialize;

use crate::{
    gateway::Gateway, registry::last_use::Told, surface::standard, telemetry::metrics::exposition,
};

#[derive(Clone)]
struct Admin {
    gateway: Arc<Gateway>,
    metrics: Registry,
}

/// What `/registry` says: which documents this process serves.
#[derive(Serialize)]
struct Documents {
    generation: u64,
    /// SHA-256 of each document in force, by name.
    #[serde(rename = "documents")]
    in_force: BTreeMap<String, String>,
    /// Documents that are not in force as they stand, and why.
    rejected: BTreeMap<String, String>,
    /// When each secret was last used, by its id; one that is not there never was.
    #[serde(rename = "lastUsed")]
    last_used: Told,
}

/// Metrics, health and registry.
pub fn admin(gateway: &Arc<Gateway>) -> prometheus::Result<Router> {
    let state = Admin {
        gateway: gateway.clone(),
        metrics: exposition::registry(gateway.clone())?,
    };
    Ok(Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/registry", get(show_registry))
        .with_state(state))
}

/// The keys that identities are signed with, in plain HTTP on loopback.
pub fn internal(gateway: &Arc<Gateway>) -> Router {
    let jwks = gateway.keys.signer.jwks();
    let json = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )];
    Router::new().route(
        standard::JWKS,
        get(move || async move { (json, jwks.clone()) }),
    )
}

async fn show_metrics(State(admin): State<Admin>) -> Response {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&admin.metrics.gather(), &mut text) {
        Ok(()) => {
            let kind = [(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/plain; version=0.0.4"),
            )];
            (kind, Body::from(text)).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Ready: documents are loaded, and the store would take a write.
async fn ready(State(admin): State<Admin>) -> Response {
    if admin.gateway.registry.load().generation() == 0 {
        return (StatusCode::SERVICE_UNAVAILABLE, "no documents loaded yet\n").into_response();
    }
    match admin.gateway.store.check().await {
        Ok(()) => "ok\n".into_response(),
        Err(error) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("store: {error}\n")).into_response()
        }
    }
}

async fn show_registry(State(admin): State<Admin>) -> Json<Documents> {
    let registry = admin.gateway.registry.load();
    let rejected = admin
        .gateway
        .rejected_documents
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    Json(Documents {
        generation: registry.generation(),
        in_force: registry
            .hashes()
            .iter()
            .map(|(name, hash)| (name.clone(), hash.to_string()))
            .collect(),
        rejected,
        last_used: registry.last_uses().told(),
    })
}
