//! What every store promises, as tests that know no engine.
//!
//! An engine calls [`all`] with a way to open the same store again.

mod entries;

use std::{future::Future, sync::Arc};

use futures_util::future::join_all;

use super::{GrantId, Store, StoreError, Swept, TokenHash, TokenKind, TokenRecord};

/// 14 November 2023, a full minute and an hour.
pub(crate) const NOW: u64 = 1_699_999_200;

/// A hash of its own for each number.
pub(crate) fn hash(number: u64) -> TokenHash {
    let mut bytes = [0; 32];
    for (lane, chunk) in (0u64..).zip(bytes.chunks_exact_mut(8)) {
        let mut word = number
            .wrapping_mul(4)
            .wrapping_add(lane)
            .wrapping_add(0x9e37_79b9_7f4a_7c15);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(word ^ (word >> 31)).to_be_bytes());
    }
    TokenHash(bytes)
}

/// A record of its own for each number.
pub(crate) fn record(number: u64, expires_at: u64) -> TokenRecord {
    TokenRecord {
        kind: TokenKind::Access,
        client: format!("fg_app_{:016x}", number % 100),
        subject: format!("pilot:{number}"),
        grant: GrantId(u128::from(number).to_be_bytes()),
        scopes: vec!["flights:read".into(), "flights:write".into()],
        issued_at: NOW,
        expires_at,
    }
}

/// Runs the suite. `open` gives a store that is empty the first time and
/// afterwards holds what the one before it held; each is dropped before the
/// next is opened.
pub(crate) async fn all<F, S>(mut open: F)
where
    F: FnMut() -> S,
    S: Future<Output = Arc<dyn Store>>,
{
    let store = open().await;
    let probe = &*store;
    is_ready_and_counts(probe).await;
    finds_what_was_inserted_and_nothing_else(probe).await;
    refuses_a_second_insert_under_one_hash(probe).await;
    consumes_once(probe).await;
    lets_exactly_one_of_many_consumers_win(&store).await;
    lets_exactly_one_of_many_inserters_win(&store).await;
    sweeps_what_has_expired_in_bounded_steps(probe).await;
    sweeps_past_what_was_consumed_or_came_back(probe).await;
    entries::all(&store).await;
    leave_something_to_survive(probe).await;
    drop(store);
    survives_a_reopen(&*open().await).await;
}

async fn is_ready_and_counts(store: &dyn Store) {
    store.check().await.unwrap();
    let before = store.stats();
    store.insert(hash(1), record(1, NOW + 10)).await.unwrap();
    let after = store.stats();
    assert_eq!(
        (
            after.commits - before.commits,
            after.operations - before.operations
        ),
        (1, 1)
    );
    assert!(
        after.last_commit > std::time::Duration::ZERO && after.commit_time >= after.last_commit
    );
    assert_eq!(after.backlog, 0);
    store.consume(hash(1)).await.unwrap().unwrap();
}

async fn finds_what_was_inserted_and_nothing_else(store: &dyn Store) {
    assert_eq!(store.find(hash(10)).await.unwrap(), None);
    for number in 10..50 {
        store
            .insert(hash(number), record(number, NOW + number))
            .await
            .unwrap();
    }
    for number in 10..50 {
        assert_eq!(
            store.find(hash(number)).await.unwrap(),
            Some(record(number, NOW + number))
        );
    }
    assert_eq!(store.find(hash(50)).await.unwrap(), None);
    // An expired record may still be found, and odd fields are kept.
    let odd = TokenRecord {
        subject: "Ånna \0 🛩".into(),
        scopes: vec![],
        issued_at: 0,
        expires_at: u64::MAX,
        ..record(51, 0)
    };
    store.insert(hash(51), odd.clone()).await.unwrap();
    assert_eq!(store.find(hash(51)).await.unwrap(), Some(odd));
    for number in (10..50).chain([51]) {
        store.consume(hash(number)).await.unwrap().unwrap();
    }
}

async fn refuses_a_second_insert_under_one_hash(store: &dyn Store) {
    store
        .insert(hash(100), record(100, NOW + 60))
        .await
        .unwrap();
    let again = store.insert(hash(100), record(101, NOW + 600)).await;
    assert!(matches!(again, Err(StoreError::Exists)), "{again:?}");
    assert_eq!(
        store.find(hash(100)).await.unwrap(),
        Some(record(100, NOW + 60)),
        "the first record stays"
    );
    store.consume(hash(100)).await.unwrap().unwrap();
}

async fn consumes_once(store: &dyn Store) {
    assert_eq!(
        store.consume(hash(200)).await.unwrap(),
        None,
        "there is nothing to consume"
    );
    store
        .insert(hash(200), record(200, NOW + 60))
        .await
        .unwrap();
    assert_eq!(
        store.consume(hash(200)).await.unwrap(),
        Some(record(200, NOW + 60))
    );
    assert_eq!(store.consume(hash(200)).await.unwrap(), None);
    assert_eq!(store.find(hash(200)).await.unwrap(), None);
    store
        .insert(hash(200), record(201, NOW + 60))
        .await
        .unwrap();
    assert_eq!(
        store.consume(hash(200)).await.unwrap(),
        Some(record(201, NOW + 60)),
        "a hash may come back"
    );
}

async fn lets_exactly_one_of_many_consumers_win(store: &Arc<dyn Store>) {
    for round in 0..100 {
        let number = 1_000 + round;
        store
            .insert(hash(number), record(number, NOW + 60))
            .await
            .unwrap();
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.consume(hash(number)).await.unwrap() })
            })
            .collect();
        let mut won = Vec::new();
        for task in tasks {
            won.extend(task.await.unwrap());
        }
        assert_eq!(won, [record(number, NOW + 60)], "round {round}");
    }
}

async fn lets_exactly_one_of_many_inserters_win(store: &Arc<dyn Store>) {
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move { store.insert(hash(2_000), record(task, NOW + 60)).await })
        })
        .collect();
    let mut winner = None;
    for (number, task) in (0..).zip(tasks) {
        match task.await.unwrap() {
            Ok(()) => assert_eq!(winner.replace(number), None, "two inserts of one hash"),
            Err(StoreError::Exists) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(
        store.consume(hash(2_000)).await.unwrap(),
        winner.map(|number| record(number, NOW + 60))
    );
}

async fn sweeps_what_has_expired_in_bounded_steps(store: &dyn Store) {
    while store.sweep(NOW, 1_000).await.unwrap().more {}
    // 300 of one minute, inserted together, so that a store which keeps many in
    // one entry must split it; 100 of which each has its own minute.
    let minute = (3_000..3_300).map(|number| store.insert(hash(number), record(number, NOW + 60)));
    for inserted in join_all(minute).await {
        inserted.unwrap();
    }
    for number in 3_300..3_400 {
        store
            .insert(hash(number), record(number, NOW + 60 * (number - 3_298)))
            .await
            .unwrap();
    }
    assert_eq!(
        store.sweep(NOW, 1_000).await.unwrap(),
        Swept {
            removed: 0,
            more: false
        }
    );
    assert_eq!(
        store.sweep(NOW + 59, 1_000).await.unwrap(),
        Swept {
            removed: 0,
            more: false
        },
        "still valid"
    );

    let mut removed = 0;
    loop {
        let step = store.sweep(NOW + 60, 7).await.unwrap();
        assert!(step.removed <= 7, "{step:?}");
        removed += step.removed;
        if !step.more {
            break;
        }
    }
    assert_eq!(removed, 300);
    for number in 3_000..3_300 {
        assert_eq!(store.find(hash(number)).await.unwrap(), None);
    }
    for number in 3_300..3_400 {
        assert!(store.find(hash(number)).await.unwrap().is_some());
    }
    let rest = store.sweep(NOW + 60 * 51, 1_000).await.unwrap();
    assert_eq!(
        rest,
        Swept {
            removed: 50,
            more: false
        }
    );
    assert!(
        store.find(hash(3_350)).await.unwrap().is_some(),
        "expires a minute later"
    );
    assert_eq!(
        store.sweep(NOW + 60 * 200, 1_000).await.unwrap(),
        Swept {
            removed: 50,
            more: false
        }
    );
    assert_eq!(
        store.sweep(NOW + 60 * 200, 1_000).await.unwrap(),
        Swept {
            removed: 0,
            more: false
        }
    );
}

async fn sweeps_past_what_was_consumed_or_came_back(store: &dyn Store) {
    for number in 4_000..4_010 {
        store
            .insert(hash(number), record(number, NOW + 60))
            .await
            .unwrap();
    }
    for number in 4_000..4_006 {
        store.consume(hash(number)).await.unwrap().unwrap();
    }
    // One that came back lives as long as its new record says.
    store
        .insert(hash(4_000), record(4_000, NOW + 6_000))
        .await
        .unwrap();
    assert_eq!(
        store.sweep(NOW + 60, 1_000).await.unwrap(),
        Swept {
            removed: 4,
            more: false
        }
    );
    assert!(store.find(hash(4_000)).await.unwrap().is_some());
    assert_eq!(
        store.sweep(NOW + 6_000, 1_000).await.unwrap(),
        Swept {
            removed: 1,
            more: false
        }
    );
}

async fn leave_something_to_survive(store: &dyn Store) {
    for number in 5_000..5_100 {
        store
            .insert(hash(number), record(number, NOW + 60 + number % 2 * 600))
            .await
            .unwrap();
    }
    for number in 5_000..5_010 {
        store.consume(hash(number)).await.unwrap().unwrap();
    }
}

async fn survives_a_reopen(store: &dyn Store) {
    for number in 5_000..5_010 {
        assert_eq!(
            store.find(hash(number)).await.unwrap(),
            None,
            "consumed before"
        );
        assert_eq!(
            store.consume(hash(number)).await.unwrap(),
            None,
            "consumed before"
        );
    }
    for number in 5_010..5_100 {
        assert_eq!(
            store.find(hash(number)).await.unwrap(),
            Some(record(number, NOW + 60 + number % 2 * 600))
        );
    }
    let again = store.insert(hash(5_050), record(0, NOW)).await;
    assert!(matches!(again, Err(StoreError::Exists)), "{again:?}");
    assert_eq!(
        store.sweep(NOW + 60, 1_000).await.unwrap(),
        Swept {
            removed: 45,
            more: false
        },
        "so did the index"
    );
    assert_eq!(
        store.sweep(NOW + 660, 1_000).await.unwrap(),
        Swept {
            removed: 45,
            more: false
        }
    );
}
