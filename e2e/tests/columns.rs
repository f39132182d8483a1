//! What `kubectl get` shows.

use flightgate_e2e::{Cluster, Namespace};
use serde_json::{Value, json};

async fn create(cluster: &Cluster, namespace: &Namespace, kind: &str, spec: Value, status: Value) {
    let name = kind.to_lowercase();
    let object = json!({
        "apiVersion": "flightgate.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": &**namespace},
        "spec": spec,
    });
    let create = ["create", "--filename", "-"];
    cluster
        .kubectl_with(&create, &object.to_string())
        .await
        .ok();
    let status = json!({ "status": status }).to_string();
    let patch = [
        "patch",
        &name,
        &name,
        "--namespace",
        namespace,
        "--subresource",
        "status",
        "--type",
        "merge",
        "--patch",
        &status,
    ];
    cluster.kubectl(&patch).await.ok();
}

fn ready(status: &str, reason: &str) -> Value {
    json!([
        {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
         "observedGeneration": 1, "lastTransitionTime": "2025-01-01T00:00:00Z"},
        {"type": "Ready", "status": status, "reason": reason, "message": "Said in a sentence.",
         "observedGeneration": 1, "lastTransitionTime": "2025-01-01T00:00:00Z"},
    ])
}

/// The words of each line but the ages, which are seconds.
async fn table(
    cluster: &Cluster,
    namespace: &Namespace,
    kind: &str,
    wide: bool,
) -> Vec<Vec<String>> {
    let mut arguments = vec!["get", kind, "--namespace", namespace];
    if wide {
        arguments.extend(["--output", "wide"]);
    }
    let said = cluster.kubectl(&arguments).await.ok();
    // Columns are three spaces apart.
    let words = |line: &str| {
        line.split("   ")
            .map(str::trim)
            .filter(|it| !it.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    };
    said.lines().map(words).collect()
}

#[tokio::test]
async fn the_columns_are_what_a_person_wants_to_know() {
    let cluster = Cluster::shared().await;
    let namespace = cluster.namespace("columns").await;
    let application = json!({
        "displayName": "Case", "grantTypes": ["client_credentials"], "scopes": ["flights:read"],
    });
    let status = json!({"clientId": "fg_app_case", "conditions": ready("True", "Served")});
    create(cluster, &namespace, "OAuthApplication", application, status).await;
    let key = json!({"displayName": "Case", "subject": "pilot:anna", "scopes": ["flights:read"]});
    let status = json!({"keyId": "fg_key_case", "conditions": ready("False", "ScopeUnknown")});
    create(cluster, &namespace, "ApiKey", key, status).await;
    let hook = json!({
        "applicationRef": {"name": "acme"},
        "url": "https://partner.example/events",
        "events": ["flight.uploaded"],
    });
    let status = json!({"conditions": ready("Unknown", "GatewayUnknown")});
    create(cluster, &namespace, "Webhook", hook, status).await;

    for (kind, header, row) in [
        (
            "oapp",
            ["NAME", "CLIENT-ID", "READY", "REASON", "AGE"],
            ["oauthapplication", "fg_app_case", "True", "Served"],
        ),
        (
            "apikeys",
            ["NAME", "SUBJECT", "READY", "REASON", "AGE"],
            ["apikey", "pilot:anna", "False", "ScopeUnknown"],
        ),
        (
            "webhooks",
            ["NAME", "URL", "READY", "REASON", "AGE"],
            [
                "webhook",
                "https://partner.example/events",
                "Unknown",
                "GatewayUnknown",
            ],
        ),
    ] {
        let table = table(cluster, &namespace, kind, false).await;
        assert_eq!(table.len(), 2, "{table:?}");
        assert_eq!(table[0], header);
        assert_eq!(table[1][..4], row);
        let age = table[1][4].strip_suffix('s').unwrap();
        assert!(age.parse::<u32>().is_ok(), "{table:?}");
    }
    let wide = table(cluster, &namespace, "oapp", true).await;
    let header = [
        "NAME",
        "CLIENT-ID",
        "READY",
        "REASON",
        "TYPE",
        "GRANTS",
        "SCOPES",
        "PLAN",
        "GATEWAY",
        "MESSAGE",
        "AGE",
    ];
    assert_eq!(wide[0], header);
    let row = [
        "oauthapplication",
        "fg_app_case",
        "True",
        "Served",
        "confidential",
        "[\"client_credentials\"]",
        "[\"flights:read\"]",
        "default",
        "default",
        "Said in a sentence.",
    ];
    assert_eq!(wide[1][..10], row);
}
