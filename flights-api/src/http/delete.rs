//! `DELETE /api/v1/flights/{id}`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::App;
use super::problem::{Code, Problem};
use super::read::{FILE, no_such_flight};
use crate::identity::{Delete, Permit};

/// 204; the flight and its file are gone.
///
/// # Errors
/// A problem with 404 if the subject has no such flight, 405 for its `.igc`.
pub async fn delete(
    permit: Permit<Delete>,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    if name.strip_suffix(FILE).is_some() {
        let problem = Problem::new(
            Code::MethodNotAllowed,
            "expected GET or HEAD; delete the flight, without `.igc`",
        );
        return Ok(([(header::ALLOW, "GET,HEAD")], problem).into_response());
    }
    let id = name.parse().map_err(|_| no_such_flight())?;
    // A task of its own: a caller that goes away does not leave the blob behind.
    let removed = tokio::spawn(async move { app.store.remove(&permit, id).await });
    let removed = removed.await.map_err(|error| {
        tracing::error!(%error, "a deletion failed");
        Problem::new(Code::Internal, "a fault of this API; its log says more")
    })??;
    removed
        .map(|_| StatusCode::NO_CONTENT.into_response())
        .ok_or_else(no_such_flight)
}
