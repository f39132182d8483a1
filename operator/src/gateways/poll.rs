//! Asks the replicas of one gateway what they serve: quickly while somebody
//! waits for a document, now and then otherwise. One answer serves all who wait.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crds::contract::Sha256Hash;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Gateway, ResourceId,
    replicas::Replicas,
    view::{Replica, Served, Trouble, View},
};

/// Between two looks while nobody waits.
const SLOW: Duration = Duration::from_secs(10);
/// The first look after somebody began to wait: about what a gateway needs.
const FIRST: Duration = Duration::from_millis(5);
/// Between two looks while somebody waits: doubled up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// Between two looks however long one took.
const LONGEST_GAP: Duration = Duration::from_secs(1);
/// Answers slower than this are none.
const PATIENCE: Duration = Duration::from_secs(3);
/// So often in a row may a replica be silent before it counts as such.
const GRACE: u32 = 2;
/// Larger answers are not read.
const MAX_ANSWER: usize = 64 << 20;

type HttpClient = Client<HttpConnector, Empty<Bytes>>;

/// What `/registry` says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    documents: HashMap<Box<str>, Sha256Hash>,
    #[serde(default)]
    rejected: HashMap<String, String>,
    #[serde(default)]
    last_used: HashMap<String, Timestamp>,
}

/// What is remembered of a replica between two looks.
struct Memory {
    last: Arc<Served>,
    silent: u32,
}

/// Polls a gateway's replicas for ever, and tells `tell` of every resource whose
/// verdict changed.
pub async fn follow(
    gateway: Arc<Gateway>,
    mut replicas: watch::Receiver<Option<Replicas>>,
    tell: impl Fn(&ResourceId) + Send,
) {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(Duration::from_secs(1)));
    let client: HttpClient = Client::builder(TokioExecutor::new())
        .pool_idle_timeout(Duration::from_secs(30))
        .build(connector);
    let mut memory: HashMap<String, Memory> = HashMap::new();
    if replicas.wait_for(Option::is_some).await.is_err() {
        return;
    }
    let mut wait = FIRST;
    loop {
        let begun = Instant::now();
        let known = replicas.borrow_and_update().clone().unwrap_or_default();
        let view = look(&client, &known, &mut memory).await;
        count(&gateway, &view);
        let mut states = view.replicas.iter().flatten();
        let in_doubt = known.is_empty()
            || states.any(|it| it.state.is_err())
            || memory.values().any(|it| it.silent > 0);
        let news = gateway.publish(view);
        for id in &news.changed {
            tell(id);
        }
        let took = begun.elapsed();
        // A fifth of the time at most is spent asking.
        let gap = (took * 4).clamp(FIRST, LONGEST_GAP);
        let next = if news.waiting > 0 || in_doubt {
            wait.max(gap)
        } else {
            SLOW
        };
        wait = (wait * 2).min(LONGEST_WAIT);
        tokio::select! {
            () = sleep_until(Instant::now() + next) => {}
            () = gateway.kick.notified() => {
                wait = FIRST;
                sleep_until(Instant::now() + gap).await;
            }
            changed = replicas.changed() => {
                if changed.is_err() {
                    return;
                }
                wait = FIRST;
            }
        }
    }
}

async fn look(
    client: &HttpClient,
    replicas: &Replicas,
    memory: &mut HashMap<String, Memory>,
) -> View {
    let answers = replicas.iter().map(|(name, uri)| async move {
        let answer = timeout(PATIENCE, ask(client, uri.clone())).await;
        (name, answer.unwrap_or(Err(Trouble::Slow)))
    });
    let answers = join_all(answers).await;
    memory.retain(|name, _| replicas.contains_key(name));
    let mut view = Vec::with_capacity(answers.len());
    for (name, answer) in answers {
        let state = match (answer, memory.get_mut(name)) {
            (Ok(served), _) => {
                let last = Arc::new(served);
                let silent = 0;
                memory.insert(
                    name.clone(),
                    Memory {
                        last: last.clone(),
                        silent,
                    },
                );
                Ok(last)
            }
            // One lost answer does not take Ready from thousands.
            (Err(_), Some(known)) if known.silent < GRACE => {
                known.silent += 1;
                Ok(known.last.clone())
            }
            (Err(trouble), _) => {
                memory.remove(name);
                Err(trouble)
            }
        };
        view.push(Replica {
            name: name.clone(),
            state,
        });
    }
    View {
        replicas: Some(view),
    }
}

async fn ask(client: &HttpClient, uri: http::Uri) -> Result<Served, Trouble> {
    let response = client.get(uri).await.map_err(|_| Trouble::Unreachable)?;
    if response.status() != http::StatusCode::OK {
        return Err(Trouble::Strange);
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await;
    let body = body.map_err(|_| Trouble::Strange)?.to_bytes();
    let Answer {
        documents,
        rejected,
        last_used,
    } = serde_json::from_slice(&body).map_err(|_| Trouble::Strange)?;
    Ok(Served {
        documents,
        rejected,
        last_used,
    })
}

fn count(gateway: &Gateway, view: &View) {
    let replicas = view.replicas.iter().flatten();
    let (answering, silent): (Vec<_>, Vec<_>) = replicas.partition(|it| it.state.is_ok());
    for (state, count) in [("answering", answering.len()), ("silent", silent.len())] {
        let gauge = &gateway.metrics.replicas;
        gauge
            .with_label_values(&[gateway.name(), state])
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
