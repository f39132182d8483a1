//! What to do about a condition that does not hold, by its reason.

use crds::condition::Condition;

use crate::plugin::{kind::Kind, resource::Resource};

/// The next step.
pub(super) fn advice(resource: &Resource, condition: &Condition) -> String {
    let Resource {
        namespace,
        name,
        secret_name,
        gateway,
        ..
    } = resource;
    let short = resource.kind.short();
    let argument = resource.argument();
    match condition.reason.as_str() {
        "UnknownGateway" => format!(
            "the gateway of a resource cannot be changed: add `{gateway}` to `gateways` in the operator's configuration, or make the resource anew"
        ),
        "UnknownScope" | "UnknownPlan" | "UnknownProfile" | "ProfileWithoutRefresh"
        | "DestructiveScope" | "AdminOnlyScope" | "BadNetwork" => {
            let or = if condition.reason.starts_with("Unknown") {
                ", or add it to gateway.yaml"
            } else {
                ""
            };
            format!("kubectl edit {argument}{or}")
        }
        "ApplicationNotFound" => {
            format!("apply the OAuthApplication in the namespace `{namespace}`, or delete the {}", Kind::Webhook.name())
        }
        "ApplicationNotReady" => "see to that OAuthApplication first".into(),
        "SecretNotOwned" => format!(
            "kubectl get secret {secret_name} -n {namespace}: if nobody needs it, delete it; else name another one in a new resource"
        ),
        "ClientIdChanged" => {
            format!("bring the client_id of before back into the Secret `{secret_name}`, or make a new OAuthApplication")
        }
        "IdentifierTaken" => {
            format!("another resource has this identifier: write another client_id into the Secret `{secret_name}`")
        }
        "SecretNotFound" | "SecretNotOffered" | "SecretTooShort" | "BadClientId" => {
            format!("see to the Secret `{secret_name}`: its keys client_id and client_secret, and its label")
        }
        "Expired" => format!("kubectl flightgate rotate {short}/{name} -n {namespace}"),
        "Pending" | "GatewayUnreachable" => {
            "see to the gateway: kubectl get pods -A -l app.kubernetes.io/name=flightgate-gateway; the operator must reach its admin port".into()
        }
        "RejectedByGateway" => {
            "the gateway reads its gateway.yaml at its start alone: restart it, or bring its file and the operator's ConfigMap together".into()
        }
        "GatewayNotConfigured" => format!(
            "correct the ConfigMap with the gateway.yaml of `{gateway}`: flightgate-gateway check names line and column"
        ),
        "QuotaExceeded" => format!("kubectl get resourcequota -A, and raise the one that is used up (credentials stand in `{namespace}`)"),
        "Forbidden" => format!(
            "the operator lacks rights: name `{namespace}` under `namespaces` in the chart's values, and helm upgrade"
        ),
        "NamespaceNotFound" => "make the namespace that is missing, or correct the operator's configuration".into(),
        _ => format!("kubectl flightgate status {argument}"),
    }
}
