//! The API server goes away, and comes back.

use std::time::Duration;

use crds::OAuthApplication;
use flightgate_e2e::{ControlPlane, eventually};
use kube::api::DeleteParams;
use serde_json::json;

use super::setup::Setup;

/// So long the API server is away: longer than the lease can live without being
/// renewed. A minute with `FLIGHTGATE_E2E_LONG=1`.
fn outage() -> Duration {
    let is_long = std::env::var("FLIGHTGATE_E2E_LONG").is_ok_and(|it| it == "1");
    Duration::from_secs(if is_long { 60 } else { 20 })
}

const READS: [&str; 1] = ["GET"];
const WRITES: [&str; 3] = ["POST", "PATCH", "DELETE"];

#[tokio::test]
async fn nobody_storms_an_api_server_that_is_away_or_just_back() {
    const MANY: usize = 100;
    let mut plane = ControlPlane::start().await;
    let setup = Setup::on(plane.cluster(), "storm").await;
    let mut operator = setup.operator().await;
    for i in 0..MANY {
        setup.create(&format!("app-{i}"), &json!({})).await;
    }
    for i in 0..MANY {
        setup.ready(&format!("app-{i}")).await;
    }
    // Events are told at a measured pace.
    for i in 0..MANY {
        setup.event(&format!("app-{i}"), "Served").await;
    }
    let kept = setup.place;
    let all = [&READS[..], &WRITES, &["PUT"]].concat();
    let before = (
        operator.requests(&all).await,
        operator.requests(&WRITES).await,
    );
    plane.stop_server();
    tokio::time::sleep(outage()).await;
    let away = operator.requests(&all).await - before.0;
    // A dozen watches, each after a longer wait than before, and the lease.
    assert!(away < 200, "{away} requests while nobody was there");

    let back = operator.requests(&READS).await;
    let log = operator.log().len();
    plane.start_server().await;
    eventually("an operator that leads again", async || {
        let said = operator.log()[log..].to_owned();
        let leads = said.contains("everything is read");
        if leads { Ok(()) } else { Err(said) }
    })
    .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    // Everything is looked at once: two Secrets of each, and the lists.
    let reads = operator.requests(&READS).await - back;
    assert!(reads < 2 * MANY as u64 + 120, "{reads} reads");
    assert_eq!(
        operator.requests(&WRITES).await,
        before.1,
        "nothing had changed"
    );
    operator.process.assert_runs();
    drop(kept);
}

#[tokio::test]
async fn an_api_server_away_for_a_while_costs_nothing_but_time() {
    let mut plane = ControlPlane::start().await;
    let setup = Setup::on(plane.cluster(), "outage").await;
    let mut operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    let kept = setup.place;
    plane.stop_server();
    tokio::time::sleep(outage()).await;
    operator.process.assert_runs();
    plane.start_server().await;
    let cluster = plane.cluster();
    let setup = Setup {
        cluster,
        place: kept,
    };
    // What happens right after is not lost.
    setup.create("later", &json!({})).await;
    setup
        .credentials()
        .delete("acme-credentials", &DeleteParams::default())
        .await
        .unwrap();
    setup.ready("later").await;
    setup
        .until(&setup.credentials(), "acme-credentials", "back", |_| {
            Some(())
        })
        .await;
    let api = setup.api::<OAuthApplication>();
    api.delete("later", &DeleteParams::default()).await.unwrap();
    setup.gone(&api, "later").await;
    operator.process.assert_runs();
}
