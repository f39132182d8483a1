//! Folders that are gone when the test process is.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
    sync::{LazyLock, Mutex, PoisonError},
};

use rustix::fs::statvfs;

use crate::process::launcher;

/// Set it to keep the folders, to look at what is in them.
const KEEP: &str = "FLIGHTGATE_E2E_KEEP";

/// What etcd may come to need. Docker gives /dev/shm no more than 64 MiB.
const ROOM: u64 = 1 << 30;

/// A folder for its owner alone. Dropping it removes it; if nobody gets to drop
/// it, a process of its own does when this one ends.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A folder on disk.
    pub(crate) fn new() -> Self {
        Self::below(&env::temp_dir())
    }

    /// A folder in memory, where there is room.
    pub(crate) fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        let has_room = statvfs(memory).is_ok_and(|it| it.f_bavail * it.f_frsize >= ROOM);
        let is_writable = || tempfile::tempfile_in(memory).is_ok();
        if has_room && is_writable() {
            Self::below(memory)
        } else {
            Self::new()
        }
    }

    fn below(parent: &Path) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("flightgate-e2e-")
            .tempdir_in(parent)
            .unwrap();
        sweep_at_the_end(folder.path());
        Self {
            path: folder.keep(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file, and says where.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !is_kept() {
            // What fails here, the sweeper tries again.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn is_kept() -> bool {
    env::var_os(KEEP).is_some_and(|value| !value.is_empty())
}

/// Has a process that outlives this one remove the folder.
fn sweep_at_the_end(path: &Path) {
    #[expect(clippy::zombie_processes, reason = "it ends after this process")]
    static SWEEPER: LazyLock<Mutex<ChildStdin>> = LazyLock::new(|| {
        let sweeper = Command::new(launcher())
            .arg("sweep")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Mutex::new(sweeper.stdin.unwrap())
    });
    if !is_kept() {
        let mut sweeper = SWEEPER.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(sweeper, "{}", path.display()).unwrap();
    }
}
