//! What the operator counts.

use crds::{ApiKey, OAuthApplication, Webhook};
use kube::Resource;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// The operator's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Reconciles by kind and result.
    pub reconciles: IntCounterVec,
    /// How long a reconcile took, by kind.
    pub duration: HistogramVec,
    /// Objects that wait for a reconcile, by kind.
    pub queue: IntGaugeVec,
    /// 1 while this replica leads.
    pub leader: IntGauge,
    /// Requests to the API server by method and status.
    pub api_requests: IntCounterVec,
    /// 1 while the last form of a gateway's gateway.yaml is in force.
    pub catalogue_ok: IntGaugeVec,
    /// When a gateway's gateway.yaml was last taken over, in Unix seconds.
    pub catalogue_loaded: GaugeVec,
    /// Replicas of a gateway by state.
    pub replicas: IntGaugeVec,
    /// From the write of a document to every replica serving it.
    pub served_after: Histogram,
    /// Config Secrets removed because their resource is gone.
    pub swept: IntCounter,
    /// Events that were not published.
    pub events_dropped: IntCounter,
    /// Spans that a collector took.
    pub spans_exported: IntCounter,
    /// Spans that were finished and not delivered.
    pub spans_dropped: IntCounter,
    /// When this process started, in Unix seconds.
    pub started: Gauge,
}

impl Metrics {
    /// The metrics, all zero.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let it = IntCounterVec::new(options(name, help), labels)?;
            registry.register(Box::new(it.clone()))?;
            prometheus::Result::Ok(it)
        };
        let counter = |name: &str, help: &str| {
            let it = IntCounter::with_opts(options(name, help))?;
            registry.register(Box::new(it.clone()))?;
            prometheus::Result::Ok(it)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let it = IntGaugeVec::new(options(name, help), labels)?;
            registry.register(Box::new(it.clone()))?;
            prometheus::Result::Ok(it)
        };
        let duration = HistogramVec::new(
            HistogramOpts::from(options(
                "reconcile_duration_seconds",
                "How long a reconcile took",
            ))
            .buckets(vec![
                0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
            ]),
            &["kind"],
        )?;
        registry.register(Box::new(duration.clone()))?;
        let served_after = Histogram::with_opts(
            HistogramOpts::from(options(
                "served_after_seconds",
                "From the write of a document to every ready gateway replica serving it",
            ))
            .buckets(vec![
                0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0,
            ]),
        )?;
        registry.register(Box::new(served_after.clone()))?;
        let leader = IntGauge::with_opts(options("leader", "1 while this replica leads"))?;
        registry.register(Box::new(leader.clone()))?;
        let started = Gauge::with_opts(Opts::new(
            "process_start_time_seconds",
            "When this process started, in Unix seconds",
        ))?;
        registry.register(Box::new(started.clone()))?;
        let catalogue_loaded = GaugeVec::new(
            options(
                "gateway_config_last_reload_success_timestamp_seconds",
                "When a gateway's gateway.yaml was last taken over",
            ),
            &["gateway"],
        )?;
        registry.register(Box::new(catalogue_loaded.clone()))?;
        Ok(Self {
            reconciles: counters(
                "reconciles_total",
                "Reconciles by kind and result",
                &["kind", "result"],
            )?,
            duration,
            queue: gauges(
                "queue_depth",
                "Objects that wait for a reconcile",
                &["kind"],
            )?,
            leader,
            api_requests: counters(
                "api_requests_total",
                "Requests to the API server by method and status",
                &["method", "status"],
            )?,
            catalogue_ok: gauges(
                "gateway_config_last_reload_successful",
                "1 while the last form of a gateway's gateway.yaml is in force",
                &["gateway"],
            )?,
            catalogue_loaded,
            replicas: gauges(
                "gateway_replicas",
                "Replicas of a gateway by state",
                &["gateway", "state"],
            )?,
            served_after,
            swept: counter(
                "swept_total",
                "Config Secrets removed because their resource is gone",
            )?,
            events_dropped: counter("events_dropped_total", "Events that were not published")?,
            spans_exported: counter("spans_exported_total", "Spans that a collector took")?,
            spans_dropped: counter(
                "spans_dropped_total",
                "Spans that were finished and not delivered",
            )?,
            started,
            registry,
        })
    }

    /// How many objects wait for a reconcile, of whichever kind.
    pub fn waiting(&self) -> i64 {
        let kinds = [
            OAuthApplication::kind(&()),
            ApiKey::kind(&()),
            Webhook::kind(&()),
        ];
        let depths = kinds
            .iter()
            .map(|kind| self.queue.with_label_values(&[kind]).get());
        depths.sum()
    }

    /// Everything, as Prometheus reads it.
    pub fn render(&self) -> prometheus::Result<String> {
        prometheus::TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(format!("flightgate_operator_{name}"), help)
}
