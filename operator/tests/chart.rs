//! The chart brings the definitions that this build understands.

#![allow(clippy::unwrap_used, reason = "a test that fails may")]

use std::{collections::BTreeMap, fs, path::Path};

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
