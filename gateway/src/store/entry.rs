//! Everything in a store that is not an access token: grants, codes, refresh
//! tokens, users, sessions. Typed here; to an engine they are bytes.
//!
//! Values are JSON: a field can be added without rewriting what is there, and
//! a person can read a row. None holds a token, code or password in clear.

use serde::{Serialize, de::DeserializeOwned};

use super::{Store, StoreError, TokenHash, TokenRecord};

/// What kind of thing an entry is. The byte is part of every store's format:
/// add variants, never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Space {
    /// One user's consent to one application, by subject and client.
    Grant = 1,
    /// An authorization code, by its HMAC.
    Code = 2,
    /// A refresh token, by its HMAC.
    Refresh = 3,
    /// A device authorization, by the HMAC of its device code.
    Device = 4,
    /// Which device authorization a user code stands for.
    UserCode = 5,
    /// A passkey, by its HMAC.
    Passkey = 6,
    /// A user, by id.
    User = 7,
    /// Which user has a name.
    Username = 8,
    /// A browser session, by the HMAC of its cookie.
    Session = 9,
    /// Which user somebody is at an upstream provider.
    Link = 10,
    /// A sign-in at an upstream provider that is under way.
    Visit = 11,
}

impl Space {
    /// Its name in errors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Code => "authorization code",
            Self::Refresh => "refresh token",
            Self::Device => "device authorization",
            Self::UserCode => "user code",
            Self::Passkey => "passkey",
            Self::User => "user",
            Self::Username => "user name",
            Self::Session => "session",
            Self::Link => "upstream identity",
            Self::Visit => "upstream sign-in",
        }
    }
}

/// The name of an entry: 32 bytes that say nothing to who reads the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryKey {
    /// What it is.
    pub space: Space,
    /// Which one.
    pub id: [u8; 32],
}

/// An entry as an engine keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What [`Stored`] made of it.
    pub bytes: Vec<u8>,
    /// Unix seconds; swept some time after. `u64::MAX`: never.
    pub expires_at: u64,
}

/// Something that is kept as an entry.
pub trait Stored: Serialize + DeserializeOwned {
    /// What it is.
    const SPACE: Space;

    /// When it may be swept, in Unix seconds; `u64::MAX`: never. Whether it is
    /// still good is for its reader to say.
    fn expires_at(&self) -> u64;
}

/// An entry that was found, and what a [`Change`] must find unchanged.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// The entry.
    pub value: T,
    id: [u8; 32],
    bytes: Vec<u8>,
}

impl<T> Found<T> {
    /// Under which id.
    pub const fn id(&self) -> &[u8; 32] {
        &self.id
    }
}

/// Several writes that happen together, or not at all: if every expectation
/// holds when their turn comes. The one primitive by which anything is used
/// once.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub(super) expected: Vec<(EntryKey, Option<Vec<u8>>)>,
    pub(super) writes: Vec<Write>,
}

/// One write of a [`Change`].
#[derive(Clone, Debug)]
pub(super) enum Write {
    Token(TokenHash, TokenRecord),
    Put(EntryKey, Entry),
    Remove(EntryKey),
}

impl Change {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only if this entry is still what was found.
    #[must_use]
    pub fn expect<T: Stored>(mut self, found: &Found<T>) -> Self {
        self.expected
            .push((key::<T>(found.id), Some(found.bytes.clone())));
        self
    }

    /// Only if there is still no such entry.
    #[must_use]
    pub fn expect_none<T: Stored>(mut self, id: [u8; 32]) -> Self {
        self.expected.push((key::<T>(id), None));
        self
    }

    /// Stores a fresh access token.
    #[must_use]
    pub fn token(mut self, hash: TokenHash, record: TokenRecord) -> Self {
        self.writes.push(Write::Token(hash, record));
        self
    }

    /// Writes an entry, whatever was there.
    pub fn put<T: Stored>(mut self, id: [u8; 32], value: &T) -> Result<Self, StoreError> {
        let bytes = serde_json::to_vec(value).map_err(|error| unreadable::<T>(&error))?;
        let expires_at = value.expires_at();
        self.writes
            .push(Write::Put(key::<T>(id), Entry { bytes, expires_at }));
        Ok(self)
    }

    /// Removes an entry.
    #[must_use]
    pub fn remove<T: Stored>(mut self, id: [u8; 32]) -> Self {
        self.writes.push(Write::Remove(key::<T>(id)));
        self
    }

    /// Whether it adds nothing, and so may use the last of the room.
    pub(super) fn only_removes(&self) -> bool {
        let mut writes = self.writes.iter();
        writes.all(|write| matches!(write, Write::Remove(_)))
    }
}

impl dyn Store {
    /// The entry of this id.
    pub async fn get<T: Stored>(&self, id: [u8; 32]) -> Result<Option<Found<T>>, StoreError> {
        let entry = self.find_entry(key::<T>(id)).await?;
        entry.map(|entry| decode(id, entry)).transpose()
    }

    /// Entries whose ids start with `prefix`, in the order of their ids and
    /// after that of `after`; at most `limit`.
    pub async fn list<T: Stored>(
        &self,
        prefix: &[u8],
        after: Option<[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<Found<T>>, StoreError> {
        let found = self.scan(T::SPACE, prefix, after, limit).await?;
        found
            .into_iter()
            .map(|(key, entry)| decode(key.id, entry))
            .collect()
    }
}

const fn key<T: Stored>(id: [u8; 32]) -> EntryKey {
    EntryKey {
        space: T::SPACE,
        id,
    }
}

fn decode<T: Stored>(id: [u8; 32], entry: Entry) -> Result<Found<T>, StoreError> {
    let value = serde_json::from_slice(&entry.bytes).map_err(|error| unreadable::<T>(&error))?;
    Ok(Found {
        value,
        id,
        bytes: entry.bytes,
    })
}

fn unreadable<T: Stored>(error: &serde_json::Error) -> StoreError {
    StoreError::Entry {
        what: T::SPACE.name(),
        // Its text may quote what is in the entry.
        reason: format!("{:?} error at column {}", error.classify(), error.column()),
    }
}
