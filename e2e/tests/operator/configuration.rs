//! gateway.yaml is followed, and a broken one harms nobody.

use serde_json::json;

use super::setup::{GATEWAY_YAML, Setup};

#[tokio::test]
async fn a_scope_that_comes_into_the_catalogue_is_accepted_at_once() {
    let setup = Setup::new("catalogue").await;
    let _operator = setup.operator().await;
    setup
        .create("acme", &json!({"scopes": ["flights:read", "live:track"]}))
        .await;
    let (_, condition) = setup.condition("acme", "Accepted", "False").await;
    assert_eq!(condition.reason, "UnknownScope");
    setup.event("acme", "UnknownScope").await;
    let wider =
        format!("{GATEWAY_YAML}  - {{name: \"live:track\", title: \"See where you are\"}}\n");
    setup.configure(&wider).await;
    setup.ready("acme").await;
}

#[tokio::test]
async fn a_broken_gateway_yaml_leaves_the_last_good_one_in_force() {
    let setup = Setup::new("broken").await;
    let operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    setup
        .configure(&format!("{GATEWAY_YAML}colour: blue\n"))
        .await;
    operator.says("unknown field `colour`").await;
    let metrics = operator.get("/metrics").await;
    let gauge = "flightgate_operator_gateway_config_last_reload_successful{gateway=\"default\"} 0";
    assert!(metrics.contains(gauge), "{metrics}");
    setup.create("later", &json!({})).await;
    setup.ready("later").await;
}

#[tokio::test]
async fn without_any_good_gateway_yaml_a_condition_says_so() {
    let setup = Setup::new("unusable").await;
    setup.configure("issuer: [").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let (_, condition) = setup.condition("acme", "Accepted", "Unknown").await;
    assert_eq!(condition.reason, "GatewayNotConfigured");
    setup.configure(GATEWAY_YAML).await;
    setup.ready("acme").await;
}

#[tokio::test]
async fn a_gateway_that_nobody_knows_is_refused_and_named() {
    let setup = Setup::new("gateway").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({"gateway": "elsewhere"})).await;
    let (_, condition) = setup.condition("acme", "Accepted", "False").await;
    assert_eq!(condition.reason, "UnknownGateway");
    assert!(
        condition.message.contains("`default`"),
        "{}",
        condition.message
    );
}
