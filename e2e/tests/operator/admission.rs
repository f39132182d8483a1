//! What a policy of the cluster refuses is told in the policy's words.

use flightgate_e2e::eventually;
use kube::api::DeleteParams;
use serde_json::json;

use super::setup::Setup;

const WORDS: &str = "Secrets are made by the vault alone, on weekdays";

/// Has the API server refuse new Secrets of one type in one namespace, and waits
/// until it does.
async fn deny(setup: &Setup<'_>, namespace: &str, type_: &str) {
    let name = format!("{namespace}-no-secrets");
    let policy = json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [{
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["secrets"],
                }]},
                "validations": [{
                    "expression": format!("object.type != '{type_}'"),
                    "message": WORDS,
                }],
            },
        }, {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {
                    "kubernetes.io/metadata.name": namespace,
                }}},
            },
        }],
    });
    let create = ["create", "--filename", "-"];
    setup
        .cluster
        .kubectl_with(&create, &policy.to_string())
        .await
        .ok();
    // The API server follows its own policies with a delay.
    let probe = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"generateName": "probe-", "namespace": namespace},
        "type": type_,
    });
    eventually("a policy in force", async || {
        let create = ["create", "--dry-run=server", "--filename", "-"];
        let said = setup
            .cluster
            .kubectl_with(&create, &probe.to_string())
            .await;
        let errors = said.errors();
        if errors.contains(WORDS) {
            Ok(())
        } else {
            Err(errors)
        }
    })
    .await;
}

async fn permit(setup: &Setup<'_>, namespace: &str) {
    let name = format!("{namespace}-no-secrets");
    let kinds = "validatingadmissionpolicybindings,validatingadmissionpolicies";
    setup.cluster.kubectl(&["delete", kinds, &name]).await.ok();
}

#[tokio::test]
async fn credentials_that_a_policy_refuses_are_a_condition_in_its_words_until_it_is_lifted() {
    let setup = Setup::new("policy").await;
    let _operator = setup.operator().await;
    deny(&setup, &setup.owners, "Opaque").await;
    setup.create("acme", &json!({})).await;
    for kind in ["Ready", "CredentialsReady"] {
        let (application, condition) = setup.condition("acme", kind, "False").await;
        assert_eq!(condition.reason, "Refused", "{condition:?}");
        let message = &condition.message;
        assert!(message.contains(WORDS), "{message}");
        assert!(
            message.contains("write the credentials Secret"),
            "{message}"
        );
        assert_eq!(application.status.unwrap().client_id, None);
    }
    let note = setup.event("acme", "Refused").await;
    assert!(note.contains(WORDS), "{note}");
    permit(&setup, &setup.owners).await;
    setup.ready("acme").await;
    let (_, condition) = setup.condition("acme", "CredentialsReady", "True").await;
    assert!(!condition.message.contains(WORDS));
}

#[tokio::test]
async fn a_document_that_a_policy_refuses_takes_ready_away_until_it_is_lifted() {
    let setup = Setup::new("docpolicy").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let id = setup.ready("acme").await.status.unwrap().client_id;
    deny(&setup, &setup.gateways, "flightgate.dev/config").await;
    let name = setup.config_name("acme");
    let configs = setup.configs();
    configs
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    let (application, condition) = setup.condition("acme", "Ready", "False").await;
    assert_eq!(condition.reason, "Refused", "{condition:?}");
    assert!(condition.message.contains(WORDS), "{}", condition.message);
    assert_eq!(application.status.unwrap().client_id, id);
    permit(&setup, &setup.gateways).await;
    assert_eq!(setup.ready("acme").await.status.unwrap().client_id, id);
}
