//! From `kubectl apply` to `kubectl delete`.

use crds::{ApiKey, OAuthApplication, Webhook, oauth_application::DeletionPolicy};
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use super::setup::{Setup, text};

#[tokio::test]
async fn an_applied_application_has_credentials_and_is_served() {
    let setup = Setup::new("life").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let application = setup.ready("acme").await;
    let id = application.status.unwrap().client_id.unwrap();

    let secret = setup.credentials().get("acme-credentials").await.unwrap();
    let keys: Vec<_> = secret.data.as_ref().unwrap().keys().cloned().collect();
    assert_eq!(
        keys,
        ["client_id", "client_secret", "issuer", "token_endpoint"]
    );
    assert_eq!(text(&secret, "client_id").unwrap(), id);
    assert_eq!(text(&secret, "issuer").unwrap(), "https://gateway.example");

    let config = setup
        .configs()
        .get(&setup.config_name("acme"))
        .await
        .unwrap();
    assert_eq!(config.type_.as_deref(), Some("flightgate.dev/config"));
    let document = text(&config, "config.json").unwrap();
    assert!(document.contains(&id));
    let secret = text(&secret, "client_secret").unwrap();
    assert!(!document.contains(&secret), "a document holds hashes alone");

    setup.event("acme", "CredentialsCreated").await;
    setup.event("acme", "Served").await;
    let namespace = &*setup.owners;
    let table = ["get", "oapp", "acme", "--namespace", namespace];
    let table = setup.cluster.kubectl(&table).await.ok();
    assert!(
        table.contains(&id) && table.contains("True") && table.contains("Served"),
        "{table}"
    );
}

#[tokio::test]
async fn a_change_is_served_and_touches_no_credentials() {
    let setup = Setup::new("change").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    let before = setup.credentials().get("acme-credentials").await.unwrap();
    setup
        .change(
            "acme",
            &json!({"scopes": ["flights:read", "flights:write"]}),
        )
        .await;
    setup.ready("acme").await;
    let config = setup
        .configs()
        .get(&setup.config_name("acme"))
        .await
        .unwrap();
    assert!(
        text(&config, "config.json")
            .unwrap()
            .contains("flights:write")
    );
    let after = setup.credentials().get("acme-credentials").await.unwrap();
    assert_eq!(
        before.metadata.resource_version,
        after.metadata.resource_version
    );
}

#[tokio::test]
async fn a_deleted_application_takes_its_document_and_credentials_along() {
    let setup = Setup::new("delete").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    let api = setup.api::<OAuthApplication>();
    api.delete("acme", &DeleteParams::default()).await.unwrap();
    setup.gone(&api, "acme").await;
    setup
        .gone(&setup.configs(), &setup.config_name("acme"))
        .await;
    setup.gone(&setup.credentials(), "acme-credentials").await;
}

#[tokio::test]
async fn an_orphaned_client_lives_on_and_is_adopted_again() {
    let setup = Setup::new("orphan").await;
    let _operator = setup.operator().await;
    let orphan = json!({"deletionPolicy": DeletionPolicy::Orphan});
    setup.create("acme", &orphan).await;
    let id = setup.ready("acme").await.status.unwrap().client_id;
    let secret = setup.credential("acme-credentials", "client_secret").await;
    let api = setup.api::<OAuthApplication>();
    api.delete("acme", &DeleteParams::default()).await.unwrap();
    setup.gone(&api, "acme").await;
    let config = setup
        .configs()
        .get(&setup.config_name("acme"))
        .await
        .unwrap();
    assert_eq!(config.metadata.deletion_timestamp, None);

    setup.create("acme", &json!({})).await;
    let adopted = setup.ready("acme").await;
    assert_eq!(adopted.status.unwrap().client_id, id);
    assert_eq!(
        setup.credential("acme-credentials", "client_secret").await,
        secret
    );
}

#[tokio::test]
async fn keys_and_webhooks_go_the_same_way() {
    let setup = Setup::new("kinds").await;
    let _operator = setup.operator().await;
    let hook: Webhook = serde_json::from_value(json!({
        "metadata": {"name": "flights"},
        "spec": {"applicationRef": {"name": "acme"}, "url": "https://a.example/events", "events": ["flight.uploaded"]},
    }))
    .unwrap();
    let hooks = setup.api::<Webhook>();
    hooks.create(&PostParams::default(), &hook).await.unwrap();
    let key: ApiKey = serde_json::from_value(json!({
        "metadata": {"name": "anna"},
        "spec": {"subject": "pilot:anna", "displayName": "Anna", "scopes": ["flights:read"]},
    }))
    .unwrap();
    let keys = setup.api::<ApiKey>();
    keys.create(&PostParams::default(), &key).await.unwrap();
    let namespace = &*setup.owners;
    let wait = |what, until| async move {
        let wait = [
            "wait",
            "--namespace",
            namespace,
            "--timeout=60s",
            until,
            what,
        ];
        setup.cluster.kubectl(&wait).await.ok()
    };
    wait("apikey/anna", "--for=condition=Ready").await;
    // Its application comes later.
    let missing =
        "--for=jsonpath={.status.conditions[?(@.type=='Ready')].reason}=ApplicationNotFound";
    wait("webhook/flights", missing).await;
    setup.create("acme", &json!({})).await;
    wait("webhook/flights", "--for=condition=Ready").await;
    assert!(
        setup
            .credential("flights-webhook", "webhook_secret")
            .await
            .starts_with("whsec_")
    );
    assert!(
        setup
            .credential("anna-api-key", "api_key")
            .await
            .starts_with("fg_pat_")
    );

    let applications = setup.api::<OAuthApplication>();
    applications
        .delete("acme", &DeleteParams::default())
        .await
        .unwrap();
    wait("webhook/flights", missing).await;
    hooks
        .delete("flights", &DeleteParams::default())
        .await
        .unwrap();
    keys.delete("anna", &DeleteParams::default()).await.unwrap();
    setup.gone(&hooks, "flights").await;
    setup.gone(&keys, "anna").await;
    setup.gone(&setup.credentials(), "anna-api-key").await;
}
