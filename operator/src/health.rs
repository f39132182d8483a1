//! The listener for the platform: /metrics, /healthz and /readyz.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// What this process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// It has not yet seen the API server.
    Starting,
    /// Another replica leads; this one could take over.
    Standby,
    /// It leads, and is still reading what is there.
    Syncing,
    /// It leads and follows every change.
    Leading,
    /// It is ending.
    Stopping,
}

/// The phase, as everyone sees it.
#[derive(Clone, Debug)]
pub struct Health(Arc<AtomicU8>);

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(Phase::Starting as u8)))
    }
}

impl Health {
    /// Says what the process is doing now.
    pub fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    /// What the process is doing.
    pub fn phase(&self) -> Phase {
        let phase = self.0.load(Ordering::Relaxed);
        [
            Phase::Starting,
            Phase::Standby,
            Phase::Syncing,
            Phase::Leading,
        ]
        .into_iter()
        .find(|it| *it as u8 == phase)
        .unwrap_or(Phase::Stopping)
    }
}

/// Serves for as long as the process lives.
pub async fn serve(listener: TcpListener, health: Health, metrics: Metrics) -> io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(show_metrics))
        // That it answers is the proof: one runtime runs everything.
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state((health, metrics));
    axum::serve(listener, router).await
}

async fn show_metrics(
    State((_, metrics)): State<(Health, Metrics)>,
) -> Result<([(&'static str, &'static str); 1], String), (StatusCode, String)> {
    match metrics.render() {
        Ok(text) => Ok(([("content-type", "text/plain; version=0.0.4")], text)),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))),
    }
}

async fn ready(State((health, _)): State<(Health, Metrics)>) -> (StatusCode, &'static str) {
    match health.phase() {
        Phase::Leading => (StatusCode::OK, "ok: leading\n"),
        Phase::Standby => (StatusCode::OK, "ok: standing by\n"),
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Syncing => (StatusCode::SERVICE_UNAVAILABLE, "reading what is there\n"),
        Phase::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}
