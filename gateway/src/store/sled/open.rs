//! Opening: everything that must hold before the first request.
//!
//! In this order: our lock, what can be told without sled, sled itself with a
//! clear sentence in case it panics, then format, pepper and the last commit.

use std::{
    fs::{self, File, OpenOptions},
    io,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use ::sled::Db;
use rustix::fs::FlockOperation;

use super::{SledOptions, damage, io_error, marker::Marker, record, sled_error};
use crate::store::StoreError;

/// How long to wait for the threads of a sled that this process has just
/// closed: they may hold its file a moment longer.
const LINGER: Duration = Duration::from_secs(5);

/// An open store, checked.
pub(super) struct Opened {
    pub(super) db: Db,
    pub(super) log: File,
    pub(super) marker: Marker,
    /// No commit has this number or a higher one.
    pub(super) commit: u64,
    pub(super) lock: File,
}

pub(super) fn open(options: &SledOptions) -> Result<Opened, StoreError> {
    let path = &options.path;
    crate::keys::private_folder(path).map_err(|source| io_error("create", path, source))?;
    let lock = lock(path)?;
    let (mut marker, acknowledged) = Marker::open(path)?;
    let log = path.join("db");
    let lost = |found| StoreError::LostCommits {
        path: path.clone(),
        marker: Marker::path(path),
        found,
        acknowledged,
    };
    if acknowledged > 0 && fs::metadata(&log).map_or(0, |metadata| metadata.len()) == 0 {
        return Err(lost(0));
    }
    let db = guarded(path, || open_sled(options))?;
    let log = File::open(&log).map_err(|source| io_error("open", &log, source))?;
    let found = match number(path, &db)? {
        Some(found) if found >= acknowledged => found,
        found if acknowledged > 0 => return Err(lost(found.unwrap_or(0))),
        _ => 0,
    };
    if found == 0 {
        create(options, &db, &log)?;
    }
    check_format(options, &db)?;
    marker.advance(found.max(1));
    marker.sync()?;
    // The next number belongs to a commit that a crash may have cut off; its
    // index entries must not be overwritten.
    Ok(Opened {
        db,
        log,
        marker,
        commit: found.max(1) + 1,
        lock,
    })
}

/// One process per store. sled has its own lock, but reports it as any other
/// error, and takes it after it has begun to write.
fn lock(path: &Path) -> Result<File, StoreError> {
    let file = path.join("lock");
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&file);
    let lock = lock.map_err(|source| io_error("open", &file, source))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Locked { path: path.into() }),
        Err(source) => Err(io_error("lock", &file, source.into())),
    }
}

fn open_sled(options: &SledOptions) -> Result<Db, StoreError> {
    let started = Instant::now();
    loop {
        let config = ::sled::Config::new()
            .path(&options.path)
            .cache_capacity(options.cache_bytes)
            // The writer flushes each commit. sled's own thread would fsync
            // twice a second besides, whether or not there is anything to do.
            .flush_every_ms(None);
        match config.open() {
            // Text, because sled has no kind for it.
            Err(::sled::Error::Io(error))
                if error.to_string().contains("could not acquire lock") =>
            {
                if started.elapsed() > LINGER {
                    return Err(StoreError::Locked {
                        path: options.path.clone(),
                    });
                }
                thread::sleep(Duration::from_millis(5));
            }
            opened => return opened.map_err(|error| sled_error(&options.path, error)),
        }
    }
}

/// Runs what opens sled. sled panics on some damage; a release build ends
/// there and then, so the operator reads what to do before the panic itself.
/// A build that unwinds gets an error.
fn guarded<T>(path: &Path, open: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _hooked = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let previous: Arc<dyn Fn(&panic::PanicHookInfo<'_>) + Send + Sync> = panic::take_hook().into();
    let here = thread::current().id();
    panic::set_hook(Box::new({
        let (previous, path) = (previous.clone(), path.to_path_buf());
        move |info| {
            let thread = thread::current();
            let ours = thread.id() == here
                || thread
                    .name()
                    .is_some_and(|name| name.starts_with("sled-io"));
            if ours {
                let error = damage(
                    &path,
                    format!("its database panicked while opening: {info}"),
                );
                tracing::error!("{error}");
            }
            previous(info);
        }
    }));
    let outcome = panic::catch_unwind(AssertUnwindSafe(open));
    panic::set_hook(Box::new(move |info| previous(info)));
    outcome.unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or(panic.downcast_ref::<&str>().copied());
        Err(damage(
            path,
            format!(
                "its database panicked while opening: {}",
                said.unwrap_or("no message")
            ),
        ))
    })
}

/// The number of the last commit, `None` if the store is empty.
fn number(path: &Path, db: &Db) -> Result<Option<u64>, StoreError> {
    let Some(value) = db
        .get(record::META_COMMIT)
        .map_err(|error| sled_error(path, error))?
    else {
        return match db.first().map_err(|error| sled_error(path, error))? {
            // A first start that was cut off may have left the format alone.
            Some((key, _)) if key != record::META_FORMAT => Err(damage(
                path,
                "it has entries and no commit number; it is not a store of Flightgate".into(),
            )),
            _ => Ok(None),
        };
    };
    let value: [u8; 8] = (&*value)
        .try_into()
        .map_err(|_| damage(path, format!("a commit number of {} bytes", value.len())))?;
    Ok(Some(u64::from_le_bytes(value)))
}

/// Writes the first commit of an empty store, and makes its files durable:
/// sled syncs neither its configuration nor the directory.
fn create(options: &SledOptions, db: &Db, log: &File) -> Result<(), StoreError> {
    let path = &options.path;
    let mut format = record::FORMAT.to_le_bytes().to_vec();
    format.extend_from_slice(&options.pepper_check);
    let sled = |error| sled_error(path, error);
    db.insert(record::META_FORMAT, format).map_err(sled)?;
    db.insert(record::META_COMMIT, &1u64.to_le_bytes())
        .map_err(sled)?;
    db.flush().map_err(sled)?;
    log.sync_all()
        .map_err(|source| io_error("sync", path, source))?;
    let parent = path
        .canonicalize()
        .ok()
        .and_then(|path| path.parent().map(Path::to_path_buf));
    for path in [Some(path.join("conf")), Some(path.clone()), parent]
        .into_iter()
        .flatten()
    {
        sync(&path)?;
    }
    Ok(())
}

fn sync(path: &Path) -> Result<(), StoreError> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    match synced {
        // The parent may be a directory that we may enter and not read.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced.map_err(|source| io_error("sync", path, source)),
    }
}

fn check_format(options: &SledOptions, db: &Db) -> Result<(), StoreError> {
    let path = &options.path;
    let value = db
        .get(record::META_FORMAT)
        .map_err(|error| sled_error(path, error))?;
    let Some((format, pepper_check)) = value.as_deref().and_then(<[u8]>::split_first_chunk::<2>)
    else {
        return Err(damage(path, "it does not say its format".into()));
    };
    let found = u16::from_le_bytes(*format);
    if found > record::FORMAT {
        return Err(StoreError::NewerFormat {
            found,
            supported: record::FORMAT,
        });
    }
    if pepper_check != options.pepper_check {
        return Err(StoreError::PepperMismatch);
    }
    Ok(())
}
