//! `GET /healthz` and `GET /readyz`, for whoever runs this.

use std::sync::Arc;

use axum::extract::State;

use super::App;
use super::problem::Problem;

/// The process answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// The store can be reached.
///
/// # Errors
/// A problem with 503 if it cannot.
pub async fn readyz(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    app.store.ping().await?;
    Ok("ok\n")
}
