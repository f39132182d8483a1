//! The log: lines of text or JSON objects on standard error. Lines about a
//! reconcile that is traced carry the ids under which its trace is found.

use std::{
    fmt,
    io::{self, IsTerminal},
};

use crds::gateway_config::LogFormat;
use opentelemetry::{Context, trace::TraceContextExt};
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Writer},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::{
    config::Log,
    traces::{TARGET, Traces},
};

/// Starts the log, and with it the traces, if there are any.
pub fn start(log: &Log, traces: Option<&Traces>) {
    let level = log.level.as_deref().unwrap_or("info");
    // kube logs each refused request as an error of its own; here each is told
    // where it matters. Spans are for traces: without those they are nothing.
    let filter = EnvFilter::new(format!("kube_client=off,{level},{TARGET}=off"));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => {
            let lines = lines.json().with_span_list(false);
            let json = Format::default()
                .json()
                .flatten_event(true)
                .with_span_list(false);
            lines.event_format(Identified(json)).boxed()
        }
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(traces.map(Traces::layer))
        .init();
}

/// JSON lines, with the ids of the trace and span that they are about.
struct Identified<F>(F);

impl<S, N, F> FormatEvent<S, N> for Identified<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let current = Context::current();
        let span = current.span();
        let ids = span.span_context();
        if !ids.is_valid() {
            return self.0.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        match line.strip_prefix('{') {
            Some(rest) => write!(
                writer,
                "{{\"trace_id\":\"{}\",\"span_id\":\"{}\",{rest}",
                ids.trace_id(),
                ids.span_id()
            ),
            None => writer.write_str(&line),
        }
    }
}
