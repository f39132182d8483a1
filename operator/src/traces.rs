//! Traces: one for each reconcile, sent to a collector as OTLP over HTTP.
//!
//! Without a collector nobody is interested in the spans, and one costs the
//! reading of one atomic number.

use std::{env, fmt, time::Duration};

use http::{HeaderValue, Request, Response};
use opentelemetry::{
    Key, KeyValue,
    trace::{Status, TraceContextExt, TracerProvider},
};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider, SpanExporter},
};
use tracing::{Instrument, Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use crate::{config, metrics::Metrics};

mod endpoint;
mod queue;
mod transport;

pub use self::endpoint::TracesError;
use self::{
    endpoint::Endpoint,
    queue::{Exporting, Limits},
};

/// What spans are known by, whoever has them.
pub(crate) const TARGET: &str = "flightgate::trace";
const SERVICE: &str = "flightgate-operator";
/// So long the last spans may take on their way when the process ends.
const FLUSH: Duration = Duration::from_secs(2);

/// Where spans are made, and on their way.
pub struct Traces {
    provider: SdkTracerProvider,
    endpoint: Endpoint,
    exporting: Exporting,
}

impl Traces {
    /// Traces as operator.yaml and the environment say; none: nobody asks for
    /// any.
    pub fn start(config: &config::Traces, metrics: &Metrics) -> Result<Option<Self>, TracesError> {
        let variable = |name: &str| env::var(name).ok().filter(|it| !it.is_empty());
        let Some(endpoint) = Endpoint::find(config, variable)? else {
            return Ok(None);
        };
        let resource = resource();
        let mut exporter = transport::exporter(&endpoint)?;
        exporter.set_resource(&resource);
        let (queue, exporting) = queue::start(exporter, Limits::of(variable), metrics);
        let mut provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_span_processor(queue);
        if let Some(share) = config.sampling {
            let sampler = Sampler::TraceIdRatioBased(share);
            provider = provider.with_sampler(Sampler::ParentBased(Box::new(sampler)));
        }
        Ok(Some(Self {
            provider: provider.build(),
            endpoint,
            exporting,
        }))
    }

    /// Says where traces go.
    pub fn announce(&self) {
        let endpoint = self.endpoint.shown();
        tracing::info!(endpoint, "sending traces");
        if let Some(doubt) = &self.endpoint.doubt {
            tracing::warn!(endpoint, "{doubt}");
        }
    }

    /// What makes spans of what the program does.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let interest = filter_fn(|it| {
            let is_news = it.is_event() && *it.level() <= Level::INFO;
            it.target() == TARGET || is_news && it.target().starts_with("flightgate_operator")
        });
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(SERVICE))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_filter(interest)
    }

    /// Sends what is finished, if that is possible soon.
    pub async fn end(self) {
        self.exporting.end(FLUSH).await;
    }
}

/// Who is speaking: what the environment says, and the program's name and
/// version.
fn resource() -> Resource {
    let name = Key::new("service.name");
    let known = Resource::builder().build();
    let is_named = known
        .get(&name)
        .is_some_and(|it| !it.as_str().starts_with("unknown_service"));
    let mut resource = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if !is_named {
        resource = resource.with_service_name(SERVICE);
    }
    if known.get(&Key::new("service.instance.id")).is_none()
        && let Ok(host) = env::var("HOSTNAME")
    {
        resource = resource.with_attribute(KeyValue::new("service.instance.id", host));
    }
    resource.build()
}

/// A span for one step of a reconcile.
pub(crate) fn step(name: &'static str) -> Span {
    tracing::info_span!(target: TARGET, "step", otel.name = name)
}

/// Does something in a span, and marks the span if it fails.
pub(crate) async fn within<T, E: fmt::Display>(
    span: Span,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let result = work.instrument(span.clone()).await;
    failed(&span, result.as_ref().err());
    result
}

/// Marks a span if there was a failure.
pub(crate) fn failed<E: fmt::Display>(span: &Span, failure: Option<&E>) {
    if let Some(failure) = failure
        && !span.is_disabled()
    {
        span.set_status(Status::error(failure.to_string()));
    }
}

/// A span for a request to the API server, if it is made for something that is
/// traced; the request then says so.
pub(crate) fn request<B>(request: &mut Request<B>) -> Span {
    let is_traced = Span::current()
        .metadata()
        .is_some_and(|it| it.target() == TARGET);
    if !is_traced {
        return Span::none();
    }
    let path = request.uri().path();
    let span = tracing::info_span!(
        target: TARGET,
        "request",
        otel.name = format!("{} {}", request.method(), resource_of(path)),
        otel.kind = "client",
        http.request.method = request.method().as_str(),
        url.path = path,
    );
    if let Some(header) = traceparent(&span) {
        request.headers_mut().insert("traceparent", header);
    }
    span
}

/// Says in a request's span how it was answered.
pub(crate) fn answered<B, E: fmt::Display>(span: &Span, answer: &Result<Response<B>, E>) {
    if span.is_disabled() {
        return;
    }
    match answer {
        Ok(answer) => {
            let status = answer.status();
            span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
            if status.is_client_error() || status.is_server_error() {
                span.set_status(Status::error(status.to_string()));
            }
        }
        Err(error) => span.set_status(Status::error(error.to_string())),
    }
}

/// W3C Trace Context, section 3.2.
fn traceparent(span: &Span) -> Option<HeaderValue> {
    let context = span.context();
    let span = context.span();
    let ids = span.span_context();
    let value = format!(
        "00-{}-{}-{:02x}",
        ids.trace_id(),
        ids.span_id(),
        ids.trace_flags()
    );
    ids.is_valid()
        .then(|| HeaderValue::try_from(value).ok())
        .flatten()
}

/// Which resource a path of the API is about, such as `secrets` or
/// `oauthapplications/status`.
fn resource_of(path: &str) -> String {
    let mut parts = path.split('/').filter(|it| !it.is_empty());
    // api/v1 or apis/group/version.
    let before = if parts.next() == Some("apis") { 2 } else { 1 };
    let mut parts = parts.skip(before).peekable();
    if parts.peek() == Some(&"namespaces") {
        let rest: Vec<_> = parts.collect();
        return match rest[..] {
            [_, _, resource] | [_, _, resource, _] => resource.to_owned(),
            [_, _, resource, _, sub, ..] => format!("{resource}/{sub}"),
            _ => "namespaces".to_owned(),
        };
    }
    parts.next().unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_after_its_resource_and_never_after_an_object() {
        for (path, resource) in [
            ("/api/v1/namespaces/partners/secrets/acme", "secrets"),
            ("/api/v1/namespaces/partners/secrets", "secrets"),
            ("/api/v1/namespaces/partners", "namespaces"),
            ("/api/v1/secrets", "secrets"),
            (
                "/apis/flightgate.dev/v1alpha1/namespaces/p/oauthapplications/acme/status",
                "oauthapplications/status",
            ),
            (
                "/apis/flightgate.dev/v1alpha1/oauthapplications",
                "oauthapplications",
            ),
            ("/version", "unknown"),
        ] {
            assert_eq!(resource_of(path), resource, "{path}");
        }
    }
}
