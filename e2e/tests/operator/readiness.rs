//! Ready is what the gateway says, not what was written somewhere.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{gateway::Mode, setup::Setup};

#[tokio::test]
async fn ready_comes_quickly_and_only_when_the_gateway_serves_this_generation() {
    let setup = Setup::new("ready").await;
    let _operator = setup.operator().await;
    let begun = Instant::now();
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );

    setup.gateway.set(Mode::Stuck);
    setup
        .change("acme", &json!({"displayName": "Another"}))
        .await;
    let (_, condition) = setup.condition("acme", "Ready", "False").await;
    assert_eq!(condition.reason, "Pending");
    assert!(
        condition.message.contains(&setup.gateway.address),
        "{}",
        condition.message
    );
    setup.gateway.set(Mode::Following);
    setup.ready("acme").await;
}

#[tokio::test]
async fn a_gateway_that_cannot_be_reached_is_a_reason_and_its_return_is_noticed() {
    let setup = Setup::new("unreached").await;
    setup.gateway.set(Mode::Silent);
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let (_, condition) = setup.condition("acme", "Ready", "Unknown").await;
    assert_eq!(condition.reason, "GatewayUnreachable", "{condition:?}");
    assert!(
        condition.message.contains(&setup.gateway.address),
        "{}",
        condition.message
    );
    setup.event("acme", "GatewayUnreachable").await;
    setup.gateway.set(Mode::Following);
    setup.ready("acme").await;
}

#[tokio::test]
async fn what_the_gateway_cannot_follow_is_told_in_its_words() {
    let setup = Setup::new("rejected").await;
    setup.gateway.set(Mode::Rejecting);
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let (_, condition) = setup.condition("acme", "Ready", "False").await;
    assert_eq!(condition.reason, "RejectedByGateway");
    assert!(
        condition.message.contains("profile `x`"),
        "{}",
        condition.message
    );
}

#[tokio::test]
async fn the_status_tells_when_a_secret_was_last_used() {
    let setup = Setup::new("used").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let status = setup.ready("acme").await.status.unwrap();
    assert_eq!(status.secrets[0].last_used_at, None);
    let at = "2026-01-02T03:04:05Z";
    setup.gateway.use_secret(&status.secrets[0].id, at);
    setup
        .change("acme", &json!({"displayName": "Another"}))
        .await;
    let status = setup.ready("acme").await.status.unwrap();
    let told = status.secrets[0].last_used_at.map(|it| it.to_string());
    assert_eq!(told.as_deref(), Some(at));
}
