//! The strings that credentials are.
//!
//! A secret is a prefix, 43 characters of base62 (256 bits of randomness) and 6
//! characters of base62 of the CRC-32 of everything before them, as the
//! gateway's own tokens are: a scanner finds leaked ones, and a mistyped one is
//! refused without a look-up.

use base64::{Engine, engine::general_purpose::STANDARD};
use crds::secret::Secret;
use zeroize::{Zeroize, Zeroizing};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LEN: usize = 43;
const CHECK_LEN: usize = 6;
/// What a signing secret starts with (Standard Webhooks).
const SIGNING_PREFIX: &str = "whsec_";
const SIGNING_LEN: usize = 32;

/// Gives randomness fit for secrets.
pub trait Rng {
    /// Fills `bytes`, or says that there is no randomness to give.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness>;
}

/// The source of randomness did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the system's source of randomness failed: {0}")]
pub struct NoRandomness(#[from] getrandom::Error);

/// The system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Rng for System {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        Ok(getrandom::fill(bytes)?)
    }
}

/// What a kind of secret looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form<'a> {
    /// A bearer secret with this prefix.
    Checked(&'a str),
    /// A webhook signing secret.
    Signing,
}

impl Form<'_> {
    /// Makes a fresh secret.
    pub fn mint(self, rng: &dyn Rng) -> Result<Secret<String>, NoRandomness> {
        match self {
            Self::Checked(prefix) => {
                let mut text = String::with_capacity(prefix.len() + RANDOM_LEN + CHECK_LEN);
                text.push_str(prefix);
                push_base62(&mut text, RANDOM_LEN, rng)?;
                let check = checksum(text.as_bytes());
                text.extend(check.iter().map(|byte| char::from(*byte)));
                Ok(Secret::new(text))
            }
            Self::Signing => {
                let mut bytes = Zeroizing::new([0_u8; SIGNING_LEN]);
                rng.fill(&mut *bytes)?;
                let mut text = String::with_capacity(SIGNING_PREFIX.len() + 44);
                text.push_str(SIGNING_PREFIX);
                STANDARD.encode_string(*bytes, &mut text);
                Ok(Secret::new(text))
            }
        }
    }

    /// Whether `text` is a secret of this form. One that is not was never made
    /// here: somebody edited it.
    pub fn fits(self, text: &str) -> bool {
        match self {
            Self::Checked(prefix) => {
                let Some(rest) = text.strip_prefix(prefix) else {
                    return false;
                };
                if rest.len() != RANDOM_LEN + CHECK_LEN
                    || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
                {
                    return false;
                }
                let (body, check) = text.as_bytes().split_at(text.len() - CHECK_LEN);
                checksum(body) == check
            }
            Self::Signing => text
                .strip_prefix(SIGNING_PREFIX)
                .and_then(|rest| STANDARD.decode(rest).ok())
                .is_some_and(|bytes| bytes.len() == SIGNING_LEN),
        }
    }
}

/// A fresh identifier: `prefix` and `len` characters of base62.
pub fn identifier(prefix: &str, len: usize, rng: &dyn Rng) -> Result<String, NoRandomness> {
    let mut text = String::with_capacity(prefix.len() + len);
    text.push_str(prefix);
    push_base62(&mut text, len, rng)?;
    Ok(text)
}

/// Appends `count` characters of base62, each of the 62 equally likely.
fn push_base62(text: &mut String, count: usize, rng: &dyn Rng) -> Result<(), NoRandomness> {
    let mut left = count;
    let mut bytes = [0_u8; 64];
    while left > 0 {
        rng.fill(&mut bytes)?;
        // 248 = 4 × 62: larger bytes would favour the alphabet's beginning.
        for byte in bytes.iter().filter(|byte| **byte < 248).take(left) {
            text.push(char::from(ALPHABET[usize::from(byte % 62)]));
            left -= 1;
        }
    }
    bytes.zeroize();
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_fresh_secret_fits_its_form_and_no_two_are_alike() {
        for (form, len) in [
            (Form::Checked("fg_secret_"), 10 + 43 + 6),
            (Form::Signing, 6 + 44),
        ] {
            let secrets: HashSet<_> = (0..500)
                .map(|_| form.mint(&System).unwrap().expose().clone())
                .collect();
            assert_eq!(secrets.len(), 500);
            for secret in &secrets {
                assert_eq!(secret.len(), len);
                assert!(form.fits(secret));
                assert!(!Form::Checked("fg_pat_").fits(secret));
            }
        }
    }

    #[test]
    fn an_edited_secret_no_longer_fits() {
        let form = Form::Checked("fg_secret_");
        let secret = form.mint(&System).unwrap();
        for i in 0..secret.expose().len() {
            let mut bytes = secret.expose().clone().into_bytes();
            bytes[i] = if bytes[i] == b'x' { b'y' } else { b'x' };
            assert!(
                !form.fits(&String::from_utf8(bytes).unwrap()),
                "position {i}"
            );
        }
        assert!(!Form::Signing.fits("whsec_AAAA"));
    }

    #[test]
    fn the_checksum_is_the_one_that_the_gateway_computes() {
        // CRC-32 of `123456789` is 0xcbf43926 in every implementation.
        assert_eq!(&checksum(b"123456789"), b"3jZRME");
    }
}
