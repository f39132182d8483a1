//! The chart, as helm renders it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use flightgate_e2e::source;

const VERSION: &str = "v3.22.0";

/// The chart's manifests for a release in this namespace.
pub(super) fn render(namespace: &str, values: &Path) -> String {
    let output = Command::new(&*HELM)
        .args(["template", "fg"])
        .arg(source("../charts/flightgate"))
        .args([
            "--namespace",
            namespace,
            "--kube-version",
            "1.34",
            "--values",
        ])
        .arg(values)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "helm: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one on the `PATH`; else one that is built once, from its published module.
static HELM: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = env::var_os("PATH").unwrap_or_default();
    let installed = env::split_paths(&path).map(|folder| folder.join("helm"));
    if let Some(helm) = installed.into_iter().find(|it| it.is_file()) {
        return helm;
    }
    let cache = env::var_os("FLIGHTGATE_CACHE").map(PathBuf::from);
    let cache =
        cache.unwrap_or_else(|| Path::new(&env::var_os("HOME").unwrap()).join(".cache/flightgate"));
    let folder = cache.join(format!("helm-{VERSION}"));
    let helm = folder.join("helm");
    fs::create_dir_all(&folder).unwrap();
    // One builds, others wait.
    let lock = fs::File::create(folder.join(".lock")).unwrap();
    lock.lock().unwrap();
    if !helm.is_file() {
        let status = Command::new("go")
            .args(["install", "-trimpath", "-ldflags=-s -w"])
            .arg(format!("helm.sh/helm/v3/cmd/helm@{VERSION}"))
            .env("GOBIN", &folder)
            .env("CGO_ENABLED", "0")
            .status()
            .unwrap();
        assert!(status.success(), "go install of helm: {status}");
    }
    helm
});
