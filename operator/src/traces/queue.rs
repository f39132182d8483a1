//! Spans on their way: a bounded queue and one task that empties it. Whoever
//! finishes a span never waits; what finds no room is counted and gone.
//!
//! (The SDK's own batch processor needs a thread of its own, on which the
//! operator's HTTP client does not run, and tells nobody what it drops.)

use std::{num::NonZeroUsize, time::Duration};

use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};
use prometheus::IntCounter;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

use crate::metrics::Metrics;

/// How much may be under way, by the names of OpenTelemetry's specification.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// So many spans may wait (`OTEL_BSP_MAX_QUEUE_SIZE`).
    queue: usize,
    /// So many go in one request (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`).
    batch: usize,
    /// So long a span waits for others (`OTEL_BSP_SCHEDULE_DELAY`).
    delay: Duration,
}

impl Limits {
    /// What the environment says, else what the specification does.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name, otherwise: usize| {
            let found = variable(name).and_then(|it| it.trim().parse::<NonZeroUsize>().ok());
            found.map_or(otherwise, NonZeroUsize::get)
        };
        // What waits is memory: 16,384 spans are some 16 MiB.
        let queue = number("OTEL_BSP_MAX_QUEUE_SIZE", 2048).min(16_384);
        let delay = number("OTEL_BSP_SCHEDULE_DELAY", 5000);
        Self {
            queue,
            batch: number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512).min(queue),
            delay: Duration::from_millis(u64::try_from(delay).unwrap_or(u64::MAX)),
        }
    }
}

/// Where finished spans are handed in.
#[derive(Debug)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    dropped: IntCounter,
}

/// What empties the queue.
pub(super) struct Exporting {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

struct Worker<E> {
    exporter: E,
    spans: mpsc::Receiver<SpanData>,
    limits: Limits,
    exported: IntCounter,
    dropped: IntCounter,
    is_failing: bool,
}

/// A queue and the task that empties it.
pub(super) fn start<E: SpanExporter + 'static>(
    exporter: E,
    limits: Limits,
    metrics: &Metrics,
) -> (Queue, Exporting) {
    let (sender, spans) = mpsc::channel(limits.queue);
    let (stop, stopped) = oneshot::channel();
    let worker = Worker {
        exporter,
        spans,
        limits,
        exported: metrics.spans_exported.clone(),
        dropped: metrics.spans_dropped.clone(),
        is_failing: false,
    };
    let task = tokio::spawn(worker.run(stopped));
    let queue = Queue {
        spans: sender,
        dropped: metrics.spans_dropped.clone(),
    };
    (queue, Exporting { stop, task })
}

impl Exporting {
    /// Sends what waits, within this time.
    pub(super) async fn end(mut self, within: Duration) {
        let _ = self.stop.send(());
        if timeout(within, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("the last spans could not be sent in time");
        }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.spans.try_send(span).is_err() {
            self.dropped.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl<E: SpanExporter> Worker<E> {
    async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        let mut batch = Vec::new();
        loop {
            let is_over = tokio::select! {
                is_over = gather(&mut self.spans, &mut batch, self.limits) => is_over,
                _ = &mut stop => {
                    // What is finished from now on finds the queue closed.
                    self.spans.close();
                    while self.spans.try_recv().map(|it| batch.push(it)).is_ok() {}
                    true
                }
            };
            while !batch.is_empty() {
                let rest = batch.split_off(batch.len().min(self.limits.batch));
                let full = std::mem::replace(&mut batch, rest);
                self.export(full).await;
            }
            if is_over {
                return;
            }
        }
    }

    async fn export(&mut self, batch: Vec<SpanData>) {
        let count = u64::try_from(batch.len()).unwrap_or_default();
        match self.exporter.export(batch).await {
            Ok(()) => {
                self.exported.inc_by(count);
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the collector takes spans again");
                }
            }
            Err(error) => {
                self.dropped.inc_by(count);
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "the collector does not take spans; they are dropped until it does");
                }
            }
        }
    }
}

/// Waits for spans, and a little longer for more of them. Says whether none will
/// come any more.
async fn gather(
    spans: &mut mpsc::Receiver<SpanData>,
    batch: &mut Vec<SpanData>,
    limits: Limits,
) -> bool {
    if spans.recv_many(batch, limits.batch).await == 0 {
        return true;
    }
    let end = Instant::now() + limits.delay;
    while batch.len() < limits.batch {
        let room = limits.batch - batch.len();
        match timeout_at(end, spans.recv_many(batch, room)).await {
            Ok(0) => return true,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    /// Takes spans, or never answers.
    #[derive(Clone, Debug, Default)]
    struct Sink {
        taken: Arc<Mutex<Vec<usize>>>,
        is_silent: bool,
    }

    impl SpanExporter for Sink {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            if self.is_silent {
                std::future::pending::<()>().await;
            }
            self.taken.lock().unwrap().push(batch.len());
            Ok(())
        }
    }

    fn limits() -> Limits {
        Limits {
            queue: 8,
            batch: 4,
            delay: Duration::from_secs(5),
        }
    }

    fn spans(queue: Queue, count: usize) -> SdkTracerProvider {
        let provider = SdkTracerProvider::builder()
            .with_span_processor(queue)
            .build();
        let tracer = provider.tracer("test");
        (0..count).for_each(|_| drop(tracer.start("span")));
        provider
    }

    #[tokio::test(start_paused = true)]
    async fn what_finds_no_room_is_counted_and_the_rest_goes_in_batches() {
        let (sink, metrics) = (Sink::default(), Metrics::new().unwrap());
        let (queue, exporting) = start(sink.clone(), limits(), &metrics);
        // The task has not run yet: nothing has left the queue.
        let provider = spans(queue, 11);
        assert_eq!(metrics.spans_dropped.get(), 3);
        let begun = Instant::now();
        exporting.end(Duration::from_secs(2)).await;
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "nobody waits for more"
        );
        assert_eq!(*sink.taken.lock().unwrap(), [4, 4]);
        assert_eq!(metrics.spans_exported.get(), 8);
        provider.tracer("test").start("late");
        assert_eq!(metrics.spans_dropped.get(), 4, "after the end");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_a_silent_collector_as_long_as_it_was_told() {
        let metrics = Metrics::new().unwrap();
        let sink = Sink {
            is_silent: true,
            ..Sink::default()
        };
        let (queue, exporting) = start(sink, limits(), &metrics);
        let _provider = spans(queue, 5);
        let begun = Instant::now();
        exporting.end(Duration::from_secs(2)).await;
        assert_eq!(begun.elapsed().as_secs(), 2);
    }

    #[test]
    fn limits_are_those_of_the_specification_unless_the_environment_says() {
        let limits = Limits::of(|_| None);
        assert_eq!((limits.queue, limits.batch), (2048, 512));
        let limits = Limits::of(|name| match name {
            "OTEL_BSP_MAX_QUEUE_SIZE" => Some("100".into()),
            "OTEL_BSP_SCHEDULE_DELAY" => Some("none".into()),
            _ => None,
        });
        assert_eq!((limits.queue, limits.batch), (100, 100));
        assert_eq!(limits.delay, Duration::from_secs(5));
    }
}
