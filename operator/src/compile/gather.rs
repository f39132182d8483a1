//! From manifests to plans: what is asked for, each on its own and all
//! together.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use crds::{ApiKey, OAuthApplication, Webhook, secret::Secret};
use jiff::Timestamp;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    Complainer, Failure, Options,
    env_file::EnvFile,
    folder::Folder,
    kind::{Kind, Sorted, file_name, identify, sort},
    manifest::{Manifest, Origin},
    observe::{Context, Outcome, Prepared, generation, remembered},
};
use crate::{
    catalogue::Catalogue, mint::Rng, plan::Refusal, validate::KindSchema, webhook::Referent,
};

/// The resources that are asked for: each valid on its own.
pub(super) struct Gathered {
    resources: Vec<Asked>,
    /// The applications of the manifests, valid or not.
    applications: BTreeSet<(String, String)>,
    /// The Secrets of the manifests.
    secrets: BTreeMap<(String, String), (Origin, EnvFile)>,
}

/// A resource that the schema accepts.
pub(super) struct Asked {
    pub(super) kind: Kind,
    origin: Origin,
    pub(super) namespace: String,
    pub(super) name: String,
    /// With defaults, generation and namespace.
    pub(super) object: Value,
}

impl Asked {
    pub(super) fn owner(&self) -> String {
        format!("{} {}/{}", self.kind.name(), self.namespace, self.name)
    }
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
        // Client ids by application, and applications by client id.
        let mut clients: BTreeMap<(String, String), String> = BTreeMap::new();
        let mut ids: BTreeMap<String, String> = BTreeMap::new();
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

            if let Some(secret_name) = secret_name {
                let secret = (asked.namespace.clone(), secret_name);
                if let Some(first) = writers.get(&secret) {
                    let message = format!(
                        "the credentials Secret `{}` is already that of {first}: give one of them another secret name",
                        secret.1
                    );
                    complaints.at(&asked.origin, &owner, message);
                }
                writers.entry(secret).or_insert_with(|| owner.clone());
            }

            match resource {
                Ok(resource) => {
                    if asked.kind == Kind::OAuthApplication
                        && let Some(id) = resource.public_id.clone()
                    {
                        if let Some(first) = ids.insert(id.clone(), owner.clone()) {
                            let message = format!("client_id `{id}` is already that of {first}");
                            complaints.at(&asked.origin, &owner, message);
                        }
                        clients.insert((asked.namespace.clone(), asked.name.clone()), id);
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
