//! The counters of all threads summed up, as Prometheus scrapes them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use prometheus::{
    IntCounterVec, IntGauge, Opts, Registry,
    core::{Collector, Desc},
    proto::{self, MetricFamily, MetricType},
};

use super::{CoreMetrics, Histogram, Metrics, STATUSES, Statuses};
use crate::{gateway::Gateway, oauth::error::Error, permit::Refusal, surface::Endpoint};

impl Metrics {
    fn requests(&self) -> prometheus::Result<Vec<MetricFamily>> {
        let requests = IntCounterVec::new(
            Opts::new(
                "flightgate_requests_total",
                "Requests answered, by route and status.",
            ),
            &["route", "status"],
        )?;
        let names = self.route_names.iter().map(String::as_str).chain(["none"]);
        for (index, name) in names.enumerate() {
            self.statuses(&requests, name, |core| core.routes.get(index));
        }
        let endpoints = IntCounterVec::new(
            Opts::new(
                "flightgate_oauth_requests_total",
                "Requests to the gateway's own endpoints, by endpoint and status.",
            ),
            &["endpoint", "status"],
        )?;
        for endpoint in Endpoint::ALL {
            self.statuses(&endpoints, endpoint.name(), |core| {
                core.endpoints.get(endpoint as usize)
            });
        }
        Ok([requests.collect(), endpoints.collect()].concat())
    }

    fn statuses(
        &self,
        vec: &IntCounterVec,
        name: &str,
        of: impl Fn(&CoreMetrics) -> Option<&Statuses>,
    ) {
        for index in 0..STATUSES {
            let count: u64 = self
                .cores
                .iter()
                .filter_map(|core| of(core)?.0.get(index))
                .map(|count| count.load(Relaxed))
                .sum();
            if count > 0 {
                vec.with_label_values(&[name, &(index + 100).to_string()])
                    .inc_by(count);
            }
        }
    }

    fn refusals(&self) -> prometheus::Result<Vec<MetricFamily>> {
        let refused = IntCounterVec::new(
            Opts::new(
                "flightgate_refused_total",
                "Requests that were not permitted, by reason.",
            ),
            &["reason"],
        )?;
        for (index, reason) in Refusal::REASONS.iter().enumerate() {
            refused
                .with_label_values(&[*reason])
                .inc_by(self.sum(|core| &core.refusals[index]));
        }
        let errors = IntCounterVec::new(
            Opts::new(
                "flightgate_oauth_errors_total",
                "Errors that OAuth endpoints answered, by endpoint and code.",
            ),
            &["endpoint", "code"],
        )?;
        for endpoint in Endpoint::ALL {
            for (index, code) in Error::CODES.iter().enumerate() {
                let count = self.sum(|core| &core.oauth_errors[endpoint as usize][index]);
                if count > 0 {
                    errors
                        .with_label_values(&[endpoint.name(), code])
                        .inc_by(count);
                }
            }
        }
        Ok([refused.collect(), errors.collect()].concat())
    }

    fn plain(&self) -> prometheus::Result<Vec<MetricFamily>> {
        let mut families = Vec::new();
        let counters: [(&str, &str, Field); 4] = [
            (
                "flightgate_tokens_issued_total",
                "Access tokens issued.",
                |core| &core.tokens_issued,
            ),
            (
                "flightgate_tokens_revoked_total",
                "Tokens revoked.",
                |core| &core.tokens_revoked,
            ),
            (
                "flightgate_connections_total",
                "Connections accepted at the public listener.",
                |core| &core.connections_accepted,
            ),
            (
                "flightgate_connections_failed_total",
                "Connections that ended before their first request: no TLS, a failed handshake.",
                |core| &core.connections_failed,
            ),
        ];
        for (name, help, field) in counters {
            let counter = prometheus::IntCounter::new(name, help)?;
            counter.inc_by(self.sum(field));
            families.extend(counter.collect());
        }
        let open = IntGauge::new(
            "flightgate_connections_open",
            "Connections open at the public listener.",
        )?;
        let (accepted, closed) = (
            self.sum(|core| &core.connections_accepted),
            self.sum(|core| &core.connections_closed),
        );
        open.set(i64::try_from(accepted.saturating_sub(closed)).unwrap_or(i64::MAX));
        families.extend(open.collect());
        Ok(families)
    }

    fn histogram<const N: usize>(
        &self,
        name: &str,
        help: &str,
        of: impl Fn(&CoreMetrics) -> &Histogram<N>,
    ) -> MetricFamily {
        let mut histogram = proto::Histogram::default();
        let mut buckets = Vec::with_capacity(N);
        let mut cumulative = 0;
        let bounds = self.cores.first().map_or([0; N], |core| of(core).bounds);
        for (index, bound) in bounds.iter().enumerate() {
            cumulative += self.sum(|core| &of(core).counts[index]);
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(seconds(bound * 1_000));
            bucket.set_cumulative_count(cumulative);
            buckets.push(bucket);
        }
        histogram.set_bucket(buckets);
        histogram.set_sample_count(cumulative + self.sum(|core| &of(core).above));
        histogram.set_sample_sum(seconds(self.sum(|core| &of(core).sum_nanos)));
        let mut metric = proto::Metric::default();
        metric.set_histogram(histogram);
        let mut family = MetricFamily::default();
        family.set_name(name.into());
        family.set_help(help.into());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(vec![metric]);
        family
    }

    fn families(&self) -> prometheus::Result<Vec<MetricFamily>> {
        let mut families = self.requests()?;
        families.extend(self.refusals()?);
        families.extend(self.plain()?);
        families.push(self.histogram(
            "flightgate_gateway_seconds",
            "Time that the gateway itself took for a forwarded request, from its head to its upstream.",
            |core| &core.gateway_time,
        ));
        families.push(self.histogram(
            "flightgate_upstream_seconds",
            "Time from passing a request on to the head of the upstream's answer.",
            |core| &core.upstream_time,
        ));
        Ok(families)
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are f64 by format")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// One counter of a thread.
type Field = fn(&CoreMetrics) -> &AtomicU64;

/// The gateway's metrics as a collector of the Prometheus library.
pub struct GatewayCollector(pub Arc<Gateway>);

impl Collector for GatewayCollector {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let families = self.0.metrics.families().and_then(|mut families| {
            families.extend(shared(&self.0)?);
            Ok(families)
        });
        families.unwrap_or_else(|error| {
            tracing::error!(%error, "metrics");
            Vec::new()
        })
    }
}

/// What is counted once for all threads.
fn shared(gateway: &Gateway) -> prometheus::Result<Vec<MetricFamily>> {
    let store = gateway.store.stats();
    let registry = gateway.registry.load();
    let gauges = [
        (
            "flightgate_registry_generation",
            "Registries loaded since the start.",
            registry.generation(),
        ),
        (
            "flightgate_registry_documents",
            "Documents in force.",
            registry.hashes().len() as u64,
        ),
        (
            "flightgate_store_backlog",
            "Writes that wait for the store.",
            store.backlog,
        ),
    ];
    let mut families = Vec::new();
    for (name, help, value) in gauges {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        families.extend(gauge.collect());
    }
    let counters = [
        (
            "flightgate_registry_rejected_total",
            "Documents found that could not be read.",
            gateway.rejected.load(Relaxed),
        ),
        (
            "flightgate_store_commits_total",
            "Group commits of the store.",
            store.commits,
        ),
        (
            "flightgate_store_operations_total",
            "Writes in these commits.",
            store.operations,
        ),
    ];
    for (name, help, value) in counters {
        let counter = prometheus::IntCounter::new(name, help)?;
        counter.inc_by(value);
        families.extend(counter.collect());
    }
    let time = prometheus::Counter::new(
        "flightgate_store_commit_seconds_total",
        "Time that commits took.",
    )?;
    time.inc_by(store.commit_time.as_secs_f64());
    families.extend(time.collect());
    Ok(families)
}

/// A registry of the Prometheus library with the gateway's metrics in it.
pub fn registry(gateway: Arc<Gateway>) -> prometheus::Result<Registry> {
    let registry = Registry::new();
    registry.register(Box::new(GatewayCollector(gateway)))?;
    Ok(registry)
}
