//! IGC files: what a flight recorder wrote, and what a pilot wants to read of it.
//!
//! The format is the FAI's "Technical Specification for IGC-approved GNSS Flight
//! Recorders", appendix A. [`read`] is the whole public face: bytes in, a
//! [`Summary`] or the reason out. It reads what recorders write rather than what
//! the specification asks: any line ending, a byte order mark, Latin-1 names,
//! lower case, garbage before, between and behind the records.

mod airborne;
mod header;
mod lines;
mod log;
mod summary;

pub use log::NotAFlight;
pub use summary::{Glider, Place, Recorder, Summary};

/// Reads an IGC file into the summary of its flight.
///
/// Takes time and memory linear in the size of the input; call it on a thread
/// that may block. Never panics, whatever the bytes.
///
/// # Errors
/// [`NotAFlight`] where there is no date, no fix, or no IGC record at all.
pub fn read(bytes: &[u8]) -> Result<Summary, NotAFlight> {
    log::Log::parse(bytes).map(|log| summary::summarise(&log))
}
