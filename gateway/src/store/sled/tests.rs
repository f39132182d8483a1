//! What sled is trusted with, and what it is not.

mod child;

use std::{fs, path::Path, sync::Arc, time::Duration};

use tempfile::TempDir;

use super::{SledOptions, SledStore, marker::Marker, record::FORMAT};
use crate::store::{
    Store, StoreError,
    conformance::{self, NOW, hash, record},
};

fn options(path: &Path) -> SledOptions {
    SledOptions::new(path, [1; 32])
}

fn open(path: &Path) -> Result<SledStore, StoreError> {
    SledStore::open(&options(path))
}

/// Opens again what was closed a moment ago: sled's own threads may hold its
/// lock a little longer than the one who closed it.
fn reopened(path: &Path) -> Result<SledStore, StoreError> {
    for _ in 0..2_000 {
        match open(path) {
            Err(StoreError::Locked { .. }) => std::thread::sleep(Duration::from_millis(5)),
            done => return done,
        }
    }
    open(path)
}

/// The error of an open that must fail.
fn refused(path: &Path) -> StoreError {
    match open(path) {
        Ok(_) => panic!("the store opened"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sled_keeps_what_every_store_promises() {
    let dir = TempDir::new().unwrap();
    conformance::all(async || Arc::new(open(dir.path()).unwrap()) as Arc<dyn Store>).await;
}

#[tokio::test]
async fn an_insert_and_two_consumes_of_one_commit_see_each_other() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).unwrap();
    for number in 0..200 {
        // Polled in this order on one thread, they enter the queue in this order.
        let (inserted, first, second, back) = tokio::join!(
            store.insert(hash(number), record(number, NOW)),
            store.consume(hash(number)),
            store.consume(hash(number)),
            store.insert(hash(number), record(number + 1, NOW)),
        );
        assert!(inserted.is_ok() && back.is_ok());
        assert_eq!(
            (first.unwrap(), second.unwrap()),
            (Some(record(number, NOW)), None)
        );
        assert_eq!(
            store.find(hash(number)).await.unwrap(),
            Some(record(number + 1, NOW))
        );
    }
    assert!(store.stats().commits < 800, "they shared commits");
}

#[tokio::test]
async fn dropping_a_store_commits_what_is_queued() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).unwrap();
    for number in 0..50 {
        let mut write = std::pin::pin!(store.insert(hash(number), record(number, NOW)));
        // One poll queues it; nobody waits for the answer.
        let _ = futures_util::future::FutureExt::now_or_never(&mut write);
    }
    drop(store);
    let store = reopened(dir.path()).unwrap();
    for number in 0..50 {
        assert!(store.find(hash(number)).await.unwrap().is_some());
    }
}

// Starting wrongly.

#[test]
fn one_process_has_the_store_at_a_time() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).unwrap();
    assert!(matches!(refused(dir.path()), StoreError::Locked { .. }));
    drop(store);
    open(dir.path()).unwrap();
}

#[test]
fn another_pepper_is_an_error_and_not_an_empty_store() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path()).unwrap());
    let other = SledStore::open(&SledOptions {
        pepper_check: [2; 32],
        ..options(dir.path())
    });
    assert!(matches!(other, Err(StoreError::PepperMismatch)));
    open(dir.path()).unwrap();
}

#[test]
fn a_newer_format_is_refused() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path()).unwrap());
    write_behind(
        dir.path(),
        b"mformat",
        &[(FORMAT + 1).to_le_bytes().as_slice(), &[1; 32]].concat(),
    );
    let error = refused(dir.path());
    assert!(
        matches!(
            error,
            StoreError::NewerFormat {
                found: 2,
                supported: 1
            }
        ),
        "{error}"
    );
}

#[test]
fn another_programs_sled_is_not_taken_for_ours() {
    let dir = TempDir::new().unwrap();
    write_behind(dir.path(), b"pilot", b"anna");
    let error = refused(dir.path());
    assert!(
        matches!(error, StoreError::Corrupt { .. }) && error.to_string().contains("not a store"),
        "{error}"
    );
}

/// Writes an entry as somebody who knows sled and not us.
fn write_behind(path: &Path, key: &[u8], value: &[u8]) {
    loop {
        // The threads of the store just closed may hold the file a moment.
        match ::sled::Config::new().path(path).flush_every_ms(None).open() {
            Ok(db) => {
                db.insert(key, value).unwrap();
                db.flush().unwrap();
                return;
            }
            Err(error) => assert!(error.to_string().contains("lock"), "{error}"),
        }
    }
}

// Damage.

/// A store of 400 acknowledged commits, closed.
async fn filled() -> TempDir {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).unwrap();
    for number in 0..400 {
        store
            .insert(hash(number), record(number, NOW))
            .await
            .unwrap();
    }
    dir
}

fn overwrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_log_cut_short_is_a_loss_and_said_to_be_one() {
    for keep in [100, 50, 10, 1] {
        let dir = filled().await;
        overwrite(&dir.path().join("db"), |bytes| {
            bytes.truncate(bytes.len() * keep / 101);
        });
        let error = refused(dir.path());
        assert!(
            matches!(
                error,
                StoreError::LostCommits {
                    acknowledged: 402,
                    ..
                }
            ),
            "{keep} %: {error}"
        );
        // sled has cut its log by now; that must not make the next start pass.
        assert!(
            matches!(reopened(dir.path()), Err(StoreError::LostCommits { .. })),
            "{keep} %, second start"
        );
        // The operator accepts the loss.
        fs::remove_file(Marker::path(dir.path())).unwrap();
        reopened(dir.path()).unwrap();
    }
}

#[tokio::test]
async fn a_zeroed_tail_is_a_loss_and_said_to_be_one() {
    let dir = filled().await;
    overwrite(&dir.path().join("db"), |bytes| {
        let half = bytes.len() / 2;
        bytes[half..].fill(0);
    });
    let error = refused(dir.path());
    assert!(matches!(error, StoreError::LostCommits { .. }), "{error}");
    assert!(
        error.to_string().contains("restore it from a backup")
            || error.to_string().contains("Restore")
    );
}

#[tokio::test]
async fn an_empty_or_missing_log_is_told_before_sled_makes_a_new_one() {
    let dir = filled().await;
    let log = dir.path().join("db");
    fs::write(&log, b"").unwrap();
    assert!(matches!(
        refused(dir.path()),
        StoreError::LostCommits { found: 0, .. }
    ));
    assert_eq!(
        fs::metadata(&log).unwrap().len(),
        0,
        "nothing was written over it"
    );
    fs::remove_file(&log).unwrap();
    assert!(matches!(
        refused(dir.path()),
        StoreError::LostCommits { found: 0, .. }
    ));
    assert!(!log.exists());
}

#[tokio::test]
async fn a_damaged_snapshot_is_an_error() {
    let dir = filled().await;
    drop(open(dir.path()).unwrap());
    let snapshot = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let snapshot = snapshot
        .filter(|path| path.to_string_lossy().contains("snap."))
        .max()
        .unwrap();
    overwrite(&snapshot, |bytes| bytes[3] ^= 1);
    let error = refused(dir.path());
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn damage_that_makes_sled_panic_is_an_error() {
    let dir = filled().await;
    drop(open(dir.path()).unwrap());
    // Two segments that claim one place in the log.
    overwrite(&dir.path().join("db"), |bytes| {
        bytes.resize(512 * 1024, 0);
        bytes.extend_from_within(..);
    });
    let error = refused(dir.path());
    assert!(
        matches!(error, StoreError::Corrupt { .. }) && error.to_string().contains("panicked"),
        "{error}"
    );
}
