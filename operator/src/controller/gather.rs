//! The first step: what is there.

use crds::contract::Document;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::{
    Context,
    fault::Fault,
    finalizer::has_finalizer,
    kind::{Kind, Observed},
    manifests::{CONFIG_KEY, config_name},
    secret::Found,
};
use crate::webhook::Referent;

/// What was found of a resource, and the Secrets as they were.
pub(super) struct Gathered<S> {
    /// What to plan with.
    pub(super) observed: Observed<S>,
    /// The config Secret.
    pub(super) config: Option<Found>,
}

/// Reads what there is of a resource whose gateway reads `namespace`.
pub(super) async fn gather<K: Kind>(
    resource: &K,
    status: K::Status,
    namespace: &str,
    context: &Context<K>,
) -> Result<Gathered<K::Status>, Fault> {
    let id = resource.id();
    if is_new(resource) && context.memory.failures(&id) == 0 {
        // There is nothing yet, almost certainly: what is created where there is
        // something after all is refused, and then it is looked for.
        return Ok(Gathered {
            observed: Observed {
                document: None,
                credentials: None,
                referent: referent(resource, context),
                status,
            },
            config: None,
        });
    }
    let secrets = |namespace: &str| Api::<Secret>::namespaced(context.client.clone(), namespace);
    let (owners, gateways) = (secrets(&id.namespace), secrets(namespace));
    let (secret_name, config_name) = (resource.secret_name(), config_name(&id));
    let (credentials, config) = tokio::join!(
        Found::read(&owners, &secret_name),
        Found::read(&gateways, &config_name)
    );
    let credentials = credentials.map_err(Fault::at("read the credentials Secret"))?;
    let config = config.map_err(Fault::at("read the gateway's config Secret"))?;
    let mut document = config.as_ref().and_then(|found| document(resource, found));
    // What was reported is believed before what was found: the status is
    // written by the operator alone.
    if let (Some(document), Some(reported)) = (&mut document, K::reported_id(&status))
        && let Some(id) = K::public_id_mut(document)
        && id != reported
    {
        reported.clone_into(id);
    }
    let observed = Observed {
        document,
        credentials,
        referent: referent(resource, context),
        status,
    };
    Ok(Gathered { observed, config })
}

/// Whether nobody has ever looked at it, and it brings nothing.
fn is_new<K: Kind>(resource: &K) -> bool {
    resource.status().is_none() && !has_finalizer(resource) && !resource.is_brought()
}

fn referent<K: Kind>(resource: &K, context: &Context<K>) -> Referent {
    let name = resource.application();
    name.map_or(Referent::Missing, |name| {
        context
            .applications
            .referent(&resource.id().namespace, name)
    })
}

/// The document that a config Secret holds, if it is this resource's.
fn document<K: Kind>(resource: &K, found: &Found) -> Option<Document> {
    let id = resource.id();
    let document = Document::from_json(found.data.get(CONFIG_KEY)?.expose()).ok()?;
    (*document.namespace == *id.namespace && *document.name == *id.name).then_some(document)
}
