//! Counters per data-plane thread.
//!
//! A thread writes its own counters alone, so that counting never waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::StatusCode;

use crate::{oauth::error::Error, permit::Refusal, surface::Endpoint};

pub mod exposition;

/// Upper bounds of the buckets of gateway time, in microseconds.
const GATEWAY_BUCKETS: [u64; 14] = [
    5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000, 1_000_000,
];
/// Upper bounds of the buckets of upstream time, in microseconds.
const UPSTREAM_BUCKETS: [u64; 14] = [
    100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000, 1_000_000,
    5_000_000, 30_000_000,
];
const STATUSES: usize = 500;
const ENDPOINTS: usize = Endpoint::ALL.len();

/// The counters of one data-plane thread.
#[derive(Debug)]
pub struct CoreMetrics {
    /// Of each route, in their order; the last one is of no route.
    routes: Vec<Statuses>,
    endpoints: [Statuses; ENDPOINTS],
    gateway_time: Histogram<14>,
    upstream_time: Histogram<14>,
    refusals: [AtomicU64; Refusal::REASONS.len()],
    oauth_errors: [[AtomicU64; Error::CODES.len()]; ENDPOINTS],
    tokens_issued: AtomicU64,
    tokens_revoked: AtomicU64,
    connections_accepted: AtomicU64,
    connections_closed: AtomicU64,
    connections_failed: AtomicU64,
}

/// Counters by status code.
#[derive(Debug)]
struct Statuses(Box<[AtomicU64]>);

#[derive(Debug)]
struct Histogram<const N: usize> {
    bounds: [u64; N],
    counts: [AtomicU64; N],
    above: AtomicU64,
    sum_nanos: AtomicU64,
}

/// The counters of every thread, for scraping.
pub struct Metrics {
    cores: Vec<Arc<CoreMetrics>>,
    route_names: Vec<String>,
}

impl CoreMetrics {
    fn new(routes: usize) -> Self {
        Self {
            routes: (0..=routes).map(|_| Statuses::default()).collect(),
            endpoints: Default::default(),
            gateway_time: Histogram::new(GATEWAY_BUCKETS),
            upstream_time: Histogram::new(UPSTREAM_BUCKETS),
            refusals: Default::default(),
            oauth_errors: Default::default(),
            tokens_issued: AtomicU64::default(),
            tokens_revoked: AtomicU64::default(),
            connections_accepted: AtomicU64::default(),
            connections_closed: AtomicU64::default(),
            connections_failed: AtomicU64::default(),
        }
    }

    /// A request to a route (`None`: to none) was answered.
    pub fn answered(&self, route: Option<usize>, status: StatusCode) {
        let index = route.unwrap_or(self.routes.len() - 1);
        if let Some(statuses) = self.routes.get(index) {
            statuses.count(status);
        }
    }

    /// A request to one of the gateway's own endpoints was answered.
    pub fn endpoint_answered(&self, endpoint: Endpoint, status: StatusCode) {
        self.endpoints[endpoint as usize].count(status);
    }

    /// The time that a forwarded request spent here and in the upstream.
    pub fn took(&self, gateway: Duration, upstream: Duration) {
        self.gateway_time.observe(gateway);
        self.upstream_time.observe(upstream);
    }

    /// A permit was refused.
    pub fn refused(&self, reason: &str) {
        if let Some(index) = Refusal::REASONS.iter().position(|known| *known == reason) {
            self.refusals[index].fetch_add(1, Relaxed);
        }
    }

    /// An OAuth endpoint answered with an error.
    pub fn oauth_refused(&self, endpoint: Endpoint, code: &str) {
        if let Some(index) = Error::CODES.iter().position(|known| *known == code) {
            self.oauth_errors[endpoint as usize][index].fetch_add(1, Relaxed);
        }
    }

    /// An access token was issued.
    pub fn token_issued(&self) {
        self.tokens_issued.fetch_add(1, Relaxed);
    }

    /// A token was revoked.
    pub fn token_revoked(&self) {
        self.tokens_revoked.fetch_add(1, Relaxed);
    }

    /// A connection was accepted.
    pub fn connection_accepted(&self) {
        self.connections_accepted.fetch_add(1, Relaxed);
    }

    /// A connection was closed.
    pub fn connection_closed(&self) {
        self.connections_closed.fetch_add(1, Relaxed);
    }

    /// A connection never came to its first request.
    pub fn connection_failed(&self) {
        self.connections_failed.fetch_add(1, Relaxed);
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Self((0..STATUSES).map(|_| AtomicU64::default()).collect())
    }
}

impl Statuses {
    fn count(&self, status: StatusCode) {
        if let Some(counter) = self.0.get(usize::from(status.as_u16()).saturating_sub(100)) {
            counter.fetch_add(1, Relaxed);
        }
    }
}

impl<const N: usize> Histogram<N> {
    fn new(bounds: [u64; N]) -> Self {
        Self {
            bounds,
            counts: std::array::from_fn(|_| AtomicU64::default()),
            above: AtomicU64::default(),
            sum_nanos: AtomicU64::default(),
        }
    }

    fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = self.bounds.iter().position(|bound| nanos <= bound * 1_000);
        bucket
            .map_or(&self.above, |bucket| &self.counts[bucket])
            .fetch_add(1, Relaxed);
        self.sum_nanos.fetch_add(nanos, Relaxed);
    }
}

impl Metrics {
    /// Counters for this many threads.
    pub fn new(threads: usize, route_names: Vec<String>) -> Self {
        let cores = (0..threads)
            .map(|_| Arc::new(CoreMetrics::new(route_names.len())))
            .collect();
        Self { cores, route_names }
    }

    /// The counters of one thread.
    pub fn core(&self, index: usize) -> Option<Arc<CoreMetrics>> {
        self.cores.get(index).cloned()
    }

    fn sum(&self, of: impl Fn(&CoreMetrics) -> &AtomicU64) -> u64 {
        self.cores.iter().map(|core| of(core).load(Relaxed)).sum()
    }
}
