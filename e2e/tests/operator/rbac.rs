//! What the operator must not be able to do.

use serde_json::json;

use super::{access, helm, setup::Setup};

async fn can(setup: &Setup<'_>, verb: &str, what: &str, namespace: Option<&str>) -> bool {
    let operator = (&*setup.home, "fg-operator");
    access::can(&setup.client, operator, verb, what, namespace).await
}

#[tokio::test]
async fn the_chart_grants_what_is_needed_and_nothing_beside_it() {
    let setup = Setup::new("rbac").await;
    let others = setup.cluster.namespace("rbac-others").await;
    let (owners, gateways) = (Some(&*setup.owners), Some(&*setup.gateways));
    let home = Some(&*setup.home);
    let gateway_namespace = format!("namespaces:{}", &*setup.gateways);
    for (verb, what, namespace) in [
        ("get", "secrets", owners),
        ("patch", "secrets", gateways),
        ("patch", "oauthapplications.flightgate.dev", Some(&*others)),
        ("create", "events.events.k8s.io", owners),
        ("get", "configmaps:gateway", gateways),
        ("list", "pods", gateways),
        ("get", &gateway_namespace, None),
        ("update", "leases.coordination.k8s.io:fg-operator", home),
    ] {
        assert!(
            can(&setup, verb, what, namespace).await,
            "{verb} {what} in {namespace:?}"
        );
    }
    for (verb, what, namespace) in [
        ("get", "secrets", None),
        ("list", "secrets", None),
        ("get", "secrets", Some(&*others)),
        ("create", "secrets", Some(&*others)),
        ("update", "secrets", owners),
        ("deletecollection", "secrets", gateways),
        ("get", "configmaps", gateways),
        ("get", "configmaps:another", gateways),
        ("patch", "configmaps:gateway", gateways),
        ("get", "pods", owners),
        ("get", "secrets", home),
        ("create", "pods", gateways),
        ("create", "pods/exec", gateways),
        ("create", "serviceaccounts/token", gateways),
        ("create", "oauthapplications.flightgate.dev", owners),
        ("delete", "oauthapplications.flightgate.dev", owners),
        ("get", "namespaces", None),
        ("get", "namespaces:kube-system", None),
        ("delete", "namespaces", None),
        ("update", "leases.coordination.k8s.io:another", home),
        (
            "patch",
            "customresourcedefinitions.apiextensions.k8s.io",
            None,
        ),
        ("bind", "clusterroles.rbac.authorization.k8s.io", None),
        ("impersonate", "users", None),
    ] {
        assert!(
            !can(&setup, verb, what, namespace).await,
            "{verb} {what} in {namespace:?}"
        );
    }
}

#[tokio::test]
async fn no_rule_of_the_chart_has_a_star() {
    let setup = Setup::new("stars").await;
    for namespaces in [json!(["partners"]), json!("all")] {
        let rendered = setup.render(&namespaces);
        assert!(rendered.contains("kind: ClusterRole"));
        assert!(!rendered.contains('*'), "{rendered}");
    }
}

#[tokio::test]
async fn what_is_rendered_for_all_namespaces_is_enough_for_all_of_them() {
    let setup = Setup::new("all").await;
    setup.grant(&json!("all")).await;
    // On a cluster with others' resources it would look after those as well:
    // what it may do is asked for, rather than done.
    let others = setup.cluster.namespace("all-others").await;
    assert!(can(&setup, "patch", "secrets", Some(&others)).await);
    assert!(can(&setup, "list", "secrets", None).await);
    assert!(!can(&setup, "get", "configmaps", Some(&others)).await);
}

#[tokio::test]
async fn the_operator_reads_the_configuration_that_the_chart_writes() {
    let setup = Setup::new("chart").await;
    let rendered = setup.render(&json!([&*setup.owners]));
    let text = helm::file(&rendered, "operator.yaml");
    let config: serde_json::Value = serde_yaml::from_str(&text).unwrap();
    // The one thing that two operators on one machine cannot share.
    let mut config = config;
    config["listen"] = json!("127.0.0.1:0");
    let operator = setup.start("chart", &config);
    operator.leads().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
}
