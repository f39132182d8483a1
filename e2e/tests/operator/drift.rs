//! What somebody edits or deletes is repaired at once, and the identity stays.

use std::time::{Duration, Instant};

use flightgate_e2e::eventually;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::setup::{Setup, text};

/// Within this an edit is repaired, on machines that do other things as well.
const SOON: Duration = Duration::from_secs(5);

async fn patch(api: &Api<Secret>, name: &str, patch: &Value) {
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_lost_secret_comes_back_with_the_same_id_and_another_secret() {
    let setup = Setup::new("lost").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let id = setup.ready("acme").await.status.unwrap().client_id.unwrap();
    let api = setup.credentials();
    let old = setup.credential("acme-credentials", "client_secret").await;
    let begun = Instant::now();
    api.delete("acme-credentials", &DeleteParams::default())
        .await
        .unwrap();
    let secret = eventually("the Secret", async || {
        api.get("acme-credentials")
            .await
            .map_err(|error| error.to_string())
    })
    .await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(text(&secret, "client_id").unwrap(), id);
    assert_ne!(text(&secret, "client_secret").unwrap(), old);
    assert_eq!(
        text(&secret, "previous_client_secret"),
        None,
        "it was revoked"
    );
    setup.event("acme", "CredentialsRecreated").await;
    assert_eq!(
        setup.ready("acme").await.status.unwrap().client_id.unwrap(),
        id
    );
}

#[tokio::test]
async fn every_edit_of_credentials_is_undone() {
    let setup = Setup::new("edited").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    let api = setup.credentials();
    let before = api.get("acme-credentials").await.unwrap();
    for edit in [
        json!({"stringData": {"client_id": "mine"}}),
        json!({"data": {"client_id": null}}),
        json!({"stringData": {"issuer": "https://evil.example"}}),
        json!({"data": {"token_endpoint": null}}),
        json!({"stringData": {"previous_client_secret": "a-back-door-of-more-than-32-characters"}}),
        json!({"metadata": {"labels": {"flightgate.dev/credentials": null}}}),
        json!({"metadata": {"annotations": {"flightgate.dev/owner": "OAuthApplication others/acme"}}}),
        json!({"immutable": true}),
    ] {
        let is_owner = edit.pointer("/metadata/annotations").is_some();
        patch(&api, "acme-credentials", &edit).await;
        if is_owner {
            // It says to be another's now, so it is not touched.
            setup.condition("acme", "Ready", "False").await;
            let owner = format!("OAuthApplication {}/acme", &*setup.owners);
            let back = json!({"metadata": {"annotations": {"flightgate.dev/owner": owner}}});
            patch(&api, "acme-credentials", &back).await;
        }
        setup
            .until(
                &api,
                "acme-credentials",
                &format!("{edit} undone"),
                |secret| {
                    let is_labelled = secret.metadata.labels == before.metadata.labels;
                    let is_same = secret.data == before.data && secret.immutable != Some(true);
                    (is_labelled && is_same).then_some(())
                },
            )
            .await;
    }
    setup.ready("acme").await;
    setup.event("acme", "Repaired").await;
}

#[tokio::test]
async fn a_client_secret_that_was_edited_or_removed_is_another_one_afterwards() {
    let setup = Setup::new("tampered").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    let api = setup.credentials();
    for (edit, event) in [
        (
            json!({"stringData": {"client_secret": "known-to-somebody"}}),
            "CredentialsRepaired",
        ),
        (
            json!({"data": {"client_secret": null}}),
            "CredentialsRecreated",
        ),
    ] {
        let before = setup.credential("acme-credentials", "client_secret").await;
        patch(&api, "acme-credentials", &edit).await;
        setup
            .until(
                &api,
                "acme-credentials",
                &format!("{edit} replaced"),
                |it| {
                    let now = text(it, "client_secret")?;
                    (now != before && now.starts_with("fg_secret_")).then_some(())
                },
            )
            .await;
        setup.event("acme", event).await;
    }
    setup.ready("acme").await;
}

#[tokio::test]
async fn what_was_edited_while_nobody_looked_is_repaired_on_return() {
    let setup = Setup::new("unseen").await;
    let mut operator = setup.operator().await;
    for name in ["edited", "unlabelled", "deleted"] {
        setup.create(name, &json!({})).await;
        setup.ready(name).await;
    }
    let (credentials, configs) = (setup.credentials(), setup.configs());
    let before = credentials.get("edited-credentials").await.unwrap();
    let unlabelled = configs.get(&setup.config_name("unlabelled")).await.unwrap();
    let id = setup.credential("deleted-credentials", "client_id").await;
    operator.process.kill();
    let issuer = json!({"stringData": {"issuer": "https://evil.example"}});
    patch(&credentials, "edited-credentials", &issuer).await;
    let gone = json!({"data": {"config.json": null}});
    patch(&configs, &setup.config_name("edited"), &gone).await;
    let label = json!({"metadata": {"labels": {"flightgate.dev/kind": null}}});
    patch(&configs, &setup.config_name("unlabelled"), &label).await;
    let label = json!({"metadata": {"labels": {"flightgate.dev/credentials": null}}});
    patch(&credentials, "unlabelled-credentials", &label).await;
    let params = DeleteParams::default();
    credentials
        .delete("deleted-credentials", &params)
        .await
        .unwrap();
    let name = setup.config_name("deleted");
    configs.delete(&name, &params).await.unwrap();

    let _operator = setup.start("again", &json!({}));
    setup
        .until(&credentials, "edited-credentials", "as before", |it| {
            (it.data == before.data).then_some(())
        })
        .await;
    setup
        .until(&configs, &setup.config_name("edited"), "a document", |it| {
            text(it, "config.json")
        })
        .await;
    setup
        .until(
            &configs,
            &setup.config_name("unlabelled"),
            "labelled",
            |it| (it.metadata.labels == unlabelled.metadata.labels).then_some(()),
        )
        .await;
    setup
        .until(&credentials, "unlabelled-credentials", "labelled", |it| {
            let labels = it.metadata.labels.as_ref()?;
            labels.get("flightgate.dev/credentials").cloned()
        })
        .await;
    let back = setup
        .until(&credentials, "deleted-credentials", "back", |it| {
            text(it, "client_id")
        })
        .await;
    assert_eq!(back, id, "from the status alone");
    setup.event("deleted", "CredentialsRecreated").await;
    for name in ["edited", "unlabelled", "deleted"] {
        setup.ready(name).await;
    }
}

#[tokio::test]
async fn every_edit_of_a_document_is_undone() {
    let setup = Setup::new("config").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let id = setup.ready("acme").await.status.unwrap().client_id.unwrap();
    let (api, name) = (setup.configs(), setup.config_name("acme"));
    let before = api.get(&name).await.unwrap();
    let document = text(&before, "config.json").unwrap();
    let widened = document.replace("flights:read", "flights:write");
    let stolen = document.replace(&id, "fg_app_another");
    for edit in [
        json!({"stringData": {"config.json": widened}}),
        json!({"stringData": {"config.json": stolen}}),
        json!({"data": {"config.json": null}}),
        json!({"metadata": {"labels": {"flightgate.dev/kind": null}}}),
        json!({"metadata": {"labels": {"flightgate.dev/owner-name": "another"}}}),
        json!({"metadata": {"annotations": {"flightgate.dev/public-id": "another"}}}),
        json!({"immutable": true}),
    ] {
        patch(&api, &name, &edit).await;
        setup
            .until(&api, &name, &format!("{edit} undone"), |secret| {
                let is_same = secret.data == before.data && secret.immutable != Some(true);
                let metadata = (&secret.metadata.labels, &secret.metadata.annotations);
                let wanted = (&before.metadata.labels, &before.metadata.annotations);
                (is_same && metadata == wanted).then_some(())
            })
            .await;
    }
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    eventually("the document", async || {
        api.get(&name).await.map_err(|it| it.to_string())
    })
    .await;
    let application = setup.ready("acme").await;
    assert_eq!(application.status.unwrap().client_id.unwrap(), id);
}

#[tokio::test]
async fn a_status_that_somebody_wiped_is_told_again() {
    let setup = Setup::new("status").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let before = setup.ready("acme").await;
    let api = setup.api::<crds::OAuthApplication>();
    let wipe =
        Patch::Merge(json!({"status": {"clientId": null, "conditions": null, "secrets": null}}));
    api.patch_status("acme", &PatchParams::default(), &wipe)
        .await
        .unwrap();
    let after = setup.ready("acme").await;
    let (before, after) = (before.status.unwrap(), after.status.unwrap());
    assert_eq!(after.client_id, before.client_id);
    assert_eq!(after.secrets, before.secrets);
}
