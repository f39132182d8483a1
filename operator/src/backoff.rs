//! How long to wait before trying again. Every wait is drawn at random, so that
//! those who failed together do not come back together.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use tokio::time::Instant;

/// Half to all of `full`, at random.
pub fn jittered(full: Duration) -> Duration {
    let mut bytes = [0_u8; 4];
    // Without randomness there is no jitter, and nothing worse.
    let _ = getrandom::fill(&mut bytes);
    let share = f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX);
    full.mul_f64(0.5 + share / 2.0)
}

/// The wait before the `attempt`-th try (from 1): doubled each time, from
/// `first` to at most `longest`.
pub fn exponential(first: Duration, longest: Duration, attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(20);
    jittered(first.saturating_mul(1 << doublings).min(longest))
}

/// The longest wait between two attempts to watch the API server.
const LONGEST: Duration = Duration::from_secs(10);
/// A watch that held for so long begins anew with short waits.
const HEALTHY: Duration = Duration::from_secs(30);

/// Between attempts to watch the API server.
#[derive(Debug, Default)]
pub struct Reconnect {
    attempts: u32,
    failed_at: Option<Instant>,
}

impl Iterator for Reconnect {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let last = self.failed_at.replace(now);
        if last.is_none_or(|last| now.duration_since(last) > HEALTHY) {
            self.attempts = 0;
        }
        self.attempts += 1;
        Some(exponential(
            Duration::from_millis(200),
            LONGEST,
            self.attempts,
        ))
    }
}

impl Backoff for Reconnect {
    /// Nothing: a watch says that it begins before it has heard anything, and
    /// that is no success.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_until_a_watch_has_held_for_a_while() {
        let mut reconnect = Reconnect::default();
        for _ in 0..8 {
            let wait = reconnect.next().unwrap();
            tokio::time::advance(wait).await;
            // As the watch does at each attempt.
            reconnect.reset();
        }
        assert!(reconnect.next().unwrap() >= LONGEST / 2);
        tokio::time::advance(HEALTHY + Duration::from_secs(1)).await;
        assert!(reconnect.next().unwrap() <= Duration::from_millis(200));
    }

    #[test]
    fn waits_grow_to_a_bound_and_no_two_are_alike() {
        let (first, longest) = (Duration::from_millis(200), Duration::from_secs(10));
        for attempt in 1..100 {
            let full = first
                .saturating_mul(1 << (attempt - 1).min(10))
                .min(longest);
            let wait = exponential(first, longest, attempt);
            assert!(wait >= full / 2 && wait <= full, "{attempt}: {wait:?}");
        }
        let waits: Vec<_> = (0..50).map(|_| exponential(first, longest, 9)).collect();
        let mut unique = waits.clone();
        unique.sort();
        unique.dedup();
        assert!(unique.len() > 40, "{waits:?}");
    }
}
