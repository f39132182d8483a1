//! A folder with everything that one gateway needs, and the programs that were
//! built before.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::gateway::Gateway;

/// How long anything may take before a test gives up on it. It bounds a test
/// that hangs; no test that passes comes near it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Programmes to copy, a folder each.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

/// A partner that reads and writes.
pub(crate) const ACME: &str = "\
apiVersion: flightgate.dev/v1alpha1
kind: OAuthApplication
metadata: {name: acme, namespace: partners}
spec:
  displayName: Acme Soaring
  grantTypes: [client_credentials]
  scopes: [\"flights:read\", \"flights:write\"]
  plan: standard
";

/// A pilot's own key.
pub(crate) const ANNA: &str = "\
apiVersion: flightgate.dev/v1alpha1
kind: ApiKey
metadata: {name: anna, namespace: partners}
spec:
  subject: pilot:anna
  displayName: Anna
  scopes: [\"flights:read\"]
  expiresAfter: 90d
";

/// An application like [`ACME`] under another name.
pub(crate) fn like_acme(name: &str) -> String {
    ACME.replace("name: acme", &format!("name: {name}"))
}

/// The file of a program that was built before.
pub(crate) fn program(name: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let path = here.parent().and_then(Path::parent).unwrap().join(name);
    assert!(
        path.exists(),
        "{} is missing: build it first with `cargo build --workspace --bins`, as `make test` does",
        path.display()
    );
    path
}

/// Waits for this future, and fails where it never comes.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = tokio::time::timeout(PATIENCE, future).await else {
        panic!("{what}: nothing came within {PATIENCE:?}")
    };
    value
}

/// Asks until the answer is yes.
pub(crate) async fn eventually(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let all = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(what, all).await;
}

/// What a partner was given.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) previous: Option<String>,
}

/// A folder with configuration, manifests and all that comes from them.
pub(crate) struct Site {
    folder: TempDir,
    /// `gateway.yaml`, to be changed before a start.
    pub(crate) config: Value,
}

impl Site {
    /// The example's configuration on free ports, before this upstream, for two
    /// applications, `acme` and `globex`, and Anna's key.
    pub(crate) fn new(upstream: SocketAddr) -> Self {
        let site = Self::configured_as("we-fly", upstream);
        site.manifest("acme", ACME);
        site.manifest("globex", &like_acme("globex"));
        site.manifest("anna", ANNA);
        site
    }

    /// A whole example, configuration and manifests, on free ports before this
    /// upstream.
    pub(crate) fn of_example(name: &str, upstream: SocketAddr) -> Self {
        let site = Self::configured_as(name, upstream);
        let manifests = Path::new(EXAMPLES).join(name).join("manifests");
        for file in fs::read_dir(manifests).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            site.manifest(name, &fs::read_to_string(&path).unwrap());
        }
        site
    }

    fn configured_as(example: &str, upstream: SocketAddr) -> Self {
        let text = Path::new(EXAMPLES).join(example).join("gateway.yaml");
        let text = fs::read_to_string(text).unwrap();
        let mut config: Value = serde_yaml::from_str(&text).unwrap();
        config["issuer"] = json!("https://localhost:0");
        config["workers"] = json!(2);
        for listener in ["public", "admin", "internal"] {
            config["listen"][listener] = json!("127.0.0.1:0");
        }
        let mut site = Self {
            folder: tempfile::tempdir().unwrap(),
            config,
        };
        site.lead_to(upstream);
        site
    }

    /// A gateway of that, started.
    pub(crate) async fn running(upstream: SocketAddr) -> (Self, Gateway) {
        Self::running_with(upstream, |_| {}).await
    }

    /// A gateway of that, with changes, started.
    pub(crate) async fn running_with(
        upstream: SocketAddr,
        change: impl FnOnce(&mut Self),
    ) -> (Self, Gateway) {
        let mut site = Self::new(upstream);
        change(&mut site);
        site.compile();
        let gateway = site.start().await;
        (site, gateway)
    }

    /// Every route leads to this upstream.
    pub(crate) fn lead_to(&mut self, upstream: SocketAddr) {
        for route in self.config["routes"].as_array_mut().unwrap() {
            route["upstream"] = json!(format!("http://{upstream}"));
        }
    }

    /// A path below the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a manifest.
    pub(crate) fn manifest(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path("manifests")).unwrap();
        fs::write(self.path(&format!("manifests/{name}.yaml")), text).unwrap();
    }

    /// Takes a manifest away.
    pub(crate) fn without_manifest(&self, name: &str) {
        fs::remove_file(self.path(&format!("manifests/{name}.yaml"))).unwrap();
    }

    /// Writes the configuration, and says where.
    pub(crate) fn write_config(&self) -> PathBuf {
        let path = self.path("gateway.yaml");
        fs::write(&path, serde_yaml::to_string(&self.config).unwrap()).unwrap();
        path
    }

    /// Runs the operator over the manifests.
    pub(crate) fn compile(&self) {
        let output = self.try_compile();
        assert!(
            output.status.success(),
            "compile: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Runs the operator over the manifests, whatever comes of it.
    pub(crate) fn try_compile(&self) -> Output {
        Command::new(program("flightgate-operator"))
            .arg("compile")
            .arg("--manifests")
            .arg(self.path("manifests"))
            .arg("--config")
            .arg(self.write_config())
            .arg("--out")
            .arg(self.path("out"))
            .output()
            .unwrap()
    }

    /// The credentials of an application, as its partner gets them.
    pub(crate) fn credentials(&self, name: &str) -> Credentials {
        let mut env = self.env(&format!("{name}-credentials"));
        Credentials {
            id: env.remove("CLIENT_ID").unwrap(),
            secret: env.remove("CLIENT_SECRET").unwrap(),
            previous: env.remove("PREVIOUS_CLIENT_SECRET"),
        }
    }

    /// The id of an application, which a public one has without credentials.
    pub(crate) fn client_id(&self, name: &str) -> String {
        let document: Value =
            serde_json::from_slice(&fs::read(self.document(name)).unwrap()).unwrap();
        let id = &document["resource"]["oauthApplication"]["clientId"];
        id.as_str().unwrap().to_owned()
    }

    /// An API key, as its owner gets it.
    pub(crate) fn api_key(&self, name: &str) -> String {
        self.env(&format!("{name}-api-key"))
            .remove("API_KEY")
            .unwrap()
    }

    fn env(&self, name: &str) -> BTreeMap<String, String> {
        let path = self.path(&format!("out/credentials/partners.{name}.env"));
        let text = fs::read_to_string(path).unwrap();
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// The folder of the gateway's documents.
    pub(crate) fn resources(&self) -> PathBuf {
        self.path("out/resources")
    }

    /// The file of an application's document.
    pub(crate) fn document(&self, name: &str) -> PathBuf {
        self.resources()
            .join(format!("oauthapplication.partners.{name}.json"))
    }

    /// The command that starts the gateway.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(program("flightgate-gateway"));
        command
            .arg("serve")
            .arg("--config")
            .arg(self.write_config())
            .arg("--resources")
            .arg(self.resources())
            .arg("--ready-file")
            .arg(self.path("ready.json"));
        command
    }

    /// Starts the gateway and waits until it is ready.
    pub(crate) async fn start(&self) -> Gateway {
        Gateway::start(self, self.command()).await
    }

    /// Starts a gateway that is expected to give up, and says what it said.
    pub(crate) async fn start_in_vain(&self) -> Output {
        let mut command = self.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Killed(Some(command.spawn().unwrap()));
        eventually("a gateway that gives up", async || {
            let child = child.0.as_mut().unwrap();
            child.try_wait().unwrap().is_some()
        })
        .await;
        child.0.take().unwrap().wait_with_output().unwrap()
    }

    /// What all gateways of this folder have logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("gateway.log")).unwrap_or_default()
    }
}

/// A process that does not outlive its test.
struct Killed(Option<Child>);

impl Drop for Killed {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a program said on standard error.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}
