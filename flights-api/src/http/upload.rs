//! `POST /api/v1/flights`: a file into a flight.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::App;
use super::body::{self, File};
use super::problem::{Code, Problem};
use super::representation::{Representation, path};
use crate::identity::{Permit, Write};
use crate::igc::{self, Summary};
use crate::store::Added;

/// 201 with the new flight, or 200 with the flight that the pilot has of the same
/// file already.
///
/// # Errors
/// A problem: 400, 408, 413, 415 for the body, 422 for the file, 503 where this
/// API has too much to do.
pub async fn upload(
    permit: Permit<Write>,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let File { bytes, memory } = body::file(&headers, body, &app.uploads).await?;
    // A task of its own: a caller that goes away does not leave half an upload.
    let kept = tokio::spawn(async move {
        let summary = read(&app, bytes.clone()).await?;
        let added = app.store.add(&permit, bytes, summary).await?;
        drop(memory);
        Ok::<Added, Problem>(added)
    });
    let (status, flight) = match kept.await.map_err(|error| fault(&error))?? {
        Added::New(flight) => (StatusCode::CREATED, flight),
        Added::Existing(flight) => (StatusCode::OK, flight),
    };
    let location = [(header::LOCATION, path(&flight))];
    Ok((status, location, Json(Representation::of(&flight))).into_response())
}

/// Reads a file where it may take its time, as many at a time as there are cores.
async fn read(app: &App, bytes: Bytes) -> Result<Summary, Problem> {
    let readers = Arc::clone(&app.uploads.readers);
    let turn = readers
        .acquire_owned()
        .await
        .map_err(|error| fault(&error))?;
    let read = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        igc::read(&bytes)
    });
    Ok(read.await.map_err(|error| fault(&error))??)
}

/// A task that panicked, or a semaphore that was closed: neither happens.
fn fault(error: &dyn std::error::Error) -> Problem {
    tracing::error!(%error, "an upload failed");
    Problem::new(Code::Internal, "a fault of this API; its log says more")
}
