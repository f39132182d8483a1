//! Changes of several entries at once, and the sweeping of entries.
//!
//! The writer is the only one who writes, so a change that finds what it
//! expects can be applied write by write. A crash may leave its beginning, of
//! which nobody was told: fresh tokens that nobody knows, before the code or
//! token that they were exchanged for is marked as used.

use super::{
    damage, record,
    writer::{Outcome, Writer},
};
use crate::store::{
    StoreError, Swept, TokenHash,
    entry::{Change, EntryKey, Write},
};

/// A change, encoded by the one who asks for it and not by the writer.
pub(super) struct EncodedChange {
    expected: Vec<([u8; 34], Option<Vec<u8>>)>,
    pub(super) tokens: Vec<EncodedToken>,
    puts: Vec<EncodedPut>,
    removals: Vec<[u8; 34]>,
    pub(super) only_removes: bool,
}

pub(super) struct EncodedToken {
    pub(super) hash: TokenHash,
    pub(super) expires_at: u64,
    value: Vec<u8>,
}

struct EncodedPut {
    key: [u8; 34],
    expires_at: u64,
    value: Vec<u8>,
}

impl EncodedChange {
    pub(super) fn new(change: Change) -> Result<Self, StoreError> {
        let only_removes = change.only_removes();
        let key = |(key, bytes): (EntryKey, _)| (record::entry_key(key), bytes);
        let mut encoded = Self {
            expected: change.expected.into_iter().map(key).collect(),
            tokens: Vec::new(),
            puts: Vec::new(),
            removals: Vec::new(),
            only_removes,
        };
        for write in change.writes {
            match write {
                Write::Token(hash, token) => encoded.tokens.push(EncodedToken {
                    hash,
                    expires_at: token.expires_at,
                    value: record::encode(&token)?,
                }),
                Write::Put(key, entry) => encoded.puts.push(EncodedPut {
                    key: record::entry_key(key),
                    expires_at: entry.expires_at,
                    value: record::encode_entry(&entry)?,
                }),
                Write::Remove(key) => encoded.removals.push(record::entry_key(key)),
            }
        }
        Ok(encoded)
    }
}

impl Writer {
    pub(super) fn change(&self, change: &EncodedChange) -> Result<Outcome, StoreError> {
        for (key, expected) in &change.expected {
            let found = self.sled(self.db.get(key))?;
            let found = found.as_deref().map(record::decode_entry).transpose();
            let found = match found {
                Ok(found) => found.map(|(_, bytes)| bytes),
                Err(reason) => return Ok(Outcome::Unreadable(damage(&self.path, reason))),
            };
            if found != expected.as_deref() {
                return Ok(Outcome::Refused(StoreError::Conflict));
            }
        }
        for token in &change.tokens {
            if self.sled(self.db.contains_key(record::record_key(token.hash)))? {
                return Ok(Outcome::Refused(StoreError::Exists));
            }
        }
        for token in &change.tokens {
            let key = record::record_key(token.hash);
            self.sled(self.db.insert(key, token.value.as_slice()))?;
        }
        let mut writes = change.tokens.len() + change.puts.len() + change.removals.len();
        for put in &change.puts {
            writes += usize::from(self.index_entry(put)?);
            self.sled(self.db.insert(put.key, put.value.as_slice()))?;
        }
        for key in &change.removals {
            self.sled(self.db.remove(key))?;
        }
        Ok(Outcome::Changed(writes))
    }

    /// Enters an entry into the expiry index, unless it is there from before.
    fn index_entry(&self, put: &EncodedPut) -> Result<bool, StoreError> {
        if put.expires_at == u64::MAX {
            return Ok(false);
        }
        let bucket = record::bucket(put.expires_at);
        let known = self.sled(self.db.get(put.key))?;
        let known = known.as_deref().map(record::decode_entry);
        if matches!(known, Some(Ok((expires_at, _))) if record::bucket(expires_at) == bucket) {
            return Ok(false);
        }
        self.sled(
            self.db
                .insert(record::entry_index_key(bucket, &put.key), &[]),
        )?;
        Ok(true)
    }

    /// Removes expired entries, looking at no more than `left`; the number of
    /// index keys removed.
    pub(super) fn sweep_entries(
        &self,
        now: u64,
        mut left: usize,
        swept: &mut Swept,
    ) -> Result<usize, StoreError> {
        let end = record::entry_index_end(record::last_expired_bucket(now));
        let mut keys = 0;
        for item in self.db.range(record::ENTRY_INDEX..&end[..]) {
            let (index, _) = self.sled(item)?;
            if left == 0 {
                swept.more = true;
                break;
            }
            left -= 1;
            let key = record::indexed_entry(&index).ok_or_else(|| {
                damage(&self.path, format!("an index key of {} bytes", index.len()))
            })?;
            if let Some(value) = self.sled(self.db.get(key))? {
                // One that was put again has an index key of its own.
                let expired =
                    record::decode_entry(&value).is_ok_and(|(expires_at, _)| expires_at <= now);
                if expired {
                    self.sled(self.db.remove(key))?;
                    swept.removed += 1;
                }
            }
            self.sled(self.db.remove(index))?;
            keys += 1;
        }
        Ok(keys)
    }
}
