//! The store of a single gateway: sled, with its durability mended.
//!
//! sled 0.34.7 is a log-structured tree. What it leaves to us, by its source:
//!
//! - **`flush` does not sync.** On Linux it writes and calls
//!   `sync_file_range`, which neither commits the file's metadata nor empties
//!   the disk's cache. The writer calls `fdatasync` on a second handle.
//! - **A log that ends early is taken for a crash.** sled cuts it there and
//!   *zeroes what follows*. [`StoreError::LostCommits`] names it: each commit
//!   has a number in the tree, and `marker.rs` keeps the last acknowledged one
//!   beside it.
//! - **It panics on some damage at open**, which ends a release build.
//!   `open.rs` sees to it that the operator reads a sentence first.
//! - **A damaged page is noticed** by its checksum when it is read, and is an
//!   error then. What stays unnoticed is damage to a single entry of the log
//!   that was written since the last start: sled skips it, and the record has
//!   its former state. In 1,000 random damages this was 5; for less, the file
//!   system must keep checksums.
//! - **An I/O error is for ever**: after it, sled refuses writes until it is
//!   opened again. The writer does so too, see [`StoreError::Unavailable`];
//!   and it keeps clear of the commonest cause, a full disk, by a reserve.
//!
//! A `find` does not go through the writer. It may therefore see what is not
//! durable yet, which harms nobody: a record becomes visible before its token
//! has been told to anyone, and one that is gone was revoked by a caller who
//! has had no answer yet.

mod change;
mod marker;
mod open;
mod record;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fs::File,
    future, io,
    ops::Bound,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::{self, JoinHandle},
    time::Duration,
};

use ::sled::Db;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use self::change::EncodedChange;
use self::writer::{Op, QUEUE, Reply, Reserve, Shared, Writer};
use crate::store::{
    Store, StoreError, StoreStats, Swept, TokenHash, TokenRecord,
    entry::{Change, Entry, EntryKey, Space},
};

/// How to open a [`SledStore`].
#[derive(Clone, Debug)]
pub struct SledOptions {
    /// Directory of the store; created if missing.
    pub path: PathBuf,
    /// Memory for pages.
    pub cache_bytes: u64,
    /// Bytes that must stay free on the file system for a token to be stored.
    /// Revocations and sweeps may use half of it.
    pub reserve_bytes: u64,
    /// A value derived from the pepper, which tells two peppers apart.
    pub pepper_check: [u8; 32],
}

impl SledOptions {
    /// A store in `path` with 64 MiB of cache and 32 MiB of reserve.
    pub fn new(path: impl Into<PathBuf>, pepper_check: [u8; 32]) -> Self {
        Self {
            path: path.into(),
            cache_bytes: 64 << 20,
            reserve_bytes: 32 << 20,
            pepper_check,
        }
    }
}

/// A [`Store`] in a directory, for one process at a time.
///
/// Dropping it commits what is queued, and waits for that.
pub struct SledStore {
    // Fields drop in this order: the writer ends, then sled, then the lock.
    writer: Option<(mpsc::Sender<Op>, JoinHandle<()>)>,
    db: Db,
    path: PathBuf,
    reserve: Reserve,
    shared: Arc<Shared>,
    _lock: File,
}

impl SledStore {
    /// Opens or creates the store. Blocks: it reads back what was written
    /// since the last start.
    pub fn open(options: &SledOptions) -> Result<Self, StoreError> {
        let opened = open::open(options)?;
        let inode = opened
            .log
            .metadata()
            .map_err(|source| io_error("look at the log of", &options.path, source))?
            .ino();
        let reserve = Reserve {
            path: options.path.clone(),
            bytes: options.reserve_bytes,
            inode,
        };
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            db: opened.db.clone(),
            path: options.path.clone(),
            log: opened.log,
            marker: opened.marker,
            commit: opened.commit,
            reserve: reserve.clone(),
            shared: shared.clone(),
        };
        let (queue, ops) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run(ops));
        let thread =
            thread.map_err(|source| io_error("start the writer of", &options.path, source))?;
        Ok(Self {
            writer: Some((queue, thread)),
            db: opened.db,
            path: options.path.clone(),
            reserve,
            shared,
            _lock: opened.lock,
        })
    }

    /// Queues a write and waits until it is durable. Dropping the future does
    /// not undo a write that is in the queue.
    async fn write<T>(&self, op: impl FnOnce(Reply<T>) -> Op) -> Result<T, StoreError> {
        let (queue, _) = self.writer.as_ref().ok_or(StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        queue
            .send(op(reply))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    fn read(&self, hash: TokenHash) -> Result<Option<TokenRecord>, StoreError> {
        let value = self
            .db
            .get(record::record_key(hash))
            .map_err(|error| sled_error(&self.path, error))?;
        value
            .map(|value| record::decode(&value).map_err(|reason| damage(&self.path, reason)))
            .transpose()
    }

    fn read_entry(&self, key: EntryKey) -> Result<Option<Entry>, StoreError> {
        let value = self
            .db
            .get(record::entry_key(key))
            .map_err(|error| sled_error(&self.path, error))?;
        value.map(|value| self.entry(&value)).transpose()
    }

    fn entry(&self, value: &[u8]) -> Result<Entry, StoreError> {
        let (expires_at, bytes) =
            record::decode_entry(value).map_err(|reason| damage(&self.path, reason))?;
        Ok(Entry {
            bytes: bytes.to_vec(),
            expires_at,
        })
    }

    fn read_entries(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<(EntryKey, Entry)>, StoreError> {
        let prefix = record::entry_prefix(space, prefix);
        let start = match after {
            Some(id) => Bound::Excluded(record::entry_key(EntryKey { space, id }).to_vec()),
            None => Bound::Included(prefix.clone()),
        };
        let mut found = Vec::new();
        for item in self.db.range((start, Bound::Unbounded)).take(limit) {
            let (key, value) = item.map_err(|error| sled_error(&self.path, error))?;
            if !key.starts_with(&prefix) {
                break;
            }
            let id = record::entry_id(&key)
                .ok_or_else(|| damage(&self.path, format!("a key of {} bytes", key.len())))?;
            found.push((EntryKey { space, id }, self.entry(&value)?));
        }
        Ok(found)
    }
}

impl Store for SledStore {
    fn insert(
        &self,
        hash: TokenHash,
        record: TokenRecord,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let value = record::encode(&record)?;
            self.write(|reply| Op::Insert {
                hash,
                value,
                expires_at: record.expires_at,
                reply,
            })
            .await
        })
    }

    /// Ready at once: a page that is cached costs a few microseconds, one that
    /// is not a read of a few kilobytes, less than a trip to another thread.
    fn find(&self, hash: TokenHash) -> BoxFuture<'_, Result<Option<TokenRecord>, StoreError>> {
        Box::pin(future::ready(self.read(hash)))
    }

    fn consume(&self, hash: TokenHash) -> BoxFuture<'_, Result<Option<TokenRecord>, StoreError>> {
        Box::pin(self.write(move |reply| Op::Consume { hash, reply }))
    }

    fn find_entry(&self, key: EntryKey) -> BoxFuture<'_, Result<Option<Entry>, StoreError>> {
        Box::pin(future::ready(self.read_entry(key)))
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<[u8; 32]>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(EntryKey, Entry)>, StoreError>> {
        Box::pin(future::ready(
            self.read_entries(space, prefix, after, limit),
        ))
    }

    fn apply(&self, change: Change) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let change = EncodedChange::new(change)?;
            self.write(|reply| Op::Change { change, reply }).await
        })
    }

    fn sweep(&self, now: u64, limit: usize) -> BoxFuture<'_, Result<Swept, StoreError>> {
        Box::pin(self.write(move |reply| Op::Sweep { now, limit, reply }))
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let state = match self.shared.failed.get() {
            Some(failed) => Err(failed.clone()),
            None => self.reserve.room().inserts,
        };
        Box::pin(future::ready(state))
    }

    fn stats(&self) -> StoreStats {
        let waiting = self
            .writer
            .as_ref()
            .map_or(0, |(queue, _)| queue.max_capacity() - queue.capacity());
        StoreStats {
            backlog: waiting as u64,
            commits: self.shared.commits.load(Relaxed),
            operations: self.shared.operations.load(Relaxed),
            commit_time: Duration::from_nanos(self.shared.commit_nanos.load(Relaxed)),
            last_commit: Duration::from_nanos(self.shared.last_commit_nanos.load(Relaxed)),
        }
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        if let Some((queue, thread)) = self.writer.take() {
            drop(queue);
            // It has logged its panic, if that is how it ended.
            let _ = thread.join();
        }
    }
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        action,
        path: path.into(),
        source: Arc::new(source),
    }
}

fn damage(path: &Path, reason: String) -> StoreError {
    StoreError::Corrupt {
        path: path.into(),
        reason,
    }
}

fn sled_error(path: &Path, error: ::sled::Error) -> StoreError {
    match error {
        ::sled::Error::Io(source) => io_error("read or write", path, source),
        error => damage(path, error.to_string()),
    }
}
