//! Of two replicas one works.

use std::time::{Duration, Instant};

use flightgate_e2e::eventually;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use rustix::process::Signal;
use serde_json::json;

use super::setup::Setup;

#[tokio::test]
async fn a_killed_leader_is_followed_within_fifteen_seconds_and_one_alone_writes() {
    let setup = Setup::new("leader").await;
    let mut first = setup.operator().await;
    let second = setup.start("second", &json!({}));
    second.says("serving metrics and health").await;
    setup.create("before", &json!({})).await;
    setup.ready("before").await;
    assert!(second.get("/readyz").await.contains("standing by"));
    assert!(
        second
            .get("/metrics")
            .await
            .contains("flightgate_operator_leader 0")
    );
    assert_eq!(
        second.requests(&["POST", "PATCH", "PUT", "DELETE"]).await,
        0
    );

    let begun = Instant::now();
    first.process.kill();
    second.leads().await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    setup.create("after", &json!({})).await;
    setup.ready("after").await;
    let api: Api<Lease> = Api::namespaced(setup.client.clone(), &setup.home);
    let lease = api.get("fg-operator").await.unwrap().spec.unwrap();
    assert_eq!(lease.lease_transitions, Some(2));
}

#[tokio::test]
async fn a_leader_that_is_told_to_end_hands_over_at_once() {
    let setup = Setup::new("handover").await;
    let mut first = setup.operator().await;
    let second = setup.start("second", &json!({}));
    second.says("serving metrics and health").await;
    let begun = Instant::now();
    first.process.terminate();
    assert!(first.process.ended().await.success());
    second.leads().await;
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_leader_whose_lease_another_took_stops_writing() {
    let setup = Setup::new("usurped").await;
    let operator = setup.operator().await;
    let api: Api<Lease> = Api::namespaced(setup.client.clone(), &setup.home);
    let mut lease = api.get("fg-operator").await.unwrap();
    lease.spec.as_mut().unwrap().holder_identity = Some("somebody-else".into());
    api.replace("fg-operator", &kube::api::PostParams::default(), &lease)
        .await
        .unwrap();
    operator.says("another replica leads").await;
    assert!(operator.get("/readyz").await.contains("standing by"));
    let before = operator.requests(&["POST", "PATCH", "DELETE"]).await;
    setup.create("acme", &json!({})).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        operator.requests(&["POST", "PATCH", "DELETE"]).await,
        before
    );
    // Nobody renews it for somebody-else: it leads again after a while.
    setup.ready("acme").await;
}

#[tokio::test]
async fn a_leader_that_was_frozen_writes_nothing_when_it_wakes_up() {
    let setup = Setup::new("frozen").await;
    let first = setup.operator().await;
    for i in 0..5 {
        setup.create(&format!("app-{i}"), &json!({})).await;
    }
    for i in 0..5 {
        setup.ready(&format!("app-{i}")).await;
        setup.event(&format!("app-{i}"), "Served").await;
    }
    let second = setup.start("second", &json!({}));
    second.says("serving metrics and health").await;
    let writes = ["POST", "PATCH", "DELETE"];
    let before = first.requests(&writes).await;
    eventually("a second one that leads", async || {
        // Again and again: a shell with job control may wake it up.
        first.process.signal(Signal::STOP);
        let said = second.get("/readyz").await;
        if said.contains("ok: leading") {
            Ok(())
        } else {
            Err(said)
        }
    })
    .await;
    // What the first one will hear of before it looks at its lease.
    for i in 0..5 {
        let another = json!({"displayName": "Another"});
        setup.change(&format!("app-{i}"), &another).await;
    }
    for i in 0..5 {
        setup.ready(&format!("app-{i}")).await;
    }
    first.process.signal(Signal::CONT);
    eventually("a first one that stands by", async || {
        let said = first.get("/readyz").await;
        if said.contains("standing by") {
            Ok(())
        } else {
            Err(said)
        }
    })
    .await;
    assert_eq!(first.requests(&writes).await, before, "{}", first.log());
    setup.create("later", &json!({})).await;
    setup.ready("later").await;
    assert_eq!(first.requests(&writes).await, before);
}
