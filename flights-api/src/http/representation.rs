//! A flight as JSON.

use serde::Serialize;

use crate::flight::Flight;
use crate::igc::Summary;

/// A flight as the API shows it: `id`, `created_at`, `sha256`, `bytes`, and the
/// fields of [`Summary`]. Metres, seconds, degrees WGS84, UTC.
#[derive(Serialize)]
pub struct Representation<'a> {
    id: String,
    created_at: jiff::Timestamp,
    sha256: String,
    bytes: u64,
    #[serde(flatten)]
    summary: &'a Summary,
}

impl<'a> Representation<'a> {
    /// The representation of this flight.
    pub fn of(flight: &'a Flight) -> Representation<'a> {
        Representation {
            id: flight.id.to_string(),
            created_at: flight.created_at,
            sha256: flight.sha256.to_string(),
            bytes: flight.bytes,
            summary: &flight.summary,
        }
    }
}

/// The path of a flight in the API.
pub fn path(flight: &Flight) -> String {
    format!("/api/v1/flights/{}", flight.id)
}
