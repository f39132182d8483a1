//! The finalizer: a resource does not go before its document has.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api,
    api::{Patch, PatchParams},
    runtime::controller::Action,
};
use serde_json::json;

use super::{
    Context,
    fault::{Class, FINALIZING, Fault},
    kind::Kind,
    manifests::{ORPHAN, POLICY_LABEL, config_name},
    secret::{MANAGER, remove},
};
use crate::plan::{self, Event, OWNER_ANNOTATION};
use crds::oauth_application::DeletionPolicy;

/// Its name.
pub(crate) const FINALIZER: &str = "flightgate.dev/config";
/// So often a release is tried again at once when others write too.
const ATTEMPTS: u32 = 5;

/// Makes sure that the resource has the finalizer. Returns the resource's new
/// version if it was written.
pub(super) async fn ensure<K: Kind>(
    resource: &K,
    context: &Context<K>,
) -> Result<Option<String>, Fault> {
    if has_finalizer(resource) {
        return Ok(None);
    }
    let mut finalizers = finalizers(resource).to_vec();
    finalizers.push(FINALIZER.into());
    let now = patch(resource, context, &finalizers)
        .await
        .map_err(Fault::at(FINALIZING))?;
    Ok(now.metadata.resource_version)
}

/// Removes what the resource has made, and lets it go.
pub(super) async fn finalize<K: Kind>(resource: &K, context: &Context<K>) -> Result<Action, Fault> {
    let id = resource.id();
    if !has_finalizer(resource) {
        // Others still hold it; nothing here concerns it any more.
        context.forget(&id);
        return Ok(Action::await_change());
    }
    let namespaces = gateway_namespaces(resource, context);
    if resource.deletion_policy() == DeletionPolicy::Orphan {
        for namespace in namespaces {
            let done = mark_orphan(resource, &namespace, context).await;
            settle_for_gone(done, &namespace, context).await?;
        }
    } else {
        for namespace in namespaces {
            let done = remove_config(resource, &namespace, context).await;
            settle_for_gone(done, &namespace, context).await?;
        }
        if !resource.is_brought() {
            remove_credentials(resource, context).await?;
        }
    }
    if release(resource, context).await? {
        tracing::info!(resource = %id, "let go");
    }
    context.forget(&id);
    Ok(Action::await_change())
}

/// Where its document may be: a gateway that operator.yaml no longer knows may
/// have lived beside any of the others.
fn gateway_namespaces<K: Kind>(resource: &K, context: &Context<K>) -> Vec<String> {
    if let Some(gateway) = context.gateways.get(resource.gateway()) {
        return vec![gateway.config.namespace.clone()];
    }
    let all = context.gateways.all();
    let mut namespaces: Vec<_> = all.map(|it| it.config.namespace.clone()).collect();
    namespaces.sort();
    namespaces.dedup();
    namespaces
}

async fn remove_config<K: Kind>(
    resource: &K,
    namespace: &str,
    context: &Context<K>,
) -> Result<(), Fault> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let name = config_name(&resource.id());
    remove(&api, &name, None, None)
        .await
        .map_err(Fault::at("remove the gateway's config Secret"))?;
    context.claims.release(namespace, &name);
    Ok(())
}

/// The policy may have changed a moment ago: so that nobody takes the document
/// for one that was forgotten.
async fn mark_orphan<K: Kind>(
    resource: &K,
    namespace: &str,
    context: &Context<K>,
) -> Result<(), Fault> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let patch = json!({"metadata": {"labels": {POLICY_LABEL: ORPHAN}}});
    let params = PatchParams {
        field_manager: Some(MANAGER.into()),
        ..PatchParams::default()
    };
    let name = config_name(&resource.id());
    match api
        .patch_metadata(&name, &params, &Patch::Merge(&patch))
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other
            .map(drop)
            .map_err(Fault::at("mark the gateway's config Secret")),
    }
}

/// With a namespace go the roles in it, so what is gone looks forbidden. The
/// namespace itself can still be asked for.
async fn settle_for_gone<K: Kind>(
    done: Result<(), Fault>,
    namespace: &str,
    context: &Context<K>,
) -> Result<(), Fault> {
    let Err(fault) = done else { return Ok(()) };
    let is_permanent = matches!(fault.class(), Class::Permanent { .. });
    if is_permanent && is_going(namespace, context).await? {
        return Ok(());
    }
    Err(fault)
}

/// Whether a namespace is gone, or will be with everything in it.
async fn is_going<K: Kind>(namespace: &str, context: &Context<K>) -> Result<bool, Fault> {
    let api: Api<Namespace> = Api::all(context.client.clone());
    let found = api.get_metadata_opt(namespace).await;
    let found = found.map_err(Fault::at("look at the gateway's namespace"))?;
    Ok(found.is_none_or(|it| it.metadata.deletion_timestamp.is_some()))
}

/// Removes the credentials, if they are this resource's. They work no longer, so
/// that nobody is held up if they cannot be removed.
async fn remove_credentials<K: Kind>(resource: &K, context: &Context<K>) -> Result<(), Fault> {
    let id = resource.id();
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &id.namespace);
    let name = resource.secret_name();
    let removal = async {
        let Some(found) = api.get_metadata_opt(&name).await? else {
            return Ok(());
        };
        let owner = found
            .metadata
            .annotations
            .and_then(|mut it| it.remove(OWNER_ANNOTATION));
        if owner.as_deref() != Some(&plan::owner(resource)) {
            return Ok(());
        }
        remove(&api, &name, found.metadata.uid, None).await
    };
    let Err(error) = removal.await else {
        return Ok(());
    };
    let fault = Fault::at("remove the credentials Secret")(error);
    match fault.class() {
        Class::Permanent { message, .. } => {
            let event = Event::warning("CredentialsLeft", message);
            context.events.tell(resource.about(), event);
            Ok(())
        }
        _ => Err(fault),
    }
}

/// Takes the finalizer away, whoever else writes at the same time; false: it was
/// gone already.
async fn release<K: Kind>(resource: &K, context: &Context<K>) -> Result<bool, Fault> {
    let at = Fault::at("take the finalizer away");
    let api: Api<K> = Api::namespaced(context.client.clone(), &resource.id().namespace);
    let mut resource = resource.clone();
    for attempt in 1..=ATTEMPTS {
        let mut left = finalizers(&resource).to_vec();
        left.retain(|it| it != FINALIZER);
        let error = match patch(&resource, context, &left).await {
            Ok(_) => return Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(false),
            Err(kube::Error::Api(status)) if status.code == 409 && attempt < ATTEMPTS => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                match api.get_opt(&resource.id().name).await {
                    Ok(Some(now)) if now.meta().uid == resource.meta().uid => {
                        if !has_finalizer(&now) {
                            return Ok(false);
                        }
                        resource = now;
                        continue;
                    }
                    Ok(_) => return Ok(false),
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        return Err(at(error));
    }
    Ok(false)
}

async fn patch<K: Kind>(
    resource: &K,
    context: &Context<K>,
    finalizers: &[String],
) -> kube::Result<kube::core::PartialObjectMeta<K>> {
    let id = resource.id();
    let api: Api<K> = Api::namespaced(context.client.clone(), &id.namespace);
    let patch = json!({
        "metadata": {
            "uid": resource.meta().uid,
            "resourceVersion": resource.meta().resource_version,
            "finalizers": finalizers,
        },
    });
    let params = PatchParams {
        field_manager: Some(MANAGER.into()),
        ..PatchParams::default()
    };
    api.patch_metadata(&id.name, &params, &Patch::Merge(&patch))
        .await
}

fn finalizers<K: Kind>(resource: &K) -> &[String] {
    resource.meta().finalizers.as_deref().unwrap_or_default()
}

/// Whether the resource is held by this finalizer.
pub(super) fn has_finalizer<K: Kind>(resource: &K) -> bool {
    finalizers(resource).iter().any(|it| it == FINALIZER)
}
