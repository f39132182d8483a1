//! A client id outlives whatever is lost, as long as anything is left that knows
//! it.

use crds::OAuthApplication;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::{backup::bare, setup::Setup};

/// What may be lost of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Secret,
    Status,
    Document,
}

async fn lose(setup: &Setup<'_>, lost: &[Lost]) {
    let params = DeleteParams::default();
    for what in lost {
        match what {
            Lost::Secret => {
                let api = setup.credentials();
                api.delete("acme-credentials", &params).await.unwrap();
            }
            Lost::Document => {
                let name = setup.config_name("acme");
                setup.configs().delete(&name, &params).await.unwrap();
            }
            Lost::Status => {
                let api = setup.api::<OAuthApplication>();
                let wipe = Patch::Merge(json!({"status": null}));
                api.patch_status("acme", &PatchParams::default(), &wipe)
                    .await
                    .unwrap();
            }
        }
    }
}

#[tokio::test]
async fn an_id_is_known_while_secret_status_or_document_is_left() {
    let setup = Setup::new("left").await;
    let mut operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let id = setup.ready("acme").await.status.unwrap().client_id;
    for (lost, is_recreated) in [
        (&[Lost::Secret][..], true),
        (&[Lost::Secret, Lost::Status], true),
        (&[Lost::Secret, Lost::Document], true),
        (&[Lost::Status, Lost::Document], false),
    ] {
        let secret = setup.credential("acme-credentials", "client_secret").await;
        // While nobody looks: nothing but what is written down can tell.
        operator.process.terminate();
        assert!(operator.process.ended().await.success());
        lose(&setup, lost).await;
        operator = setup.operator().await;
        let secrets = setup.credentials();
        setup
            .until(&secrets, "acme-credentials", "there", |_| Some(()))
            .await;
        let name = setup.config_name("acme");
        setup
            .until(&setup.configs(), &name, "there", |_| Some(()))
            .await;
        let status = setup.ready("acme").await.status.unwrap();
        assert_eq!(status.client_id, id, "{lost:?}");
        let told = setup.credential("acme-credentials", "client_id").await;
        assert_eq!(Some(told), id, "{lost:?}");
        let now = setup.credential("acme-credentials", "client_secret").await;
        assert_eq!(now != secret, is_recreated, "{lost:?}");
    }
    setup.event("acme", "CredentialsRecreated").await;
    let events = setup.events("acme").await;
    assert!(
        events.iter().all(|(it, _)| it != "IdentityLost"),
        "{events:?}"
    );
}

#[tokio::test]
async fn an_identity_that_nothing_remembers_is_made_anew_and_that_is_said() {
    let setup = Setup::new("nothing").await;
    let mut operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let id = setup.ready("acme").await.status.unwrap().client_id;
    let backup = setup.credentials().get("acme-credentials").await.unwrap();
    operator.process.kill();
    lose(&setup, &[Lost::Secret, Lost::Status, Lost::Document]).await;
    let _operator = setup.start("again", &json!({}));
    let now = setup.ready("acme").await.status.unwrap().client_id;
    assert!(now.is_some() && now != id);
    let note = setup.event("acme", "IdentityLost").await;
    assert!(note.contains("restore its Secret from a backup"), "{note}");

    // As it says.
    let api = setup.api::<OAuthApplication>();
    api.delete("acme", &DeleteParams::default()).await.unwrap();
    setup.gone(&api, "acme").await;
    setup.gone(&setup.credentials(), "acme-credentials").await;
    setup
        .credentials()
        .create(&PostParams::default(), &bare(backup))
        .await
        .unwrap();
    setup.create("acme", &json!({})).await;
    assert_eq!(setup.ready("acme").await.status.unwrap().client_id, id);
}

#[tokio::test]
async fn who_is_new_has_lost_nothing() {
    let setup = Setup::new("new").await;
    let _operator = setup.operator().await;
    for name in ["acme", "later"] {
        setup.create(name, &json!({})).await;
        setup.ready(name).await;
        setup.event(name, "Served").await;
        let events = setup.events(name).await;
        assert!(
            events.iter().all(|(it, _)| it != "IdentityLost"),
            "{events:?}"
        );
    }
}
