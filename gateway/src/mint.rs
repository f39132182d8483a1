//! The strings that credentials are: made here, and recognised here without a
//! look at the store.
//!
//! A token is a prefix, 43 characters of base62 (256 bits of randomness) and 6
//! characters of base62 of the CRC-32 of everything before them. A scanner
//! finds leaked ones by their prefix and checksum, and a mistyped one is
//! refused before it costs a look-up.

use crds::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    clock::{NoRandomness, Rng},
    store::TokenHash,
};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LEN: usize = 43;
const CHECK_LEN: usize = 6;
const PASSWORD_LEN: usize = 20;
/// The longest token that is looked at; longer ones are refused (FCV-42).
pub const MAX_TOKEN_LEN: usize = 255;

/// Makes a fresh token that starts with `prefix`.
pub fn token(prefix: &str, rng: &dyn Rng) -> Result<Secret<String>, NoRandomness> {
    let mut text = String::with_capacity(prefix.len() + RANDOM_LEN + CHECK_LEN);
    text.push_str(prefix);
    push_random(&mut text, RANDOM_LEN, rng)?;
    let check = checksum(text.as_bytes());
    text.extend(check.iter().map(|byte| char::from(*byte)));
    Ok(Secret::new(text))
}

/// The token that follows from `source`, always the same under one pepper, so
/// that who lost an answer can be given it once more. Nobody without the pepper
/// can tell that the two belong together.
pub fn successor(prefix: &str, pepper: &Pepper, purpose: &str, source: &[u8]) -> Secret<String> {
    let mut text = String::with_capacity(prefix.len() + RANDOM_LEN + CHECK_LEN);
    text.push_str(prefix);
    let mut left = RANDOM_LEN;
    let mut block = 0_u32;
    while left > 0 {
        let mut bytes = pepper.id(purpose, &[source, &block.to_be_bytes()]);
        left -= push_base62(&mut text, left, &bytes);
        zeroize::Zeroize::zeroize(&mut bytes);
        block += 1;
    }
    let check = checksum(text.as_bytes());
    text.extend(check.iter().map(|byte| char::from(*byte)));
    Secret::new(text)
}

/// Makes a password for somebody who chose none: 20 characters of base62, 119
/// bits.
pub fn password(rng: &dyn Rng) -> Result<Secret<String>, NoRandomness> {
    let mut text = String::with_capacity(PASSWORD_LEN);
    push_random(&mut text, PASSWORD_LEN, rng)?;
    Ok(Secret::new(text))
}

/// Appends `count` characters of base62, each of the 62 equally likely.
fn push_random(text: &mut String, count: usize, rng: &dyn Rng) -> Result<(), NoRandomness> {
    let mut left = count;
    let mut bytes = [0_u8; 64];
    while left > 0 {
        rng.fill(&mut bytes)?;
        left -= push_base62(text, left, &bytes);
    }
    zeroize::Zeroize::zeroize(&mut bytes);
    Ok(())
}

/// Appends what these bytes give, at most `most` characters; how many.
fn push_base62(text: &mut String, most: usize, bytes: &[u8]) -> usize {
    // 248 = 4 × 62: larger bytes would favour the alphabet's beginning.
    let fair = bytes.iter().filter(|byte| **byte < 248).take(most);
    fair.map(|byte| text.push(char::from(ALPHABET[usize::from(byte % 62)])))
        .count()
}

/// Characters from `alphabet`, each equally likely; for codes that people type.
pub fn typed(alphabet: &[u8], count: usize, rng: &dyn Rng) -> Result<Secret<String>, NoRandomness> {
    let fair = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(count);
    let mut bytes = [0_u8; 32];
    while text.len() < count {
        rng.fill(&mut bytes)?;
        let left = count - text.len();
        let bytes = bytes.iter().map(|byte| usize::from(*byte));
        for byte in bytes.filter(|byte| *byte < fair).take(left) {
            text.push(char::from(alphabet[byte % alphabet.len()]));
        }
    }
    zeroize::Zeroize::zeroize(&mut bytes);
    Ok(Secret::new(text))
}

/// Whether `token` starts with `prefix`, has the right length and alphabet, and
/// a checksum that fits.
pub fn is_well_formed(token: &[u8], prefix: &str) -> bool {
    let Some(rest) = token.strip_prefix(prefix.as_bytes()) else {
        return false;
    };
    if rest.len() != RANDOM_LEN + CHECK_LEN || !rest.iter().all(u8::is_ascii_alphanumeric) {
        return false;
    }
    let (body, check) = token.split_at(token.len() - CHECK_LEN);
    checksum(body) == check
}

fn checksum(bytes: &[u8]) -> [u8; CHECK_LEN] {
    let mut value = crc32fast::hash(bytes);
    let mut text = [b'0'; CHECK_LEN];
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET[(value % 62) as usize];
        value /= 62;
    }
    text
}

/// The key under which tokens are hashed before they are stored, so that a
/// stolen store holds nothing that can be used or tested.
#[derive(Clone)]
pub struct Pepper(Hmac<Sha256>);

impl Pepper {
    /// Length of the pepper in bytes.
    pub const LEN: usize = 32;

    /// The pepper of these bytes.
    pub fn new(bytes: &[u8; Self::LEN]) -> Self {
        // A key shorter than a block is padded with zeros (RFC 2104 section 2).
        let mut block = Zeroizing::new([0; 64]);
        block[..Self::LEN].copy_from_slice(bytes);
        Self(Hmac::new((&*block).into()))
    }

    /// What the store knows of a token.
    pub fn hash(&self, token: &[u8]) -> TokenHash {
        TokenHash(self.mac(token))
    }

    /// A value that only this pepper gives: a store remembers it, to notice
    /// that it was opened with another.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.mac(b"flightgate pepper fingerprint")
    }

    /// An id that says nothing to who has no pepper. Each domain has ids of its
    /// own, and the parts cannot run into each other.
    pub fn id(&self, domain: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(b"flightgate ");
        for part in [domain.as_bytes()].iter().chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn mac(&self, bytes: &[u8]) -> [u8; 32] {
        self.0
            .clone()
            .chain_update(bytes)
            .finalize()
            .into_bytes()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::clock::System;

    #[test]
    fn a_fresh_token_is_recognised_and_no_two_are_alike() {
        let tokens: HashSet<_> = (0..1_000)
            .map(|_| token("fg_at_", &System).unwrap().expose().clone())
            .collect();
        assert_eq!(tokens.len(), 1_000);
        for token in &tokens {
            assert_eq!(token.len(), 6 + 43 + 6);
            assert!(is_well_formed(token.as_bytes(), "fg_at_"));
            assert!(!is_well_formed(token.as_bytes(), "fg_rt_"));
        }
    }

    #[test]
    fn a_successor_is_always_the_same_and_looks_like_any_token() {
        let pepper = |seed| Pepper::new(&[seed; 32]);
        let token = |seed, purpose, source: &[u8]| {
            successor("fg_rt_", &pepper(seed), purpose, source)
                .expose()
                .clone()
        };
        let one = token(1, "refresh", b"a");
        assert!(is_well_formed(one.as_bytes(), "fg_rt_"));
        assert_eq!(one, token(1, "refresh", b"a"));
        for other in [
            token(2, "refresh", b"a"),
            token(1, "access", b"a"),
            token(1, "refresh", b"b"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn the_parts_of_an_id_do_not_run_into_each_other() {
        let pepper = Pepper::new(&[1; 32]);
        assert_ne!(
            pepper.id("x", &[b"ab", b"c"]),
            pepper.id("x", &[b"a", b"bc"])
        );
        assert_ne!(pepper.id("x", &[b"y"]), pepper.id("xy", &[]));
    }

    #[test]
    fn what_people_type_comes_from_the_alphabet() {
        let text = typed(b"ABC", 3_000, &System).unwrap();
        for letter in ['A', 'B', 'C'] {
            let count = text
                .expose()
                .chars()
                .filter(|found| *found == letter)
                .count();
            assert!((800..1_200).contains(&count), "{letter}: {count}");
        }
        assert_eq!(text.expose().len(), 3_000);
    }

    #[test]
    fn one_wrong_character_is_noticed() {
        let token = token("fg_at_", &System).unwrap();
        for i in 6..token.expose().len() {
            let mut bytes = token.expose().clone().into_bytes();
            bytes[i] = if bytes[i] == b'x' { b'y' } else { b'x' };
            assert!(!is_well_formed(&bytes, "fg_at_"), "position {i}");
        }
        assert!(!is_well_formed(b"", "fg_at_"));
        assert!(!is_well_formed(b"fg_at_", "fg_at_"));
    }

    #[test]
    fn ids_differ_by_domain_and_by_where_a_part_ends() {
        let pepper = Pepper::new(&[7; 32]);
        let ids = [
            pepper.id("user", &[b"ab"]),
            pepper.id("user", &[b"a", b"b"]),
            pepper.id("user", &[b"ab", b""]),
            pepper.id("user", &[]),
            pepper.id("usera", &[b"b"]),
            pepper.id("session", &[b"ab"]),
            pepper.hash(b"ab").0,
        ];
        let distinct: HashSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert_eq!(pepper.id("user", &[b"ab"]), ids[0]);
    }

    #[test]
    fn every_character_of_base62_comes_equally_often() {
        let mut text = String::new();
        push_random(&mut text, 62_000, &System).unwrap();
        for letter in ALPHABET {
            let count = text.bytes().filter(|byte| byte == letter).count();
            assert!(
                (800..1_200).contains(&count),
                "{}: {count}",
                char::from(*letter)
            );
        }
    }
}
