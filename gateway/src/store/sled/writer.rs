//! The one thread that writes: group commit.
//!
//! It takes everything that waits (at most [`GROUP`]), applies it in order,
//! makes it durable with one flush and one `fdatasync` (see [`WINDOW`] for a
//! large group), and only then answers
//! everybody. While it syncs, the next group gathers in the queue.
//!
//! **No sled batch.** `apply_batch` takes sled's global lock for as long as
//! the group is applied, and every `find` would stand behind it; it also
//! rolls sled's buffer twice. The order of the writes gives what the batch
//! would: sled's log is recovered as a prefix, so an index entry is written
//! before its records, and removed after them. What a crash can leave is an
//! entry without a record, which the next sweep drops. The number of the
//! commit is written last, so that whoever finds it has the whole group.
//!
//! Because each write is applied at once, a later one of the same group sees
//! it: two consumes of one hash, or an insert and a consume, need no overlay.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use ::sled::Db;
use tokio::sync::{mpsc, oneshot};

use super::{change::EncodedChange, damage, marker::Marker, record};
use crate::store::{StoreError, Swept, TokenHash, TokenRecord};

/// Most writes in one commit.
pub(super) const GROUP: usize = 512;
/// Most writes that wait; whoever comes then waits to be let into the queue.
pub(super) const QUEUE: usize = 4096;
/// Most hashes that one sweep looks at, whatever it was asked: it holds up the
/// writes behind it.
const SWEEP: usize = 256;
/// Writes after which to sync within a commit. sled overwrites a segment whose
/// pages have moved once another whole segment (512 KiB) has followed them. If
/// all that lay between two syncs, a power failure could keep the overwriting
/// and lose the moved pages, which were acknowledged long ago. A write costs
/// 470 to 800 bytes of log, so that fewer than 512 of them stay below it.
const WINDOW: usize = 256;

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A write, and whom to tell.
pub(super) enum Op {
    Insert {
        hash: TokenHash,
        value: Vec<u8>,
        expires_at: u64,
        reply: Reply<()>,
    },
    Consume {
        hash: TokenHash,
        reply: Reply<Option<TokenRecord>>,
    },
    Change {
        change: EncodedChange,
        reply: Reply<()>,
    },
    Sweep {
        now: u64,
        limit: usize,
        reply: Reply<Swept>,
    },
}

/// What the writer lets others see.
#[derive(Default)]
pub(super) struct Shared {
    /// Set once a commit failed: nobody knows how much of it is on disk.
    pub(super) failed: OnceLock<StoreError>,
    pub(super) commits: AtomicU64,
    pub(super) operations: AtomicU64,
    pub(super) commit_nanos: AtomicU64,
    pub(super) last_commit_nanos: AtomicU64,
}

pub(super) struct Writer {
    pub(super) db: Db,
    pub(super) path: PathBuf,
    /// A second handle of sled's file, for the sync that sled does not do.
    pub(super) log: File,
    pub(super) marker: Marker,
    pub(super) commit: u64,
    pub(super) reserve: Reserve,
    pub(super) shared: Arc<Shared>,
}

impl Writer {
    /// Serves until the last sender is gone and the queue is empty.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Op>) {
        let mut group = Vec::with_capacity(GROUP);
        while queue.blocking_recv_many(&mut group, GROUP) > 0 {
            if let Some(failed) = self.shared.failed.get() {
                group.drain(..).for_each(|op| op.refuse(failed));
                continue;
            }
            let started = Instant::now();
            let size = group.len() as u64;
            match self.commit(&mut group) {
                Ok(answers) => {
                    let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    self.shared.commits.fetch_add(1, Relaxed);
                    self.shared.operations.fetch_add(size, Relaxed);
                    self.shared.commit_nanos.fetch_add(nanos, Relaxed);
                    self.shared.last_commit_nanos.store(nanos, Relaxed);
                    answers.into_iter().for_each(Answer::send);
                }
                Err(error) => {
                    tracing::error!(%error, "a commit of the store failed; no more writes until a restart");
                    let failed = StoreError::Unavailable {
                        reason: error.to_string(),
                    };
                    group.drain(..).for_each(|op| op.refuse(&failed));
                    let _ = self.shared.failed.set(failed);
                }
            }
        }
        if let Err(error) = self.marker.sync() {
            tracing::warn!(%error, "while closing the store");
        }
    }

    /// Applies the group and makes it durable. On an error `group` still holds
    /// every write, none of them answered.
    fn commit(&mut self, group: &mut Vec<Op>) -> Result<Vec<Answer>, StoreError> {
        let room = self.reserve.room();
        let commit = self.commit + 1;
        let mut outcomes = Vec::with_capacity(group.len());
        let (mut dirty, mut unsynced) = (false, 0);
        if room.inserts.is_ok() {
            self.index(group, commit)?;
        }
        for op in &*group {
            let outcome = match (op, &room.inserts, &room.deletes) {
                (Op::Insert { .. }, Err(full), _) | (_, _, Err(full)) => {
                    Outcome::Refused(full.clone())
                }
                (Op::Change { change, .. }, Err(full), _) if !change.only_removes => {
                    Outcome::Refused(full.clone())
                }
                (Op::Change { change, .. }, ..) => self.change(change)?,
                (Op::Insert { hash, value, .. }, ..) => self.insert(*hash, value)?,
                (Op::Consume { hash, .. }, ..) => self.consume(*hash)?,
                (Op::Sweep { now, limit, .. }, ..) => self.sweep(*now, *limit)?,
            };
            dirty |= outcome.writes() > 0;
            unsynced += outcome.writes();
            if unsynced >= WINDOW {
                self.sync()?;
                unsynced = 0;
            }
            outcomes.push(outcome);
        }
        if dirty {
            self.sled(self.db.insert(record::META_COMMIT, &commit.to_le_bytes()))?;
            self.sync()?;
            self.commit = commit;
            self.marker.advance(commit);
        }
        Ok(group
            .drain(..)
            .zip(outcomes)
            .map(|(op, outcome)| Answer { op, outcome })
            .collect())
    }

    /// Enters the group's inserts into the expiry index.
    fn index(&self, group: &[Op], commit: u64) -> Result<(), StoreError> {
        let mut buckets = BTreeMap::<u64, Vec<u8>>::new();
        let mut enter = |hash: &TokenHash, expires_at| {
            let hashes = buckets.entry(record::bucket(expires_at)).or_default();
            hashes.extend_from_slice(&hash.0);
        };
        for op in group {
            match op {
                Op::Insert {
                    hash, expires_at, ..
                } => enter(hash, *expires_at),
                Op::Change { change, .. } => {
                    for token in &change.tokens {
                        enter(&token.hash, token.expires_at);
                    }
                }
                Op::Consume { .. } | Op::Sweep { .. } => {}
            }
        }
        for (bucket, hashes) in buckets {
            for (part, hashes) in (0u16..).zip(hashes.chunks(record::INDEX_PART * 32)) {
                self.sled(
                    self.db
                        .insert(record::index_key(bucket, commit, part), hashes),
                )?;
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.sled(self.db.flush())?;
        self.log
            .sync_data()
            .map_err(|source| super::io_error("sync", &self.path, source))
    }

    fn insert(&self, hash: TokenHash, value: &[u8]) -> Result<Outcome, StoreError> {
        let swap = self
            .db
            .compare_and_swap(record::record_key(hash), None::<&[u8]>, Some(value));
        Ok(match self.sled(swap)? {
            Ok(()) => Outcome::Inserted,
            Err(_) => Outcome::Refused(StoreError::Exists),
        })
    }

    fn consume(&self, hash: TokenHash) -> Result<Outcome, StoreError> {
        match self.sled(self.db.remove(record::record_key(hash)))? {
            None => Ok(Outcome::Consumed(None)),
            Some(value) => match record::decode(&value) {
                Ok(record) => Ok(Outcome::Consumed(Some(record))),
                Err(reason) => Ok(Outcome::Unreadable(damage(&self.path, reason))),
            },
        }
    }

    fn sweep(&self, now: u64, limit: usize) -> Result<Outcome, StoreError> {
        let mut left = limit.clamp(1, SWEEP);
        let mut swept = Swept {
            removed: 0,
            more: false,
        };
        let mut entries = 0;
        let end = record::index_end(record::last_expired_bucket(now));
        for entry in self.db.range(record::INDEX..&end[..]) {
            let (key, value) = self.sled(entry)?;
            swept.more = left == 0;
            if swept.more {
                break;
            }
            let hashes = record::index_hashes(&value).ok_or_else(|| {
                damage(
                    &self.path,
                    format!("an index entry of {} bytes", value.len()),
                )
            })?;
            let (due, later) = hashes.split_at(left.min(hashes.len()));
            for hash in due {
                swept.removed += usize::from(self.remove_expired(TokenHash(*hash), now)?);
            }
            entries += 1;
            left -= due.len();
            swept.more = !later.is_empty();
            if swept.more {
                self.sled(self.db.insert(key, later.as_flattened()))?;
                break;
            }
            self.sled(self.db.remove(key))?;
        }
        if !swept.more {
            entries += self.sweep_entries(now, left, &mut swept)?;
        }
        let writes = swept.removed + entries;
        Ok(Outcome::Swept(swept, writes))
    }

    /// Whether there was a record to remove. The index may name one that has
    /// been consumed since, or consumed and inserted again to live longer.
    fn remove_expired(&self, hash: TokenHash, now: u64) -> Result<bool, StoreError> {
        let key = record::record_key(hash);
        let Some(value) = self.sled(self.db.get(key))? else {
            return Ok(false);
        };
        let expired = record::decode(&value).is_ok_and(|record| record.expires_at <= now);
        if expired {
            self.sled(self.db.remove(key))?;
        }
        Ok(expired)
    }

    pub(super) fn sled<T>(&self, result: ::sled::Result<T>) -> Result<T, StoreError> {
        result.map_err(|error| super::sled_error(&self.path, error))
    }
}

/// How much of the file system must stay free.
#[derive(Clone)]
pub(super) struct Reserve {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// Tells the open log from another file of its name.
    pub(super) inode: u64,
}

/// Which writes there is room for now.
pub(super) struct Room {
    pub(super) inserts: Result<(), StoreError>,
    pub(super) deletes: Result<(), StoreError>,
}

impl Reserve {
    /// Deletions only stop at half the reserve: they are revocations, and the
    /// sweeps that make room again.
    pub(super) fn room(&self) -> Room {
        match self.measure() {
            Ok(room) => room,
            // Nothing was written, and it may pass: the folder may come back.
            Err(error) => Room {
                inserts: Err(error.clone()),
                deletes: Err(error),
            },
        }
    }

    fn measure(&self) -> Result<Room, StoreError> {
        let log = self.path.join("db");
        let found = fs::metadata(&log).map_err(|source| super::io_error("find", &log, source))?;
        if found.ino() != self.inode {
            return Err(StoreError::Unavailable {
                reason: format!("{} was replaced while it was open", log.display()),
            });
        }
        let stat = rustix::fs::statvfs(&self.path).map_err(|source| {
            super::io_error("measure the free space of", &self.path, source.into())
        })?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let above = |reserve| {
            if free < reserve {
                Err(StoreError::Full { free, reserve })
            } else {
                Ok(())
            }
        };
        Ok(Room {
            inserts: above(self.bytes),
            deletes: above(self.bytes / 2),
        })
    }
}

pub(super) enum Outcome {
    Inserted,
    /// So many writes of a change.
    Changed(usize),
    Consumed(Option<TokenRecord>),
    Swept(Swept, usize),
    /// Taken out, but nobody can tell what it was.
    Unreadable(StoreError),
    Refused(StoreError),
}

impl Outcome {
    /// Entries changed.
    fn writes(&self) -> usize {
        match self {
            Self::Inserted | Self::Unreadable(_) => 1,
            Self::Consumed(record) => usize::from(record.is_some()),
            Self::Swept(_, writes) | Self::Changed(writes) => *writes,
            Self::Refused(_) => 0,
        }
    }
}

struct Answer {
    op: Op,
    outcome: Outcome,
}

impl Answer {
    /// A caller that no longer listens is no error: its write has been made.
    fn send(self) {
        match (self.op, self.outcome) {
            (op, Outcome::Refused(error) | Outcome::Unreadable(error)) => op.refuse(&error),
            (Op::Insert { reply, .. }, Outcome::Inserted)
            | (Op::Change { reply, .. }, Outcome::Changed(_)) => drop(reply.send(Ok(()))),
            (Op::Consume { reply, .. }, Outcome::Consumed(record)) => drop(reply.send(Ok(record))),
            (Op::Sweep { reply, .. }, Outcome::Swept(swept, _)) => drop(reply.send(Ok(swept))),
            (op, _) => op.refuse(&StoreError::Closed),
        }
    }
}

impl Op {
    fn refuse(self, error: &StoreError) {
        match self {
            Self::Insert { reply, .. } | Self::Change { reply, .. } => {
                drop(reply.send(Err(error.clone())));
            }
            Self::Consume { reply, .. } => drop(reply.send(Err(error.clone()))),
            Self::Sweep { reply, .. } => drop(reply.send(Err(error.clone()))),
        }
    }
}
