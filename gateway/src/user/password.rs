//! Passwords: which are taken, and how they are kept.
//!
//! A hash is Argon2id with OWASP's parameters, salted, and keyed under the
//! pepper: a stolen store alone is no use for guessing.

use std::{fmt, sync::Arc};

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use crds::secret::Secret;
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, task};
use unicode_normalization::{UnicodeNormalization, is_nfc};
use zeroize::Zeroizing;

use super::{UserError, Users, name::Username};
use crate::{clock::NoRandomness, mint::Pepper};

/// The shortest password, in characters.
pub const MIN_CHARS: usize = 10;
/// The longest password, in bytes.
pub const MAX_BYTES: usize = 1024;
/// Hashes that are computed at the same time: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
/// Bytes of a salt (RFC 9106 section 3.1).
const SALT_LEN: usize = 16;

/// What many people choose that is long enough; those who guess begin here.
const COMMON: &str = include_str!("common_passwords.txt");

/// A password that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short.
    #[error("this password is too short: expected at least {MIN_CHARS} characters")]
    Short,
    /// Too long.
    #[error("this password is too long: expected at most {MAX_BYTES} bytes")]
    Long,
    /// Whoever guesses tries it first.
    #[error("this password is one of the first that people guess: choose another")]
    Common,
    /// It stands beside it.
    #[error("a password must not be the user's name or address: choose another")]
    OwnName,
    /// Hashing failed, which only a lack of memory explains.
    #[error("the password could not be hashed: {0}")]
    Hash(argon2::password_hash::Error),
}

/// The hash of a password, in PHC form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Hashed(pub(super) String);

impl fmt::Debug for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hashed(…)")
    }
}

/// What comparing a password with a hash showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Wrong,
    Right,
    /// Right, but hashed with other parameters than those of today.
    RightButOutdated,
}

/// Hashes passwords, a few at a time.
pub struct Passwords {
    key: Arc<Zeroizing<[u8; 32]>>,
    params: Params,
    slots: Arc<Semaphore>,
}

impl Passwords {
    /// Keyed under this pepper.
    pub fn new(pepper: &Pepper) -> Self {
        Self {
            key: Arc::new(Zeroizing::new(pepper.id("password", &[]))),
            params: Params::DEFAULT,
            slots: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// The same, as of a day with other parameters.
    #[cfg(test)]
    pub(super) fn like(&self, params: Params) -> Self {
        Self {
            key: self.key.clone(),
            slots: self.slots.clone(),
            params,
        }
    }

    pub(super) async fn hash(
        &self,
        password: &Secret<String>,
        salt: [u8; SALT_LEN],
    ) -> Result<Hashed, PasswordError> {
        let password = normalised(password);
        self.run(move |hasher| {
            hasher
                .hash_password_with_salt(password.as_bytes(), &salt)
                .map(|hash| Hashed(hash.to_string()))
                .map_err(PasswordError::Hash)
        })
        .await
    }

    /// Compares a password with a hash. Without one the same work is done, so
    /// that nobody learns from the time whether there is one.
    pub(super) async fn verify(
        &self,
        password: &Secret<String>,
        hash: Option<Hashed>,
    ) -> Result<Verdict, PasswordError> {
        if password.expose().len() > MAX_BYTES {
            return Ok(Verdict::Wrong);
        }
        let password = normalised(password);
        let today = self.params.clone();
        self.run(move |hasher| {
            let Some(hash) = hash else {
                let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
                // Whatever comes of it is not looked at, only waited for.
                let _ = hasher.hash_password_into(password.as_bytes(), &[0; SALT_LEN], &mut out);
                std::hint::black_box(out);
                return Ok(Verdict::Wrong);
            };
            let hash =
                PasswordHash::new(&hash.0).map_err(|error| PasswordError::Hash(error.into()))?;
            match hasher.verify_password(password.as_bytes(), &hash) {
                Ok(()) if is_of(&hash, &today) => Ok(Verdict::Right),
                Ok(()) => Ok(Verdict::RightButOutdated),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(Verdict::Wrong),
                Err(error) => Err(PasswordError::Hash(error)),
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'_>) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let failed = || PasswordError::Hash(argon2::password_hash::Error::Internal);
        // The permit goes along: who gives up waiting does not end the work.
        let permit = self.slots.clone().acquire_owned().await;
        let permit = permit.map_err(|_| failed())?;
        let (key, params) = (self.key.clone(), self.params.clone());
        task::spawn_blocking(move || {
            let _permit = permit;
            let hasher =
                Argon2::new_with_secret(&**key, Algorithm::Argon2id, Version::V0x13, params)
                    .map_err(|error| PasswordError::Hash(error.into()))?;
            work(&hasher)
        })
        .await
        .map_err(|_| failed())?
    }
}

fn is_of(hash: &PasswordHash, today: &Params) -> bool {
    hash.algorithm == Algorithm::Argon2id.ident()
        && hash.version == Some(Version::V0x13.into())
        && Params::try_from(hash).is_ok_and(|params| costs(&params) == costs(today))
}

fn costs(params: &Params) -> [u32; 3] {
    [params.m_cost(), params.t_cost(), params.p_cost()]
}

/// The same characters are the same password, however the keyboard composes
/// them (RFC 8265 section 4.2.2).
fn normalised(password: &Secret<String>) -> Zeroizing<String> {
    let password = password.expose();
    Zeroizing::new(if is_nfc(password) {
        password.clone()
    } else {
        // Of a size that does not grow and leave copies behind.
        let mut text = String::with_capacity(password.len() * 3);
        text.extend(password.nfc());
        text
    })
}

impl Users {
    /// The hash of a password that this user may have.
    pub(super) async fn hash_for(
        &self,
        password: &Secret<String>,
        name: &Username,
        email: Option<&str>,
    ) -> Result<Hashed, UserError> {
        check(password, name, email)?;
        let salt = self.fresh_salt()?;
        Ok(self.passwords.hash(password, salt).await?)
    }

    pub(super) fn fresh_salt(&self) -> Result<[u8; SALT_LEN], NoRandomness> {
        let mut salt = [0; SALT_LEN];
        self.rng.fill(&mut salt)?;
        Ok(salt)
    }
}

/// Whether this user may have this password. There is a length, and there are
/// those that everybody tries; nothing is said about which characters.
pub fn check(
    password: &Secret<String>,
    name: &Username,
    email: Option<&str>,
) -> Result<(), PasswordError> {
    if password.expose().len() > MAX_BYTES {
        return Err(PasswordError::Long);
    }
    let password = normalised(password);
    if password.chars().count() < MIN_CHARS {
        return Err(PasswordError::Short);
    }
    let folded = Zeroizing::new(password.to_lowercase());
    let own = [Some(name.folded()), email];
    if own
        .into_iter()
        .flatten()
        .any(|own| own.to_lowercase() == *folded)
    {
        return Err(PasswordError::OwnName);
    }
    let mut chars = password.chars();
    let first = chars.next();
    let one_character = chars.all(|c| Some(c) == first);
    if one_character || COMMON.lines().any(|common| common == *folded) {
        return Err(PasswordError::Common);
    }
    Ok(())
}
