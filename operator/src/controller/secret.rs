//! The Secrets that the operator writes: what they hold, how they are found,
//! and how one becomes the other.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use crds::secret;
use http::header::{ACCEPT, HeaderValue};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    core::{PartialObjectMeta, Request},
};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use zeroize::{Zeroize, Zeroizing};

/// Who the operator is towards the API server.
pub(super) const MANAGER: &str = "flightgate-operator";

/// Asks for an answer without data: what was sent need not come back.
const METADATA_ALONE: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");

/// Bytes that nobody must see.
pub(super) type Bytes = secret::Secret<Vec<u8>>;

/// A Secret that ought to be there.
#[derive(Debug)]
pub(super) struct Manifest {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// Its type.
    pub(super) type_: &'static str,
    /// Labels that it must have.
    pub(super) labels: BTreeMap<&'static str, String>,
    /// Annotations that it must have.
    pub(super) annotations: BTreeMap<&'static str, String>,
    /// What it holds.
    pub(super) data: BTreeMap<&'static str, Bytes>,
    /// Keys, labels and annotations that are the operator's alone: one that
    /// ought not to be there is taken away.
    pub(super) reserved: &'static [&'static str],
}

/// A Secret that is there.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// `metadata.resourceVersion`.
    pub(super) version: Option<String>,
    uid: Option<String>,
    type_: String,
    is_immutable: bool,
    /// Its labels.
    pub(super) labels: BTreeMap<String, String>,
    /// Its annotations.
    pub(super) annotations: BTreeMap<String, String>,
    /// What it holds.
    pub(super) data: BTreeMap<String, Bytes>,
}

impl Found {
    /// Reads a Secret; none: there is none of that name.
    pub(super) async fn read(api: &Api<Secret>, name: &str) -> kube::Result<Option<Self>> {
        Ok(api.get_opt(name).await?.map(Self::from))
    }

    /// The value of a key, if it is text and not empty.
    pub(super) fn text(&self, key: &str) -> Option<secret::Secret<String>> {
        let text = std::str::from_utf8(self.data.get(key)?.expose()).ok()?;
        (!text.is_empty()).then(|| secret::Secret::new(text.to_owned()))
    }
}

impl From<Secret> for Found {
    fn from(secret: Secret) -> Self {
        let data = secret.data.unwrap_or_default().into_iter();
        Self {
            version: secret.metadata.resource_version,
            uid: secret.metadata.uid,
            type_: secret.type_.unwrap_or_default(),
            is_immutable: secret.immutable == Some(true),
            labels: secret.metadata.labels.unwrap_or_default(),
            annotations: secret.metadata.annotations.unwrap_or_default(),
            data: data
                .map(|(key, value)| (key, Bytes::new(value.0)))
                .collect(),
        }
    }
}

/// How a Secret came to be as it ought to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It was already.
    Same(Option<String>),
    /// It was not there.
    Created(Option<String>),
    /// It was something else.
    Changed(Option<String>),
}

impl Written {
    /// The Secret's resourceVersion now.
    pub(super) fn version(&self) -> Option<&String> {
        let (Self::Same(version) | Self::Created(version) | Self::Changed(version)) = self;
        version.as_ref()
    }
}

impl Manifest {
    /// Whether a Secret holds everything that it ought to, and nothing of what
    /// it ought not to.
    pub(super) fn is_met_by(&self, found: &Found) -> bool {
        let has = |map: &BTreeMap<String, String>, key: &str, value: &String| {
            map.get(key).is_some_and(|it| it == value)
        };
        self.fits(found)
            && self
                .labels
                .iter()
                .all(|(key, value)| has(&found.labels, key, value))
            && self
                .annotations
                .iter()
                .all(|(key, value)| has(&found.annotations, key, value))
            && self
                .data
                .iter()
                .all(|(key, value)| found.data.get(*key) == Some(value))
            && self.leftovers(found).is_none()
    }

    /// Whether a Secret can be changed into this one.
    fn fits(&self, found: &Found) -> bool {
        found.type_ == self.type_ && !found.is_immutable
    }

    /// Makes it so. What was decided on `found` is written only if that is still
    /// what is there: where nothing was, nothing of anybody else's is taken over.
    pub(super) async fn apply(
        &self,
        client: &Client,
        found: Option<&Found>,
    ) -> kube::Result<Written> {
        let api: Api<Secret> = Api::namespaced(client.clone(), &self.namespace);
        let Some(found) = found else {
            return self.create(client).await.map(Written::Created);
        };
        if self.is_met_by(found) {
            return Ok(Written::Same(found.version.clone()));
        }
        if !self.fits(found) {
            // Neither the type nor what is immutable can be changed.
            remove(&api, &self.name, found.uid.clone(), found.version.clone()).await?;
            return self.create(client).await.map(Written::Changed);
        }
        let mut version = found.version.clone();
        if let Some(mut leftovers) = self.leftovers(found) {
            // Server-side apply takes away what this manager applied, and nobody
            // knows that it did after a restore from a backup, or of what it
            // created.
            leftovers["metadata"]["resourceVersion"] = json!(version);
            let params = PatchParams {
                field_manager: Some(MANAGER.into()),
                ..PatchParams::default()
            };
            let now = api
                .patch_metadata(&self.name, &params, &Patch::Merge(&leftovers))
                .await?;
            version = now.metadata.resource_version;
        }
        let body = Body {
            manifest: self,
            version: version.as_ref(),
        };
        // The answer is asked for without data: it holds nothing new.
        let params = PatchParams::apply(MANAGER).force();
        let now = api
            .patch_metadata(&self.name, &params, &Patch::Apply(&body))
            .await?;
        Ok(Written::Changed(now.metadata.resource_version))
    }

    /// Creates it, unless there is one of that name. Returns its version.
    async fn create(&self, client: &Client) -> kube::Result<Option<String>> {
        let body = Body {
            manifest: self,
            version: None,
        };
        let body = serde_json::to_vec(&body).map_err(kube::Error::SerdeError)?;
        let params = PostParams {
            field_manager: Some(MANAGER.into()),
            ..PostParams::default()
        };
        let url = Secret::url_path(&(), Some(&self.namespace));
        let request = Request::new(url).create(&params, body);
        let mut request = request.map_err(kube::Error::BuildRequest)?;
        request.headers_mut().insert(ACCEPT, METADATA_ALONE);
        let now: PartialObjectMeta<Secret> = client.request(request).await?;
        Ok(now.metadata.resource_version)
    }

    /// A patch that takes away what is the operator's and ought not to be there.
    fn leftovers(&self, found: &Found) -> Option<Value> {
        let extra = |is_there: &dyn Fn(&str) -> bool, is_wanted: &dyn Fn(&str) -> bool| {
            let extra = self
                .reserved
                .iter()
                .filter(|it| is_there(it) && !is_wanted(it));
            extra
                .map(|it| ((*it).to_owned(), Value::Null))
                .collect::<serde_json::Map<_, _>>()
        };
        let data = extra(&|it| found.data.contains_key(it), &|it| {
            self.data.contains_key(it)
        });
        let labels = extra(&|it| found.labels.contains_key(it), &|it| {
            self.labels.contains_key(it)
        });
        let annotations = extra(&|it| found.annotations.contains_key(it), &|it| {
            self.annotations.contains_key(it)
        });
        if data.is_empty() && labels.is_empty() && annotations.is_empty() {
            return None;
        }
        Some(json!({
            "metadata": {"labels": labels, "annotations": annotations},
            "data": data,
        }))
    }
}

/// Removes a Secret, if it is still this one. One that is gone already is fine.
pub(super) async fn remove(
    api: &Api<Secret>,
    name: &str,
    uid: Option<String>,
    resource_version: Option<String>,
) -> kube::Result<()> {
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid,
            resource_version,
        }),
        ..DeleteParams::background()
    };
    match api.delete(name, &params).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => other.map(drop),
    }
}

/// A Manifest as server-side apply wants it.
#[derive(Debug)]
struct Body<'a> {
    manifest: &'a Manifest,
    version: Option<&'a String>,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata<'a> {
            namespace: &'a str,
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            resource_version: Option<&'a String>,
            labels: &'a BTreeMap<&'static str, String>,
            annotations: &'a BTreeMap<&'static str, String>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Whole<'a> {
            api_version: &'static str,
            kind: &'static str,
            metadata: Metadata<'a>,
            #[serde(rename = "type")]
            type_: &'static str,
            immutable: bool,
            data: BTreeMap<&'a str, Encoded<'a>>,
        }
        let Manifest {
            namespace,
            name,
            type_,
            labels,
            annotations,
            data,
            reserved: _,
        } = self.manifest;
        let metadata = Metadata {
            namespace,
            name,
            resource_version: self.version,
            labels,
            annotations,
        };
        Whole {
            api_version: "v1",
            kind: "Secret",
            metadata,
            type_,
            immutable: false,
            data: data
                .iter()
                .map(|(key, value)| (*key, Encoded(value)))
                .collect(),
        }
        .serialize(serializer)
    }
}

struct Encoded<'a>(&'a Bytes);

impl Serialize for Encoded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Zeroizing::new(STANDARD.encode(self.0.expose()));
        let done = serializer.serialize_str(&text);
        text.zeroize();
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(data: &[(&'static str, &str)]) -> Manifest {
        let data = data.iter();
        Manifest {
            namespace: "partners".into(),
            name: "acme-credentials".into(),
            type_: "Opaque",
            labels: BTreeMap::from([("a", "1".into())]),
            annotations: BTreeMap::from([("b", "2".into())]),
            data: data
                .map(|(key, value)| (*key, Bytes::new(value.as_bytes().to_vec())))
                .collect(),
            reserved: &["client_secret", "previous_client_secret", "rotated-for"],
        }
    }

    fn found(object: &Value) -> Found {
        let secret: Secret = serde_json::from_value(object.clone()).unwrap();
        secret.into()
    }

    fn applied() -> Value {
        json!({
            "metadata": {"labels": {"a": "1", "theirs": "x"}, "annotations": {"b": "2"}},
            "type": "Opaque",
            "data": {"client_secret": STANDARD.encode("s"), "theirs": ""},
        })
    }

    #[test]
    fn what_others_add_is_left_to_them_and_what_is_ours_is_repaired() {
        let manifest = manifest(&[("client_secret", "s")]);
        assert!(manifest.is_met_by(&found(&applied())));
        for (pointer, value) in [
            ("/metadata/labels/a", json!("9")),
            ("/metadata/annotations", json!({})),
            ("/data/client_secret", json!(STANDARD.encode("edited"))),
            ("/data", json!({})),
            ("/type", json!("flightgate.dev/config")),
        ] {
            let mut object = applied();
            *object.pointer_mut(pointer).unwrap() = value;
            assert!(!manifest.is_met_by(&found(&object)), "{pointer}");
        }
        let mut object = applied();
        object["immutable"] = json!(true);
        assert!(!manifest.is_met_by(&found(&object)));
    }

    #[test]
    fn what_is_ours_and_no_longer_wanted_is_taken_away() {
        let manifest = manifest(&[("client_secret", "s")]);
        let mut object = applied();
        object["data"]["previous_client_secret"] = json!("");
        object["metadata"]["annotations"]["rotated-for"] = json!("now");
        let found = found(&object);
        assert!(!manifest.is_met_by(&found));
        assert_eq!(
            manifest.leftovers(&found).unwrap(),
            json!({
                "metadata": {"labels": {}, "annotations": {"rotated-for": null}},
                "data": {"previous_client_secret": null},
            })
        );
    }

    #[test]
    fn nothing_that_is_printed_shows_what_a_secret_holds() {
        let manifest = manifest(&[("client_secret", "fg_secret_top")]);
        let body = Body {
            manifest: &manifest,
            version: None,
        };
        assert!(!format!("{body:?}").contains("top"));
        let json = serde_json::to_value(&body).unwrap();
        assert_eq!(
            json["data"]["client_secret"],
            STANDARD.encode("fg_secret_top")
        );
    }
}
