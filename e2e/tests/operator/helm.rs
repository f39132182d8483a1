//! The chart, as helm renders it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::LazyLock,
};

use flightgate_e2e::source;
use serde_json::Value;

/// The chart's manifests for a release in this namespace.
pub(super) fn render(namespace: &str, values: &Path) -> String {
    let output = template(namespace, values);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "helm: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The same, whatever comes of it.
pub(super) fn template(namespace: &str, values: &Path) -> Output {
    helm("template", namespace, values)
        .args(["--kube-version", "1.34"])
        .output()
        .unwrap()
}

/// What does this with a release of the chart in this namespace.
pub(super) fn helm(verb: &str, namespace: &str, values: &Path) -> Command {
    let mut helm = Command::new(&*HELM);
    helm.args([verb, "fg"])
        .arg(source("../charts/flightgate"))
        .args(["--namespace", namespace, "--values"])
        .arg(values);
    helm
}

/// The file of this name in the one `ConfigMap` of these manifests that has it.
pub(super) fn file(rendered: &str, name: &str) -> String {
    let mark = format!("{name}: |");
    let mut maps = rendered.split("\n---").filter(|it| it.contains(&mark));
    let (Some(map), None) = (maps.next(), maps.next()) else {
        panic!("not one ConfigMap with {name}: {rendered}")
    };
    let map: Value = serde_yaml::from_str(map).unwrap();
    map["data"][name].as_str().unwrap().to_owned()
}

/// The one that the chart is tested with, built if it is not there.
pub(super) static HELM: LazyLock<PathBuf> = LazyLock::new(|| {
    let output = Command::new(source("../scripts/helm.sh"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "scripts/helm.sh failed");
    let path = String::from_utf8(output.stdout).unwrap();
    PathBuf::from(path.trim_end())
});
