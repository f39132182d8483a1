//! What the API server refuses for good is told, and tried again all the same.

use k8s_openapi::api::core::v1::ResourceQuota;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::setup::Setup;

pub(super) async fn no_more_secrets(api: &Api<ResourceQuota>) {
    let quota = serde_json::from_value(json!({
        "metadata": {"name": "none"},
        "spec": {"hard": {"count/secrets": "0"}},
    }))
    .unwrap();
    api.create(&PostParams::default(), &quota).await.unwrap();
    // No quota controller runs here: what it would write is written by hand.
    let status =
        json!({"status": {"hard": {"count/secrets": "0"}, "used": {"count/secrets": "0"}}});
    let patch = Patch::Merge(&status);
    api.patch_status("none", &PatchParams::default(), &patch)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_failed_write_is_never_reported_as_ready() {
    let setup = Setup::new("quota").await;
    let _operator = setup.operator().await;
    let quotas: Api<ResourceQuota> = setup.api();
    no_more_secrets(&quotas).await;
    setup.create("acme", &json!({})).await;
    let (application, condition) = setup.condition("acme", "Ready", "False").await;
    assert_eq!(condition.reason, "QuotaExceeded", "{condition:?}");
    assert_eq!(
        application.status.unwrap().client_id,
        None,
        "it was not written anywhere"
    );
    setup.condition("acme", "CredentialsReady", "False").await;
    setup.event("acme", "QuotaExceeded").await;
    quotas
        .delete("none", &DeleteParams::default())
        .await
        .unwrap();
    setup.ready("acme").await;
}

#[tokio::test]
async fn a_document_that_cannot_be_written_takes_ready_away() {
    let setup = Setup::new("gwquota").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let id = setup.ready("acme").await.status.unwrap().client_id;
    let quotas = Api::<ResourceQuota>::namespaced(setup.client.clone(), &setup.gateways);
    no_more_secrets(&quotas).await;
    let name = setup.config_name("acme");
    setup
        .configs()
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    let (application, condition) = setup.condition("acme", "Ready", "False").await;
    assert_eq!(condition.reason, "QuotaExceeded");
    assert_eq!(application.status.unwrap().client_id, id);
    quotas
        .delete("none", &DeleteParams::default())
        .await
        .unwrap();
    assert_eq!(setup.ready("acme").await.status.unwrap().client_id, id);
}

#[tokio::test]
async fn the_secret_of_somebody_else_is_neither_read_nor_overwritten() {
    let setup = Setup::new("foreign").await;
    let _operator = setup.operator().await;
    let secret = serde_json::from_value(json!({
        "metadata": {"name": "acme-credentials"},
        "stringData": {"password": "theirs"},
    }))
    .unwrap();
    let api = setup.credentials();
    let before = api.create(&PostParams::default(), &secret).await.unwrap();
    setup.create("acme", &json!({})).await;
    let (_, condition) = setup.condition("acme", "Accepted", "False").await;
    assert_eq!(condition.reason, "SecretNotOwned");
    let after = api.get("acme-credentials").await.unwrap();
    assert_eq!(
        before.metadata.resource_version,
        after.metadata.resource_version
    );
}
