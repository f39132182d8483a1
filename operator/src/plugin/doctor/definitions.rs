//! Are the definitions there, and do they know what this binary knows?

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client};
use serde_json::{Map, Value};

use super::Finding;
use crate::plugin::{
    api::{self, ApiError, Request},
    kind::Kind,
};

const APPLY: &str = "kubectl apply --server-side -f crds/yaml (of the release that you run)";

/// A definition, as far as it could be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Definition {
    /// It is not there.
    Missing,
    /// It is there, and not served.
    NotEstablished(String),
    /// It is served; the user may not see more of it.
    Served,
    /// It is served.
    Installed {
        /// What this binary's definition has and that one has not.
        lacks: Vec<String>,
    },
}

/// Looks at all three.
pub(super) async fn look(client: &Client) -> Result<Vec<(Kind, Definition)>, ApiError> {
    // Without discovery there is no API server to speak of.
    let served = api::served(client).await?;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut definitions = Vec::new();
    for (kind, ours) in Kind::ALL.into_iter().zip(crds::definitions()) {
        let name = format!("{}.{}", kind.plural(), crds::GROUP);
        let definition = match api.get_opt(&name).await {
            Ok(Some(theirs)) => compare(&ours, &theirs),
            Ok(None) => Definition::Missing,
            Err(error) => match Request::core("get", "definitions", None).failed(error) {
                ApiError::Forbidden(_) if served.contains(&kind) => Definition::Served,
                ApiError::Forbidden(_) => Definition::Missing,
                other => return Err(other),
            },
        };
        definitions.push((kind, definition));
    }
    Ok(definitions)
}

fn compare(ours: &CustomResourceDefinition, theirs: &CustomResourceDefinition) -> Definition {
    let conditions = theirs.status.as_ref().and_then(|it| it.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    if let Some(condition) = conditions.find(|it| it.type_ == "Established" && it.status != "True")
    {
        let message = condition.message.clone();
        return Definition::NotEstablished(message.unwrap_or_default());
    }
    let (ours, theirs) = (features(ours), features(theirs));
    let lacks: BTreeSet<_> = ours.difference(&theirs).map(|(path, _)| path).collect();
    Definition::Installed {
        lacks: lacks.into_iter().cloned().collect(),
    }
}

/// What a definition can do: its fields, their values and their rules, each
/// with where it is.
fn features(definition: &CustomResourceDefinition) -> BTreeSet<(String, String)> {
    let mut features = BTreeSet::new();
    for version in &definition.spec.versions {
        let schema = version.schema.as_ref();
        let schema = schema.and_then(|it| it.open_api_v3_schema.as_ref());
        // A schema always has a form in JSON.
        let schema = serde_json::to_value(schema).unwrap_or_default();
        collect(&schema, &version.name, &mut features);
    }
    features
}

fn collect(schema: &Value, path: &str, features: &mut BTreeSet<(String, String)>) {
    features.insert((path.into(), String::new()));
    let list = |key: &str| {
        schema
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    for value in list("enum") {
        features.insert((path.into(), value.to_string()));
    }
    for rule in list("x-kubernetes-validations") {
        let rule = rule.get("rule").and_then(Value::as_str);
        features.insert((path.into(), rule.unwrap_or_default().into()));
    }
    if let Some(items) = schema.get("items") {
        collect(items, &format!("{path}[]"), features);
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flat_map(Map::iter) {
        collect(schema, &format!("{path}.{name}"), features);
    }
}

/// What is wrong with them.
pub(super) fn judge(definitions: &[(Kind, Definition)]) -> Vec<Finding> {
    const SHOWN: usize = 3;
    let findings = definitions.iter().filter_map(|(kind, definition)| {
        let name = format!("{}.{}", kind.plural(), crds::GROUP);
        match definition {
            Definition::Missing => Some(Finding::wrong(
                format!("The definition {name} is not installed."),
                APPLY,
            )),
            Definition::NotEstablished(message) => Some(Finding::wrong(
                format!("The definition {name} is not established: {message}"),
                format!("kubectl describe crd {name}"),
            )),
            Definition::Installed { lacks } if !lacks.is_empty() => {
                let more = match lacks.len().saturating_sub(SHOWN) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let lacks = lacks[..lacks.len().min(SHOWN)].join(", ");
                Some(Finding::wrong(
                    format!(
                        "The definition {name} is older than this binary ({}): it differs at {lacks}{more}.",
                        env!("CARGO_PKG_VERSION")
                    ),
                    APPLY,
                ))
            }
            Definition::Served | Definition::Installed { .. } => None,
        }
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_that_lacks_a_field_or_a_rule_is_older() {
        let [ours, ..] = crds::definitions();
        assert_eq!(
            compare(&ours, &ours),
            Definition::Installed { lacks: Vec::new() }
        );
        let mut value = serde_json::to_value(&ours).unwrap();
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
        let spec = value.pointer_mut(spec).unwrap();
        spec["properties"].as_object_mut().unwrap().remove("plan");
        let theirs: CustomResourceDefinition = serde_json::from_value(value.clone()).unwrap();
        let definition = compare(&ours, &theirs);
        let lacks = vec!["v1alpha1.spec.plan".to_owned()];
        assert_eq!(definition, Definition::Installed { lacks });
        let findings = judge(&[(Kind::Application, definition)]);
        assert!(
            findings[0]
                .what
                .contains("oauthapplications.flightgate.dev is older")
        );
        // The other way round it knows more than we do.
        assert_eq!(
            compare(&theirs, &ours),
            Definition::Installed { lacks: Vec::new() }
        );
    }

    #[test]
    fn what_is_not_there_is_told() {
        let findings = judge(&[
            (Kind::Application, Definition::Missing),
            (Kind::ApiKey, Definition::Served),
        ]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].step.contains("kubectl apply"));
    }
}
