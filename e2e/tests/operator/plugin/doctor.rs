//! What the doctor finds.

use flightgate_e2e::Said;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Secret};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::plugin;
use crate::operator::setup::Setup;

/// The doctor, with this test's operator alone.
async fn doctor(setup: &Setup<'_>) -> Said {
    let line = format!("doctor --operator-namespace {}", &*setup.home);
    plugin(setup, &line).await
}

#[tokio::test]
async fn the_doctor_is_green_when_all_is_well_and_names_what_is_not() {
    let setup = Setup::new("kdoctor").await;
    let nobody = doctor(&setup).await.printed();
    assert!(nobody.contains("✗ No operator runs"), "{nobody}");

    let mut operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    let green = doctor(&setup).await.ok();
    assert!(green.starts_with("✓ All is well: 1 resource"), "{green}");
    assert!(green.contains(&format!("operator {}/fg-operator led by", &*setup.home)));

    setup
        .create("scope", &json!({"scopes": ["flights:steal"]}))
        .await;
    setup.condition("scope", "Accepted", "False").await;
    let short: Secret = serde_json::from_value(json!({
        "metadata": {"name": "mine", "labels": {"flightgate.dev/credentials": "true"}},
        "stringData": {"client_id": "mine", "client_secret": "short"},
    }))
    .unwrap();
    let secrets = setup.credentials();
    secrets
        .create(&PostParams::default(), &short)
        .await
        .unwrap();
    let brings = json!({"secret": {"name": "mine", "existing": true}});
    setup.create("brings", &brings).await;
    setup.condition("brings", "Accepted", "False").await;
    let ill = doctor(&setup).await.printed();
    for part in [
        "is not Accepted (UnknownScope)",
        "→ kubectl edit oapp/scope",
        "`mine`, whose client_secret has 5 of at least 32 characters",
        "2 things are wrong",
    ] {
        assert!(ill.contains(part), "{part}\n{ill}");
    }

    // What runs repairs it at once; what does not run is what is wrong.
    operator.process.kill();
    secrets
        .delete("acme-credentials", &DeleteParams::default())
        .await
        .unwrap();
    let api = Api::<Lease>::namespaced(setup.client.clone(), &setup.home);
    let expired = json!({"spec": {"renewTime": "2026-01-02T03:04:05.000000Z"}});
    api.patch(
        "fg-operator",
        &PatchParams::default(),
        &Patch::Merge(&expired),
    )
    .await
    .unwrap();
    let gone = doctor(&setup).await.printed();
    for part in [
        "fg-operator does not run: it is held by",
        "its Secret `acme-credentials` is not there",
    ] {
        assert!(gone.contains(part), "{part}\n{gone}");
    }
}
