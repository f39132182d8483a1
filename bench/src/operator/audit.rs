//! The requests that operator and gateway make, as the API server itself logs
//! them.

use crate::error::{Doing, Error};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

/// Who and what of each request of a `ServiceAccount`, once. Those of the
/// control plane itself are nobody's business here.
pub(super) const POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "omitManagedFields": true,
  "rules": [
    {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
    {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
    {"level": "None"}
  ]
}"#;

const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// Requests of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The `ServiceAccount`.
    pub account: String,
    /// What was asked for: `list`, `patch` …
    pub verb: String,
    /// Of what: `secrets`, `oauthapplications/status` …
    pub resource: String,
    /// How often.
    pub times: u64,
}

/// Requests in some time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Requests(pub Vec<Count>);

impl Requests {
    /// Those of one account that do not change anything, watches apart.
    pub fn reads(&self, account: &str) -> u64 {
        self.sum(account, |it| {
            it.verb != "watch" && !WRITES.contains(&it.verb.as_str())
        })
    }

    /// Watches that were begun.
    pub fn watches(&self, account: &str) -> u64 {
        self.sum(account, |it| it.verb == "watch")
    }

    /// Writes to what users and the gateway see.
    pub fn writes(&self, account: &str) -> u64 {
        self.sum(account, |it| {
            it.is_write() && !["events", "leases"].contains(&it.resource.as_str())
        })
    }

    /// Writes to one resource.
    pub fn writes_to(&self, account: &str, resource: &str) -> u64 {
        self.sum(account, |it| it.is_write() && it.resource == resource)
    }

    fn sum(&self, account: &str, is_it: impl Fn(&Count) -> bool) -> u64 {
        let counts = self.0.iter().filter(|it| it.account == account);
        counts.filter(|it| is_it(it)).map(|it| it.times).sum()
    }
}

impl Count {
    fn is_write(&self) -> bool {
        WRITES.contains(&self.verb.as_str())
    }
}

/// The log, read on from wherever it was read to.
pub(super) struct Log {
    path: PathBuf,
    offset: u64,
    /// Whose requests count: `system:serviceaccount:<namespace>:`.
    prefix: String,
}

impl Log {
    /// The log at `path`, of the accounts of one namespace.
    pub(super) fn new(path: PathBuf, namespace: &str) -> Self {
        Self {
            path,
            offset: 0,
            prefix: format!("system:serviceaccount:{namespace}:"),
        }
    }

    /// What has been asked since this was last called.
    pub(super) fn read_on(&mut self) -> Result<Requests, Error> {
        let fail = || format!("read {}", self.path.display());
        let mut file = File::open(&self.path).doing(fail)?;
        file.seek(SeekFrom::Start(self.offset)).doing(fail)?;
        let mut text = String::new();
        file.read_to_string(&mut text).doing(fail)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.offset += whole as u64;
        let mut counts = BTreeMap::new();
        for line in text[..whole].lines() {
            let entry: Entry = serde_json::from_str(line).map_err(|source| Error::Json {
                what: "a line of the audit log".to_owned(),
                source,
            })?;
            if let Some(key) = entry.key(&self.prefix) {
                *counts.entry(key).or_default() += 1;
            }
        }
        let counts = counts
            .into_iter()
            .map(|((account, verb, resource), times)| Count {
                account,
                verb,
                resource,
                times,
            });
        Ok(Requests(counts.collect()))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    stage: String,
    verb: String,
    user: User,
    object_ref: Option<ObjectRef>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct ObjectRef {
    #[serde(default)]
    resource: String,
    subresource: Option<String>,
}

impl Entry {
    /// A watch counts when it begins, everything else when it ends.
    fn key(self, prefix: &str) -> Option<(String, String, String)> {
        let account = self.user.username.strip_prefix(prefix)?;
        let counts = (self.verb == "watch") == (self.stage == "ResponseStarted");
        let object = self.object_ref;
        let resource = object.map_or_else(
            || "none".to_owned(),
            |it| match it.subresource {
                Some(subresource) => format!("{}/{subresource}", it.resource),
                None => it.resource,
            },
        );
        counts.then(|| (account.to_owned(), self.verb, resource))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const PREFIX: &str = "system:serviceaccount:home";

    fn line(user: &str, verb: &str, stage: &str, resource: &str) -> String {
        format!(
            r#"{{"stage":"{stage}","verb":"{verb}","user":{{"username":"{PREFIX}:{user}"}},"objectRef":{{"resource":"{resource}"}}}}"#
        )
    }

    #[test]
    fn each_request_counts_once_and_a_line_that_is_not_whole_waits() {
        let path = std::env::temp_dir().join(format!("flightgate-audit-{}", std::process::id()));
        let mut file = File::create(&path).unwrap();
        let mut log = Log::new(path.clone(), "home");
        for text in [
            line("operator", "watch", "ResponseStarted", "secrets"),
            line("operator", "watch", "ResponseComplete", "secrets"),
            line("operator", "patch", "ResponseComplete", "secrets"),
            line("operator", "update", "ResponseComplete", "leases"),
            line("gateway", "list", "ResponseComplete", "secrets"),
        ] {
            writeln!(file, "{text}").unwrap();
        }
        let last = line("operator", "create", "ResponseComplete", "events");
        let (begin, end) = last.split_at(20);
        write!(file, "{begin}").unwrap();
        let requests = log.read_on().unwrap();
        assert_eq!(requests.watches("operator"), 1);
        assert_eq!(requests.writes("operator"), 1);
        assert_eq!(requests.writes_to("operator", "leases"), 1);
        assert_eq!(requests.reads("gateway"), 1);
        assert_eq!(requests.writes_to("operator", "events"), 0);
        writeln!(file, "{end}").unwrap();
        let requests = log.read_on().unwrap();
        assert_eq!(requests.writes_to("operator", "events"), 1);
        assert_eq!(requests.0.len(), 1);
        std::fs::remove_file(path).unwrap();
    }
}
