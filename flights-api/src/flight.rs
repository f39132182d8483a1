//! A flight as it is stored: who it is, and what its log says.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use jiff::Timestamp;
use ulid::Ulid;

use crate::igc::Summary;

/// A stored flight.
#[derive(Clone, Debug, PartialEq)]
pub struct Flight {
    /// Its name in the API.
    pub id: FlightId,
    /// When it was uploaded, to the millisecond.
    pub created_at: Timestamp,
    /// The digest of the file.
    pub sha256: Sha256,
    /// The length of the file in bytes.
    pub bytes: u64,
    /// What the file says.
    pub summary: Summary,
}

impl Flight {
    /// Takeoff, or the first fix where the log holds no takeoff: the instant by
    /// which flights are listed.
    pub fn started_at(&self) -> Timestamp {
        self.summary
            .takeoff
            .as_ref()
            .unwrap_or(&self.summary.first_fix)
            .time
    }
}

/// The id of a flight: a ULID in its canonical spelling (26 characters, capitals).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlightId(Ulid);

impl FlightId {
    /// A new id, made at `now`.
    ///
    /// # Errors
    /// [`NoRandomness`] if the operating system gives none.
    pub fn new(now: Timestamp) -> Result<FlightId, NoRandomness> {
        let mut random = [0; 16];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| NoRandomness)?;
        let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Ok(FlightId(Ulid::from_parts(
            milliseconds,
            u128::from_be_bytes(random),
        )))
    }

    /// The sixteen bytes of the id, for a cursor.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_bytes()
    }

    /// The id of these sixteen bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> FlightId {
        FlightId(Ulid::from_bytes(bytes))
    }
}

/// The operating system's random number generator failed.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random number generator failed")]
pub struct NoRandomness;

impl fmt::Display for FlightId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_string())
    }
}

/// What was given is not the canonical spelling of a ULID.
#[derive(Debug, thiserror::Error)]
#[error("expected a ULID: 26 characters of 0-9 and A-Z without I, L, O, U")]
pub struct NotAFlightId;

impl FromStr for FlightId {
    type Err = NotAFlightId;

    fn from_str(text: &str) -> Result<FlightId, NotAFlightId> {
        let id = Ulid::from_string(text).map_err(|_| NotAFlightId)?;
        // One flight has one address: `ulid` also reads lower case, and O for 0.
        if id.to_string() == text {
            Ok(FlightId(id))
        } else {
            Err(NotAFlightId)
        }
    }
}

/// The SHA-256 digest of a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Sha256 {
        let mut digest = [0; 32];
        digest.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
        Sha256(digest)
    }

    /// The digest as it was stored; none unless there are 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Sha256> {
        bytes.try_into().ok().map(Sha256)
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
