//! The folder that `compile` writes. Every file is written whole or not at all,
//! and only if it changes.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

const OWNER_ALONE: u32 = 0o600;
const OWNER_ALONE_FOLDER: u32 = 0o700;

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The file was not there.
    New,
    /// It held something else.
    Changed,
    /// It held this already, and was left alone.
    Same,
}

/// A step on the file system failed.
#[derive(Debug, thiserror::Error)]
#[error("{action} {path}: {source}")]
pub struct FileError {
    action: &'static str,
    path: String,
    source: io::Error,
}

/// Says what was done to which file when it failed.
pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.display().to_string();
    move |source| FileError {
        action,
        path,
        source,
    }
}

/// The output folder, held against a second `compile` at the same time.
pub(super) struct Folder {
    root: PathBuf,
    lock: Option<File>,
}

impl Folder {
    /// Opens the folder, with its lock. One that is not there is not made: it
    /// reads as empty.
    pub(super) fn open(root: &Path) -> Result<Self, FileError> {
        let mut folder = Self {
            root: root.to_owned(),
            lock: None,
        };
        if root.is_dir() {
            folder.lock()?;
        }
        Ok(folder)
    }

    /// Makes the folder if it is not there.
    pub(super) fn make(&mut self) -> Result<(), FileError> {
        if self.lock.is_none() {
            make_folder(&self.root)?;
            self.lock()?;
        }
        Ok(())
    }

    fn lock(&mut self) -> Result<(), FileError> {
        let path = self.root.join(".lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(OWNER_ALONE)
            .open(&path)
            .map_err(at("cannot open", &path))?;
        lock.try_lock().map_err(|_| {
            at("cannot lock", &path)(io::Error::other(
                "another compile is writing to this folder",
            ))
        })?;
        self.lock = Some(lock);
        Ok(())
    }

    /// A file's bytes; none: it is not there.
    pub(super) fn read(
        &self,
        place: &str,
        name: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
        let path = self.path(place, name);
        read(&path)
    }

    /// The files of a folder, without temporary ones.
    pub(super) fn names(&self, place: &str) -> Result<Vec<String>, FileError> {
        let folder = self.root.join(place);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(at("cannot read", &folder)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(at("cannot read", &folder))?;
            names.extend(
                entry
                    .file_name()
                    .into_string()
                    .ok()
                    .filter(|name| !name.starts_with('.')),
            );
        }
        names.sort();
        Ok(names)
    }

    /// Writes a file: to a temporary name, synced, renamed, the folder synced.
    /// What already holds these bytes is not touched.
    pub(super) fn write(
        &self,
        place: &str,
        name: &str,
        bytes: &[u8],
    ) -> Result<Written, FileError> {
        let folder = self.root.join(place);
        make_folder(&folder)?;
        let path = folder.join(name);
        let old = read(&path)?;
        if old.as_deref().is_some_and(|old| old == bytes) {
            tighten(&path, OWNER_ALONE)?;
            return Ok(Written::Same);
        }
        let temporary = folder.join(format!(".{name}.tmp"));
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at("cannot remove", &temporary)(error));
            }
            _ => {}
        }
        let write = || {
            let mut file = OpenOptions::new()
                .create_new(true)
                .write(true)
                .mode(OWNER_ALONE)
                .open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&folder)?.sync_all()
        };
        write().map_err(at("cannot write", &path))?;
        Ok(if old.is_some() {
            Written::Changed
        } else {
            Written::New
        })
    }

    /// Removes a file that may be gone already.
    pub(super) fn remove(&self, place: &str, name: &str) -> Result<(), FileError> {
        let path = self.path(place, name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(at("cannot remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    fn path(&self, place: &str, name: &str) -> PathBuf {
        self.root.join(place).join(name)
    }
}

fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at("cannot read", path)(error)),
    };
    let mut bytes = Zeroizing::new(Vec::new());
    file.read_to_end(&mut bytes)
        .map_err(at("cannot read", path))?;
    Ok(Some(bytes))
}

fn make_folder(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(OWNER_ALONE_FOLDER)
        .create(path)
        .map_err(at("cannot make", path))
}

/// Takes away what a mode gives to others.
fn tighten(path: &Path, most: u32) -> Result<(), FileError> {
    let mode = fs::metadata(path)
        .map_err(at("cannot read", path))?
        .permissions()
        .mode();
    if mode & 0o777 & !most != 0 {
        fs::set_permissions(path, Permissions::from_mode(mode & most))
            .map_err(at("cannot change the mode of", path))?;
    }
    Ok(())
}
