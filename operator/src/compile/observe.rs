//! One resource at a time: what the output folder holds of it, its plan, and
//! what to write.

use std::collections::BTreeMap;

use crds::{
    ApiKey, OAuthApplication, Webhook,
    contract::{Document, Resource},
};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    CREDENTIALS, Failure, RESOURCES, STATE,
    env_file::{self, EnvFile},
    folder::{FileError, Folder},
    gather::Asked,
    kind::file_name,
    manifest::Origin,
};
use crate::{
    api_key,
    catalogue::Catalogue,
    mint::Rng,
    oauth_application,
    plan::{Credentials, Event, Plan, Refusal},
    webhook::{self, Referent},
};

/// What to write for one resource.
pub(super) struct Prepared {
    pub(super) owner: String,
    pub(super) file: String,
    pub(super) public_id: Option<String>,
    pub(super) document: Vec<u8>,
    pub(super) credentials: Option<(String, Zeroizing<Vec<u8>>)>,
    pub(super) state: Vec<u8>,
    pub(super) events: Vec<Event>,
}

/// The resource as it was last accepted.
pub(super) fn remembered(folder: &Folder, file: &str) -> Result<Option<Value>, FileError> {
    Ok(folder
        .read(STATE, file)?
        .and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// As on an API server: one more whenever the spec changes.
pub(super) fn generation(
    asked: &Asked,
    old: Option<&Value>,
    folder: &Folder,
) -> Result<i64, FileError> {
    let last = old.and_then(|old| old["metadata"]["generation"].as_i64());
    Ok(match (old, last) {
        (Some(old), Some(last)) if old["spec"] == asked.object["spec"] => last,
        (_, Some(last)) => last + 1,
        _ => document(
            folder,
            &file_name(asked.kind, &asked.namespace, &asked.name),
        )?
        .map_or(1, |document| document.generation),
    })
}

/// Whether the resource of this file wants to live on without its manifest.
pub(super) fn is_orphan(folder: &Folder, file: &str) -> Result<bool, FileError> {
    let old = remembered(folder, file)?;
    Ok(old.is_some_and(|old| old["spec"]["deletionPolicy"] == "Orphan"))
}

fn document(folder: &Folder, file: &str) -> Result<Option<Document>, FileError> {
    let bytes = folder.read(RESOURCES, file)?;
    Ok(bytes.and_then(|bytes| Document::from_json(&bytes).ok()))
}

/// One resource amid what it is planned with.
pub(super) struct Context<'a> {
    pub(super) asked: &'a Asked,
    pub(super) folder: &'a Folder,
    pub(super) catalogue: &'a Catalogue,
    pub(super) now: Timestamp,
    pub(super) rng: &'a dyn Rng,
}

pub(super) struct Outcome {
    /// Where its credentials are; none: it was not even read.
    pub(super) secret_name: Option<String>,
    pub(super) resource: Result<Prepared, Vec<Refusal>>,
}

impl Context<'_> {
    pub(super) fn application(
        &self,
        secrets: &BTreeMap<(String, String), (Origin, EnvFile)>,
    ) -> Result<Outcome, Failure> {
        let application: OAuthApplication = match self.typed() {
            Ok(application) => application,
            Err(refusal) => return Ok(Outcome::refused(refusal)),
        };
        let secret_name = oauth_application::secret_name(&application);
        let given = secrets.get(&(self.asked.namespace.clone(), secret_name.clone()));
        let file = match given {
            Some((_, file)) if application.spec.secret.existing => Some(file.clone()),
            _ => self.env_file(&secret_name)?,
        };
        let observed = oauth_application::Observed {
            document: self
                .document()?
                .and_then(|document| match document.resource {
                    Resource::OauthApplication(application) => Some(application),
                    _ => None,
                }),
            credentials: file.map(|file| oauth_application::Found {
                client_id: file.text("client_id"),
                client_secret: file.secret("client_secret"),
                previous_client_secret: file.secret("previous_client_secret"),
                rotated_for: file.rotated_for,
                owner: file.owner,
            }),
            status: self.status()?,
        };
        let plan =
            oauth_application::plan(&application, &observed, self.catalogue, self.now, self.rng)?;
        let id = plan.status.client_id.clone();
        Ok(Outcome {
            secret_name: Some(secret_name),
            resource: self.prepare(plan, id),
        })
    }

    pub(super) fn api_key(&self) -> Result<Outcome, Failure> {
        let key: ApiKey = match self.typed() {
            Ok(key) => key,
            Err(refusal) => return Ok(Outcome::refused(refusal)),
        };
        let secret_name = api_key::secret_name(&key);
        let observed = api_key::Observed {
            document: self
                .document()?
                .and_then(|document| match document.resource {
                    Resource::ApiKey(key) => Some(key),
                    _ => None,
                }),
            credentials: self.env_file(&secret_name)?.map(|file| api_key::Found {
                key_id: file.text("key_id"),
                api_key: file.secret("api_key"),
                previous_api_key: file.secret("previous_api_key"),
                rotated_for: file.rotated_for,
                owner: file.owner,
            }),
            status: self.status()?,
        };
        let plan = api_key::plan(&key, &observed, self.catalogue, self.now, self.rng)?;
        let id = plan.status.key_id.clone();
        Ok(Outcome {
            secret_name: Some(secret_name),
            resource: self.prepare(plan, id),
        })
    }

    pub(super) fn webhook(&self, application: Referent) -> Result<Outcome, Failure> {
        let webhook: Webhook = match self.typed() {
            Ok(webhook) => webhook,
            Err(refusal) => return Ok(Outcome::refused(refusal)),
        };
        let secret_name = webhook::secret_name(&webhook);
        let observed = webhook::Observed {
            application,
            document: self
                .document()?
                .and_then(|document| match document.resource {
                    Resource::Webhook(webhook) => Some(webhook),
                    _ => None,
                }),
            credentials: self.env_file(&secret_name)?.map(|file| webhook::Found {
                webhook_secret: file.secret("webhook_secret"),
                previous_webhook_secret: file.secret("previous_webhook_secret"),
                rotated_for: file.rotated_for,
                owner: file.owner,
            }),
            status: self.status()?,
        };
        let plan = webhook::plan(&webhook, &observed, self.catalogue, self.now, self.rng)?;
        Ok(Outcome {
            secret_name: Some(secret_name),
            resource: self.prepare(plan, None),
        })
    }

    /// The schema and the types say the same; where they once do not, it is a
    /// complaint rather than a crash.
    fn typed<K: DeserializeOwned>(&self) -> Result<K, Refusal> {
        serde_json::from_value(self.asked.object.clone())
            .map_err(|error| Refusal::new("spec", "Unreadable", error.to_string()))
    }

    fn file(&self) -> String {
        file_name(self.asked.kind, &self.asked.namespace, &self.asked.name)
    }

    fn document(&self) -> Result<Option<Document>, FileError> {
        document(self.folder, &self.file())
    }

    fn status<S: DeserializeOwned + Default>(&self) -> Result<S, FileError> {
        let old = remembered(self.folder, &self.file())?;
        Ok(old
            .and_then(|mut old| serde_json::from_value(old["status"].take()).ok())
            .unwrap_or_default())
    }

    fn env_file(&self, secret_name: &str) -> Result<Option<EnvFile>, FileError> {
        let bytes = self.folder.read(CREDENTIALS, &self.env_name(secret_name))?;
        Ok(bytes.map(|bytes| EnvFile::parse(&String::from_utf8_lossy(&bytes))))
    }

    fn env_name(&self, secret_name: &str) -> String {
        format!("{}.{secret_name}.env", self.asked.namespace)
    }

    fn prepare<S: Serialize>(
        &self,
        plan: Plan<S>,
        public_id: Option<String>,
    ) -> Result<Prepared, Vec<Refusal>> {
        let Plan {
            document,
            credentials,
            status,
            events,
            refusals,
            due: _,
        } = plan;
        let Some(document) = document else {
            return Err(refusals);
        };
        let owner = self.asked.owner();
        let credentials = credentials.map(|credentials: Credentials| {
            let bytes = env_file::render(&credentials);
            (self.env_name(&credentials.secret_name), bytes)
        });
        let state = json!({
            "apiVersion": self.asked.object["apiVersion"],
            "kind": self.asked.object["kind"],
            "metadata": {
                "namespace": self.asked.namespace,
                "name": self.asked.name,
                "generation": document.generation,
            },
            // As written, with its defaults: what the next run compares with.
            "spec": self.asked.object["spec"],
            "status": status,
        });
        let mut state = serde_json::to_vec_pretty(&state).unwrap_or_default();
        state.push(b'\n');
        Ok(Prepared {
            owner,
            file: self.file(),
            public_id,
            document: document.to_json(),
            credentials,
            state,
            events,
        })
    }
}

impl Outcome {
    fn refused(refusal: Refusal) -> Self {
        Self {
            secret_name: None,
            resource: Err(vec![refusal]),
        }
    }
}
