//! Where grants live: the one place that must not forget what it acknowledged.
//!
//! Everything that the gateway hands out is kept here under the HMAC of the
//! token, never the token itself. A [`Store`] answers a write only once it is
//! on disk, and takes a one-time thing for exactly one caller.
//!
//! Access tokens are records of their own, because every request may ask for
//! one; all else are entries (`entry.rs`), which change together.
//!
//! Invariant: only the modules below this one name a database.

#[cfg(test)]
pub(crate) mod conformance;
pub mod entry;
pub mod sled;

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use entry::{Change, Entry, EntryKey, Space};

/// Keeps token records by the HMAC of their token, and entries by their id.
///
/// Object-safe, so that the engine is chosen by configuration. Every engine
/// passes the suite in `store/conformance.rs`.
pub trait Store: Send + Sync + 'static {
    /// Stores a new record; durable when it answers. [`StoreError::Exists`]
    /// if there is a record under this hash: nothing is ever overwritten.
    fn insert(&self, hash: TokenHash, record: TokenRecord)
    -> BoxFuture<'_, Result<(), StoreError>>;

    /// The record under this hash. It may be past its expiry: the caller has
    /// the clock, the store only sweeps up some time later.
    fn find(&self, hash: TokenHash) -> BoxFuture<'_, Result<Option<TokenRecord>, StoreError>>;

    /// Takes the record out: of any number of simultaneous callers exactly
    /// one gets `Some`, the others `None`. Durable before *any* of them is
    /// answered, so that no crash contradicts one who heard "already used".
    fn consume(&self, hash: TokenHash) -> BoxFuture<'_, Result<Option<TokenRecord>, StoreError>>;

    /// The entry of this key. It may be past its expiry.
    fn find_entry(&self, key: EntryKey) -> BoxFuture<'_, Result<Option<Entry>, StoreError>>;

    /// Entries of a kind whose ids start with `prefix`, by id, after the id
    /// `after`; at most `limit`.
    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<[u8; 32]>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(EntryKey, Entry)>, StoreError>>;

    /// Makes a change whole, or not at all: [`StoreError::Conflict`] if an
    /// expectation does not hold, [`StoreError::Exists`] if there is a token
    /// already. Durable when it answers, and on a conflict what it met is.
    fn apply(&self, change: Change) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Removes records and entries that expired at or before `now` (Unix seconds), looking
    /// at no more than `limit` of them. Expiry is kept by the minute, so a
    /// record may stay up to 60 s longer than it was due.
    fn sweep(&self, now: u64, limit: usize) -> BoxFuture<'_, Result<Swept, StoreError>>;

    /// Whether a write would be accepted now; for readiness.
    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Counters for the metrics; cheap.
    fn stats(&self) -> StoreStats;
}

/// HMAC-SHA-256 of a token under the pepper: the only name a token has at rest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    /// The first four bytes: enough to follow one token through a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(")?;
        self.0
            .iter()
            .take(4)
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

/// The grant that a token belongs to: one user's consent to one application,
/// from when it was given until it is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct GrantId(pub [u8; 16]);

/// What the gateway knows about a token. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// What the token is good for.
    pub kind: TokenKind,
    /// `client_id` of the application.
    pub client: String,
    /// Whom the token speaks for; the client itself for `client_credentials`.
    pub subject: String,
    /// The grant it was issued under.
    pub grant: GrantId,
    /// Granted scopes, in the order of the catalogue.
    pub scopes: Vec<String>,
    /// Unix seconds.
    pub issued_at: u64,
    /// Unix seconds; expired from this second on.
    pub expires_at: u64,
}

/// What a token is good for. The tag is part of every store's format: add
/// variants, never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenKind {
    /// A bearer of the API that acts on the client's own account.
    Access,
    /// A bearer of the API that acts for a user: good for as long as the grant
    /// that it names is in force.
    Delegated,
}

impl TokenKind {
    /// The byte that stands for this kind at rest.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Access => 1,
            Self::Delegated => 2,
        }
    }

    /// The kind that this byte stands for, `None` if a newer release wrote it.
    pub const fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            1 => Some(Self::Access),
            2 => Some(Self::Delegated),
            _ => None,
        }
    }
}

/// What one bounded step of sweeping did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Records removed.
    pub removed: usize,
    /// Whether expired entries are left, so that another step is due at once.
    pub more: bool,
}

/// Counters of a store since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Writes that wait for their turn now.
    pub backlog: u64,
    /// Group commits made.
    pub commits: u64,
    /// Writes in those groups; divided by `commits`, the mean group size.
    pub operations: u64,
    /// Time that all commits took, from taking the group to the end of the sync.
    pub commit_time: Duration,
    /// Time that the last commit took.
    pub last_commit: Duration,
}

/// Why a store could not do what it was asked to.
///
/// `Clone`, because one failed commit is the answer to every write in it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file system is nearly full; reading goes on.
    #[error(
        "the store's file system has {free} bytes free and writes need {reserve}: free some space or enlarge the \
         volume; writes resume by themselves"
    )]
    Full {
        /// Bytes free.
        free: u64,
        /// Bytes that must stay free for this write.
        reserve: u64,
    },
    /// A write failed in a way that leaves its outcome unknown; every later
    /// write is refused until a restart reads back what is on disk.
    #[error(
        "the store takes no more writes, because one failed ({reason}): mend the cause and restart the gateway"
    )]
    Unavailable {
        /// What failed.
        reason: String,
    },
    /// The store has been closed.
    #[error("the store is closed: the gateway is shutting down")]
    Closed,
    /// An insert met a record under the same hash.
    #[error("a record with this hash exists: each token is inserted once")]
    Exists,
    /// What a change expected had changed before its turn came.
    #[error("another request changed the same entry first: read it again")]
    Conflict,
    /// An entry is not what this release, or an older one, wrote.
    #[error(
        "a {what} in the store cannot be read ({reason}): run the release that wrote it, or a newer one"
    )]
    Entry {
        /// What it should be.
        what: &'static str,
        /// Where reading ended.
        reason: String,
    },
    /// A record is larger than a store takes.
    #[error(
        "a record of {bytes} bytes, expected at most {limit}: shorten its subject or its list of scopes"
    )]
    TooLarge {
        /// Bytes of the encoded record.
        bytes: usize,
        /// Most bytes that a record may have.
        limit: usize,
    },
    /// What is on disk cannot be what the gateway wrote.
    #[error("the store at {} is damaged ({reason}): restore it from a backup, or move it away to start empty, which revokes every token", path.display())]
    Corrupt {
        /// The damaged file or directory.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The store is intact, as far as it goes, but ends before its last
    /// acknowledged commit.
    #[error(
        "the store at {} has lost commits: it ends at {found}, but {acknowledged} was acknowledged. Restore it from a \
         backup, or delete {} to accept that tokens and revocations are lost", path.display(), marker.display()
    )]
    LostCommits {
        /// The directory of the store.
        path: PathBuf,
        /// The file that remembers the last acknowledged commit.
        marker: PathBuf,
        /// Last commit found.
        found: u64,
        /// Last commit that is known to have been acknowledged.
        acknowledged: u64,
    },
    /// Another process has the store open.
    #[error("the store at {} is open in another process: stop that one, or give each its own directory", path.display())]
    Locked {
        /// The directory of the store.
        path: PathBuf,
    },
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, in the infinitive.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// A newer release wrote this store.
    #[error(
        "the store has format {found}, expected at most {supported}: run the release that wrote it, or a newer one"
    )]
    NewerFormat {
        /// Format on disk.
        found: u16,
        /// Newest format that this release reads.
        supported: u16,
    },
    /// The store was written under another pepper, so no token would be found.
    #[error(
        "the store was written under another pepper: configure that pepper, or move the store away to start empty"
    )]
    PepperMismatch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_hash_in_a_log_shows_four_bytes_and_no_more() {
        assert_eq!(
            format!("{:?}", TokenHash([0xab; 32])),
            "TokenHash(abababab…)"
        );
    }

    #[test]
    fn tags_of_kinds_never_change() {
        assert_eq!(TokenKind::Access.tag(), 1);
        assert_eq!(TokenKind::from_tag(1), Some(TokenKind::Access));
        assert_eq!(TokenKind::Delegated.tag(), 2);
        assert_eq!(TokenKind::from_tag(2), Some(TokenKind::Delegated));
        assert_eq!(TokenKind::from_tag(0), None);
    }
}
