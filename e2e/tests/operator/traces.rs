//! Each reconcile is a trace, and a collector harms nobody.

use std::net::{Ipv4Addr, SocketAddr};

use crds::OAuthApplication;
use flightgate_e2e::eventually;
use kube::api::DeleteParams;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use super::{
    collector::{Collector, Mode, attribute},
    refusal::no_more_secrets,
    setup::{Operator, Setup},
};

fn to(collector: &Collector) -> Value {
    json!({"traces": {"endpoint": collector.address, "sampling": 1.0}})
}

/// Sends at once, so that no test waits for a batch to fill.
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "10");

fn is_about(span: &Span, name: &str, outcome: &str) -> bool {
    span.name == "reconcile OAuthApplication"
        && attribute(&span.attributes, "name").as_deref() == Some(name)
        && attribute(&span.attributes, "outcome").as_deref() == Some(outcome)
}

/// The trace of a reconcile, the root first.
async fn trace(collector: &Collector, name: &str, outcome: &str) -> Vec<Span> {
    eventually(&format!("a trace of {name}: {outcome}"), async || {
        let taken = collector.taken();
        let Some(root) = taken.span(|it| is_about(it, name, outcome)) else {
            let names: Vec<_> = taken.spans.iter().map(|it| it.name.clone()).collect();
            return Err(names);
        };
        let of_it = taken.spans.iter();
        let rest = of_it.filter(|it| it.trace_id == root.trace_id && it.span_id != root.span_id);
        Ok([root.clone()].into_iter().chain(rest.cloned()).collect())
    })
    .await
}

fn named<'a>(trace: &'a [Span], name: &str) -> &'a Span {
    let names: Vec<_> = trace.iter().map(|it| &it.name).collect();
    let found = trace.iter().find(|it| it.name == name);
    found.unwrap_or_else(|| panic!("no {name} among {names:?}"))
}

fn hex(id: &[u8]) -> String {
    use std::fmt::Write;
    id.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn log_lines(operator: &Operator) -> Vec<Value> {
    let log = operator.log();
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[tokio::test]
async fn a_reconcile_is_a_trace_of_its_steps_and_its_requests() {
    let setup = Setup::new("traces").await;
    let collector = Collector::start(Mode::Taking).await;
    let operator = setup.start_in("traced", &to(&collector), &[SOON]);
    operator.leads().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;

    let spans = trace(&collector, "acme", "done").await;
    let root = &spans[0];
    assert!(root.parent_span_id.is_empty());
    for (key, value) in [
        ("kind", "OAuthApplication"),
        ("namespace", &setup.owners),
        ("generation", "1"),
    ] {
        assert_eq!(
            attribute(&root.attributes, key).as_deref(),
            Some(value),
            "{key}"
        );
    }
    for step in ["gather", "plan", "apply", "report"] {
        let step = named(&spans, step);
        assert_eq!(step.parent_span_id, root.span_id, "{}", step.name);
        assert!(step.start_time_unix_nano >= root.start_time_unix_nano);
        assert!(step.end_time_unix_nano <= root.end_time_unix_nano);
    }
    let finalizer = named(&spans, "PATCH oauthapplications");
    assert_eq!(finalizer.parent_span_id, root.span_id);
    let apply = named(&spans, "apply");
    let writes = spans.iter().filter(|it| it.name == "POST secrets");
    let writes: Vec<_> = writes.collect();
    assert_eq!(writes.len(), 2, "credentials and document");
    for write in writes {
        assert_eq!(write.parent_span_id, apply.span_id);
        assert_eq!(write.kind, i32::from(SpanKind::Client));
        let status = attribute(&write.attributes, "http.response.status_code");
        assert_eq!(status.as_deref(), Some("201"));
    }
    let told = &apply.parent_span_id;
    assert_eq!(told, &root.span_id);
    assert!(
        root.events.iter().any(|it| it.name.contains("was made")),
        "what is logged stands in the trace: {:?}",
        root.events
    );

    // A line of the log leads to its trace.
    let lines = log_lines(&operator);
    let line = lines
        .iter()
        .find(|it| it["reason"] == "CredentialsCreated")
        .unwrap();
    assert_eq!(line["trace_id"], json!(hex(&root.trace_id)));
    assert!(line["span_id"].is_string());
    let line = lines.iter().find(|it| it["message"] == "sending traces");
    assert_eq!(line.unwrap().get("trace_id"), None, "of no reconcile");

    let taken = collector.taken();
    let head = &taken.heads[0];
    assert!(head.starts_with("post /v1/traces "), "{head}");
    assert!(
        head.contains("content-type: application/x-protobuf"),
        "{head}"
    );
    let service = attribute(&taken.resource, "service.name");
    assert_eq!(service.as_deref(), Some("flightgate-operator"));
    let secret = setup.credential("acme-credentials", "client_secret").await;
    let bodies = String::from_utf8_lossy(&taken.bodies).into_owned();
    assert!(!bodies.contains(&secret), "no trace holds a secret");

    let api = setup.api::<OAuthApplication>();
    api.delete("acme", &DeleteParams::default()).await.unwrap();
    let spans = trace(&collector, "acme", "finalized").await;
    assert_eq!(named(&spans, "finalize").parent_span_id, spans[0].span_id);
    assert!(operator.metric("spans_exported_total").await > 10);
    assert_eq!(operator.metric("spans_dropped_total").await, 0);
}

#[tokio::test]
async fn what_failed_is_marked_and_says_why() {
    let setup = Setup::new("failed").await;
    let collector = Collector::start(Mode::Taking).await;
    no_more_secrets(&setup.api()).await;
    let operator = setup.start_in("traced", &to(&collector), &[SOON]);
    operator.leads().await;
    setup.create("acme", &json!({})).await;
    let spans = trace(&collector, "acme", "error").await;
    for name in ["reconcile OAuthApplication", "apply"] {
        let status = named(&spans, name).status.clone().unwrap();
        assert_eq!(status.code, i32::from(StatusCode::Error), "{name}");
        assert!(status.message.contains("exceeded quota"), "{status:?}");
    }
    let write = named(&spans, "POST secrets");
    let status = attribute(&write.attributes, "http.response.status_code");
    assert_eq!(status.as_deref(), Some("403"));
    assert_eq!(
        write.status.as_ref().unwrap().code,
        i32::from(StatusCode::Error)
    );
    let trace_id = hex(&spans[0].trace_id);
    let lines = log_lines(&operator);
    let line = lines.iter().find(|it| it["message"] == "reconcile failed");
    let ids = line.map(|it| it["trace_id"].clone());
    assert_eq!(ids, Some(json!(trace_id)));
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nobody_up_and_what_is_lost_is_counted() {
    let setup = Setup::new("away").await;
    let silent = Collector::start(Mode::Silent).await;
    // By the environment's own names, and with room for next to nothing.
    let mut operator = setup.start_in(
        "silent",
        &json!({}),
        &[
            SOON,
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &silent.address),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4"),
        ],
    );
    operator.leads().await;
    for i in 0..10 {
        setup.create(&format!("app-{i}"), &json!({})).await;
    }
    for i in 0..10 {
        setup.ready(&format!("app-{i}")).await;
    }
    assert!(operator.metric("spans_dropped_total").await > 50);
    assert_eq!(operator.metric("spans_exported_total").await, 0);
    operator.process.terminate();
    assert!(operator.process.ended().await.success());
    let log = operator.log();
    assert!(log.contains("the last spans could not be sent"), "{log}");

    // Nobody is at that address at all, nor will be.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let nobody = format!("http://{address}/v1/traces");
    let nowhere = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &*nobody);
    let operator = setup.start_in("nobody", &json!({}), &[SOON, nowhere]);
    operator.leads().await;
    setup.create("later", &json!({})).await;
    setup.ready("later").await;
    operator.says("the collector does not take spans").await;
    eventually("dropped spans", async || {
        let dropped = operator.metric("spans_dropped_total").await;
        if dropped > 0 { Ok(()) } else { Err(dropped) }
    })
    .await;
}

#[tokio::test]
async fn what_is_finished_when_the_operator_ends_is_still_sent() {
    let setup = Setup::new("flush").await;
    let collector = Collector::start(Mode::Taking).await;
    let never = ("OTEL_BSP_SCHEDULE_DELAY", "600000");
    let many = ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2048");
    let mut operator = setup.start_in("flushed", &to(&collector), &[never, many]);
    operator.leads().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    assert!(collector.taken().spans.is_empty(), "it waits for more");
    operator.process.terminate();
    assert!(operator.process.ended().await.success());
    let taken = collector.taken();
    assert!(taken.span(|it| is_about(it, "acme", "done")).is_some());
}

#[tokio::test]
async fn without_a_collector_there_are_no_spans() {
    let setup = Setup::new("untraced").await;
    let operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    assert!(!operator.log().contains("trace_id"));
    assert_eq!(operator.metric("spans_exported_total").await, 0);
    assert_eq!(operator.metric("spans_dropped_total").await, 0);
    let collector = Collector::start(Mode::Taking).await;
    let none = json!({"traces": {"endpoint": collector.address, "sampling": 0}});
    drop(operator);
    let operator = setup.start_in("unsampled", &none, &[SOON]);
    operator.leads().await;
    setup.create("later", &json!({})).await;
    setup.ready("later").await;
    assert_eq!(operator.metric("spans_exported_total").await, 0);
    assert!(collector.taken().spans.is_empty());
}
