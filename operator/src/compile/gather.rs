//! From manifests to plans: what is asked for, what is there, and what to
//! write.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use crds::{
    ApiKey, GROUP, OAuthApplication, Webhook,
    contract::{Document, Resource},
    secret::Secret,
};
use jiff::Timestamp;
use kube::{Resource as _, ResourceExt};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    CREDENTIALS, Complainer, Failure, Options, RESOURCES, STATE,
    env_file::{self, EnvFile},
    folder::{FileError, Folder},
    manifest::{Manifest, Origin},
};
use crate::{
    api_key,
    catalogue::Catalogue,
    mint::Rng,
    oauth_application,
    plan::{Credentials, Event, Plan, Refusal},
    validate::KindSchema,
    webhook::{self, Referent},
};

/// A kind of Flightgate's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    OAuthApplication,
    ApiKey,
    Webhook,
}

impl Kind {
    /// All kinds, in the order in which they are planned: webhooks need the ids
    /// of their applications.
    pub(super) const ALL: [Self; 3] = [Self::OAuthApplication, Self::ApiKey, Self::Webhook];

    fn name(self) -> String {
        match self {
            Self::OAuthApplication => OAuthApplication::kind(&()).into_owned(),
            Self::ApiKey => ApiKey::kind(&()).into_owned(),
            Self::Webhook => Webhook::kind(&()).into_owned(),
        }
    }

    /// Whether a file of the output folder is about this kind.
    pub(super) fn owns(self, file: &str) -> bool {
        file.strip_prefix(&self.name().to_lowercase())
            .is_some_and(|rest| rest.starts_with('.'))
    }
}

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

/// The resources that are asked for: each valid on its own.
pub(super) struct Gathered {
    resources: Vec<Asked>,
    /// The applications of the manifests, valid or not.
    applications: BTreeSet<(String, String)>,
    /// The Secrets of the manifests.
    secrets: BTreeMap<(String, String), (Origin, EnvFile)>,
}

struct Asked {
    kind: Kind,
    origin: Origin,
    namespace: String,
    name: String,
    /// With defaults, generation and namespace.
    object: Value,
}

impl Asked {
    fn owner(&self) -> String {
        format!("{} {}/{}", self.kind.name(), self.namespace, self.name)
    }
}

fn file_name(kind: Kind, namespace: &str, name: &str) -> String {
    format!("{}.{namespace}.{name}.json", kind.name().to_lowercase())
}

impl Gathered {
    /// Sorts the manifests, and validates those that are Flightgate's.
    pub(super) fn from(
        manifests: Vec<Manifest>,
        options: &Options,
        folder: &Folder,
        complaints: &mut Complainer,
        notes: &mut Vec<String>,
    ) -> Result<Self, Failure> {
        let schemas = [
            (
                Kind::OAuthApplication,
                KindSchema::of::<OAuthApplication>()?,
            ),
            (Kind::ApiKey, KindSchema::of::<ApiKey>()?),
            (Kind::Webhook, KindSchema::of::<Webhook>()?),
        ];
        let mut gathered = Self {
            resources: Vec::new(),
            applications: BTreeSet::new(),
            secrets: BTreeMap::new(),
        };
        let mut seen: BTreeMap<(Kind, String, String), Origin> = BTreeMap::new();
        for Manifest { origin, mut object } in manifests {
            let kind = match sort(&object) {
                Sorted::Ours(kind) => kind,
                Sorted::Secret => {
                    gathered.take_secret(&object, &options.namespace, &origin, complaints);
                    continue;
                }
                Sorted::Foreign(what) => {
                    notes.push(format!(
                        "{origin}: {what} is none of Flightgate's kinds; ignored"
                    ));
                    continue;
                }
                Sorted::Wrong(message) => {
                    complaints.at(&origin, "", message);
                    continue;
                }
            };
            let Some((namespace, name)) =
                identify(&mut object, kind, &options.namespace, &origin, complaints)
            else {
                continue;
            };
            if kind == Kind::OAuthApplication {
                gathered
                    .applications
                    .insert((namespace.clone(), name.clone()));
            }
            let mut asked = Asked {
                kind,
                origin,
                namespace,
                name,
                object,
            };
            let owner = asked.owner();
            let identity = (kind, asked.namespace.clone(), asked.name.clone());
            if let Some(first) = seen.get(&identity) {
                let message = format!("stands twice: it is at {first} already");
                complaints.at(&asked.origin, &owner, message);
                continue;
            }
            seen.insert(identity, asked.origin.clone());

            let old = remembered(folder, &file_name(kind, &asked.namespace, &asked.name))?;
            let Some((_, schema)) = schemas.iter().find(|(known, _)| *known == kind) else {
                continue;
            };
            match schema.admit(&asked.object, old.as_ref()) {
                Ok(object) => {
                    asked.object = object;
                    asked.object["metadata"]["generation"] =
                        generation(&asked, old.as_ref(), folder)?.into();
                    gathered.resources.push(asked);
                }
                Err(problems) => {
                    for problem in problems {
                        complaints.at(&asked.origin, &owner, problem);
                    }
                }
            }
        }
        gathered.resources.sort_by_key(|asked| asked.kind);
        gathered.note_strange_secrets(notes);
        Ok(gathered)
    }

    fn take_secret(
        &mut self,
        object: &Value,
        default_namespace: &str,
        origin: &Origin,
        complaints: &mut Complainer,
    ) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let Some(name) = text("/metadata/name") else {
            return;
        };
        let namespace = text("/metadata/namespace").unwrap_or(default_namespace);
        let mut entries = Vec::new();
        for (key, value) in object["stringData"].as_object().into_iter().flatten() {
            entries.push((
                key.clone(),
                Secret::new(value.as_str().unwrap_or_default().to_owned()),
            ));
        }
        for (key, value) in object["data"].as_object().into_iter().flatten() {
            let bytes = STANDARD
                .decode(value.as_str().unwrap_or_default())
                .map(Zeroizing::new);
            match bytes
                .ok()
                .and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
            {
                Some(text) => entries.push((key.clone(), Secret::new(text))),
                None => complaints.at(
                    origin,
                    &format!("Secret {namespace}/{name}"),
                    format!("data.{key}: is not base64 of text"),
                ),
            }
        }
        let key = (namespace.to_owned(), name.to_owned());
        self.secrets
            .insert(key, (origin.clone(), EnvFile::from_entries(entries)));
    }

    fn note_strange_secrets(&self, notes: &mut Vec<String>) {
        let is_brought = |key: &(String, String)| {
            self.resources.iter().any(|asked| {
                let secret = &asked.object["spec"]["secret"];
                asked.namespace == key.0
                    && secret["existing"] == true
                    && secret["name"] == key.1.as_str()
            })
        };
        for (origin, _) in self
            .secrets
            .iter()
            .filter(|(key, _)| !is_brought(key))
            .map(|(_, it)| it)
        {
            notes.push(format!(
                "{origin}: a Secret that no OAuthApplication brings; ignored"
            ));
        }
    }

    /// Plans every resource against what the output folder holds, and looks for
    /// what only several resources together can get wrong.
    pub(super) fn plan(
        &self,
        catalogue: &Catalogue,
        folder: &Folder,
        now: Timestamp,
        rng: &dyn Rng,
        complaints: &mut Complainer,
    ) -> Result<Vec<Prepared>, Failure> {
        let mut prepared = Vec::new();
        let mut writers: BTreeMap<(String, String), String> = BTreeMap::new();
        let mut clients: BTreeMap<(String, String), String> = BTreeMap::new();
        for asked in &self.resources {
            let owner = asked.owner();
            let context = Context {
                asked,
                folder,
                catalogue,
                now,
                rng,
            };
            let outcome = match asked.kind {
                Kind::OAuthApplication => context.application(&self.secrets)?,
                Kind::ApiKey => context.api_key()?,
                Kind::Webhook => {
                    let name = asked.object["spec"]["applicationRef"]["name"].as_str();
                    let key = (asked.namespace.clone(), name.unwrap_or_default().to_owned());
                    let referent = match clients.get(&key) {
                        Some(id) => Referent::Client(id.clone()),
                        None if self.applications.contains(&key) => Referent::Pending,
                        None => Referent::Missing,
                    };
                    context.webhook(referent)?
                }
            };
            let Outcome {
                secret_name,
                resource,
            } = outcome;

            let secret = (asked.namespace.clone(), secret_name);
            if let Some(first) = writers.get(&secret) {
                complaints.at(
                    &asked.origin,
                    &owner,
                    format!("the credentials Secret `{}` is already that of {first}: give one of them another secret name", secret.1),
                );
            }
            writers.entry(secret).or_insert_with(|| owner.clone());

            match resource {
                Ok(resource) => {
                    if asked.kind == Kind::OAuthApplication
                        && let Some(id) = &resource.public_id
                    {
                        if let Some(((namespace, name), _)) =
                            clients.iter().find(|(_, other)| *other == id)
                        {
                            complaints.at(
                                &asked.origin,
                                &owner,
                                format!("client_id `{id}` is already that of OAuthApplication {namespace}/{name}"),
                            );
                        }
                        clients.insert((asked.namespace.clone(), asked.name.clone()), id.clone());
                    }
                    prepared.push(resource);
                }
                Err(refusals) => {
                    // The application itself was complained about already.
                    for Refusal { path, message, .. } in refusals
                        .iter()
                        .filter(|it| it.reason != "ApplicationNotReady")
                    {
                        complaints.at(&asked.origin, &owner, format!("{path}: {message}"));
                    }
                }
            }
        }
        Ok(prepared)
    }
}

enum Sorted {
    Ours(Kind),
    Secret,
    Foreign(String),
    Wrong(String),
}

fn sort(object: &Value) -> Sorted {
    let text = |field: &str| object.get(field).and_then(Value::as_str);
    let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
        return Sorted::Wrong("is no Kubernetes object: write apiVersion and kind".into());
    };
    let Some((group, version)) = api_version.split_once('/') else {
        let is_secret = api_version == "v1" && kind == "Secret";
        return if is_secret {
            Sorted::Secret
        } else {
            Sorted::Foreign(format!("{kind} ({api_version})"))
        };
    };
    if group != GROUP {
        return Sorted::Foreign(format!("{kind} ({api_version})"));
    }
    let Some(known) = Kind::ALL.into_iter().find(|known| known.name() == kind) else {
        let names: Vec<_> = Kind::ALL.into_iter().map(Kind::name).collect();
        return Sorted::Wrong(format!(
            "kind: there is no `{kind}` in {GROUP}; there are {}",
            names.join(", ")
        ));
    };
    let served = OAuthApplication::version(&());
    if version != served {
        return Sorted::Wrong(format!(
            "apiVersion: `{api_version}` is not served; write {GROUP}/{served}"
        ));
    }
    Sorted::Ours(known)
}

/// Namespace and name; the object gets its namespace if it names none, and
/// loses what only a server may write.
fn identify(
    object: &mut Value,
    kind: Kind,
    default_namespace: &str,
    origin: &Origin,
    complaints: &mut Complainer,
) -> Option<(String, String)> {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    let kind = kind.name();
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        complaints.at(origin, &kind, "metadata.name: Required value");
        return None;
    };
    let namespace = match metadata.get("namespace") {
        None | Some(Value::Null) => default_namespace.to_owned(),
        Some(Value::String(namespace)) => namespace.clone(),
        Some(_) => String::new(),
    };
    let Some(name) = metadata
        .get("name")
        .and_then(Value::as_str)
        .map(str::to_owned)
    else {
        complaints.at(origin, &kind, "metadata.name: Required value: write a name (generateName makes another one each time)");
        return None;
    };
    let owner = format!("{kind} {namespace}/{name}");
    let mut is_good = true;
    if !is_subdomain(&name) {
        complaints.at(origin, &owner, format!("metadata.name: Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"));
        is_good = false;
    }
    if namespace.len() > 63 || namespace.contains('.') || !is_subdomain(&namespace) {
        complaints.at(origin, &owner, format!("metadata.namespace: Invalid value: \"{namespace}\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character"));
        is_good = false;
    }
    let annotations = metadata.get("annotations").filter(|value| !value.is_null());
    let is_text_map = |value: &Value| {
        value
            .as_object()
            .is_some_and(|map| map.values().all(Value::is_string))
    };
    if annotations.is_some_and(|value| !is_text_map(value)) {
        complaints.at(
            origin,
            &owner,
            "metadata.annotations: every value must be a string: put it between quotes",
        );
        is_good = false;
    }
    metadata.insert("namespace".into(), namespace.clone().into());
    is_good.then_some((namespace, name))
}

fn is_subdomain(text: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// The resource as it was last accepted.
fn remembered(folder: &Folder, file: &str) -> Result<Option<Value>, FileError> {
    Ok(folder
        .read(STATE, file)?
        .and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// As on an API server: one more whenever the spec changes.
fn generation(asked: &Asked, old: Option<&Value>, folder: &Folder) -> Result<i64, FileError> {
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
struct Context<'a> {
    asked: &'a Asked,
    folder: &'a Folder,
    catalogue: &'a Catalogue,
    now: Timestamp,
    rng: &'a dyn Rng,
}

struct Outcome {
    secret_name: String,
    resource: Result<Prepared, Vec<Refusal>>,
}

impl Context<'_> {
    fn application(
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
            }),
            status: self.status()?,
        };
        let plan =
            oauth_application::plan(&application, &observed, self.catalogue, self.now, self.rng)?;
        let id = plan.status.client_id.clone();
        Ok(Outcome {
            secret_name,
            resource: self.prepare(&application.spec, plan, id),
        })
    }

    fn api_key(&self) -> Result<Outcome, Failure> {
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
            }),
            status: self.status()?,
        };
        let plan = api_key::plan(&key, &observed, self.catalogue, self.now, self.rng)?;
        let id = plan.status.key_id.clone();
        Ok(Outcome {
            secret_name,
            resource: self.prepare(&key.spec, plan, id),
        })
    }

    fn webhook(&self, application: Referent) -> Result<Outcome, Failure> {
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
            }),
            status: self.status()?,
        };
        let plan = webhook::plan(&webhook, &observed, self.catalogue, self.now, self.rng)?;
        Ok(Outcome {
            secret_name,
            resource: self.prepare(&webhook.spec, plan, None),
        })
    }

    /// The schema and the types say the same; where they once do not, it is a
    /// complaint rather than a crash.
    fn typed<K: DeserializeOwned + ResourceExt>(&self) -> Result<K, Refusal> {
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
        spec: &impl Serialize,
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
            let bytes = env_file::render(&credentials, &owner);
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
            "spec": spec,
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
            secret_name: String::new(),
            resource: Err(vec![refusal]),
        }
    }
}
