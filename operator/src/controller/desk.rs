//! Where news about one kind of resource arrives, and becomes a place in the
//! right queue.

use std::{sync::Arc, time::Duration};

use crds::OAuthApplication;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::time::sleep;

use super::{
    kind::Kind,
    memory::{Memory, Version, Watched},
    queue::Queue,
};
use crate::{gateways::ResourceId, webhook::Referent};

/// A round over all resources has so many parts.
const SHARES: u32 = 60;

/// One for each kind.
pub(super) type Listeners = Vec<Arc<dyn Listener>>;

/// Somebody whom news may concern.
pub(super) trait Listener: Send + Sync {
    /// Something watched is now of this version.
    fn observe(&self, watched: &Watched, version: &Version);
    /// A resource is to be looked at.
    fn trigger(&self, id: &ResourceId);
    /// All resources of a gateway are.
    fn trigger_gateway(&self, gateway: &str);
    /// The Secrets that are thought to be there and that `is_missing` says are
    /// not.
    fn missing_secrets(&self, is_missing: &dyn Fn(&str, &str) -> bool) -> Vec<Watched>;
    /// Whether a resource is there; none: it is of another kind.
    fn has(&self, kind: &str, namespace: &str, name: &str) -> Option<bool>;
}

/// The queues of one kind: one for each scope.
pub(super) struct Desk<K: Kind> {
    /// What is known of its resources.
    pub(super) memory: Arc<Memory<K::Status>>,
    queues: Vec<Place<K>>,
}

/// A scope, who waits in it, and what there is.
pub(super) type Place<K> = (Option<String>, Arc<Queue>, Store<K>);

impl<K: Kind> Desk<K> {
    /// A desk before these queues.
    pub(super) fn new(queues: Vec<Place<K>>) -> Self {
        Self {
            memory: Arc::default(),
            queues,
        }
    }

    /// Queues a resource.
    pub(super) fn enqueue(&self, id: &ResourceId) {
        if let Some((_, queue, _)) = self.queue(&id.namespace) {
            queue.push(id);
        }
    }

    /// Queues every resource in its turn, evenly over `round`, for ever. A place
    /// in the schedule for each would cost more than all that is known of it.
    pub(super) async fn go_round(&self, round: Duration) {
        for share in (0..SHARES).cycle() {
            sleep(round / SHARES).await;
            for id in self.memory.share(share.into(), SHARES.into()) {
                self.enqueue(&id);
            }
        }
    }

    fn queue(&self, namespace: &str) -> Option<&Place<K>> {
        self.queues
            .iter()
            .find(|(scope, ..)| covers(scope.as_deref(), namespace))
    }
}

impl<K: Kind> Listener for Desk<K> {
    fn observe(&self, watched: &Watched, version: &Version) {
        for id in self.memory.observe(watched, version) {
            self.enqueue(&id);
        }
    }

    fn trigger(&self, id: &ResourceId) {
        if id.kind == K::KIND {
            self.enqueue(id);
        }
    }

    fn trigger_gateway(&self, gateway: &str) {
        for (_, _, store) in &self.queues {
            let resources = store.state();
            let concerned = resources.iter().filter(|it| it.gateway() == gateway);
            concerned.for_each(|it| self.enqueue(&it.id()));
        }
    }

    fn missing_secrets(&self, is_missing: &dyn Fn(&str, &str) -> bool) -> Vec<Watched> {
        self.memory.missing_secrets(is_missing)
    }

    fn has(&self, kind: &str, namespace: &str, name: &str) -> Option<bool> {
        if kind != K::KIND {
            return None;
        }
        let (_, _, store) = self.queue(namespace)?;
        Some(store.get(&ObjectRef::new(name).within(namespace)).is_some())
    }
}

/// The applications that webhooks may name.
pub(super) struct Applications(Vec<(Option<String>, Store<OAuthApplication>)>);

impl Applications {
    /// Those in these stores.
    pub(super) fn new(stores: Vec<(Option<String>, Store<OAuthApplication>)>) -> Self {
        Self(stores)
    }

    /// Whether there is an application that nobody has looked at yet: it will be
    /// accepted in a moment, or refused.
    pub(super) fn is_new(&self, namespace: &str, name: &str) -> bool {
        self.find(namespace, name).is_some_and(|it| {
            let status = it.status.as_ref();
            status.and_then(|it| it.observed_generation).is_none()
        })
    }

    /// The application of this name, as a webhook sees it.
    pub(super) fn referent(&self, namespace: &str, name: &str) -> Referent {
        let found = self.find(namespace, name);
        found.map_or(Referent::Missing, |it| referent(&it))
    }

    fn find(&self, namespace: &str, name: &str) -> Option<Arc<OAuthApplication>> {
        let mut stores = self.0.iter();
        let (_, store) = stores.find(|(scope, _)| covers(scope.as_deref(), namespace))?;
        store.get(&ObjectRef::new(name).within(namespace))
    }
}

/// An application as a webhook sees it.
pub(super) fn referent(application: &OAuthApplication) -> Referent {
    if application.metadata.deletion_timestamp.is_some() {
        return Referent::Missing;
    }
    let id = application
        .status
        .as_ref()
        .and_then(|it| it.client_id.clone());
    id.map_or(Referent::Pending, Referent::Client)
}

/// Whether a scope covers a namespace.
pub(super) fn covers(scope: Option<&str>, namespace: &str) -> bool {
    scope.is_none_or(|scope| scope == namespace)
}
