//! `GET /api/v1/flights/{id}` and `GET /api/v1/flights/{id}.igc`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::App;
use super::problem::{Code, Problem};
use super::representation::Representation;
use crate::flight::Flight;
use crate::identity::{Permit, Read};

/// What stands behind the id of a flight in the address of its file.
pub(super) const FILE: &str = ".igc";

/// The flight as JSON, or under `.igc` its file, byte for byte as it was uploaded.
///
/// # Errors
/// A problem with 404 if the subject has no such flight.
pub async fn read(
    permit: Permit<Read>,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (id, wants_file) = match name.strip_suffix(FILE) {
        Some(id) => (id, true),
        None => (name.as_str(), false),
    };
    let id = id.parse().map_err(|_| no_such_flight())?;
    let flight = app
        .store
        .flight(&permit, id)
        .await?
        .ok_or_else(no_such_flight)?;
    if wants_file {
        file(&app, &permit, &flight, &headers).await
    } else {
        Ok(Json(Representation::of(&flight)).into_response())
    }
}

async fn file(
    app: &App,
    permit: &Permit<Read>,
    flight: &Flight,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let tag = format!("\"{}\"", flight.sha256);
    let validators = [
        (header::ETAG, tag.clone()),
        // A shared cache has no business with a pilot's flight.
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
    ];
    if is_current(headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, validators).into_response());
    }
    let bytes = app
        .store
        .file(permit, flight)
        .await?
        .ok_or_else(no_such_flight)?;
    let name = format!(
        "attachment; filename=\"{}-{}.igc\"",
        flight.summary.date, flight.id
    );
    let content = [
        (header::CONTENT_TYPE, "application/vnd.fai.igc".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    Ok((validators, content, bytes).into_response())
}

/// `If-None-Match`, by the weak comparison (RFC 9110, 13.1.2).
fn is_current(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// The same for a flight that never was, that is no longer, and that is another's.
pub(super) fn no_such_flight() -> Problem {
    Problem::new(
        Code::NotFound,
        "expected the id of one of your flights, as GET /api/v1/flights lists them",
    )
}
