//! The bytes of keys and values.
//!
//! One tree, five kinds of key:
//!
//! | key | value |
//! |---|---|
//! | `m` name | facts about the store itself |
//! | `r` hash (32) | a version byte, then the record in postcard |
//! | `x` minute (8) commit (8) part (2) | up to [`INDEX_PART`] hashes that expire by this minute |
//! | `e` space (1) id (32) | a version byte, the expiry (8), then the entry's bytes |
//! | `y` minute (8) space (1) id (32) | nothing; the entry expires by this minute |
//!
//! Numbers in keys are big-endian, so that the index sorts by time.

use serde::{Deserialize, Serialize};

use crate::store::{
    GrantId, StoreError, TokenHash, TokenKind, TokenRecord,
    entry::{Entry, EntryKey, Space},
};

/// Format of the whole store and version of its key layout.
pub(super) const FORMAT: u16 = 1;
/// Key of the format and the pepper check.
pub(super) const META_FORMAT: &[u8] = b"mformat";
/// Key of the number of the last commit.
pub(super) const META_COMMIT: &[u8] = b"mcommit";
/// Prefix of the expiry index.
pub(super) const INDEX: &[u8] = b"x";
/// Prefix of the expiry index of entries.
pub(super) const ENTRY_INDEX: &[u8] = b"y";
/// Most hashes in one index entry. It bounds the page of an entry and its
/// neighbours well below the size at which sled moves a page to its own file.
pub(super) const INDEX_PART: usize = 64;
/// Most bytes of an encoded record; sixteen of them, a full leaf, stay below
/// the size at which sled moves a page to its own file.
pub(super) const RECORD_LIMIT: usize = 4096;

const RECORD_VERSION: u8 = 1;
const BUCKET_SECONDS: u64 = 60;

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    kind: u8,
    grant: [u8; 16],
    client: &'a str,
    subject: &'a str,
    scopes: Vec<&'a str>,
    issued_at: u64,
    expires_at: u64,
}

pub(super) fn encode(record: &TokenRecord) -> Result<Vec<u8>, StoreError> {
    let wire = Wire {
        kind: record.kind.tag(),
        grant: record.grant.0,
        client: &record.client,
        subject: &record.subject,
        scopes: record.scopes.iter().map(String::as_str).collect(),
        issued_at: record.issued_at,
        expires_at: record.expires_at,
    };
    let mut bytes = Vec::with_capacity(160);
    bytes.push(RECORD_VERSION);
    let bytes = postcard::to_extend(&wire, bytes).map_err(|error| StoreError::Unavailable {
        reason: format!("a record could not be encoded: {error}"),
    })?;
    if bytes.len() > RECORD_LIMIT {
        return Err(StoreError::TooLarge {
            bytes: bytes.len(),
            limit: RECORD_LIMIT,
        });
    }
    Ok(bytes)
}

/// The record in `bytes`, or what is wrong with them.
pub(super) fn decode(bytes: &[u8]) -> Result<TokenRecord, String> {
    let wire = match bytes {
        [RECORD_VERSION, wire @ ..] => wire,
        [version, ..] => {
            return Err(format!(
                "a record of version {version}, expected at most {RECORD_VERSION}"
            ));
        }
        [] => return Err("an empty record".into()),
    };
    let wire: Wire<'_> = postcard::from_bytes(wire)
        .map_err(|error| format!("a record that does not parse: {error}"))?;
    let kind = TokenKind::from_tag(wire.kind)
        .ok_or_else(|| format!("a token of the unknown kind {}", wire.kind))?;
    Ok(TokenRecord {
        kind,
        client: wire.client.into(),
        subject: wire.subject.into(),
        grant: GrantId(wire.grant),
        scopes: wire.scopes.into_iter().map(Into::into).collect(),
        issued_at: wire.issued_at,
        expires_at: wire.expires_at,
    })
}

pub(super) fn record_key(hash: TokenHash) -> [u8; 33] {
    let mut key = [b'r'; 33];
    key[1..].copy_from_slice(&hash.0);
    key
}

pub(super) fn entry_key(key: EntryKey) -> [u8; 34] {
    let mut bytes = [b'e'; 34];
    bytes[1] = key.space as u8;
    bytes[2..].copy_from_slice(&key.id);
    bytes
}

/// The part of an entry's key that all of a kind share, and a prefix of its id.
pub(super) fn entry_prefix(space: Space, prefix: &[u8]) -> Vec<u8> {
    [&[b'e', space as u8], prefix].concat()
}

/// The id in an entry's key.
pub(super) fn entry_id(key: &[u8]) -> Option<[u8; 32]> {
    key.get(2..)?.try_into().ok()
}

pub(super) fn encode_entry(entry: &Entry) -> Result<Vec<u8>, StoreError> {
    let bytes = 9 + entry.bytes.len();
    if bytes > RECORD_LIMIT {
        return Err(StoreError::TooLarge {
            bytes,
            limit: RECORD_LIMIT,
        });
    }
    let mut value = Vec::with_capacity(bytes);
    value.push(RECORD_VERSION);
    value.extend_from_slice(&entry.expires_at.to_be_bytes());
    value.extend_from_slice(&entry.bytes);
    Ok(value)
}

/// The expiry and the bytes of an entry, or what is wrong with it.
pub(super) fn decode_entry(value: &[u8]) -> Result<(u64, &[u8]), String> {
    match value.split_first() {
        Some((&RECORD_VERSION, rest)) => match rest.split_first_chunk::<8>() {
            Some((expires_at, bytes)) => Ok((u64::from_be_bytes(*expires_at), bytes)),
            None => Err("an entry without expiry".into()),
        },
        Some((version, _)) => Err(format!(
            "an entry of version {version}, expected at most {RECORD_VERSION}"
        )),
        None => Err("an empty entry".into()),
    }
}

/// The index key of an entry that expires.
pub(super) fn entry_index_key(bucket: u64, entry: &[u8; 34]) -> [u8; 42] {
    let mut key = [b'y'; 42];
    key[1..9].copy_from_slice(&bucket.to_be_bytes());
    key[9..].copy_from_slice(&entry[1..]);
    key
}

/// The first key of the index of entries *after* this bucket.
pub(super) fn entry_index_end(bucket: u64) -> [u8; 9] {
    let mut key = [b'y'; 9];
    key[1..].copy_from_slice(&bucket.saturating_add(1).to_be_bytes());
    key
}

/// The entry's key that stands in an index key.
pub(super) fn indexed_entry(key: &[u8]) -> Option<[u8; 34]> {
    let mut entry = [b'e'; 34];
    entry[1..].copy_from_slice(key.get(9..).filter(|rest| rest.len() == 33)?);
    Some(entry)
}

/// The minute by whose end everything in the bucket has expired.
pub(super) const fn bucket(expires_at: u64) -> u64 {
    expires_at.div_ceil(BUCKET_SECONDS)
}

/// The last bucket whose records have all expired at `now`.
pub(super) const fn last_expired_bucket(now: u64) -> u64 {
    now / BUCKET_SECONDS
}

pub(super) fn index_key(bucket: u64, commit: u64, part: u16) -> [u8; 19] {
    let mut key = [b'x'; 19];
    key[1..9].copy_from_slice(&bucket.to_be_bytes());
    key[9..17].copy_from_slice(&commit.to_be_bytes());
    key[17..].copy_from_slice(&part.to_be_bytes());
    key
}

/// The first index key *after* this bucket.
pub(super) fn index_end(bucket: u64) -> [u8; 19] {
    index_key(bucket.saturating_add(1), 0, 0)
}

/// The hashes of an index entry, `None` if its length is none of ours.
pub(super) fn index_hashes(value: &[u8]) -> Option<&[[u8; 32]]> {
    let (hashes, rest) = value.as_chunks::<32>();
    rest.is_empty().then_some(hashes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> TokenRecord {
        TokenRecord {
            kind: TokenKind::Access,
            client: "fg_app_1".into(),
            subject: "pilot:anna".into(),
            grant: GrantId([7; 16]),
            scopes: vec!["flights:read".into(), "flights:write".into()],
            issued_at: 1_700_000_000,
            expires_at: 1_700_003_600,
        }
    }

    #[test]
    fn the_bytes_of_format_1_never_change() {
        let expected = [
            b"\x01\x01\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07".as_slice(),
            b"\x08fg_app_1\x0apilot:anna\x02\x0cflights:read\x0dflights:write",
            b"\x80\xe2\xcf\xaa\x06\x90\xfe\xcf\xaa\x06",
        ];
        assert_eq!(encode(&record()).unwrap(), expected.concat());
    }

    #[test]
    fn a_newer_record_and_a_foreign_kind_are_said_to_be_so() {
        let mut bytes = encode(&record()).unwrap();
        bytes[1] = 200;
        assert_eq!(
            decode(&bytes).unwrap_err(),
            "a token of the unknown kind 200"
        );
        bytes[0] = 9;
        assert_eq!(
            decode(&bytes).unwrap_err(),
            "a record of version 9, expected at most 1"
        );
        assert!(decode(&[]).is_err());
    }

    #[test]
    fn a_record_that_would_not_fit_a_page_is_refused() {
        let record = TokenRecord {
            subject: "x".repeat(RECORD_LIMIT),
            ..record()
        };
        assert!(matches!(
            encode(&record),
            Err(StoreError::TooLarge {
                limit: RECORD_LIMIT,
                ..
            })
        ));
    }

    #[test]
    fn a_bucket_is_swept_no_earlier_than_its_last_record_expires() {
        for expires_at in [0, 1, 59, 60, 61, 119, 120, 1_700_000_000] {
            let swept_at = bucket(expires_at) * BUCKET_SECONDS;
            assert!(swept_at >= expires_at && swept_at - expires_at < BUCKET_SECONDS);
            assert_eq!(last_expired_bucket(swept_at), bucket(expires_at));
        }
        assert!(index_key(5, u64::MAX, u16::MAX) < index_end(5));
        assert!(index_end(5) <= index_key(6, 0, 0));
    }

    proptest! {
        #[test]
        fn every_record_is_read_back_as_it_was(
            client in ".{0,40}", subject in ".{0,80}", scopes in proptest::collection::vec(".{0,20}", 0..8),
            grant: [u8; 16], issued_at: u64, expires_at: u64,
        ) {
            let record = TokenRecord { kind: TokenKind::Access, client, subject, grant: GrantId(grant), scopes, issued_at, expires_at };
            prop_assert_eq!(decode(&encode(&record).unwrap()).unwrap(), record);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
