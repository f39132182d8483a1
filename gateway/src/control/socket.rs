//! The socket as a file: made for its owner alone, replaced when nobody
//! listens on it, removed at the end.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use axum::Router;
use tokio::{
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};

use super::SOCKET;

/// Takes commands until it is dropped.
pub struct Listening {
    path: PathBuf,
    identity: (u64, u64),
    task: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
        // Another gateway's is left alone.
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // Who finds it nevertheless finds nobody there.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Connects to the gateway of this keys folder.
pub(super) async fn connect(folder: &Path) -> io::Result<UnixStream> {
    let (_open, path) = short(folder)?;
    UnixStream::connect(path.join(SOCKET)).await
}

/// Serves `router` on the socket of this keys folder.
pub(super) async fn listen(folder: &Path, router: Router) -> io::Result<Listening> {
    if connect(folder).await.is_ok() {
        return Err(io::Error::other(
            "another gateway listens there: give each a keys folder of its own",
        ));
    }
    // Made where nobody else can look, and put in its place when its mode is
    // right: that replaces a stale one in the same step.
    let nest = folder.join(format!(".control-{}", std::process::id()));
    let _ = fs::remove_dir_all(&nest);
    fs::DirBuilder::new().mode(0o700).create(&nest)?;
    let listening = nested(folder, &nest, router);
    let _ = fs::remove_dir_all(&nest);
    listening
}

fn nested(folder: &Path, nest: &Path, router: Router) -> io::Result<Listening> {
    let (_open, short) = short(nest)?;
    let listener = UnixListener::bind(short.join(SOCKET))?;
    let made = nest.join(SOCKET);
    fs::set_permissions(&made, fs::Permissions::from_mode(0o600))?;
    let path = folder.join(SOCKET);
    fs::rename(&made, &path)?;
    let identity = identity(&path)?;
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "commands about users cannot reach this gateway any more");
        }
    });
    Ok(Listening {
        path,
        identity,
        task,
    })
}

/// A path of the folder that is short enough for a socket's address (108
/// bytes), good for as long as the folder is held open.
fn short(folder: &Path) -> io::Result<(File, PathBuf)> {
    let open = File::open(folder)?;
    let path = format!("/proc/self/fd/{}", open.as_raw_fd()).into();
    Ok((open, path))
}
