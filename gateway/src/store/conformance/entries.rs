//! What every store promises of entries and of changes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{NOW, hash, record};
use crate::store::{
    Store, StoreError, Swept,
    entry::{Change, Space, Stored},
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Code {
    text: String,
    until: u64,
}

impl Stored for Code {
    const SPACE: Space = Space::Code;

    fn expires_at(&self) -> u64 {
        self.until
    }
}

fn code(text: &str, until: u64) -> Code {
    Code {
        text: text.into(),
        until,
    }
}

fn put(id: u64, value: &Code) -> Change {
    Change::new().put(hash(id).0, value).unwrap()
}

async fn get(store: &dyn Store, id: u64) -> Option<Code> {
    let found = store.get::<Code>(hash(id).0).await.unwrap();
    found.map(|found| found.value)
}

pub(super) async fn all(store: &Arc<dyn Store>) {
    keeps_entries(&**store).await;
    changes_all_or_nothing(&**store).await;
    lets_exactly_one_of_many_changes_win(store).await;
    lists_by_prefix_in_pages(&**store).await;
    sweeps_entries_with_records(&**store).await;
}

async fn keeps_entries(store: &dyn Store) {
    assert_eq!(get(store, 1).await, None);
    store.apply(put(1, &code("a", NOW + 60))).await.unwrap();
    assert_eq!(get(store, 1).await, Some(code("a", NOW + 60)));
    store.apply(put(1, &code("b", u64::MAX))).await.unwrap();
    assert_eq!(get(store, 1).await, Some(code("b", u64::MAX)));
    let remove = || Change::new().remove::<Code>(hash(1).0);
    store.apply(remove()).await.unwrap();
    store.apply(remove()).await.unwrap();
    assert_eq!(get(store, 1).await, None);
    let large = store.apply(put(1, &code(&"x".repeat(5_000), 0))).await;
    assert!(
        matches!(large, Err(StoreError::TooLarge { .. })),
        "{large:?}"
    );
}

async fn changes_all_or_nothing(store: &dyn Store) {
    store.apply(put(10, &code("a", NOW + 60))).await.unwrap();
    let seen = store.get::<Code>(hash(10).0).await.unwrap().unwrap();
    let exchange = |token| {
        put(10, &code("used", NOW + 60))
            .expect(&seen)
            .expect_none::<Code>(hash(11).0)
            .token(hash(token), record(token, NOW + 60))
    };
    // An entry that must not be there.
    store.apply(put(11, &code("x", NOW + 60))).await.unwrap();
    let refused = store.apply(exchange(12)).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    assert_eq!(store.find(hash(12)).await.unwrap(), None);
    assert_eq!(get(store, 10).await, Some(code("a", NOW + 60)));
    // A token that is there already.
    store
        .apply(Change::new().remove::<Code>(hash(11).0))
        .await
        .unwrap();
    store.insert(hash(13), record(0, NOW + 60)).await.unwrap();
    let refused = store.apply(exchange(13)).await;
    assert!(matches!(refused, Err(StoreError::Exists)), "{refused:?}");
    assert_eq!(get(store, 10).await, Some(code("a", NOW + 60)));
    // As it should be, and no second time.
    store.apply(exchange(12)).await.unwrap();
    assert_eq!(
        store.find(hash(12)).await.unwrap(),
        Some(record(12, NOW + 60))
    );
    let refused = store.apply(exchange(14)).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    assert_eq!(store.find(hash(14)).await.unwrap(), None);
    for token in [12, 13] {
        store.consume(hash(token)).await.unwrap().unwrap();
    }
    store
        .apply(Change::new().remove::<Code>(hash(10).0))
        .await
        .unwrap();
}

async fn lets_exactly_one_of_many_changes_win(store: &Arc<dyn Store>) {
    for round in 20..60 {
        store
            .apply(put(round, &code("fresh", NOW + 60)))
            .await
            .unwrap();
        let seen = store.get::<Code>(hash(round).0).await.unwrap().unwrap();
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let used = code(&format!("used by {task}"), NOW + 60);
                let (store, change) = (store.clone(), put(round, &used).expect(&seen));
                tokio::spawn(async move { store.apply(change).await.map(|()| used) })
            })
            .collect();
        let mut won = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(used) => won.push(used),
                Err(StoreError::Conflict) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(won.len(), 1, "round {round}");
        assert_eq!(get(&**store, round).await, won.pop());
        store
            .apply(Change::new().remove::<Code>(hash(round).0))
            .await
            .unwrap();
    }
}

async fn lists_by_prefix_in_pages(store: &dyn Store) {
    let id = |first: u8, last: u8| {
        let mut id = [0; 32];
        (id[0], id[31]) = (first, last);
        id
    };
    for (first, last) in [(1, 1), (1, 2), (1, 3), (2, 1), (255, 1)] {
        let value = code(&format!("{first}/{last}"), u64::MAX);
        store
            .apply(Change::new().put(id(first, last), &value).unwrap())
            .await
            .unwrap();
    }
    let list = async |prefix: &[u8], after, limit| {
        let found = store.list::<Code>(prefix, after, limit).await.unwrap();
        found
            .into_iter()
            .map(|found| found.value.text)
            .collect::<Vec<_>>()
    };
    assert_eq!(list(&[1], None, 10).await, ["1/1", "1/2", "1/3"]);
    assert_eq!(list(&[1], None, 2).await, ["1/1", "1/2"]);
    assert_eq!(list(&[1], Some(id(1, 2)), 10).await, ["1/3"]);
    assert_eq!(list(&[255], None, 10).await, ["255/1"]);
    assert_eq!(list(&[3], None, 10).await, [""; 0]);
    assert_eq!(list(&[], None, 10).await.len(), 5);
    for (first, last) in [(1, 1), (1, 2), (1, 3), (2, 1), (255, 1)] {
        store
            .apply(Change::new().remove::<Code>(id(first, last)))
            .await
            .unwrap();
    }
}

async fn sweeps_entries_with_records(store: &dyn Store) {
    while store.sweep(NOW, 1_000).await.unwrap().more {}
    for number in 70..80 {
        store
            .apply(put(number, &code("a", NOW + 60)))
            .await
            .unwrap();
    }
    for number in 80..90 {
        store
            .insert(hash(number), record(number, NOW + 60))
            .await
            .unwrap();
    }
    // One lives longer, one shorter, one is gone, one never expires.
    store.apply(put(70, &code("b", NOW + 600))).await.unwrap();
    store.apply(put(71, &code("b", NOW + 1))).await.unwrap();
    store
        .apply(Change::new().remove::<Code>(hash(72).0))
        .await
        .unwrap();
    store.apply(put(73, &code("b", u64::MAX))).await.unwrap();
    let (mut removed, mut steps) = (0, 0);
    loop {
        let step = store.sweep(NOW + 60, 4).await.unwrap();
        assert!(step.removed <= 4, "{step:?}");
        removed += step.removed;
        steps += 1;
        if !step.more {
            break;
        }
    }
    assert_eq!(removed, 7 + 10);
    assert!(steps > 3);
    assert_eq!(get(store, 70).await, Some(code("b", NOW + 600)));
    assert_eq!(get(store, 73).await, Some(code("b", u64::MAX)));
    let rest = store.sweep(NOW + 600, 1_000).await.unwrap();
    assert_eq!(
        rest,
        Swept {
            removed: 1,
            more: false
        }
    );
    store
        .apply(Change::new().remove::<Code>(hash(73).0))
        .await
        .unwrap();
}
