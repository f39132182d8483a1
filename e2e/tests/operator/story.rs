//! `kubectl describe` tells what happened to an application, in its order.

use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{
    gateway::Mode,
    setup::{GATEWAY_YAML, Setup, text},
};

/// The reasons of the events at the end of a description.
fn reasons(description: &str) -> Vec<String> {
    let (_, events) = description.split_once("\nEvents:").unwrap();
    let lines = events.lines().filter(|line| {
        let first = line.split_whitespace().next();
        first == Some("Normal") || first == Some("Warning")
    });
    lines
        .map(|line| line.split_whitespace().nth(1).unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_description_tells_the_story_in_order() {
    let setup = Setup::new("story").await;
    let _operator = setup.operator().await;
    setup
        .create("acme", &json!({"scopes": ["flights:read", "live:track"]}))
        .await;
    setup.event("acme", "UnknownScope").await;
    let wider =
        format!("{GATEWAY_YAML}  - {{name: \"live:track\", title: \"See where you are\"}}\n");
    setup.configure(&wider).await;
    setup.ready("acme").await;
    setup.event("acme", "Served").await;
    setup
        .annotate("acme", "flightgate.dev/rotate", Some("now"))
        .await;
    setup.event("acme", "CredentialsRotated").await;
    setup.ready("acme").await;
    let edit = json!({"stringData": {"issuer": "https://evil.example"}});
    setup
        .credentials()
        .patch(
            "acme-credentials",
            &PatchParams::default(),
            &Patch::Merge(&edit),
        )
        .await
        .unwrap();
    setup
        .until(&setup.credentials(), "acme-credentials", "repaired", |it| {
            (text(it, "issuer")? == "https://gateway.example").then_some(())
        })
        .await;
    setup.event("acme", "Repaired").await;
    setup
        .change("acme", &json!({"scopes": ["flights:reed"]}))
        .await;
    setup.condition("acme", "Accepted", "False").await;
    setup
        .change("acme", &json!({"scopes": ["flights:read"]}))
        .await;
    setup.event("acme", "Accepted").await;
    setup.ready("acme").await;
    setup.gateway.set(Mode::Silent);
    setup
        .change("acme", &json!({"displayName": "Another"}))
        .await;
    setup.event("acme", "GatewayUnreachable").await;

    let describe = ["describe", "oapp", "acme", "--namespace", &setup.owners];
    let description = setup.cluster.kubectl(&describe).await.ok();
    // Told whenever it turns true and no other event says so: once here, or
    // twice if a look was cut short by a conflict after it had made the secret.
    let (accepted, rest): (Vec<_>, Vec<_>) = reasons(&description)
        .into_iter()
        .partition(|reason| reason == "Accepted");
    assert_eq!(accepted.len(), 1, "{description}");
    assert_eq!(
        rest,
        [
            "UnknownScope",
            "CredentialsCreated",
            "Served",
            "CredentialsRotated",
            "Repaired",
            "UnknownScope",
            "GatewayUnreachable",
        ],
        "{description}"
    );
    assert!(description.contains("flightgate.dev/operator"));
    let again = description.lines().find(|it| it.contains("Served"));
    assert!(again.unwrap().contains("(x2 over "), "{description}");
}
