//! Where programs come from, and how they are run.

use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{LazyLock, Mutex, PoisonError},
};

use crate::process::{Process, beside_the_tests};

/// A folder with programs that need not be built again.
const BINARIES: &str = "FLIGHTGATE_E2E_BINARIES";

/// A program of this workspace that is about to run.
pub struct Program {
    name: String,
    path: Option<PathBuf>,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    log: PathBuf,
}

impl Program {
    pub(crate) fn new(name: &str, log: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            path: None,
            arguments: Vec::new(),
            variables: Vec::new(),
            log,
        }
    }

    /// Takes it from this file, rather than to build it.
    #[must_use]
    pub fn at(mut self, path: &Path) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let arguments = arguments.into_iter();
        self.arguments
            .extend(arguments.map(|it| it.as_ref().to_owned()));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables
            .push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Starts it.
    pub fn start(self) -> Process {
        let program = self.path.unwrap_or_else(|| built(&self.name));
        Process::start(
            &self.name,
            &program,
            &self.arguments,
            &self.variables,
            self.log,
        )
    }
}

/// The file of a program of this workspace, built from what the sources are now.
pub fn built(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if let Some(folder) = env::var_os(BINARIES) {
        return Path::new(&folder).join(name);
    }
    let path = beside_the_tests(name);
    // Held while building, so that one test builds and the others wait.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if !built.contains(name) {
        build(name, &path);
        built.insert(name.to_owned());
    }
    path
}

fn build(name: &str, path: &Path) {
    let folder = path.parent().unwrap();
    let profile = match folder.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let package = match name {
        "kubectl-flightgate" => "flightgate-operator",
        name => name,
    };
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", package, "--bin", name])
        .args(["--profile", profile, "--target-dir"])
        .arg(folder.parent().unwrap())
        .current_dir(source(""))
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "cargo build of {name}: {status}");
}

/// A path in this crate's folder. Cargo says where that is when it runs tests,
/// which counts more than where it was at the time of building: clones that
/// share a target folder share what was built.
pub fn source(path: &str) -> PathBuf {
    let now = env::var_os("CARGO_MANIFEST_DIR");
    let folder = now.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&folder).join(path)
}

/// The programs of Kubernetes in one file, built if they are not in the cache.
pub(crate) fn kube() -> &'static Path {
    static KUBE: LazyLock<PathBuf> = LazyLock::new(|| {
        let script = source("cluster/build.sh");
        let output = Command::new(&script)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", script.display()));
        assert!(output.status.success(), "{} failed", script.display());
        let path = String::from_utf8(output.stdout).unwrap();
        PathBuf::from(path.trim_end())
    });
    &KUBE
}

/// The program of this name on the `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
