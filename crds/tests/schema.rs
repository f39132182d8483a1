//! The definitions in `yaml/` are those that the types give.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may")]

use std::{fs, path::Path};

/// After a change of the types: `cargo run -p crds --bin crdgen`.
#[test]
fn the_yaml_files_are_what_crdgen_writes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml");
    let definitions = crds::definitions();
    for definition in &definitions {
        let file = folder.join(format!("{}.yaml", definition.spec.names.plural));
        let written = fs::read_to_string(&file).unwrap();
        let generated = serde_yaml::to_string(definition).unwrap();
        assert!(
            written == generated,
            "{} has drifted: run crdgen",
            file.display()
        );
    }
    assert_eq!(fs::read_dir(folder).unwrap().count(), definitions.len());
}

/// What stands here is what `kubectl explain` prints, so every field says
/// something.
#[test]
fn every_field_is_described() {
    fn walk(path: &str, schema: &serde_json::Value, silent: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if property["description"]
                .as_str()
                .is_none_or(|text| text.len() < 10)
            {
                silent.push(path.clone());
            }
            walk(&path, property, silent);
            walk(&path, &property["items"], silent);
        }
    }
    let mut silent = Vec::new();
    for definition in crds::definitions() {
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
        let kind = &definition.spec.names.kind;
        walk(kind, &schema["openAPIV3Schema"], &mut silent);
    }
    silent.retain(|path| !path.ends_with(".status"));
    assert!(silent.is_empty(), "{silent:?}");
}

/// The API server bounds the cost of a rule by the bounds of what it reads.
#[test]
fn every_string_and_list_of_a_spec_is_bounded() {
    fn walk(path: &str, schema: &serde_json::Value, unbounded: &mut Vec<String>) {
        let bound = match schema["type"].as_str() {
            Some("string") if schema["enum"].is_null() => "maxLength",
            Some("array") => "maxItems",
            _ => "type",
        };
        if schema[bound].is_null() {
            unbounded.push(path.to_owned());
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(&format!("{path}.{name}"), property, unbounded);
        }
        if !schema["items"].is_null() {
            walk(&format!("{path}[]"), &schema["items"], unbounded);
        }
    }
    let mut unbounded = Vec::new();
    for definition in crds::definitions() {
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
        let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
        walk(&definition.spec.names.kind, spec, &mut unbounded);
    }
    assert!(unbounded.is_empty(), "{unbounded:?}");
}

#[test]
fn every_rule_says_what_to_write() {
    fn walk(schema: &serde_json::Value, count: &mut usize) {
        for rule in schema["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            assert!(
                rule["message"].as_str().is_some_and(|text| text.len() > 20),
                "{rule}"
            );
            *count += 1;
        }
        for property in schema["properties"]
            .as_object()
            .into_iter()
            .flat_map(|map| map.values())
        {
            walk(property, count);
        }
        if !schema["items"].is_null() {
            walk(&schema["items"], count);
        }
    }
    let mut count = 0;
    for definition in crds::definitions() {
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
        walk(&schema["openAPIV3Schema"], &mut count);
    }
    assert!(count > 40, "{count}");
}
