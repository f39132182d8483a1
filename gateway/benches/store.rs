//! What the store costs: `find` in a small and in a large store, and durable
//! inserts by one and by many callers.
//!
//! `cargo bench -p flightgate-gateway --bench store`; the directory is that of
//! `TMPDIR`, which must be on a disk for the inserts to mean anything.
#![allow(clippy::unwrap_used, reason = "a measurement that fails should stop")]

use std::{
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flightgate_gateway::store::{
    GrantId, Store, TokenHash, TokenKind, TokenRecord,
    sled::{SledOptions, SledStore},
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

criterion_group!(benches, find, insert);
criterion_main!(benches);

fn find(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("store/find");
    for records in [10_000, 1_000_000] {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path());
        runtime.block_on(insert_all(&store, 256, 0, records));
        group.bench_function(BenchmarkId::from_parameter(records), |bencher| {
            let mut number = 0u64;
            bencher.iter(|| {
                number = (number + 7_919) % records;
                runtime
                    .block_on(store.find(black_box(hash(number))))
                    .unwrap()
                    .unwrap()
            });
        });
    }
}

fn insert(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("store/insert");
    group.throughput(Throughput::Elements(1));
    for callers in [1, 64, 256] {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path());
        let mut next = 0;
        group.bench_function(BenchmarkId::from_parameter(callers), |bencher| {
            bencher.iter_custom(|count| {
                let elapsed = runtime.block_on(insert_all(&store, callers, next, count));
                next += count;
                elapsed
            });
        });
    }
}

/// Inserts `count` records, each of the callers one after the other.
async fn insert_all(store: &Arc<SledStore>, callers: u64, first: u64, count: u64) -> Duration {
    let started = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut number = first + caller;
                while number < first + count {
                    store.insert(hash(number), record(number)).await.unwrap();
                    number += callers;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    started.elapsed()
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap()
}

fn open(path: &Path) -> Arc<SledStore> {
    Arc::new(SledStore::open(&SledOptions::new(path, [0; 32])).unwrap())
}

/// As scattered as an HMAC.
fn hash(number: u64) -> TokenHash {
    let mut bytes = [0; 32];
    for (lane, chunk) in (0u64..).zip(bytes.chunks_exact_mut(8)) {
        let mut word = (number * 4 + lane).wrapping_add(0x9e37_79b9_7f4a_7c15);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(word ^ (word >> 31)).to_be_bytes());
    }
    TokenHash(bytes)
}

fn record(number: u64) -> TokenRecord {
    let client = format!("fg_app_{:016x}", number % 1_000);
    TokenRecord {
        kind: TokenKind::Access,
        subject: client.clone(),
        client,
        grant: GrantId(u128::from(number).to_be_bytes()),
        scopes: vec!["flights:read".into(), "flights:write".into()],
        issued_at: 1_700_000_000,
        expires_at: 1_700_003_600 + number / 10_000,
    }
}
