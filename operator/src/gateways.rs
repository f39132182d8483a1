//! The gateways that resources may name: what each is configured with, which
//! replicas it has, and which documents they serve.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use crds::contract::Sha256Hash;
use jiff::Timestamp;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{catalogue::Catalogue, config, metrics::Metrics};

pub mod poll;
pub mod replicas;
pub mod source;
pub mod view;

use self::view::{Verdict, View};

/// For so long after a document was written its refusal is asked for again
/// quickly.
const RECENT: Duration = Duration::from_secs(10);

/// A resource, by kind, namespace and name. Those who remember one share its
/// names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// Its kind, such as `OAuthApplication`.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl std::fmt::Display for ResourceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// All gateways, by name.
pub struct Gateways(BTreeMap<String, Arc<Gateway>>);

impl Gateways {
    /// The gateways of the configuration, none of them looked at yet.
    pub fn new(configured: &[config::Gateway], metrics: &Metrics) -> Self {
        let gateways = configured.iter().map(|config| {
            let gateway = Gateway::new(config.clone(), metrics.clone());
            (config.name.clone(), Arc::new(gateway))
        });
        Self(gateways.collect())
    }

    /// The gateway of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Gateway>> {
        self.0.get(name)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Gateway>> {
        self.0.values()
    }

    /// Their names, for people.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.0.keys().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    }
}

/// One gateway.
pub struct Gateway {
    /// As operator.yaml has it.
    pub config: config::Gateway,
    /// The namespace of its documents.
    pub namespace: Arc<str>,
    metrics: Metrics,
    catalogue: watch::Sender<Loaded>,
    interest: Mutex<HashMap<ResourceId, Interest>>,
    view: RwLock<Arc<View>>,
    kick: Notify,
}

/// What is known of a gateway's gateway.yaml.
#[derive(Clone, Default)]
pub struct Loaded {
    /// Grows whenever another one is taken over; 0: none was looked at yet.
    pub epoch: u64,
    /// The last good one.
    pub catalogue: Option<Arc<Catalogue>>,
    /// Why the present one is not in force.
    pub problem: Option<String>,
}

/// A document that somebody wants to know served.
struct Interest {
    document: Arc<str>,
    sha256: Sha256Hash,
    /// What its resource was last told; none: nothing.
    told: Option<Verdict>,
    since: Instant,
}

impl Gateway {
    fn new(config: config::Gateway, metrics: Metrics) -> Self {
        Self {
            namespace: config.namespace.as_str().into(),
            config,
            metrics,
            catalogue: watch::Sender::default(),
            interest: Mutex::default(),
            view: RwLock::default(),
            kick: Notify::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// What is known of its gateway.yaml.
    pub fn loaded(&self) -> Loaded {
        self.catalogue.borrow().clone()
    }

    /// Tells of every change of its gateway.yaml.
    pub fn catalogue_changes(&self) -> watch::Receiver<Loaded> {
        self.catalogue.subscribe()
    }

    /// Takes over a gateway.yaml, or keeps the last good one and says why.
    fn take_over(&self, read: Result<Arc<Catalogue>, String>) {
        let labels = [self.name()];
        self.metrics
            .catalogue_ok
            .with_label_values(&labels)
            .set(i64::from(read.is_ok()));
        match &read {
            Ok(_) => {
                #[allow(clippy::cast_precision_loss, reason = "seconds are small")]
                let now = Timestamp::now().as_second() as f64;
                let gauge = self.metrics.catalogue_loaded.with_label_values(&labels);
                gauge.set(now);
                tracing::info!(gateway = self.name(), "gateway.yaml taken over");
            }
            Err(problem) => tracing::error!(
                gateway = self.name(),
                problem,
                "gateway.yaml is not usable, its last good form stays in force"
            ),
        }
        self.catalogue.send_modify(|loaded| match read {
            Ok(catalogue) => {
                *loaded = Loaded {
                    epoch: loaded.epoch + 1,
                    catalogue: Some(catalogue),
                    problem: None,
                };
            }
            Err(problem) => {
                // What was planned with the last good one stays as it is.
                if loaded.catalogue.is_none() {
                    loaded.epoch += 1;
                }
                loaded.problem = Some(problem);
            }
        });
    }

    /// Whether every ready replica serves exactly this document. Whoever asks
    /// is told when that changes, until [`Gateway::forget`].
    pub fn verdict(&self, id: &ResourceId, document: &Arc<str>, sha256: Sha256Hash) -> Verdict {
        let mut interest = self.interest.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = self.view().verdict(document, &sha256);
        let known = interest.get(id);
        if known.is_some_and(|it| it.sha256 == sha256 && it.document == *document) {
            if let Some(it) = interest.get_mut(id) {
                it.told = Some(verdict.clone());
            }
            return verdict;
        }
        let is_served = verdict == Verdict::Served;
        interest.insert(
            id.clone(),
            Interest {
                document: document.clone(),
                sha256,
                told: Some(verdict.clone()),
                since: Instant::now(),
            },
        );
        if !is_served {
            self.kick.notify_one();
        }
        verdict
    }

    /// When a secret was last used, as its replicas say.
    pub fn last_used(&self, secret: &str) -> Option<Timestamp> {
        self.view().last_used(secret)
    }

    /// Nobody wants to know any more.
    pub fn forget(&self, id: &ResourceId) {
        let mut interest = self.interest.lock().unwrap_or_else(PoisonError::into_inner);
        interest.remove(id);
    }

    fn view(&self) -> Arc<View> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&view)
    }

    /// Puts a new view in force, and returns who must be told.
    fn publish(&self, view: View) -> News {
        let mut interest = self.interest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = News::default();
        for (id, it) in interest.iter_mut() {
            let verdict = view.verdict(&it.document, &it.sha256);
            if verdict == Verdict::Served {
                if it.told.as_ref() != Some(&verdict) {
                    let took = it.since.elapsed();
                    self.metrics.served_after.observe(took.as_secs_f64());
                }
            } else {
                // A refusal may be of what stood there before.
                let is_fresh = it.since.elapsed() < RECENT;
                let is_rejected = matches!(verdict, Verdict::Rejected { .. });
                let is_waiting = matches!(verdict, Verdict::Waiting { .. });
                news.waiting += usize::from(is_waiting || (is_rejected && is_fresh));
                // From now on it counts how long the return takes.
                if it.told == Some(Verdict::Served) {
                    it.since = Instant::now();
                }
            }
            if it.told.as_ref() != Some(&verdict) {
                it.told = Some(verdict);
                news.changed.push(id.clone());
            }
        }
        let mut current = self.view.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(view);
        news
    }

    /// Waits until its gateway.yaml was looked at once, or for `patience`.
    pub async fn looked_at(&self, patience: Duration) {
        let mut changes = self.catalogue_changes();
        let looked = changes.wait_for(|loaded| loaded.epoch > 0);
        if tokio::time::timeout(patience, looked).await.is_err() {
            self.take_over(Err("it could not be read so far".into()));
        }
    }
}

/// What a new view changed.
#[derive(Debug, Default)]
struct News {
    /// Whose verdict is another one now.
    changed: Vec<ResourceId>,
    /// How many documents are not yet served everywhere.
    waiting: usize,
}
