//! The files, as blobs in an object store.
//!
//! The name of a blob is `ab/<sha256>.<flight id>`, where `ab` are the first two
//! digits of the SHA-256: found by content, and owned by one flight. Two pilots
//! (or two racing uploads) with the same file have two blobs, so a deletion needs
//! no count of references, and cannot take what another has.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, Result};

use crate::flight::{Flight, FlightId};

pub(super) struct Blobs {
    objects: Arc<dyn ObjectStore>,
    root: PathBuf,
}

impl Blobs {
    /// Opens the blobs in this directory, which is made if need be.
    ///
    /// `LocalFileSystem` syncs file and directory with `with_fsync` before a put
    /// returns. It also syncs the directories it makes, but a put that finds one
    /// just made by another put does not wait for that; so all 256 are made, and
    /// synced, before the first.
    pub(super) fn open(root: &Path) -> io::Result<Blobs> {
        for prefix in 0..=u8::MAX {
            fs::create_dir_all(root.join(format!("{prefix:02x}")))?;
        }
        File::open(root)?.sync_all()?;
        if let Some(parent) = root.parent() {
            File::open(parent)?.sync_all()?;
        }
        let objects = LocalFileSystem::new_with_prefix(root)
            .map_err(io::Error::other)?
            .with_fsync(true);
        Ok(Blobs {
            objects: Arc::new(objects),
            root: root.to_owned(),
        })
    }

    /// Keeps the file of a flight. Durable when this returns.
    pub(super) async fn put(&self, flight: &Flight, file: Bytes) -> Result<()> {
        self.objects
            .put(&name(flight), PutPayload::from_bytes(file))
            .await
            .map(drop)
    }

    pub(super) async fn get(&self, flight: &Flight) -> Result<Bytes> {
        self.objects.get(&name(flight)).await?.bytes().await
    }

    pub(super) async fn delete(&self, flight: &Flight) -> Result<()> {
        self.objects.delete(&name(flight)).await
    }

    pub(super) async fn ping(&self) -> Result<()> {
        self.objects
            .list(Some(&Name::from("00")))
            .next()
            .await
            .transpose()
            .map(drop)
    }

    /// Removes every blob that no flight has, and the halves of uploads that a
    /// crash cut off; how many. Only before the store is in use.
    pub(super) async fn sweep(&self, has_row: impl Fn(FlightId) -> bool) -> Result<usize> {
        let mut orphans = Vec::new();
        let mut blobs = self.objects.list(None);
        while let Some(blob) = blobs.try_next().await? {
            // What does not look like a blob is not ours to remove.
            if flight_id(&blob.location).is_some_and(|id| !has_row(id)) {
                orphans.push(blob.location);
            }
        }
        for orphan in &orphans {
            self.objects.delete(orphan).await?;
        }
        let halves = sweep_staged(&self.root).map_err(|source| object_store::Error::Generic {
            store: "LocalFileSystem",
            source: source.into(),
        })?;
        Ok(orphans.len() + halves)
    }
}

fn name(flight: &Flight) -> Name {
    let sha256 = flight.sha256.to_string();
    Name::from_iter([&sha256[..2], &format!("{sha256}.{}", flight.id)])
}

fn flight_id(name: &Name) -> Option<FlightId> {
    name.filename()?.split_once('.')?.1.parse().ok()
}

/// `LocalFileSystem` writes into `<name>#<number>` and renames, does not list such
/// files, and leaves them when the process dies. Only it knows the file system, so
/// this is the one place that goes around it.
fn sweep_staged(root: &Path) -> io::Result<usize> {
    let mut swept = 0;
    for prefix in fs::read_dir(root)? {
        let prefix = prefix?;
        if !prefix.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(prefix.path())? {
            let file = file?;
            if file.file_name().to_string_lossy().contains('#') {
                fs::remove_file(file.path())?;
                swept += 1;
            }
        }
    }
    Ok(swept)
}
