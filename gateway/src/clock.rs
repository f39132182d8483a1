//! Time and randomness, handed to whoever needs them, so that a test can hold
//! both in its hands.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Seconds since 1970-01-01T00:00:00Z, without leap seconds.
pub type UnixSeconds = u64;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> UnixSeconds;
}

/// Gives randomness fit for secrets.
pub trait Rng: Send + Sync + 'static {
    /// Fills `bytes`, or says that the system has no randomness to give.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness>;
}

/// The system's source of randomness did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the system's source of randomness failed: {0}")]
pub struct NoRandomness(#[from] getrandom::Error);

/// The system's clock and randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Clock for System {
    fn now(&self) -> UnixSeconds {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }
}

impl Rng for System {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        Ok(getrandom::fill(bytes)?)
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: UnixSeconds) -> Self {
        Self(AtomicU64::new(now))
    }

    /// Moves it forward by `seconds`.
    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixSeconds {
        self.0.load(Ordering::SeqCst)
    }
}
