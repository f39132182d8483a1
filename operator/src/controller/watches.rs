//! The watches: resources as a whole, Secrets by label and without what they
//! hold.

use std::{any::Any, collections::HashSet, mem, sync::Arc};

use crds::OAuthApplication;
use futures_util::{Stream, StreamExt, pin_mut};
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        reflector::store::Writer,
        watcher::{self, Config, Event},
    },
};
use tokio::sync::{Notify, mpsc};

use super::{
    claims::Claims,
    desk::{Desk, Listeners, covers, referent},
    kind::{Kind, OFFERED_LABEL},
    manifests::{KIND_LABEL, PUBLIC_ID_ANNOTATION},
    memory::{Version, Watched},
    reconcile::version_of,
};
use crate::{
    backoff::Reconnect,
    gateways::{Gateways, ResourceId},
};

/// What annotations begin with that concern the operator.
const OURS: &str = "flightgate.dev/";

/// Dropped once everything has been read.
type Unsynced = Option<mpsc::Sender<()>>;
type Metadata = PartialObjectMeta<Secret>;

/// Whom a watch of resources tells what it sees.
pub(super) struct Around<K: Kind> {
    /// The queues of its kind.
    pub(super) desk: Arc<Desk<K>>,
    /// All kinds.
    pub(super) listeners: Arc<Listeners>,
    /// The gateways that wait for documents.
    pub(super) gateways: Arc<Gateways>,
    /// Rung when a resource went without its finalizer.
    pub(super) sweep: Arc<Notify>,
}

/// Follows the resources of one kind in one scope for ever.
pub(super) async fn resources<K: Kind>(
    client: Client,
    scope: Option<String>,
    mut writer: Writer<K>,
    around: Around<K>,
    mut unsynced: Unsynced,
) {
    let store = writer.as_reader();
    let events = watcher::watcher(api::<K>(client, scope.as_deref()), Config::default());
    let events = events.backoff(Reconnect::default());
    pin_mut!(events);
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event.modify(|it| trim(it.meta_mut())),
            Err(error) => {
                tracing::warn!(kind = K::KIND, scope, %error, "watch interrupted");
                unsynced = unsynced.filter(|_| !is_denied(&error));
                continue;
            }
        };
        writer.apply_watcher_event(&event);
        match event {
            Event::Init | Event::InitApply(_) => {}
            Event::Apply(resource) => around.applied(&resource),
            Event::Delete(resource) => around.deleted(&resource.id()),
            Event::InitDone => {
                unsynced = None;
                let there = store.state();
                for resource in &there {
                    around.applied(resource.as_ref());
                }
                // What went while nobody watched is told by nobody.
                let there: HashSet<_> = there.iter().map(|it| it.id()).collect();
                let known = around.desk.memory.ids();
                let here = known
                    .iter()
                    .filter(|it| covers(scope.as_deref(), &it.namespace));
                for id in here.filter(|it| !there.contains(it)) {
                    around.deleted(id);
                }
                // Documents may have waited for somebody who can say whose they
                // are.
                around.sweep.notify_one();
            }
        }
    }
    drop(unsynced);
}

/// Leaves of a resource's metadata what somebody here reads.
pub(super) fn trim(metadata: &mut ObjectMeta) {
    let mut all = mem::take(metadata);
    if let Some(annotations) = &mut all.annotations {
        annotations.retain(|key, _| key.starts_with(OURS));
    }
    *metadata = ObjectMeta {
        name: all.name,
        namespace: all.namespace,
        uid: all.uid,
        resource_version: all.resource_version,
        generation: all.generation,
        annotations: all.annotations.filter(|it| !it.is_empty()),
        finalizers: all.finalizers,
        deletion_timestamp: all.deletion_timestamp,
        ..ObjectMeta::default()
    };
}

impl<K: Kind> Around<K> {
    fn applied(&self, resource: &K) {
        self.desk.enqueue(&resource.id());
        if let Some(application) = (resource as &dyn Any).downcast_ref::<OAuthApplication>() {
            let id = resource.id();
            let version = version_of(&referent(application));
            self.tell(&Watched::Application(id.namespace, id.name), &version);
        }
    }

    fn deleted(&self, id: &ResourceId) {
        for gateway in self.gateways.all() {
            gateway.forget(id);
        }
        if self.desk.memory.forget(id) {
            // Its finalizer did not run, or somebody took it away.
            self.sweep.notify_one();
        }
        if id.kind == OAuthApplication::KIND {
            let watched = Watched::Application(id.namespace.clone(), id.name.clone());
            self.tell(&watched, &None);
        }
    }

    fn tell(&self, watched: &Watched, version: &Version) {
        for listener in self.listeners.iter() {
            listener.observe(watched, version);
        }
    }
}

/// Follows the credentials Secrets of one scope for ever.
pub(super) async fn credentials(
    client: Client,
    scope: Option<String>,
    listeners: Arc<Listeners>,
    mut unsynced: Unsynced,
) {
    let events = secrets(client, scope.as_deref(), &format!("{OFFERED_LABEL}=true"));
    pin_mut!(events);
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(kind = "Secret", scope, %error, "watch interrupted");
                unsynced = unsynced.filter(|_| !is_denied(&error));
                continue;
            }
        };
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(secret) => {
                observe(&listeners, &secret, false);
                listed.insert((secret.namespace().unwrap_or_default(), secret.name_any()));
            }
            Event::Apply(secret) => observe(&listeners, &secret, false),
            Event::Delete(secret) => observe(&listeners, &secret, true),
            Event::InitDone => {
                unsynced = None;
                // Config Secrets carry other labels: they are others' to miss.
                miss(&listeners, &|namespace, name| {
                    covers(scope.as_deref(), namespace)
                        && !is_config(name)
                        && !listed.contains(&(namespace.to_owned(), name.to_owned()))
                });
                listed = HashSet::new();
            }
        }
    }
    drop(unsynced);
}

/// Follows the config Secrets of one gateway namespace for ever.
pub(super) async fn configs(
    client: Client,
    namespace: String,
    listeners: Arc<Listeners>,
    claims: Arc<Claims>,
    sweep: Arc<Notify>,
    mut unsynced: Unsynced,
) {
    let events = secrets(client, Some(&namespace), KIND_LABEL);
    pin_mut!(events);
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(kind = "Secret", namespace, %error, "watch interrupted");
                unsynced = unsynced.filter(|_| !is_denied(&error));
                continue;
            }
        };
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(secret) => {
                see(&claims, &namespace, &secret);
                observe(&listeners, &secret, false);
                listed.insert(secret.name_any());
            }
            Event::Apply(secret) => {
                see(&claims, &namespace, &secret);
                observe(&listeners, &secret, false);
            }
            Event::Delete(secret) => {
                claims.release(&namespace, &secret.name_any());
                observe(&listeners, &secret, true);
            }
            Event::InitDone => {
                unsynced = None;
                claims.retain(&namespace, &listed);
                miss(&listeners, &|of, name| {
                    of == namespace && is_config(name) && !listed.contains(name)
                });
                listed = HashSet::new();
                sweep.notify_one();
            }
        }
    }
    drop(unsynced);
}

fn secrets(
    client: Client,
    scope: Option<&str>,
    labels: &str,
) -> impl Stream<Item = watcher::Result<Event<Metadata>>> + Send + use<> {
    let api: Api<Metadata> = api(client, scope);
    watcher::watcher(api, Config::default().labels(labels)).backoff(Reconnect::default())
}

fn api<K>(client: Client, scope: Option<&str>) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match scope {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

/// Whether the API server says no, rather than nothing: in a namespace that is
/// going, or that nobody granted. Others are looked after all the same.
fn is_denied(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status)) => [401, 403, 404].contains(&status.code),
        _ => false,
    }
}

fn see(claims: &Claims, namespace: &str, secret: &Metadata) {
    if let Some(id) = secret.annotations().get(PUBLIC_ID_ANNOTATION) {
        claims.see(namespace, id, &secret.name_any());
    }
}

fn observe(listeners: &Listeners, secret: &Metadata, is_gone: bool) {
    let namespace = secret.namespace().unwrap_or_default();
    let watched = Watched::Secret(namespace.into(), secret.name_any().into());
    let version = secret.resource_version().filter(|_| !is_gone);
    for listener in listeners {
        listener.observe(&watched, &version);
    }
}

fn miss(listeners: &Listeners, is_missing: &dyn Fn(&str, &str) -> bool) {
    for listener in listeners {
        for watched in listener.missing_secrets(is_missing) {
            listener.observe(&watched, &None);
        }
    }
}

/// Names of config Secrets have dots, those of credentials Secrets none.
fn is_config(name: &str) -> bool {
    name.contains('.')
}
