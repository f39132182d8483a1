//! What the API server and `compile` say to a manifest.

use std::{fmt, fs, path::PathBuf, process::Command};

use flightgate_e2e::{built, source, within};
use http::{Method, Request, header::CONTENT_TYPE};
use kube::{
    Client,
    core::response::{Status, StatusCause},
};
use serde_json::Value;
use tempfile::TempDir;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Complaint {
    /// Which field; none, where the whole document cannot be read.
    pub(crate) field: String,
    pub(crate) message: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl Complaint {
    /// Whether it says these words of this field: `FIELD: WORDS`, of which
    /// either may be left out.
    pub(crate) fn says(&self, expected: &str) -> bool {
        let of_field = expected
            .strip_prefix(&self.field)
            .and_then(|rest| rest.strip_prefix(": "));
        of_field.is_some_and(|words| self.message.contains(words))
            || self.to_string().contains(expected)
    }
}

/// A manifest as it was accepted, or what is wrong with it.
pub(crate) type Verdict = Result<Value, Vec<Complaint>>;

/// A document of the table.
pub(crate) struct Case {
    pub(crate) file: String,
    pub(crate) text: String,
}

/// The table of the operator's own tests.
pub(crate) fn table() -> PathBuf {
    source("../operator/tests/manifests")
}

impl Case {
    /// Every document of the files of a folder.
    pub(crate) fn all(folder: &str) -> Vec<Self> {
        let mut files: Vec<_> = fs::read_dir(table().join(folder))
            .unwrap()
            .map(|it| it.unwrap().path())
            .collect();
        files.sort();
        let mut cases = Vec::new();
        for path in files {
            let file = format!("{folder}/{}", path.file_name().unwrap().display());
            let text = fs::read_to_string(&path).unwrap();
            cases.extend(text.split("\n---\n").map(|text| Self {
                file: file.clone(),
                text: text.to_owned(),
            }));
        }
        assert!(!cases.is_empty());
        cases
    }

    /// What its `# expect:` lines say must be said.
    pub(crate) fn expected(&self) -> Vec<&str> {
        self.text
            .lines()
            .filter_map(|line| line.strip_prefix("# expect: "))
            .collect()
    }

    pub(crate) fn object(&self) -> Value {
        serde_yaml::from_str(&self.text).unwrap()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.file, self.object()["metadata"]["name"])
    }
}

/// How a manifest gets to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// As by `kubectl create --validate=strict`.
    Create,
    /// As by `kubectl apply --server-side`.
    Apply,
    /// As by `kubectl replace`.
    Replace,
}

/// The API server, in one namespace.
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl Server {
    /// What it would say.
    pub(crate) async fn verdict(&self, verb: Verb, object: &Value) -> Verdict {
        self.send(verb, object, "&dryRun=All").await
    }

    /// What it says; if it accepts the object, the object is there.
    pub(crate) async fn submit(&self, verb: Verb, object: &Value) -> Verdict {
        self.send(verb, object, "").await
    }

    async fn send(&self, verb: Verb, object: &Value, query: &str) -> Verdict {
        let mut object = object.clone();
        object["metadata"]["namespace"] = self.namespace.as_str().into();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let plural = format!("{}s", text(&object["kind"]).to_lowercase());
        let all = format!(
            "/apis/{}/namespaces/{}/{plural}",
            text(&object["apiVersion"]),
            self.namespace
        );
        let one = format!("{all}/{}", text(&object["metadata"]["name"]));
        let (method, path, kind) = match verb {
            Verb::Create => (Method::POST, all, "application/json"),
            Verb::Apply => (Method::PATCH, one, "application/apply-patch+yaml"),
            Verb::Replace => (Method::PUT, one, "application/json"),
        };
        let force = if verb == Verb::Apply {
            "&force=true"
        } else {
            ""
        };
        let query = format!("fieldManager=e2e&fieldValidation=Strict{force}{query}");
        let request = Request::builder()
            .method(method)
            .uri(format!("{path}?{query}"))
            .header(CONTENT_TYPE, kind)
            .body(serde_json::to_vec(&object).unwrap())
            .unwrap();
        match within("a verdict", self.client.request(request)).await {
            Ok(object) => Ok(object),
            Err(kube::Error::Api(status)) => Err(complaints(*status)),
            Err(error) => panic!("{verb:?} of {object}: {error}"),
        }
    }
}

fn complaints(status: Status) -> Vec<Complaint> {
    // Of what it cannot merge, the API server says that it is its own fault.
    let is_unmergeable = status
        .message
        .starts_with("failed to create typed patch object");
    assert!(
        (400..500).contains(&status.code) || is_unmergeable,
        "{status:?}"
    );
    let causes = status
        .details
        .map(|details| details.causes)
        .unwrap_or_default();
    if causes.is_empty() {
        return vec![Complaint {
            field: String::new(),
            message: status.message,
        }];
    }
    let complaint = |cause: StatusCause| Complaint {
        // What the API server says where a rule stands at the top.
        field: cause.field.replace("<nil>", ""),
        message: cause.message,
    };
    causes.into_iter().map(complaint).collect()
}

/// A folder that `compile` writes to; it remembers what it accepted.
pub(crate) struct Compiler(TempDir);

impl Compiler {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Compiles one document beside what the table refers to.
    pub(crate) fn verdict(&self, text: &str) -> Verdict {
        let path = |name: &str| self.0.path().join(name);
        fs::create_dir_all(path("manifests")).unwrap();
        fs::copy(table().join("support.yaml"), path("manifests/a.yaml")).unwrap();
        fs::write(path("manifests/case.yaml"), text).unwrap();
        let output = Command::new(built("flightgate-operator"))
            .arg("compile")
            .arg("--manifests")
            .arg(path("manifests"))
            .arg("--config")
            .arg(table().join("gateway.yaml"))
            .arg("--out")
            .arg(path("out"))
            .output()
            .unwrap();
        if output.status.success() {
            let object: Value = serde_yaml::from_str(text).unwrap();
            let file = format!(
                "out/state/{}.partners.{}.json",
                object["kind"].as_str().unwrap().to_lowercase(),
                object["metadata"]["name"].as_str().unwrap(),
            );
            return Ok(serde_json::from_slice(&fs::read(path(&file)).unwrap()).unwrap());
        }
        let said = String::from_utf8(output.stderr).unwrap();
        let mut lines: Vec<_> = said.lines().collect();
        assert!(
            lines
                .pop()
                .is_some_and(|it| it.ends_with("nothing was written")),
            "{said}"
        );
        // FILE:LINE: KIND NAMESPACE/NAME: FIELD: MESSAGE
        let complaint = |line: &&str| {
            let message = line.splitn(3, ": ").nth(2).unwrap();
            let field = message.split(": ").next().unwrap();
            let is_field = message.contains(": ") && !field.contains([' ', '"']);
            Complaint {
                field: if is_field {
                    field.to_owned()
                } else {
                    String::new()
                },
                message: if is_field {
                    message[field.len() + 2..].to_owned()
                } else {
                    message.to_owned()
                },
            }
        };
        Err(lines.iter().map(complaint).collect())
    }
}
