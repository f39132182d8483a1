//! What a `ServiceAccount` may do, as the API server says.

use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::{Api, Client, api::PostParams};
use serde_json::json;

/// Whether an account, by its namespace and name, may do this; `what` is
/// `resource.group`, and perhaps `:name`. No namespace stands for all of them.
pub(super) async fn can(
    client: &Client,
    account: (&str, &str),
    verb: &str,
    what: &str,
    namespace: Option<&str>,
) -> bool {
    let (what, name) = what.split_once(':').unwrap_or((what, ""));
    let (resource, group) = what.split_once('.').unwrap_or((what, ""));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let review = serde_json::from_value(json!({
        "spec": {
            "user": format!("system:serviceaccount:{}:{}", account.0, account.1),
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "resourceAttributes": {
                "verb": verb,
                "group": group,
                "resource": resource,
                "subresource": subresource,
                "name": name,
                "namespace": namespace,
            },
        },
    }))
    .unwrap();
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = api.create(&PostParams::default(), &review).await.unwrap();
    answer.status.unwrap().allowed
}
