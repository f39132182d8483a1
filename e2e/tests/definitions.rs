//! The definitions, as an API server and kubectl see them.

use std::collections::BTreeSet;

use flightgate_e2e::{Cluster, eventually};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::{Api, ResourceExt};

/// An API server refuses a rule that could cost too much, so that it took the
/// definitions says that none can; what else it does not like, it says in
/// conditions.
#[tokio::test]
async fn the_api_server_takes_the_definitions_as_they_are() {
    let cluster = Cluster::shared().await;
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client().await);
    for definition in crds::definitions() {
        let name = definition.name_any();
        let there = api.get(&name).await.unwrap();
        let conditions = there.status.unwrap().conditions.unwrap();
        let holding: BTreeSet<_> = conditions
            .iter()
            .filter(|it| it.status == "True")
            .map(|it| it.type_.as_str())
            .collect();
        // Neither NonStructuralSchema nor KubernetesAPIApprovalPolicyConformant.
        assert_eq!(
            holding,
            BTreeSet::from(["Established", "NamesAccepted"]),
            "{name}: {conditions:#?}"
        );
        let expected = &definition.spec.versions[0];
        let served = &there.spec.versions[0];
        assert_eq!(
            served.schema, expected.schema,
            "{name}: the schema changed on its way"
        );
    }
}

#[tokio::test]
async fn the_category_and_the_short_name_find_them() {
    let cluster = Cluster::shared().await;
    let said = cluster
        .kubectl(&[
            "api-resources",
            "--api-group",
            crds::GROUP,
            "--categories",
            "flightgate",
            "--output",
            "name",
        ])
        .await
        .ok();
    let names: BTreeSet<_> = said.lines().collect();
    let expected = crds::definitions().map(|it| it.name_any());
    assert_eq!(names, expected.iter().map(String::as_str).collect());
    cluster.kubectl(&["get", "oapp"]).await.ok();
}

/// The paths of all objects below a schema, and of the fields of each.
fn objects(path: &str, schema: &JSONSchemaProps, found: &mut Vec<(String, Vec<String>)>) {
    let properties = schema.properties.iter().flatten();
    let fields: Vec<_> = properties.clone().map(|(name, _)| name.clone()).collect();
    if !fields.is_empty() {
        found.push((path.to_owned(), fields));
    }
    for (name, property) in properties {
        let items = property.items.as_ref().map(|items| {
            let JSONSchemaPropsOrArray::Schema(items) = items else {
                panic!("{path}.{name}: {items:?}");
            };
            items.as_ref()
        });
        objects(&format!("{path}.{name}"), items.unwrap_or(property), found);
    }
}

/// `kubectl explain` reads as documentation: of every object, a description of
/// the object and of each of its fields.
#[tokio::test]
async fn kubectl_explains_every_field() {
    let cluster = Cluster::shared().await;
    let mut paths = Vec::new();
    for definition in crds::definitions() {
        let schema = definition.spec.versions[0]
            .schema
            .clone()
            .unwrap()
            .open_api_v3_schema
            .unwrap();
        objects(
            &definition.spec.names.kind.to_lowercase(),
            &schema,
            &mut paths,
        );
    }
    assert!(
        paths
            .iter()
            .any(|(path, _)| path == "oauthapplication.spec.secret.rotation")
    );
    // What kubectl reads for it follows the definitions a little later.
    eventually("an API server that can explain", async || {
        let mut errors = String::new();
        for kind in ["oauthapplication", "apikey", "webhook"] {
            errors += &cluster.kubectl(&["explain", kind]).await.errors();
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    })
    .await;
    for (path, fields) in paths {
        let said = cluster.kubectl(&["explain", &path]).await.ok();
        let (head, body) = said
            .split_once("\nFIELDS:\n")
            .unwrap_or_else(|| panic!("{path}: {said}"));
        let (_, description) = head.split_once("DESCRIPTION:\n").unwrap();
        assert!(is_said(description), "{path}:\n{said}");
        for field in fields {
            let start = format!("  {field}\t<");
            let (_, text) = body
                .split_once(&start)
                .unwrap_or_else(|| panic!("{path} without {field}:\n{said}"));
            let text = text.split("\n\n").next().unwrap();
            let text = text.split_once('\n').map_or("", |(_, text)| text);
            assert!(is_said(text), "{path}.{field}:\n{said}");
        }
    }
}

fn is_said(text: &str) -> bool {
    let text = text.trim();
    text.len() > 10 && !text.contains("<no description>") && text.contains(' ')
}
