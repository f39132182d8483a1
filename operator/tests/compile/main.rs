//! `flightgate-operator compile`, as its users see it: a folder in, a folder
//! out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::SystemTime,
};

use crds::contract::{Document, Resource};
use flightgate_operator::{
    compile::{self, Failure, Options, Report},
    mint::System,
};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

mod credentials;
mod input;
mod output;

const GATEWAY: &str = include_str!("../manifests/gateway.yaml");

const ACME: &str = "\
apiVersion: flightgate.dev/v1alpha1
kind: OAuthApplication
metadata: {name: acme, namespace: partners}
spec:
  displayName: Acme Soaring
  grantTypes: [client_credentials]
  scopes: [\"flights:read\", \"flights:write\"]
";
const ANNA: &str = "\
apiVersion: flightgate.dev/v1alpha1
kind: ApiKey
metadata: {name: anna, namespace: partners}
spec:
  subject: pilot:anna
  displayName: Anna
  scopes: [\"flights:read\"]
  expiresAfter: 90d
";
const HOOK: &str = "\
apiVersion: flightgate.dev/v1alpha1
kind: Webhook
metadata: {name: flights, namespace: partners}
spec:
  applicationRef: {name: acme}
  url: https://acme.example/hooks
  events: [flight.uploaded]
";
const ACME_FILE: &str = "oauthapplication.partners.acme.json";
const ACME_ENV: &str = "partners.acme-credentials.env";

struct Bench {
    folder: TempDir,
    now: Timestamp,
}

impl Bench {
    fn new(manifests: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("manifests")).unwrap();
        fs::write(folder.path().join("gateway.yaml"), GATEWAY).unwrap();
        let bench = Self {
            folder,
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
        };
        for (name, text) in manifests {
            bench.put(name, text);
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.path("manifests").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn take_away(&self, name: &str) {
        fs::remove_file(self.path("manifests").join(name)).unwrap();
    }

    fn pass(&mut self, hours: i64) {
        self.now = self
            .now
            .checked_add(SignedDuration::from_hours(hours))
            .unwrap();
    }

    /// In this process, at the bench's time.
    fn run(&self) -> Result<Report, Failure> {
        let options = Options {
            manifests: self.path("manifests"),
            config: self.path("gateway.yaml"),
            out: self.path("out"),
            namespace: "default".into(),
            gateway: "default".into(),
        };
        compile::compile(&options, self.now, &System)
    }

    fn refusals(&self) -> String {
        self.run().unwrap_err().to_string()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flightgate-operator"));
        command
            .arg("compile")
            .arg("--manifests")
            .arg(self.path("manifests"))
            .arg("--config")
            .arg(self.path("gateway.yaml"))
            .arg("--out")
            .arg(self.path("out"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn binary(&self, more: &[&str]) -> Output {
        self.command()
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .unwrap()
    }

    fn document(&self, file: &str) -> Document {
        Document::from_json(&fs::read(self.path("out/resources").join(file)).unwrap()).unwrap()
    }

    fn acme(&self) -> crds::contract::Application {
        match self.document(ACME_FILE).resource {
            Resource::OauthApplication(application) => application,
            other => panic!("{other:?}"),
        }
    }

    fn env(&self, file: &str) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.path("out/credentials").join(file)).unwrap();
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// Every file of the output, with its content and the time of its change.
    fn snapshot(&self) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
        fn walk(folder: &Path, files: &mut BTreeMap<PathBuf, (Vec<u8>, SystemTime)>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, files);
                } else {
                    let changed = fs::metadata(&path).unwrap().modified().unwrap();
                    files.insert(path.clone(), (fs::read(&path).unwrap(), changed));
                }
            }
        }
        let mut files = BTreeMap::new();
        walk(&self.path("out"), &mut files);
        files
    }
}
