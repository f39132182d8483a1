//! Documents from a cluster: the Secrets of type `flightgate.dev/config` of one
//! namespace, mirrored into a folder that [`super::directory`] then reads.
//!
//! The folder is what makes the gateway independent of the API server: it
//! serves on while that is away, and starts again from what it saw last.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use futures_util::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt};
use kube_runtime::{
    WatchStreamExt,
    watcher::{self, Event},
};
use tokio::sync::watch;

use crate::keys::{private_folder, replace_private};

/// The type of the Secrets that carry documents.
const TYPE: &str = "type=flightgate.dev/config";
/// The one key in them.
const KEY: &str = "config.json";
/// Says that the folder held all documents once.
const COMPLETE: &str = ".complete";

/// The folder that documents are mirrored into.
pub struct Mirror {
    folder: PathBuf,
    complete: watch::Sender<bool>,
}

/// The cluster cannot be watched at all.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no usable kubeconfig, and this is no pod either.
    #[error("kubernetes: no configuration of a cluster: {0}")]
    Infer(#[from] Box<kube::config::InferConfigError>),
    /// The client cannot be made.
    #[error("kubernetes: {0}")]
    Client(#[from] Box<kube::Error>),
    /// The folder cannot be used.
    #[error("resource cache: {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The namespace to watch, and the client to watch it with.
pub struct Cluster {
    secrets: Api<Secret>,
    namespace: String,
}

impl Cluster {
    /// The cluster that kubeconfig or the pod's environment names. `namespace`
    /// defaults to the one that they name.
    pub async fn infer(namespace: Option<&str>) -> Result<Self, ClusterError> {
        let config = kube::Config::infer().await.map_err(Box::new)?;
        let namespace = namespace.unwrap_or(&config.default_namespace).to_owned();
        let client = Client::try_from(config).map_err(Box::new)?;
        Ok(Self {
            secrets: Api::namespaced(client, &namespace),
            namespace,
        })
    }
}

impl Mirror {
    /// A mirror in `folder`, which may hold the documents of an earlier run.
    pub fn open(folder: &Path) -> Result<Self, ClusterError> {
        private_folder(folder).map_err(|source| ClusterError::Folder {
            path: folder.into(),
            source,
        })?;
        let complete = watch::Sender::new(folder.join(COMPLETE).exists());
        Ok(Self {
            folder: folder.into(),
            complete,
        })
    }

    /// Turns true when the folder has held all documents once: from then on it
    /// can be served from, however old it is.
    pub fn complete(&self) -> watch::Receiver<bool> {
        self.complete.subscribe()
    }

    /// Follows the cluster for ever. While the API server is away, nothing
    /// changes; afterwards the folder catches up.
    pub async fn follow(self, cluster: Cluster) {
        let Cluster { secrets, namespace } = cluster;
        tracing::info!(namespace, "watching the cluster's documents");
        let events =
            watcher::watcher(secrets, watcher::Config::default().fields(TYPE)).default_backoff();
        pin_mut!(events);
        let mut listed = HashSet::new();
        while let Some(event) = events.next().await {
            let done = match event {
                Ok(Event::Init) => {
                    listed.clear();
                    Ok(())
                }
                Ok(Event::InitApply(secret)) => {
                    listed.insert(file_name(&secret));
                    self.write(&secret)
                }
                Ok(Event::InitDone) => self.finish(&listed),
                Ok(Event::Apply(secret)) => self.write(&secret),
                Ok(Event::Delete(secret)) => self.remove(&file_name(&secret)),
                Err(error) => {
                    tracing::warn!(%error, "the cluster's documents are not heard of, the last state serves on");
                    Ok(())
                }
            };
            if let Err(error) = done {
                tracing::error!(%error, folder = %self.folder.display(), "a document was not mirrored");
            }
        }
    }

    /// A Secret without its key leaves an empty document behind, which the
    /// reader rejects and counts, so that the last good form stays in force.
    fn write(&self, secret: &Secret) -> io::Result<()> {
        let document = secret.data.as_ref().and_then(|data| data.get(KEY));
        let bytes = document.map_or(&[][..], |bytes| &bytes.0);
        let path = self.folder.join(file_name(secret));
        if fs::read(&path).is_ok_and(|known| known == bytes) {
            return Ok(());
        }
        replace_private(&path, bytes)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The list has ended: whatever was not on it is gone.
    fn finish(&self, listed: &HashSet<String>) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let Ok(name) = entry?.file_name().into_string() else {
                continue;
            };
            let is_document = name.strip_suffix(".json").is_some();
            if is_document && !listed.contains(&name) {
                self.remove(&name)?;
            }
        }
        replace_private(&self.folder.join(COMPLETE), b"")?;
        self.complete.send_replace(true);
        tracing::info!(
            documents = listed.len(),
            "the cluster's documents are all here"
        );
        Ok(())
    }
}

/// Names of Secrets are DNS subdomains: no slash, no leading dot.
fn file_name(secret: &Secret) -> String {
    format!("{}.json", secret.name_any())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::{ByteString, apimachinery::pkg::apis::meta::v1::ObjectMeta};

    use super::*;

    fn secret(name: &str, document: &str) -> Secret {
        Secret {
            metadata: ObjectMeta {
                name: Some(name.into()),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(
                KEY.to_owned(),
                ByteString(document.into()),
            )])),
            ..Secret::default()
        }
    }

    #[test]
    fn the_folder_ends_up_with_what_the_list_says_and_remembers_that_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::open(folder.path()).unwrap();
        assert!(!*mirror.complete().borrow());
        mirror.write(&secret("gone", "{}")).unwrap();
        mirror.write(&secret("a", "{1}")).unwrap();
        mirror.write(&secret("a", "{2}")).unwrap();
        mirror
            .finish(&HashSet::from(["a.json".to_owned()]))
            .unwrap();
        assert!(*mirror.complete().borrow());
        assert_eq!(
            fs::read_to_string(folder.path().join("a.json")).unwrap(),
            "{2}"
        );
        assert!(!folder.path().join("gone.json").exists());
        assert!(*Mirror::open(folder.path()).unwrap().complete().borrow());
        mirror.remove("a.json").unwrap();
        mirror.remove("a.json").unwrap();
    }
}
