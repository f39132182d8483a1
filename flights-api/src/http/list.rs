//! `GET /api/v1/flights`: one's flights, newest takeoff first, page by page.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;

use super::App;
use super::problem::{Code, Problem};
use super::representation::Representation;
use crate::flight::FlightId;
use crate::identity::{Permit, Read};
use crate::store::Position;

/// A page of flights, and the cursor of the next.
///
/// # Errors
/// A problem with 400 that names the parameter.
pub async fn list(
    permit: Permit<Read>,
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Page<'a> {
        flights: Vec<Representation<'a>>,
        next_cursor: Option<String>,
    }
    let Parameters { limit, cursor } = Parameters::parse(query.as_deref().unwrap_or_default())?;
    // One more than asked for tells whether there is another page.
    let mut flights = app.store.page(&permit, cursor, limit + 1).await?;
    let has_more = flights.len() > limit as usize;
    flights.truncate(limit as usize);
    let last = flights.last().filter(|_| has_more);
    let next_cursor = last.map(|flight| {
        encode(Position {
            started_at: flight.started_at(),
            id: flight.id,
        })
    });
    let flights = flights.iter().map(Representation::of).collect();
    Ok(Json(Page {
        flights,
        next_cursor,
    })
    .into_response())
}

#[derive(Debug, PartialEq)]
struct Parameters {
    limit: u32,
    cursor: Option<Position>,
}

impl Parameters {
    fn parse(query: &str) -> Result<Parameters, Problem> {
        let (mut limit, mut cursor) = (None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let is_first = match &*name {
                "limit" => limit.replace(self::limit(&value)?).is_none(),
                "cursor" => cursor.replace(decode(&value)?).is_none(),
                _ => {
                    let name: String = name.chars().take(64).collect();
                    return Err(invalid(&format!(
                        "expected only `limit` and `cursor`, found `{name}`"
                    )));
                }
            };
            if !is_first {
                return Err(invalid(&format!(
                    "`{name}`: expected it once, found it more often"
                )));
            }
        }
        Ok(Parameters {
            limit: limit.unwrap_or(20),
            cursor,
        })
    }
}

fn limit(value: &str) -> Result<u32, Problem> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let limit = value
        .parse()
        .ok()
        .filter(|limit| digits && (1..=100).contains(limit));
    limit.ok_or_else(|| invalid("`limit`: expected a number from 1 to 100"))
}

fn invalid(detail: &str) -> Problem {
    Problem::new(Code::InvalidParameter, detail)
}

/// The form of the cursors that this version makes and reads.
const CURSOR: u8 = 1;

/// A cursor is a position, not a page number, so flights that come and go
/// elsewhere do not shift it. Opaque to callers: its form may change.
fn encode(position: Position) -> String {
    let mut bytes = vec![CURSOR];
    bytes.extend_from_slice(&position.started_at.as_second().to_be_bytes());
    bytes.extend_from_slice(&position.id.to_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(cursor: &str) -> Result<Position, Problem> {
    let position = || {
        let bytes: [u8; 25] = URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?;
        let (form, rest) = bytes.split_first()?;
        let (seconds, id) = rest.split_first_chunk::<8>()?;
        let started_at = Timestamp::from_second(i64::from_be_bytes(*seconds)).ok()?;
        let id = FlightId::from_bytes(id.try_into().ok()?);
        (*form == CURSOR).then_some(Position { started_at, id })
    };
    position().ok_or_else(|| invalid("`cursor`: expected the `next_cursor` of an earlier answer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_the_position_that_it_was() {
        let position = Position {
            started_at: Timestamp::from_second(-5).unwrap(),
            id: FlightId::from_bytes([7; 16]),
        };
        let query = format!("limit=7&cursor={}", encode(position));
        let parameters = Parameters {
            limit: 7,
            cursor: Some(position),
        };
        assert_eq!(Parameters::parse(&query).unwrap(), parameters);
    }
}
