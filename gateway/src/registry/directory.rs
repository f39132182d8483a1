//! Documents from a directory: every `*.json` in it, read again when it
//! changes. A document that cannot be read leaves its last good form in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crds::gateway_config::GatewayConfig;
use notify::{RecursiveMode, Watcher};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Loaded, Registry, last_use::LastUses};
use crate::scopes::Catalogue;

mod news;

use self::news::{Changed, News};

/// Larger files are not documents.
const MAX_DOCUMENT: u64 = 1 << 20;
/// Changes within this time are taken together.
const SETTLE: Duration = Duration::from_millis(20);
/// Between two looks for each unit of time that one took: a fifth of a core at
/// most goes into looking.
const IDLE_SHARE: u32 = 4;
/// How often the directory is read even though nobody said that it changed:
/// some file systems tell nobody.
const RESCAN: Duration = Duration::from_secs(30);
/// The same while changes cannot be watched.
const RESCAN_UNWATCHED: Duration = Duration::from_secs(2);

/// The documents of one directory.
pub struct Directory {
    path: PathBuf,
    config: Arc<GatewayConfig>,
    catalogue: Arc<Catalogue>,
    documents: BTreeMap<String, Loaded>,
    /// Documents that are not in force as they stand, and why.
    rejected: BTreeMap<String, String>,
    stamps: BTreeMap<String, Stamp>,
    /// Of the secrets that are in force, and at first of an earlier run's.
    last_uses: LastUses,
    generation: u64,
}

/// Tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

/// The directory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The file system refused.
    #[error("resources: {path}: {source}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What one look at the directory found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Whether a new registry is due.
    pub changed: bool,
    /// Documents that were found unreadable in this look.
    pub rejected: usize,
}

impl Directory {
    /// The documents of `path`, none read yet.
    pub fn new(
        path: &Path,
        config: Arc<GatewayConfig>,
        catalogue: Arc<Catalogue>,
        last_uses: LastUses,
    ) -> Self {
        Self {
            path: path.into(),
            config,
            catalogue,
            documents: BTreeMap::new(),
            rejected: BTreeMap::new(),
            stamps: BTreeMap::new(),
            last_uses,
            generation: 0,
        }
    }

    /// Reads what changed since the last look.
    pub fn scan(&mut self) -> Result<Scan, DirectoryError> {
        let fail = |source| DirectoryError::Io {
            path: self.path.clone(),
            source,
        };
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&self.path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            if let Some(stem) = name.strip_suffix(".json") {
                found.insert(stem.to_owned(), entry.path());
            }
        }
        let mut scan = Scan {
            changed: self.forget_all_but(&found),
            rejected: 0,
        };
        for (name, path) in found {
            self.note(&mut scan, name, &path);
        }
        Ok(scan)
    }

    /// Reads these documents, if they changed since the last look.
    fn scan_documents(&mut self, names: BTreeSet<String>) -> Scan {
        let mut scan = Scan::default();
        for name in names {
            let path = self.path.join(format!("{name}.json"));
            let is_gone = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
            if fs::symlink_metadata(&path).is_err_and(is_gone) {
                scan.changed |= self.documents.remove(&name).is_some();
                self.rejected.remove(&name);
                self.stamps.remove(&name);
            } else {
                self.note(&mut scan, name, &path);
            }
        }
        scan
    }

    /// Looks at one document, and notes what came of it.
    fn note(&mut self, scan: &mut Scan, name: String, path: &Path) {
        match self.look_at(&name, path) {
            Ok(changed) => scan.changed |= changed,
            // Told already, and still so.
            Err(reason) if self.rejected.get(&name) == Some(&reason) => {}
            Err(reason) => {
                tracing::warn!(
                    document = name,
                    reason,
                    "document not read, its last good form serves on"
                );
                self.rejected.insert(name, reason);
                scan.rejected += 1;
            }
        }
    }

    /// Drops what is no longer there; true if that changes what is in force.
    fn forget_all_but(&mut self, found: &BTreeMap<String, PathBuf>) -> bool {
        let before = self.documents.len();
        self.documents.retain(|name, _| found.contains_key(name));
        self.rejected.retain(|name, _| found.contains_key(name));
        self.stamps.retain(|name, _| found.contains_key(name));
        self.documents.len() != before
    }

    /// Reads one document if its file changed; true if a new form is in force.
    fn look_at(&mut self, name: &str, path: &Path) -> Result<bool, String> {
        let stamp = match Stamp::of(path) {
            Ok(stamp) => stamp,
            // Gone since it was listed: the next look will say so.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error.to_string()),
        };
        if self.stamps.get(name) == Some(&stamp) {
            return Ok(false);
        }
        let bytes = read_bounded(path).map_err(|error| error.to_string())?;
        // Only now: what could not be read is looked at again.
        self.stamps.insert(name.to_owned(), stamp);
        if !self
            .documents
            .get(name)
            .is_some_and(|loaded| loaded.is_of(&bytes))
        {
            let (config, catalogue) = (&self.config, &self.catalogue);
            let loaded = Loaded::read(&bytes, config, catalogue, &mut self.last_uses);
            self.documents
                .insert(name.to_owned(), loaded.map_err(|error| error.to_string())?);
            self.rejected.remove(name);
            return Ok(true);
        }
        self.rejected.remove(name);
        Ok(false)
    }

    /// The registry of the documents in force.
    pub fn registry(&mut self) -> Registry {
        self.generation += 1;
        let registry = Registry::new(self.generation, &self.documents);
        // What is of no document any more is forgotten.
        self.last_uses = registry.last_uses().clone();
        registry
    }

    /// Documents that are not in force as they stand: name and reason.
    pub fn rejected(&self) -> &BTreeMap<String, String> {
        &self.rejected
    }

    /// Follows the directory for ever and hands over each new state.
    pub async fn follow(mut self, mut publish: impl FnMut(&mut Self, &Scan)) {
        let news = Arc::new(News::default());
        let mut watcher = None;
        loop {
            if watcher.is_none() {
                match watch(&self.path, news.clone()) {
                    Ok(watching) => watcher = Some(watching),
                    Err(error) => tracing::warn!(
                        %error, path = %self.path.display(),
                        "resources cannot be watched, they are looked at every {RESCAN_UNWATCHED:?}",
                    ),
                }
            }
            let begun = Instant::now();
            let scan = match news.take() {
                Changed::Documents(names) => Ok(self.scan_documents(names)),
                Changed::Anything => self.scan(),
            };
            match scan {
                Ok(scan) => publish(&mut self, &scan),
                Err(error) => {
                    tracing::warn!(%error, "resources not read, the last good state serves on");
                    news.forget();
                }
            }
            let rested = Instant::now() + begun.elapsed() * IDLE_SHARE;
            let patience = if watcher.is_some() {
                RESCAN
            } else {
                RESCAN_UNWATCHED
            };
            if timeout(patience, news.told()).await.is_err() {
                news.forget();
            }
            sleep_until(rested.max(Instant::now() + SETTLE)).await;
        }
    }
}

/// Has `news` hear of whatever happens in the folder.
fn watch(path: &Path, news: Arc<News>) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event| news.hear(event))?;
    watcher.watch(path, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// The bytes of a document. What is no file, such as a pipe, is refused and not
/// waited for; what grows while it is read is cut short.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits();
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking.cast_signed())
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(io::Error::other(format!(
            "a document has at most {MAX_DOCUMENT} bytes"
        )));
    }
    Ok(bytes)
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            inode: metadata.ino(),
            length: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "issuer: https://localhost
tls: {selfSigned: true}
store: {sled: {path: data}}
";

    fn directory(path: &Path) -> Directory {
        let config = Arc::new(GatewayConfig::from_yaml(CONFIG).unwrap());
        let catalogue = Arc::new(Catalogue::new(&config));
        Directory::new(path, config, catalogue, LastUses::default())
    }

    fn application(name: &str, profile: &str) -> String {
        format!(
            r#"{{"version":"flightgate.dev/contract/v1","namespace":"n","name":"{name}","generation":1,
            "resource":{{"oauthApplication":{{"clientId":"{name}","displayName":"A","clientType":"confidential",
            "grantTypes":[],"scopes":[],"profile":"{profile}","plan":"default"}}}}}}"#
        )
    }

    #[test]
    fn a_bad_document_leaves_the_last_good_one_in_force_and_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut directory = directory(folder.path());
        let path = folder.path().join("a.json");
        fs::write(&path, application("a", "default")).unwrap();
        assert_eq!(
            directory.scan().unwrap(),
            Scan {
                changed: true,
                rejected: 0
            }
        );
        assert_eq!(directory.scan().unwrap(), Scan::default());

        for bad in [
            "{",
            &application("a", "no-such-profile"),
            &application("a", "default").replace("/v1", "/v9"),
        ] {
            fs::write(&path, bad).unwrap();
            assert_eq!(
                directory.scan().unwrap(),
                Scan {
                    changed: false,
                    rejected: 1
                },
                "{bad}"
            );
            assert_eq!(directory.scan().unwrap(), Scan::default());
            assert!(directory.registry().client("a").is_some());
            assert!(directory.rejected().contains_key("a"));
        }

        fs::write(&path, application("b", "default")).unwrap();
        assert!(directory.scan().unwrap().changed);
        assert!(directory.rejected().is_empty());
        assert!(
            directory.registry().client("a").is_none()
                && directory.registry().client("b").is_some()
        );

        fs::remove_file(&path).unwrap();
        assert!(directory.scan().unwrap().changed);
        assert!(directory.registry().client("b").is_none());
    }

    #[test]
    fn a_look_at_some_documents_finds_what_a_look_at_all_would() {
        let folder = tempfile::tempdir().unwrap();
        let mut directory = directory(folder.path());
        let path = |name: &str| folder.path().join(name);
        let names = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect();
        fs::write(path("a.json"), application("a", "default")).unwrap();
        fs::write(path("b.json"), application("b", "default")).unwrap();
        assert!(directory.scan_documents(names(&["a"])).changed);
        assert!(directory.registry().client("b").is_none(), "not told");
        assert!(directory.scan_documents(names(&["a", "b"])).changed);
        assert_eq!(directory.scan().unwrap(), Scan::default());

        fs::write(path("a.json"), "{").unwrap();
        fs::remove_file(path("b.json")).unwrap();
        assert_eq!(
            directory.scan_documents(names(&["a", "b", "never-there"])),
            Scan {
                changed: true,
                rejected: 1
            }
        );
        assert!(directory.registry().client("a").is_some());
        assert!(directory.registry().client("b").is_none());
        assert_eq!(directory.scan().unwrap(), Scan::default());
    }

    #[test]
    fn other_files_and_too_large_ones_are_no_documents() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "x").unwrap();
        fs::write(folder.path().join(".a.json"), "x").unwrap();
        fs::write(folder.path().join("large.json"), vec![b' '; (1 << 20) + 1]).unwrap();
        let mut directory = directory(folder.path());
        assert_eq!(
            directory.scan().unwrap(),
            Scan {
                changed: false,
                rejected: 1
            }
        );
        assert!(directory.rejected()["large"].contains("at most 1048576"));
    }
}
