//! Kills and full disks, which need a process of their own: this test binary
//! again, told by its environment what to do.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{open, options};
use crate::store::{
    Store, StoreError,
    conformance::{NOW, hash, record},
    sled::{SledOptions, SledStore},
};

/// Runs the test `name` of this module alone, in a process of its own.
fn child(name: &str, dir: &Path) -> Command {
    let module = module_path!().split_once("::").unwrap().1;
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([
        &format!("{module}::{name}"),
        "--exact",
        "--ignored",
        "--nocapture",
    ]);
    command
        .env("FLIGHTGATE_STORE_TEST", dir)
        .stdout(Stdio::piped());
    command
}

/// The directory that the parent chose; `None` if there is no parent.
fn told() -> Option<PathBuf> {
    env::var_os("FLIGHTGATE_STORE_TEST").map(Into::into)
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_9() {
    let dir = TempDir::new().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    // Of each number: whether it was left in the store or consumed again.
    let mut acknowledged = Vec::<(u64, bool)>::new();
    for round in 0..20u64 {
        let mut child = child("a_child_that_writes_until_it_is_killed", dir.path());
        let mut child = child
            .env("FLIGHTGATE_STORE_ROUND", round.to_string())
            .spawn()
            .unwrap();
        let seen = read_then_kill(&mut child, 40 + (round * 7919) % 900);
        assert!(seen.len() > 30, "the child answered {} times", seen.len());
        acknowledged.extend(seen);
        let store = open(dir.path()).unwrap();
        runtime.block_on(async {
            for (number, stays) in &acknowledged {
                assert_eq!(
                    store.find(hash(*number)).await.unwrap().is_some(),
                    *stays,
                    "round {round}, number {number}"
                );
            }
        });
    }
}

/// Reads `lines` answers, kills the child wherever it is, and reads the rest.
fn read_then_kill(child: &mut Child, lines: u64) -> Vec<(u64, bool)> {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut seen = Vec::new();
    let mut take = |line: &str| {
        let mut words = line.split(' ');
        if let (Some(word @ ("inserted" | "consumed")), Some(number), Some("."), None) =
            (words.next(), words.next(), words.next(), words.next())
        {
            seen.push((number.parse().unwrap(), word == "inserted"));
        }
    };
    for _ in 0..lines {
        let mut line = String::new();
        assert!(
            output.read_line(&mut line).unwrap() > 0,
            "the child ended by itself"
        );
        take(line.trim_end());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    rest.lines().for_each(take);
    seen
}

#[test]
#[ignore = "a child of nothing_acknowledged_is_lost_to_kill_9"]
fn a_child_that_writes_until_it_is_killed() {
    let Some(dir) = told() else { return };
    let round: u64 = env::var("FLIGHTGATE_STORE_ROUND").unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = open(&dir).unwrap();
        let task = async |lane: u64| {
            for number in (round * 1_000_000 + lane..).step_by(32) {
                store
                    .insert(hash(number), record(number, NOW + number % 977))
                    .await
                    .unwrap();
                // Every fourth is consumed, and only that is told.
                let word = if number % 4 == 1 {
                    store.consume(hash(number)).await.unwrap().unwrap();
                    "consumed"
                } else {
                    "inserted"
                };
                println!("{word} {number} .");
            }
        };
        futures_util::future::join_all((0..32).map(task)).await;
    });
}

#[test]
fn a_full_disk_refuses_tokens_and_loses_none() {
    let dir = TempDir::new().unwrap();
    let probe = |command: &mut Command| {
        command
            .args(["true"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    };
    let namespace = [["-m", "--"].as_slice(), &["-rm", "--"]]
        .into_iter()
        .find(|flags| probe(Command::new("unshare").args(*flags)));
    let Some(flags) = namespace else {
        println!(
            "skipped: needs `unshare -m` as root or `unshare -rm`, for a file system of its own"
        );
        return;
    };
    let inner = child("a_child_on_a_small_file_system", dir.path());
    let mut command = Command::new("unshare");
    command
        .args(flags)
        .args([
            "sh",
            "-c",
            r#"mount -t tmpfs -o size=24m none "$0" && exec "$@""#,
        ])
        .arg(dir.path());
    command
        .arg(inner.get_program())
        .args(inner.get_args())
        .env("FLIGHTGATE_STORE_TEST", dir.path());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "a child of a_full_disk_refuses_tokens_and_loses_none"]
fn a_child_on_a_small_file_system() {
    let Some(dir) = told() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let path = dir.join("store");
        keeps_clear_of_a_full_disk(&path, &dir.join("ballast")).await;
        survives_a_disk_that_fills_all_the_same(&path, &dir.join("ballast")).await;
    });
}

async fn keeps_clear_of_a_full_disk(path: &Path, ballast: &Path) {
    let reserve_bytes = 8 << 20;
    let options = SledOptions {
        reserve_bytes,
        ..options(path)
    };
    let store = SledStore::open(&options).unwrap();
    store.insert(hash(1), record(1, NOW + 1)).await.unwrap();
    store.insert(hash(2), record(2, NOW)).await.unwrap();
    // Below the reserve: no more tokens, but revoking, sweeping and reading.
    fs::write(ballast, vec![1; 17 << 20]).unwrap();
    let full = store.insert(hash(3), record(3, NOW)).await;
    assert!(
        matches!(full, Err(StoreError::Full { reserve, .. }) if reserve == reserve_bytes),
        "{full:?}"
    );
    assert!(matches!(store.check().await, Err(StoreError::Full { .. })));
    assert_eq!(store.find(hash(1)).await.unwrap(), Some(record(1, NOW + 1)));
    assert_eq!(store.find(hash(3)).await.unwrap(), None);
    assert!(store.consume(hash(1)).await.unwrap().is_some());
    assert_eq!(store.sweep(NOW, 10).await.unwrap().removed, 1);
    // Below half of it: reading alone.
    fs::write(ballast, vec![1; 21 << 20]).unwrap();
    let full = store.consume(hash(1)).await;
    assert!(
        matches!(full, Err(StoreError::Full { reserve, .. }) if reserve == reserve_bytes / 2),
        "{full:?}"
    );
    assert_eq!(store.find(hash(1)).await.unwrap(), None);
    // There is room again.
    fs::remove_file(ballast).unwrap();
    store.insert(hash(3), record(3, NOW)).await.unwrap();
    store.check().await.unwrap();
}

async fn survives_a_disk_that_fills_all_the_same(path: &Path, ballast: &Path) {
    let store = SledStore::open(&SledOptions {
        reserve_bytes: 0,
        ..options(path)
    })
    .unwrap();
    fs::write(ballast, vec![1; 12 << 20]).unwrap();
    let mut acknowledged = vec![3];
    let failed = loop {
        let numbers = acknowledged.len() as u64 * 10_000..;
        let group = numbers.take(100).map(|number| {
            let write = store.insert(hash(number), record(number, NOW));
            async move { (number, write.await) }
        });
        let answers = futures_util::future::join_all(group).await;
        acknowledged.extend(
            answers
                .iter()
                .filter(|(_, answer)| answer.is_ok())
                .map(|(number, _)| *number),
        );
        if let Some((_, Err(error))) = answers.into_iter().find(|(_, answer)| answer.is_err()) {
            break error;
        }
    };
    assert!(matches!(failed, StoreError::Unavailable { .. }), "{failed}");
    assert!(matches!(
        store.check().await,
        Err(StoreError::Unavailable { .. })
    ));
    let later = store.insert(hash(9), record(9, NOW)).await;
    assert!(
        matches!(later, Err(StoreError::Unavailable { .. })),
        "{later:?}"
    );
    assert!(store.find(hash(3)).await.is_ok(), "reading goes on");
    drop(store);
    fs::remove_file(ballast).unwrap();
    let store = open(path).unwrap_or_else(|error| panic!("{error}"));
    for number in &acknowledged {
        assert!(
            store.find(hash(*number)).await.unwrap().is_some(),
            "{number} of {} was lost",
            acknowledged.len()
        );
    }
    println!(
        "{} acknowledged before the disk was full",
        acknowledged.len()
    );
}
