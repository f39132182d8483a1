//! One process per data directory.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// Holds a data directory until dropped, or until the process ends however it ends.
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the directory; none if another process has it.
    pub(super) fn take(directory: &Path) -> io::Result<Option<DirectoryLock>> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(directory.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(DirectoryLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
