//! Removes the documents of resources that are gone. The finalizer does that as
//! a rule; but finalizers can be taken away by hand, and definitions can be
//! deleted while nobody looks.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
    core::{PartialObjectMeta, Status},
};
use tokio::{sync::Notify, time::timeout};

use super::{
    desk::Listeners,
    manifests::{KIND_LABEL, ORPHAN, OWNER_NAME_LABEL, OWNER_NAMESPACE_LABEL, POLICY_LABEL},
    secret::remove,
};
use crate::{backoff::jittered, config::OperatorConfig, metrics::Metrics};

/// Between two looks though nobody rang.
const EVERY: Duration = Duration::from_mins(10);
/// News that come together are looked at together.
const SETTLE: Duration = Duration::from_millis(200);
/// How many are asked for at once.
const PAGE: u32 = 500;
/// How many are removed at once.
const CONCURRENCY: usize = 8;

/// Sweeps for ever: at once, whenever `bell` rings, and now and then.
pub(super) async fn follow(
    client: Client,
    config: Arc<OperatorConfig>,
    listeners: Arc<Listeners>,
    bell: Arc<Notify>,
    metrics: Metrics,
) {
    let sweep = Sweep {
        client,
        config,
        listeners,
        metrics,
    };
    loop {
        let mut wait = jittered(EVERY);
        for namespace in sweep.config.gateway_namespaces() {
            if let Err(error) = sweep.namespace(namespace).await {
                tracing::warn!(namespace, %error, "cannot look for documents of what is gone");
                wait = jittered(Duration::from_secs(30));
            }
        }
        if timeout(wait, bell.notified()).await.is_ok() {
            tokio::time::sleep(SETTLE).await;
        }
    }
}

struct Sweep {
    client: Client,
    config: Arc<OperatorConfig>,
    listeners: Arc<Listeners>,
    metrics: Metrics,
}

impl Sweep {
    async fn namespace(&self, namespace: &str) -> kube::Result<()> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let mut params = ListParams::default().labels(KIND_LABEL).limit(PAGE);
        let mut forgotten = Vec::new();
        loop {
            let page = api.list_metadata(&params).await?;
            let next = page.metadata.continue_.filter(|it| !it.is_empty());
            forgotten.extend(page.items.into_iter().filter(|it| !self.has_owner(it)));
            let Some(next) = next else { break };
            params = params.continue_token(&next);
        }
        let removals = stream::iter(forgotten)
            .map(|secret| self.remove(&api, secret))
            .buffer_unordered(CONCURRENCY);
        // All of them, whatever becomes of one: it must not keep the others.
        let failed: Vec<_> = removals
            .filter_map(|it| std::future::ready(it.err()))
            .collect()
            .await;
        failed.into_iter().next().map_or(Ok(()), Err)
    }

    /// Whether a document's resource is there, is to be outlived, or is nobody's
    /// whom this operator looks after.
    fn has_owner(&self, secret: &PartialObjectMeta<Secret>) -> bool {
        let label = |key: &str| secret.labels().get(key).map_or("", String::as_str);
        if label(POLICY_LABEL) == ORPHAN
            || !self.config.namespaces.include(label(OWNER_NAMESPACE_LABEL))
        {
            return true;
        }
        let (kind, namespace) = (label(KIND_LABEL), label(OWNER_NAMESPACE_LABEL));
        let mut answers = self.listeners.iter();
        let known = answers.find_map(|it| it.has(kind, namespace, label(OWNER_NAME_LABEL)));
        known.unwrap_or(true)
    }

    /// Removes a document whose resource the API server does not have either.
    async fn remove(
        &self,
        api: &Api<Secret>,
        secret: PartialObjectMeta<Secret>,
    ) -> kube::Result<()> {
        let label = |key: &str| secret.labels().get(key).map_or("", String::as_str);
        let kind = GroupVersionKind::gvk(crds::GROUP, "v1alpha1", label(KIND_LABEL));
        let kind = ApiResource::from_gvk(&kind);
        let namespace = label(OWNER_NAMESPACE_LABEL);
        let owners: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &kind);
        match owners.get_metadata(label(OWNER_NAME_LABEL)).await {
            Err(kube::Error::Api(status)) if is_about_an_object(&status) => {}
            // Without the definition nobody can say what there is: perhaps a
            // backup is just being restored.
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
            other => return other.map(drop),
        }
        let (uid, version) = (secret.uid(), secret.resource_version());
        remove(api, &secret.name_any(), uid, version).await?;
        self.metrics.swept.inc();
        tracing::info!(
            document = secret.name_any(),
            "removed: its resource is gone"
        );
        Ok(())
    }
}

/// Whether it is one object that was not found, rather than its kind.
fn is_about_an_object(status: &Status) -> bool {
    let details = status.details.as_ref();
    status.code == 404 && details.is_some_and(|it| !it.name.is_empty())
}
