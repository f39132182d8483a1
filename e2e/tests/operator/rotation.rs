//! Secrets are renewed on time and on demand, and the old one works on for a
//! while.

use crds::OAuthApplication;
use serde_json::json;

use super::setup::{Setup, text};

#[tokio::test]
async fn a_rotation_on_demand_keeps_the_old_secret_for_its_overlap_and_happens_once() {
    let setup = Setup::new("rotate").await;
    let _operator = setup.operator().await;
    let rotation = json!({"interval": "1h", "overlap": "3s"});
    setup
        .create("acme", &json!({"secret": {"rotation": rotation}}))
        .await;
    setup.ready("acme").await;
    let old = setup.credential("acme-credentials", "client_secret").await;
    setup
        .annotate("acme", "flightgate.dev/rotate", Some("now"))
        .await;
    let api = setup.credentials();
    let new = setup
        .until(&api, "acme-credentials", "another secret", |secret| {
            let previous = text(secret, "previous_client_secret")?;
            assert_eq!(previous, old);
            text(secret, "client_secret")
        })
        .await;
    assert_ne!(new, old);
    setup.event("acme", "CredentialsRotated").await;
    // Two hashes while both work, then one.
    let config = setup.configs();
    let count = |secret: &_| text(secret, "config.json").map(|it| it.matches("sha256").count());
    let name = setup.config_name("acme");
    setup
        .until(&config, &name, "two secrets", |it| {
            (count(it) == Some(2)).then_some(())
        })
        .await;
    setup
        .until(&config, &name, "one secret", |it| {
            (count(it) == Some(1)).then_some(())
        })
        .await;
    let secret = api.get("acme-credentials").await.unwrap();
    assert_eq!(text(&secret, "previous_client_secret"), None);
    assert_eq!(text(&secret, "client_secret").unwrap(), new, "rotated once");
    let applications = setup.api::<OAuthApplication>();
    setup
        .until(&applications, "acme", "one secret in its status", |it| {
            (it.status.as_ref()?.secrets.len() == 1).then_some(())
        })
        .await;
    setup.event("acme", "OverlapEnded").await;

    // The same word again asks for nothing; taken away and set again, it does.
    setup.annotate("acme", "flightgate.dev/rotate", None).await;
    setup
        .until(&api, "acme-credentials", "no mark", |secret| {
            let annotations = secret.metadata.annotations.as_ref()?;
            (!annotations.contains_key("flightgate.dev/rotated-for")).then_some(())
        })
        .await;
    setup
        .annotate("acme", "flightgate.dev/rotate", Some("now"))
        .await;
    setup
        .until(&api, "acme-credentials", "a third secret", |secret| {
            (text(secret, "previous_client_secret")? == new).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_secret_that_is_old_enough_is_renewed_by_itself() {
    let setup = Setup::new("interval").await;
    let _operator = setup.operator().await;
    let rotation = json!({"interval": "4s", "overlap": "1s"});
    setup
        .create("acme", &json!({"secret": {"rotation": rotation}}))
        .await;
    setup.ready("acme").await;
    let first = setup.credential("acme-credentials", "client_secret").await;
    setup
        .until(
            &setup.credentials(),
            "acme-credentials",
            "another secret",
            |secret| (text(secret, "client_secret")? != first).then_some(()),
        )
        .await;
    setup.event("acme", "CredentialsRotated").await;
}
