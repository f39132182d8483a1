//! Waiting for what comes in its own time.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use tokio::time;

/// How long anything may take before a test gives up on it. It bounds a test
/// that hangs; no test that passes comes near it.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Waits for this future, and fails where it never comes.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: nothing came within {PATIENCE:?}"))
}

/// Asks until there is a value. `Err` is the state that was found instead: the
/// last one is what a failure shows.
pub async fn eventually<T, S: Debug>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, S>) -> T {
    let end = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(10);
    let mut last = None;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero()
            && let Some(state) = &last
        {
            // An answer that needs no waiting is never late for its timeout.
            panic!("{what}: not within {PATIENCE:?}; last seen: {state:#?}");
        }
        match time::timeout(left, ask()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(state)) => last = Some(state),
            Err(_) => match last {
                Some(state) => panic!("{what}: not within {PATIENCE:?}; last seen: {state:#?}"),
                None => panic!("{what}: not within {PATIENCE:?}, and the first look never ended"),
            },
        }
        time::sleep(pause.min(left)).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}
