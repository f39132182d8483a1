//! The API server goes away, and comes back.

use std::time::Duration;

use crds::OAuthApplication;
use flightgate_e2e::ControlPlane;
use kube::api::DeleteParams;
use serde_json::json;

use super::setup::Setup;

#[tokio::test]
async fn an_api_server_away_for_a_while_costs_nothing_but_time() {
    let mut plane = ControlPlane::start().await;
    let setup = Setup::on(plane.cluster(), "outage").await;
    let mut operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    let kept = setup.place;
    plane.stop_server();
    // Longer than the lease can live without being renewed.
    tokio::time::sleep(Duration::from_secs(20)).await;
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
