//! `POST /api/v1/flights`: a file into a flight.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::problem::{Code, Problem};
use super::representation::{Representation, path};
use super::{App, body};
use crate::identity::{Permit, Write};
use crate::igc;
use crate::store::Added;

/// 201 with the new flight, or 200 with the flight that the pilot has of the same
/// file already.
///
/// # Errors
/// A problem: 400, 408, 413, 415 for the body, 422 for the file.
pub async fn upload(
    permit: Permit<Write>,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let slots = Arc::clone(&app.uploads.slots);
    // The semaphore is never closed; if it were, nothing would bound the memory.
    let slot = slots
        .acquire_owned()
        .await
        .map_err(|_| Problem::new(Code::Internal, "this API is shutting down"))?;
    let file = body::file(&headers, body, app.uploads.max_bytes).await?;
    // A task of its own: a caller that goes away does not leave half an upload.
    let kept = tokio::spawn(async move {
        let bytes = file.clone();
        let read = tokio::task::spawn_blocking(move || igc::read(&bytes)).await;
        let summary = read.map_err(|error| fault(&error))??;
        let added = app.store.add(&permit, file, summary).await?;
        drop(slot);
        Ok::<Added, Problem>(added)
    });
    let (status, flight) = match kept.await.map_err(|error| fault(&error))?? {
        Added::New(flight) => (StatusCode::CREATED, flight),
        Added::Existing(flight) => (StatusCode::OK, flight),
    };
    let location = [(header::LOCATION, path(&flight))];
    Ok((status, location, Json(Representation::of(&flight))).into_response())
}

/// A task that panicked or was aborted.
fn fault(error: &tokio::task::JoinError) -> Problem {
    tracing::error!(%error, "an upload failed");
    Problem::new(Code::Internal, "a fault of this API; its log says more")
}
