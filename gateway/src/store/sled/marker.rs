//! The file `acknowledged`: the number of the last commit that was answered.
//!
//! sled takes a log that ends early for a crash and quietly starts from what
//! is left. This file, which sled does not know, tells the one from the other.
//! It is overwritten in place after each sync and before the answers, without
//! a sync of its own: the page cache survives a killed process, and after a
//! power failure it is a little old, never too new. So it can miss a loss of
//! the last seconds, and cannot raise a false alarm.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::io_error;
use crate::store::StoreError;

const MAGIC: &[u8; 8] = b"fgstore1";
const LENGTH: usize = 20;

pub(super) struct Marker {
    file: File,
    path: PathBuf,
    failed: bool,
}

impl Marker {
    /// The marker of the store in `dir`, and the commit it names; 0 if it is
    /// new or unreadable.
    pub(super) fn open(dir: &Path) -> Result<(Self, u64), StoreError> {
        let path = Self::path(dir);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let file = file.map_err(|source| io_error("open", &path, source))?;
        let mut bytes = [0; LENGTH];
        let acknowledged = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => parse(&bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(source) => return Err(io_error("read", &path, source)),
        };
        let fresh = file.metadata().is_ok_and(|metadata| metadata.len() == 0);
        if acknowledged.is_none() && !fresh {
            tracing::warn!(path = %path.display(), "unreadable, so that lost commits cannot be noticed at this start");
        }
        Ok((
            Self {
                file,
                path,
                failed: false,
            },
            acknowledged.unwrap_or(0),
        ))
    }

    pub(super) fn path(dir: &Path) -> PathBuf {
        dir.join("acknowledged")
    }

    /// Failing to write it weakens a check of the next start and nothing else,
    /// so that is said once and the commit stands.
    pub(super) fn advance(&mut self, commit: u64) {
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&commit.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..16]);
        bytes[16..].copy_from_slice(&crc.to_le_bytes());
        if let Err(error) = self.file.write_all_at(&bytes, 0)
            && !std::mem::replace(&mut self.failed, true)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot write; a loss of later commits would go unnoticed");
        }
    }

    /// Makes it durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file
            .sync_data()
            .map_err(|source| io_error("sync", &self.path, source))
    }
}

fn parse(bytes: &[u8; LENGTH]) -> Option<u64> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    let (magic, commit) = body.split_first_chunk::<8>()?;
    let intact = magic == MAGIC && crc32fast::hash(body) == u32::from_le_bytes(*crc);
    intact.then_some(u64::from_le_bytes(commit.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_commit_is_remembered_and_rubbish_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let (mut marker, commit) = Marker::open(dir.path()).unwrap();
        assert_eq!(commit, 0);
        marker.advance(41);
        marker.advance(42);
        assert_eq!(Marker::open(dir.path()).unwrap().1, 42);
        std::fs::write(Marker::path(dir.path()), [0xff; LENGTH]).unwrap();
        assert_eq!(Marker::open(dir.path()).unwrap().1, 0);
    }
}
