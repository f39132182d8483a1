//! The controllers: one machinery for the three kinds of resource.
//!
//! Each look at a resource goes [`gather`] → plan (pure, in the kind's own
//! module) → [`apply`] → [`report`]; [`reconcile`] puts the steps together.
//! Around them stand the watches that say when to look ([`watches`]), the
//! [`memory`] that says when not to, the [`finalizer`], and the [`sweep`] for
//! what a finalizer could not see.

use std::{convert::Infallible, sync::Arc, time::Duration};

use crds::{ApiKey, OAuthApplication, Webhook};
use futures_util::StreamExt;
use jiff::Timestamp;
use kube::{
    Client,
    runtime::{
        controller::{self, Config},
        reflector::{ObjectRef, Store, store::Writer},
    },
};
use tokio::{
    sync::{Notify, Semaphore, mpsc, watch},
    task::JoinSet,
};

use crate::{
    config::OperatorConfig,
    events::Events,
    gateways::{Gateways, ResourceId, poll, replicas, source},
    health::{Health, Phase},
    metrics::Metrics,
};

mod apply;
mod blame;
mod claims;
mod desk;
mod fault;
mod finalizer;
mod gather;
mod kind;
mod manifests;
mod memory;
mod queue;
mod reconcile;
mod report;
mod secret;
mod sweep;
mod watches;

pub(crate) use self::{finalizer::FINALIZER, kind::OFFERED_LABEL};

use self::{
    claims::Claims,
    desk::{Applications, Desk, Listeners, Place},
    kind::Kind,
    memory::Memory,
    queue::Queue,
};

/// So many looks at once, of one kind in one scope.
const CONCURRENCY: u16 = 32;
/// So many of all of them that talk to the API server.
const SLOTS: usize = 24;
/// So long a gateway.yaml is waited for before resources are told about it.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long running looks may still take when the process ends.
const DRAIN: Duration = Duration::from_secs(5);

/// Everything that a look at a resource of one kind needs.
struct Context<K: Kind> {
    client: Client,
    gateways: Arc<Gateways>,
    claims: Arc<Claims>,
    applications: Arc<Applications>,
    events: Events,
    memory: Arc<Memory<K::Status>>,
    metrics: Metrics,
    slots: Arc<Semaphore>,
    clock: fn() -> Timestamp,
}

impl<K: Kind> Context<K> {
    /// The present second.
    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// A resource is gone.
    fn forget(&self, id: &ResourceId) {
        self.memory.forget(id);
        for gateway in self.gateways.all() {
            gateway.forget(id);
        }
    }

    /// Nothing of this resource is to be served any more, or not yet.
    fn forget_interest(&self, resource: &K) {
        if let Some(gateway) = self.gateways.get(resource.gateway()) {
            gateway.forget(&resource.id());
        }
    }

    fn count(&self, result: &str, took: Duration) {
        let reconciles = &self.metrics.reconciles;
        reconciles.with_label_values(&[K::KIND, result]).inc();
        let duration = self.metrics.duration.with_label_values(&[K::KIND]);
        duration.observe(took.as_secs_f64());
    }
}

/// Nothing is ever made in the future: what has begun of a second does not count.
fn present_second() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default()
}

/// The controllers of one term of leadership.
pub struct Controllers {
    /// To the API server.
    pub client: Client,
    /// As operator.yaml has it.
    pub config: Arc<OperatorConfig>,
    /// Where events are handed in.
    pub events: Events,
    /// What is counted.
    pub metrics: Metrics,
    /// What this process is doing.
    pub health: Health,
}

/// Ends when all its clones are dropped: when everything has been read once.
type Unsynced = mpsc::Sender<()>;

/// What is being put together for a term.
struct Term {
    tasks: JoinSet<()>,
    appliers: JoinSet<()>,
    stop: watch::Receiver<bool>,
    start: watch::Receiver<bool>,
    unsynced: Unsynced,
    scopes: Vec<Option<String>>,
    sweep: Arc<Notify>,
    slots: Arc<Semaphore>,
}

impl Controllers {
    /// Runs until `stop` is true, and then until the looks that run have come to
    /// their end. Dropped before that, everything ends at once.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        self.health.set(Phase::Syncing);
        let (unsynced, mut synced) = mpsc::channel(1);
        let (start, started) = watch::channel(false);
        let gateways = Arc::new(Gateways::new(&self.config.gateways, &self.metrics));
        let mut term = Term {
            tasks: JoinSet::new(),
            appliers: JoinSet::new(),
            stop: stop.clone(),
            start: started,
            unsynced,
            scopes: self.config.namespaces.scopes(),
            sweep: Arc::default(),
            slots: Arc::new(Semaphore::new(SLOTS)),
        };
        let claims = Arc::new(Claims::default());
        let stores = term.stores::<OAuthApplication>();
        let applications = Arc::new(Applications::new(
            stores
                .iter()
                .map(|(scope, store, _)| (scope.clone(), store.clone()))
                .collect(),
        ));
        let mut listeners: Listeners = Vec::new();
        let pending = (
            self.desk(stores, &mut listeners),
            self.desk(term.stores::<ApiKey>(), &mut listeners),
            self.desk(term.stores::<Webhook>(), &mut listeners),
        );
        let listeners = Arc::new(listeners);
        let shared = Shared {
            controllers: &self,
            gateways: &gateways,
            claims: &claims,
            applications: &applications,
            listeners: &listeners,
        };
        shared.control(&mut term, pending.0);
        shared.control(&mut term, pending.1);
        shared.control(&mut term, pending.2);
        shared.follow_secrets(&mut term);
        shared.follow_gateways(&mut term);
        let Term {
            mut tasks,
            mut appliers,
            unsynced,
            sweep,
            ..
        } = term;
        drop(unsynced);

        tokio::select! {
            _ = synced.recv() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        for gateway in gateways.all() {
            gateway.looked_at(PATIENCE).await;
        }
        tasks.spawn(sweep::follow(
            self.client.clone(),
            self.config.clone(),
            listeners.clone(),
            sweep,
            self.metrics.clone(),
        ));
        start.send_replace(true);
        self.health.set(Phase::Leading);
        tracing::info!("everything is read, looking after it");

        let _ = stop.wait_for(|stop| *stop).await;
        let drained = async { while appliers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN, drained).await;
    }

    fn desk<K: Kind>(
        &self,
        stores: Vec<(Option<String>, Store<K>, Writer<K>)>,
        listeners: &mut Listeners,
    ) -> Pending<K> {
        let mut places = Vec::new();
        let mut writers = Vec::new();
        for (scope, store, writer) in stores {
            let depth = self.metrics.queue.with_label_values(&[K::KIND]);
            let queue = Arc::new(Queue::new(CONCURRENCY.into(), depth));
            places.push((scope, queue, store));
            writers.push(writer);
        }
        let parts = places.iter().cloned().zip(writers).collect();
        let desk = Arc::new(Desk::new(places));
        listeners.push(desk.clone());
        Pending { desk, parts }
    }
}

/// A kind whose controllers are yet to be started: place and the store's writer
/// of each scope.
struct Pending<K: Kind> {
    desk: Arc<Desk<K>>,
    parts: Vec<(Place<K>, Writer<K>)>,
}

impl Term {
    fn stores<K: Kind>(&self) -> Vec<(Option<String>, Store<K>, Writer<K>)> {
        let scopes = self.scopes.iter();
        let stores = scopes.map(|scope| {
            let writer = Writer::<K>::new(());
            (scope.clone(), writer.as_reader(), writer)
        });
        stores.collect()
    }
}

struct Shared<'a> {
    controllers: &'a Controllers,
    gateways: &'a Arc<Gateways>,
    claims: &'a Arc<Claims>,
    applications: &'a Arc<Applications>,
    listeners: &'a Arc<Listeners>,
}

impl Shared<'_> {
    /// Starts the controllers of one kind: one for each scope.
    fn control<K: Kind>(&self, term: &mut Term, pending: Pending<K>) {
        let Pending { desk, parts } = pending;
        let context = Arc::new(Context::<K> {
            client: self.controllers.client.clone(),
            gateways: self.gateways.clone(),
            claims: self.claims.clone(),
            applications: self.applications.clone(),
            events: self.controllers.events.clone(),
            memory: desk.memory.clone(),
            metrics: self.controllers.metrics.clone(),
            slots: term.slots.clone(),
            clock: present_second,
        });
        let (mut start, desk_too) = (term.start.clone(), desk.clone());
        term.tasks.spawn(async move {
            if start.wait_for(|start| *start).await.is_ok() {
                desk_too.go_round(report::ROUND).await;
            }
        });
        for ((scope, queue, store), writer) in parts {
            term.tasks.spawn(watches::resources(
                self.controllers.client.clone(),
                scope,
                writer,
                watches::Around {
                    desk: desk.clone(),
                    listeners: self.listeners.clone(),
                    gateways: self.gateways.clone(),
                    sweep: term.sweep.clone(),
                },
                Some(term.unsynced.clone()),
            ));
            let (mut start, mut stop) = (term.start.clone(), term.stop.clone());
            let context = context.clone();
            term.appliers.spawn(async move {
                if start.wait_for(|start| *start).await.is_err() {
                    return;
                }
                let line = queue.clone().handed_out().map(|id| {
                    let resource = ObjectRef::<K>::new(&id.name).within(&id.namespace);
                    Ok::<_, Infallible>(resource)
                });
                let line = line.take_until(Box::pin(async move {
                    let _ = stop.wait_for(|stop| *stop).await;
                }));
                let applier = controller::applier(
                    |resource: Arc<K>, context| {
                        queue.begin(&resource.id());
                        Box::pin(reconcile::reconcile(resource, context))
                    },
                    |resource, fault, context| reconcile::retry(&*resource, fault, &context),
                    context,
                    store,
                    line,
                    Config::default().concurrency(CONCURRENCY),
                );
                applier
                    .for_each(|result| {
                        // Faults were logged where the retry was decided on.
                        if let Err(controller::Error::ObjectNotFound(gone)) = result {
                            queue.begin(&ResourceId {
                                kind: K::KIND,
                                namespace: gone.namespace.as_deref().unwrap_or_default().into(),
                                name: gone.name.as_str().into(),
                            });
                        }
                        std::future::ready(())
                    })
                    .await;
            });
        }
    }

    fn follow_secrets(&self, term: &mut Term) {
        for scope in &term.scopes {
            term.tasks.spawn(watches::credentials(
                self.controllers.client.clone(),
                scope.clone(),
                self.listeners.clone(),
                Some(term.unsynced.clone()),
            ));
        }
        for namespace in self.controllers.config.gateway_namespaces() {
            term.tasks.spawn(watches::configs(
                self.controllers.client.clone(),
                namespace.to_owned(),
                self.listeners.clone(),
                self.claims.clone(),
                term.sweep.clone(),
                Some(term.unsynced.clone()),
            ));
        }
    }

    fn follow_gateways(&self, term: &mut Term) {
        let client = &self.controllers.client;
        for gateway in self.gateways.all() {
            let (replicas_out, replicas_in) = watch::channel(None);
            term.tasks.spawn({
                let (config, client) = (gateway.config.clone(), client.clone());
                async move { replicas::follow(&config, client, replicas_out).await }
            });
            term.tasks
                .spawn(source::follow(gateway.clone(), client.clone()));
            let listeners = self.listeners.clone();
            term.tasks
                .spawn(poll::follow(gateway.clone(), replicas_in, move |id| {
                    listeners.iter().for_each(|it| it.trigger(id));
                }));
            let (mut changes, listeners) = (gateway.catalogue_changes(), self.listeners.clone());
            let name = gateway.name().to_owned();
            term.tasks.spawn(async move {
                let mut epoch = changes.borrow_and_update().epoch;
                while changes.changed().await.is_ok() {
                    let now = changes.borrow_and_update().epoch;
                    if now != epoch {
                        epoch = now;
                        listeners.iter().for_each(|it| it.trigger_gateway(&name));
                    }
                }
            });
        }
    }
}
