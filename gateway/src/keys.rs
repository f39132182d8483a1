//! The gateway's own keys: the pepper under which tokens are hashed and the key
//! that signs identities. Made at the first start, in a folder that only the
//! gateway can read.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{
    clock::{NoRandomness, Rng},
    identity::{Signer, SignerError},
    mint::Pepper,
};

const PEPPER: &str = "pepper";
const IDENTITY: &str = "identity.seed";
const SEED_LEN: usize = 32;

/// The keys, ready for use.
pub struct Keys {
    /// Hashes tokens.
    pub pepper: Pepper,
    /// Signs identities.
    pub signer: Signer,
}

/// The keys could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file system refused.
    #[error("keys folder: {path}: {source}")]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key file has another length.
    #[error(
        "{path} holds {found} bytes: expected {SEED_LEN}; restore the file from a backup, or remove it together with the store"
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: usize,
    },
    /// A new key could not be made.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The identity key was not accepted.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

impl Keys {
    /// Reads the keys of `folder`; makes those that are missing.
    pub fn open(folder: &Path, rng: &dyn Rng) -> Result<Self, KeysError> {
        let fail = |source| KeysError::Io {
            path: folder.into(),
            source,
        };
        private_folder(folder).map_err(fail)?;
        // A gateway and a command may start at once, and keys are made once.
        let _lock = lock(folder).map_err(fail)?;
        let pepper = seed(&folder.join(PEPPER), rng)?;
        let identity = seed(&folder.join(IDENTITY), rng)?;
        Ok(Self {
            pepper: Pepper::new(&pepper),
            signer: Signer::from_seed(&identity)?,
        })
    }
}

/// Holds other processes off until it is dropped.
fn lock(folder: &Path) -> io::Result<File> {
    let file = File::open(folder)?;
    file.lock()?;
    Ok(file)
}

/// Makes `folder` and its parents, readable by nobody else.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

fn seed(path: &Path, rng: &dyn Rng) -> Result<Zeroizing<[u8; SEED_LEN]>, KeysError> {
    let fail = |source| KeysError::Io {
        path: path.into(),
        source,
    };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut seed = Zeroizing::new([0; SEED_LEN]);
            rng.fill(&mut *seed)?;
            write_private(path, &*seed).map_err(fail)?;
            return Ok(seed);
        }
        Err(error) => return Err(fail(error)),
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(SEED_LEN + 1));
    Read::take(&mut file, SEED_LEN as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    let seed = bytes.as_slice().try_into();
    seed.map(Zeroizing::new).map_err(|_| KeysError::Length {
        path: path.into(),
        found: bytes.len(),
    })
}

/// Writes a file that only this user can read: whole and on disk, or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_fresh(path, bytes)?.sync_all()?;
    fs::rename(fresh(path), path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// The same for what can be had again: readers see it whole, but a power
/// failure may take it.
pub(crate) fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_fresh(path, bytes)?;
    fs::rename(fresh(path), path)
}

fn write_fresh(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(fresh(path))?;
    file.write_all(bytes)?;
    Ok(file)
}

fn fresh(path: &Path) -> PathBuf {
    path.with_extension("new")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::clock::System;

    #[test]
    fn keys_are_made_once_and_only_the_owner_reads_them() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/keys");
        let first = Keys::open(&folder, &System).unwrap();
        let second = Keys::open(&folder, &System).unwrap();
        assert_eq!(first.pepper.fingerprint(), second.pepper.fingerprint());
        assert_eq!(first.signer.jwks(), second.signer.jwks());
        for name in [PEPPER, IDENTITY] {
            let mode = fs::metadata(folder.join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_key_is_never_replaced_silently() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(PEPPER), b"short").unwrap();
        let Err(error) = Keys::open(root.path(), &System) else {
            panic!("accepted")
        };
        assert!(
            error.to_string().contains("5 bytes: expected 32"),
            "{error}"
        );
        assert_eq!(fs::read(root.path().join(PEPPER)).unwrap(), b"short");
    }
}
