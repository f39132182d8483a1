//! The definitions change under resources that live, or go and come back.

use std::time::Duration;

use crds::{OAuthApplication, oauth_application::DeletionPolicy};
use flightgate_e2e::{Cluster, ControlPlane, eventually};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{orphans::orphan, setup::Setup};

const NAME: &str = "oauthapplications.flightgate.dev";
const SPEC: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
const WRITES: [&str; 4] = ["POST", "PATCH", "PUT", "DELETE"];

/// Changes the definition of applications.
async fn redefine(cluster: &Cluster, change: impl Fn(&mut Value)) {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client().await);
    eventually("a definition that is changed", async || {
        let definition = api.get(NAME).await.unwrap();
        let mut definition = serde_json::to_value(definition).unwrap();
        change(&mut definition);
        let definition = serde_json::from_value(definition).unwrap();
        // The API server writes its status at any time.
        let replaced = api.replace(NAME, &PostParams::default(), &definition).await;
        replaced.map(drop).map_err(|error| error.to_string())
    })
    .await;
}

/// As a version before this one had it: a field less, fewer rules, other words.
fn older(definition: &mut Value) {
    let spec = definition.pointer_mut(SPEC).unwrap();
    spec["description"] = json!("An older version.");
    spec.as_object_mut()
        .unwrap()
        .remove("x-kubernetes-validations");
    let properties = spec["properties"].as_object_mut().unwrap();
    properties.remove("logoUrl");
    properties["scopes"]
        .as_object_mut()
        .unwrap()
        .remove("minItems");
}

/// As a version after this one may have it.
fn newer(definition: &mut Value) {
    let spec = definition.pointer_mut(SPEC).unwrap();
    spec["description"] = json!("A newer version.");
    spec["properties"]["colour"] = json!({"type": "string", "default": "blue"});
}

/// Waits until a definition is what requests meet, and not only what it says.
async fn in_force(setup: &Setup<'_>, what: &str, object: &Value, is_it: impl Fn(&str) -> bool) {
    eventually(what, async || {
        let create = [
            "create",
            "--dry-run=server",
            "-o",
            "json",
            "--filename",
            "-",
        ];
        let create = [&create[..], &["--namespace", &setup.owners]].concat();
        let said = setup
            .cluster
            .kubectl_with(&create, &object.to_string())
            .await;
        let said = said.output();
        if is_it(&said) { Ok(()) } else { Err(said) }
    })
    .await;
}

fn object(spec: &Value) -> Value {
    let mut object = serde_json::to_value(super::setup::application("probe", spec)).unwrap();
    object["apiVersion"] = json!("flightgate.dev/v1alpha1");
    object
}

#[tokio::test]
async fn definitions_are_upgraded_under_fifty_that_live_and_nothing_is_written() {
    let plane = ControlPlane::start().await;
    let setup = Setup::on(plane.cluster(), "upgrade").await;
    redefine(setup.cluster, older).await;
    let unscoped = object(&json!({"scopes": []}));
    in_force(&setup, "the older definition", &unscoped, |it| {
        it.contains("\"uid\"")
    })
    .await;
    let off = json!({"leaderElection": {"mode": "off"}});
    let mut operator = setup.start("first", &off);
    operator.leads().await;
    for i in 0..50 {
        setup.create(&format!("app-{i}"), &json!({})).await;
    }
    // What today's definition does not permit, and what never had a scope.
    setup.create("unscoped", &json!({"scopes": []})).await;
    for i in 0..50 {
        setup.ready(&format!("app-{i}")).await;
    }
    setup.ready("unscoped").await;
    // Events are told at a measured pace.
    for i in 0..50 {
        setup.event(&format!("app-{i}"), "Served").await;
    }
    setup.event("unscoped", "Served").await;
    let before = operator.requests(&WRITES).await;

    setup.cluster.install_definitions().await;
    in_force(&setup, "today's definition", &unscoped, |it| {
        it.contains("at least 1 items")
    })
    .await;
    redefine(setup.cluster, newer).await;
    let scoped = object(&json!({}));
    in_force(&setup, "the newer definition", &scoped, |it| {
        it.contains("\"colour\": \"blue\"")
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(operator.requests(&WRITES).await, before, "no write storm");
    for i in 0..50 {
        setup.ready(&format!("app-{i}")).await;
    }

    // The watch lives on, and so does what is no longer permitted.
    setup
        .change("app-7", &json!({"displayName": "Another"}))
        .await;
    setup.ready("app-7").await;
    setup.create("later", &json!({})).await;
    setup.ready("later").await;
    let api = setup.api::<OAuthApplication>();
    api.delete("unscoped", &DeleteParams::default())
        .await
        .unwrap();
    setup.gone(&api, "unscoped").await;
    let name = setup.config_name("unscoped");
    setup.gone(&setup.configs(), &name).await;
    setup
        .gone(&setup.credentials(), "unscoped-credentials")
        .await;
    operator.process.assert_runs();
}

#[tokio::test]
async fn with_the_definition_goes_what_the_policies_say_and_it_can_come_back() {
    let plane = ControlPlane::start().await;
    let setup = Setup::on(plane.cluster(), "undefined").await;
    let mut operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let orphan = json!({"deletionPolicy": DeletionPolicy::Orphan});
    setup.create("kept", &orphan).await;
    setup.ready("acme").await;
    let kept = setup.ready("kept").await.status.unwrap().client_id;
    let api: Api<CustomResourceDefinition> = Api::all(setup.client.clone());
    api.delete(NAME, &DeleteParams::default()).await.unwrap();
    setup.gone(&api, NAME).await;
    setup
        .gone(&setup.configs(), &setup.config_name("acme"))
        .await;
    setup.gone(&setup.credentials(), "acme-credentials").await;
    let document = setup.configs().get(&setup.config_name("kept")).await;
    assert_eq!(document.unwrap().metadata.deletion_timestamp, None);
    assert_eq!(
        Some(setup.credential("kept-credentials", "client_id").await),
        kept
    );
    operator.process.assert_runs();

    setup.cluster.install_definitions().await;
    setup.create("acme", &json!({})).await;
    setup.create("kept", &orphan).await;
    setup.ready("acme").await;
    assert_eq!(setup.ready("kept").await.status.unwrap().client_id, kept);
    operator.process.assert_runs();
}

#[tokio::test]
async fn documents_wait_for_a_definition_that_is_not_there_yet() {
    let plane = ControlPlane::start().await;
    let setup = Setup::on(plane.cluster(), "restore").await;
    let mut operator = setup.operator().await;
    for name in ["acme", "gone"] {
        setup.create(name, &json!({})).await;
        setup.ready(name).await;
    }
    operator.process.kill();
    // As after a restore that has come to the Secrets and not to the definitions.
    let resources = setup.api::<OAuthApplication>();
    let backup = resources.get("acme").await.unwrap();
    for name in ["acme", "gone"] {
        let finalizers = json!({"metadata": {"finalizers": null}});
        let patch = Patch::Merge(&finalizers);
        resources
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }
    let api: Api<CustomResourceDefinition> = Api::all(setup.client.clone());
    api.delete(NAME, &DeleteParams::default()).await.unwrap();
    setup.gone(&api, NAME).await;
    let configs = setup.configs();
    // Of a kind that is defined, and forgotten: it shows that there was a sweep.
    let forgotten = orphan("ApiKey", &setup.owners, "forgotten", &json!({}));
    configs
        .create(&PostParams::default(), &forgotten)
        .await
        .unwrap();
    let operator = setup.operator().await;
    setup
        .gone(&configs, forgotten.metadata.name.as_deref().unwrap())
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for name in ["acme", "gone"] {
        let document = configs.get_opt(&setup.config_name(name)).await.unwrap();
        assert!(
            document.is_some(),
            "{name} is served on: {}",
            operator.log()
        );
    }

    setup.cluster.install_definitions().await;
    let restored = super::backup::bare(backup.clone());
    resources
        .create(&PostParams::default(), &restored)
        .await
        .unwrap();
    let id = backup.status.unwrap().client_id;
    assert_eq!(setup.ready("acme").await.status.unwrap().client_id, id);
    setup.gone(&configs, &setup.config_name("gone")).await;
    assert_eq!(
        Some(setup.credential("acme-credentials", "client_id").await),
        id
    );
}
