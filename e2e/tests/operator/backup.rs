//! Restored from a backup, everything finds its identity again.

use crds::OAuthApplication;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Resource,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::setup::Setup;

/// As a backup tool writes an object back: a new one with the old content.
pub(super) fn bare<K: Resource>(mut object: K) -> K {
    let metadata = object.meta_mut();
    metadata.uid = None;
    metadata.resource_version = None;
    metadata.creation_timestamp = None;
    metadata.managed_fields = None;
    metadata.generation = None;
    object
}

#[tokio::test]
async fn resource_and_secret_from_a_backup_are_the_client_that_they_were() {
    let setup = Setup::new("backup").await;
    let mut operator = setup.operator().await;
    let api = setup.api::<OAuthApplication>();
    let credentials = setup.credentials();
    let rotation = json!({"interval": "90d", "overlap": "7d"});
    setup
        .create("acme", &json!({"secret": {"rotation": rotation}}))
        .await;
    setup.ready("acme").await;
    setup
        .annotate("acme", "flightgate.dev/rotate", Some("now"))
        .await;
    setup
        .until(
            &credentials,
            "acme-credentials",
            "an overlap",
            |secret: &Secret| {
                let data = secret.data.as_ref()?;
                data.contains_key("previous_client_secret").then_some(())
            },
        )
        .await;
    let before = setup.ready("acme").await;
    let id = before.status.clone().unwrap().client_id;
    let secret = credentials.get("acme-credentials").await.unwrap();

    // Everything is lost but the backup.
    api.delete("acme", &DeleteParams::default()).await.unwrap();
    setup.gone(&api, "acme").await;
    setup.gone(&credentials, "acme-credentials").await;
    operator.process.terminate();
    assert!(operator.process.ended().await.success());

    // Resources come back without their status, finalizers and all.
    api.create(&PostParams::default(), &bare(before))
        .await
        .unwrap();
    credentials
        .create(&PostParams::default(), &bare(secret.clone()))
        .await
        .unwrap();
    let _operator = setup.operator().await;
    let after = setup.ready("acme").await;
    assert_eq!(after.status.unwrap().client_id, id);
    let restored = credentials.get("acme-credentials").await.unwrap();
    assert_eq!(restored.data, secret.data, "both secrets work on");

    // And goes its way from there.
    setup
        .annotate("acme", "flightgate.dev/rotate", Some("again"))
        .await;
    setup
        .until(
            &credentials,
            "acme-credentials",
            "a new secret",
            |it: &Secret| {
                (it.data.as_ref()?.get("client_secret")
                    != secret.data.as_ref()?.get("client_secret"))
                .then_some(())
            },
        )
        .await;
    api.delete("acme", &DeleteParams::default()).await.unwrap();
    setup.gone(&api, "acme").await;
    setup.gone(&credentials, "acme-credentials").await;
}

#[tokio::test]
async fn what_only_a_restored_object_holds_is_taken_away_when_its_time_is_over() {
    let setup = Setup::new("restored").await;
    let mut operator = setup.operator().await;
    let rotation = json!({"interval": "90d", "overlap": "4s"});
    setup
        .create("acme", &json!({"secret": {"rotation": rotation}}))
        .await;
    setup.ready("acme").await;
    setup
        .annotate("acme", "flightgate.dev/rotate", Some("now"))
        .await;
    let api = setup.credentials();
    let has_previous = |secret: &Secret| {
        secret
            .data
            .as_ref()
            .is_some_and(|it| it.contains_key("previous_client_secret"))
    };
    setup
        .until(&api, "acme-credentials", "an overlap", |it| {
            has_previous(it).then_some(())
        })
        .await;
    operator.process.kill();
    let secret = api.get("acme-credentials").await.unwrap();
    api.delete("acme-credentials", &DeleteParams::default())
        .await
        .unwrap();
    // Written by another hand, so that nothing in it is the operator's by record.
    api.create(&PostParams::default(), &bare(secret))
        .await
        .unwrap();
    let _operator = setup.operator().await;
    setup
        .until(&api, "acme-credentials", "no overlap", |it| {
            (!has_previous(it)).then_some(())
        })
        .await;
    setup.ready("acme").await;
}

#[tokio::test]
async fn a_status_from_a_backup_is_replaced_whoever_wrote_it() {
    let setup = Setup::new("oldstatus").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    let api = setup.api::<OAuthApplication>();
    let old = json!({"status": {"secrets": [
        {"id": "s-older", "createdAt": "2020-01-01T00:00:00Z"},
    ]}});
    let params = PatchParams::apply("backup").force();
    let mut body = json!({"apiVersion": "flightgate.dev/v1alpha1", "kind": "OAuthApplication"});
    body["status"] = old["status"].clone();
    api.patch_status("acme", &params, &Patch::Apply(&body))
        .await
        .unwrap();
    setup
        .until(&api, "acme", "one secret, its own", |it| {
            let secrets = &it.status.as_ref()?.secrets;
            (secrets.len() == 1 && secrets[0].id != "s-older").then_some(())
        })
        .await;
}
