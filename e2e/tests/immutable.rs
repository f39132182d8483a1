//! What never changes in a resource, and what is said to who tries.

use flightgate_e2e::Cluster;
use serde_json::{Value, json};

use crate::verdict::{Compiler, Server, Verb};

/// A resource, and changes of it with the words that refuse them.
struct Subject {
    object: Value,
    changes: Vec<(&'static str, Value, &'static str, &'static str)>,
}

const GATEWAY: &str =
    "a resource stays with its gateway: make a new resource for the other gateway";
const NAME: &str =
    "credentials stay where their readers look for them: keep the name, or make a new resource";

fn subjects() -> [Subject; 4] {
    let object = |kind: &str, name: &str, spec: Value| {
        json!({
            "apiVersion": "flightgate.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, "namespace": "partners"},
            "spec": spec,
        })
    };
    let application = json!({
        "displayName": "Case",
        "grantTypes": ["authorization_code"],
        "redirectUris": ["https://partner.example/cb"],
        "scopes": ["flights:read"],
    });
    let mut brought = application.clone();
    brought["secret"] = json!({"name": "brought", "existing": true});
    [
        Subject {
            object: object("OAuthApplication", "made", application),
            changes: vec![
                ("/gateway", json!("other"), "spec.gateway", GATEWAY),
                (
                    "/clientType",
                    json!("public"),
                    "spec.clientType",
                    "who could keep a secret once cannot become public, nor the other way round: make a new OAuthApplication",
                ),
                (
                    "/secret",
                    json!({"name": "elsewhere"}),
                    "spec.secret.name",
                    NAME,
                ),
            ],
        },
        Subject {
            object: object("OAuthApplication", "brings", brought),
            changes: vec![
                ("/secret/name", json!("other"), "spec.secret.name", NAME),
                (
                    "/secret/existing",
                    json!(false),
                    "spec.secret.existing",
                    "made credentials and brought ones do not turn into each other: make a new OAuthApplication",
                ),
            ],
        },
        Subject {
            object: object(
                "ApiKey",
                "key",
                json!({"displayName": "Case", "subject": "pilot:anna", "scopes": ["flights:read"]}),
            ),
            changes: vec![
                ("/gateway", json!("other"), "spec.gateway", GATEWAY),
                (
                    "/subject",
                    json!("pilot:ben"),
                    "spec.subject",
                    "a key does not change hands: make a new ApiKey for the other subject",
                ),
                (
                    "/secret",
                    json!({"name": "elsewhere"}),
                    "spec.secret.name",
                    NAME,
                ),
            ],
        },
        Subject {
            object: object(
                "Webhook",
                "hook",
                json!({
                    "applicationRef": {"name": "acme"},
                    "url": "https://partner.example/events",
                    "events": ["flight.uploaded"],
                }),
            ),
            changes: vec![
                ("/gateway", json!("other"), "spec.gateway", GATEWAY),
                (
                    "/applicationRef/name",
                    json!("globex"),
                    "spec.applicationRef",
                    "a webhook stays with its application: make a new Webhook for the other application",
                ),
                (
                    "/signingSecret",
                    json!({"name": "elsewhere"}),
                    "spec.signingSecret.name",
                    NAME,
                ),
            ],
        },
    ]
}

fn changed(object: &Value, pointer: &str, value: &Value) -> Value {
    let mut object = object.clone();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    object["spec"].pointer_mut(parent).unwrap()[field] = value.clone();
    object
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_with_what_to_do_instead() {
    let cluster = Cluster::shared().await;
    let namespace = cluster.namespace("immutable").await;
    let server = Server {
        client: cluster.client().await,
        namespace: namespace.to_string(),
    };
    for Subject { object, changes } in subjects() {
        let compiler = Compiler::new();
        compiler.verdict(&object.to_string()).unwrap();
        let created = server.submit(Verb::Create, &object).await.unwrap();
        let version = &created["metadata"]["resourceVersion"];
        for (pointer, value, field, words) in changes {
            let mut changed = changed(&object, pointer, &value);
            let ours = compiler.verdict(&changed.to_string()).unwrap_err();
            let applied = server.verdict(Verb::Apply, &changed).await.unwrap_err();
            changed["metadata"]["resourceVersion"] = version.clone();
            let replaced = server.verdict(Verb::Replace, &changed).await.unwrap_err();
            for complaints in [ours, applied, replaced] {
                let said = complaints
                    .iter()
                    .any(|it| it.field == field && it.message.contains(words));
                assert!(said, "{} {pointer}: {complaints:#?}", object["kind"]);
            }
        }
    }
}

/// What may change, may.
#[tokio::test]
async fn everything_else_can_be_changed() {
    let cluster = Cluster::shared().await;
    let namespace = cluster.namespace("mutable").await;
    let server = Server {
        client: cluster.client().await,
        namespace: namespace.to_string(),
    };
    for Subject { object, .. } in subjects() {
        server.submit(Verb::Create, &object).await.unwrap();
        let changes: &[(&str, Value)] = match object["kind"].as_str().unwrap() {
            "OAuthApplication" => &[
                ("/displayName", json!("Other")),
                ("/scopes", json!(["flights:read", "flights:write"])),
                ("/plan", json!("standard")),
                ("/profile", json!("no-refresh")),
                ("/redirectUris", json!(["https://partner.example/other"])),
                ("/deletionPolicy", json!("Orphan")),
            ],
            "ApiKey" => &[
                ("/scopes", json!(["flights:write"])),
                ("/expiresAfter", json!("30d")),
                ("/allowedCidrs", json!(["10.0.0.0/8"])),
                ("/secret", json!({"rotation": {"interval": "90d"}})),
            ],
            _ => &[
                ("/url", json!("https://partner.example/other")),
                ("/suspended", json!(true)),
                ("/ordered", json!(true)),
                ("/events", json!(["flight.deleted"])),
            ],
        };
        for (pointer, value) in changes {
            let new = changed(&object, pointer, value);
            let accepted = server.verdict(Verb::Apply, &new).await;
            accepted.unwrap_or_else(|complaints| panic!("{pointer}: {complaints:#?}"));
        }
    }
}
