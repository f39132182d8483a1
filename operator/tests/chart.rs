//! What stands beside the code fits it: the chart's definitions, the documents'
//! examples.

#![allow(clippy::unwrap_used, reason = "a test that fails may")]

use std::{collections::BTreeMap, fs, path::Path};

use flightgate_operator::config::OperatorConfig;

fn files(folder: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder);
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let files = entries.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read_to_string(entry.path()).unwrap())
    });
    files.collect()
}

#[test]
fn the_charts_definitions_are_those_of_crds() {
    assert_eq!(
        files("charts/flightgate/crds"),
        files("crds/yaml"),
        "run make crds"
    );
}

#[test]
fn the_documented_operator_yaml_is_good_and_says_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kubernetes.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, text) = text.split_once("\n## operator.yaml\n").unwrap();
    let (_, text) = text.split_once("```yaml\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    let told = OperatorConfig::from_yaml(text).unwrap();
    assert!(told.check().is_empty(), "{:?}", told.check());
    let small = "namespaces: all\ngateways: [{namespace: a, configMap: b}]\n";
    let small = OperatorConfig::from_yaml(small).unwrap();
    let (told_gateway, gateway) = (&told.gateways[0], &small.gateways[0]);
    assert_eq!(told_gateway.name, gateway.name);
    assert_eq!(told_gateway.selector, gateway.selector);
    assert_eq!(told_gateway.admin_port, gateway.admin_port);
    assert_eq!(told.listen, small.listen);
    let (told, small) = (told.leader_election, small.leader_election);
    assert_eq!((told.mode, &told.name), (small.mode, &small.name));
    assert_eq!(told.periods(), small.periods());
}
