//! Credentials that a user brings: read, never written.

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::setup::{Setup, text};

const SECRET: &str = "a-secret-of-more-than-32-characters-0001";

async fn bring(setup: &Setup<'_>, name: &str, labels: &Value, id: &str) {
    let secret = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": labels},
        "stringData": {"client_id": id, "client_secret": SECRET},
    }))
    .unwrap();
    setup
        .credentials()
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
}

fn brings(name: &str) -> Value {
    json!({"secret": {"name": name, "existing": true}})
}

fn offered() -> Value {
    json!({"flightgate.dev/credentials": "true"})
}

#[tokio::test]
async fn brought_credentials_are_used_as_they_are_and_followed() {
    let setup = Setup::new("brought").await;
    let _operator = setup.operator().await;
    setup.create("acme", &brings("mine")).await;
    let (_, condition) = setup.condition("acme", "Accepted", "False").await;
    assert_eq!(condition.reason, "SecretNotFound");
    // It comes later, and is noticed.
    bring(&setup, "mine", &offered(), "my-client").await;
    let application = setup.ready("acme").await;
    assert_eq!(
        application.status.unwrap().client_id.as_deref(),
        Some("my-client")
    );
    let before = setup.credentials().get("mine").await.unwrap();
    assert_eq!(
        before.metadata.managed_fields.as_ref().unwrap().len(),
        1,
        "nobody else wrote"
    );

    let another = json!({"stringData": {"client_secret": format!("{SECRET}-2")}});
    let patch = Patch::Merge(&another);
    setup
        .credentials()
        .patch("mine", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let hash = crds::contract::Sha256Hash::of(format!("{SECRET}-2").as_bytes()).to_string();
    setup
        .until(
            &setup.configs(),
            &setup.config_name("acme"),
            "the new secret",
            |config| text(config, "config.json")?.contains(&hash).then_some(()),
        )
        .await;
}

#[tokio::test]
async fn a_secret_that_nobody_offered_is_not_taken() {
    let setup = Setup::new("offer").await;
    let _operator = setup.operator().await;
    bring(&setup, "theirs", &json!({}), "their-client").await;
    setup.create("acme", &brings("theirs")).await;
    let (_, condition) = setup.condition("acme", "Accepted", "False").await;
    assert_eq!(condition.reason, "SecretNotOffered");
    assert!(
        condition.message.contains("flightgate.dev/credentials"),
        "{}",
        condition.message
    );
    let label = json!({"metadata": {"labels": offered()}});
    let patch = Patch::Merge(&label);
    setup
        .credentials()
        .patch("theirs", &PatchParams::default(), &patch)
        .await
        .unwrap();
    setup.ready("acme").await;
}

#[tokio::test]
async fn nobody_brings_the_identity_of_another() {
    let setup = Setup::new("claims").await;
    let mut operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let id = setup.ready("acme").await.status.unwrap().client_id.unwrap();
    bring(&setup, "stolen", &offered(), &id).await;
    setup.create("thief", &brings("stolen")).await;
    let (_, condition) = setup.condition("thief", "Accepted", "False").await;
    assert_eq!(condition.reason, "IdentifierTaken");
    // Nor after a restart, whoever is looked at first.
    operator.process.kill();
    let _operator = setup.start("again", &json!({}));
    setup
        .change("thief", &json!({"displayName": "Another"}))
        .await;
    let (_, condition) = setup.condition("thief", "Accepted", "False").await;
    assert_eq!(condition.reason, "IdentifierTaken");
    assert!(
        setup
            .configs()
            .get_opt(&setup.config_name("thief"))
            .await
            .unwrap()
            .is_none()
    );
}
