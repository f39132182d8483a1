//! Documents whose resource went without its finalizer, however many.

use crds::OAuthApplication;
use flightgate_e2e::eventually;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::setup::Setup;

/// Three pages of a list.
const MANY: usize = 1500;

/// A document whose resource is not there.
pub(super) fn orphan(kind: &str, owners: &str, name: &str, more: &Value) -> Secret {
    let mut labels = json!({
        "app.kubernetes.io/managed-by": "flightgate-operator",
        "flightgate.dev/kind": kind,
        "flightgate.dev/owner-namespace": owners,
        "flightgate.dev/owner-name": name,
    });
    for (key, value) in more.as_object().unwrap() {
        labels[key] = value.clone();
    }
    serde_json::from_value(json!({
        "metadata": {"name": format!("{}.{owners}.{name}", kind.to_lowercase()), "labels": labels},
        "type": "flightgate.dev/config",
        "stringData": {"config.json": "{}"},
    }))
    .unwrap()
}

#[tokio::test]
async fn forgotten_documents_are_removed_beyond_one_page_of_a_list() {
    let setup = Setup::new("orphans").await;
    let api: Api<Secret> = setup.configs();
    let mut writes = JoinSet::new();
    for worker in 0..16 {
        let (api, owners) = (api.clone(), setup.owners.to_string());
        writes.spawn(async move {
            for i in (worker..MANY).step_by(16) {
                let secret = orphan(
                    "OAuthApplication",
                    &owners,
                    &format!("gone-{i}"),
                    &json!({}),
                );
                api.create(&PostParams::default(), &secret).await.unwrap();
            }
        });
    }
    writes.join_all().await;
    let policy = json!({"flightgate.dev/deletion-policy": "Orphan"});
    let kept = [
        orphan("OAuthApplication", &setup.owners, "kept", &policy),
        orphan("OAuthApplication", "elsewhere", "acme", &json!({})),
    ];
    for secret in &kept {
        api.create(&PostParams::default(), secret).await.unwrap();
    }
    setup.create("acme", &json!({})).await;
    let operator = setup.operator().await;
    setup.ready("acme").await;
    eventually("three documents", async || {
        let params = ListParams::default().labels("flightgate.dev/kind");
        let left = api.list_metadata(&params).await.unwrap().items.len();
        if left == 3 { Ok(()) } else { Err(left) }
    })
    .await;
    let metrics = operator.get("/metrics").await;
    assert!(
        metrics.contains(&format!("flightgate_operator_swept_total {MANY}")),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_document_goes_even_if_somebody_took_the_finalizer_away() {
    let setup = Setup::new("forced").await;
    let mut operator = setup.operator().await;
    let api = setup.api::<OAuthApplication>();
    for name in ["watched", "missed"] {
        setup.create(name, &json!({})).await;
        setup.ready(name).await;
        if name == "missed" {
            operator.process.kill();
        }
        api.delete(name, &DeleteParams::default()).await.unwrap();
        let patch = json!({"metadata": {"finalizers": null}});
        let _ = api
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        setup.gone(&api, name).await;
        if name == "missed" {
            operator = setup.start("again", &json!({}));
        }
        setup.gone(&setup.configs(), &setup.config_name(name)).await;
    }
    drop(operator);
}
