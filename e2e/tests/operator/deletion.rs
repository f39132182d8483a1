//! Deletions in every order; no finalizer is ever stuck.

use crds::OAuthApplication;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;

use super::setup::Setup;

#[tokio::test]
async fn a_deletion_while_the_operator_is_down_waits_for_it() {
    let setup = Setup::new("down").await;
    let mut operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    operator.process.kill();
    let api = setup.api::<OAuthApplication>();
    api.delete("acme", &DeleteParams::default()).await.unwrap();
    assert!(
        api.get_opt("acme").await.unwrap().is_some(),
        "the finalizer holds it"
    );
    let _operator = setup.operator().await;
    setup.gone(&api, "acme").await;
    setup
        .gone(&setup.configs(), &setup.config_name("acme"))
        .await;
    setup.gone(&setup.credentials(), "acme-credentials").await;
}

#[tokio::test]
async fn a_deleted_namespace_goes_with_everything_in_it() {
    let setup = Setup::new("ns").await;
    let _operator = setup.operator().await;
    for i in 0..5 {
        setup.create(&format!("app-{i}"), &json!({})).await;
    }
    for i in 0..5 {
        setup.ready(&format!("app-{i}")).await;
    }
    let namespaces: Api<Namespace> = Api::all(setup.client.clone());
    namespaces
        .delete(&setup.owners, &DeleteParams::default())
        .await
        .unwrap();
    setup.gone(&namespaces, &setup.owners).await;
    for i in 0..5 {
        setup
            .gone(&setup.configs(), &setup.config_name(&format!("app-{i}")))
            .await;
    }
}

#[tokio::test]
async fn a_namespace_deleted_while_the_operator_is_down_goes_when_it_returns() {
    let setup = Setup::new("nsdown").await;
    let mut operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    operator.process.kill();
    let namespaces: Api<Namespace> = Api::all(setup.client.clone());
    namespaces
        .delete(&setup.owners, &DeleteParams::default())
        .await
        .unwrap();
    // The roles in it go first, and with them what let the operator in.
    setup.gone(&setup.credentials(), "acme-credentials").await;
    let roles: Api<k8s_openapi::api::rbac::v1::RoleBinding> = setup.api();
    setup.gone(&roles, "fg-operator-credentials").await;
    let operator = setup.start("again", &json!({}));
    setup.gone(&namespaces, &setup.owners).await;
    drop(operator);
}

#[tokio::test]
async fn with_the_gateways_namespace_gone_applications_can_still_be_deleted() {
    let setup = Setup::new("gwns").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    let namespaces: Api<Namespace> = Api::all(setup.client.clone());
    namespaces
        .delete(&setup.gateways, &DeleteParams::default())
        .await
        .unwrap();
    setup.gone(&namespaces, &setup.gateways).await;
    let (_, condition) = setup.condition("acme", "Ready", "False").await;
    assert!(
        ["Forbidden", "NamespaceNotFound"].contains(&condition.reason.as_str()),
        "{condition:?}"
    );
    let api = setup.api::<OAuthApplication>();
    api.delete("acme", &DeleteParams::default()).await.unwrap();
    setup.gone(&api, "acme").await;
    setup.gone(&setup.credentials(), "acme-credentials").await;
}

#[tokio::test]
async fn a_gateway_that_is_no_longer_configured_holds_nobody_up() {
    let setup = Setup::new("unknown").await;
    let mut operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    operator.process.kill();
    let renamed = json!([{
        "name": "another",
        "namespace": &*setup.gateways,
        "configMap": "gateway",
        "addresses": [setup.gateway.address],
    }]);
    let operator = setup.start("renamed", &json!({"gateways": renamed}));
    let (_, condition) = setup.condition("acme", "Accepted", "False").await;
    assert_eq!(condition.reason, "UnknownGateway");
    let api = setup.api::<OAuthApplication>();
    api.delete("acme", &DeleteParams::default()).await.unwrap();
    setup.gone(&api, "acme").await;
    setup
        .gone(&setup.configs(), &setup.config_name("acme"))
        .await;
    drop(operator);
}

#[tokio::test]
async fn other_finalizers_are_left_alone() {
    let setup = Setup::new("others").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let application = setup.ready("acme").await;
    let api = setup.api::<OAuthApplication>();
    let mut finalizers = application.metadata.finalizers.unwrap();
    finalizers.insert(0, "example.org/theirs".into());
    let patch = json!({"metadata": {"finalizers": finalizers}});
    api.patch("acme", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    api.delete("acme", &DeleteParams::default()).await.unwrap();
    setup
        .until(&api, "acme", "their finalizer alone", |it| {
            (it.metadata.finalizers.as_deref()? == ["example.org/theirs"]).then_some(())
        })
        .await;
    setup
        .gone(&setup.configs(), &setup.config_name("acme"))
        .await;
    let patch = json!({"metadata": {"finalizers": null}});
    api.patch("acme", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    setup.gone(&api, "acme").await;
}
