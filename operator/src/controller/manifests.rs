//! The Secrets that a plan comes to.

use std::collections::BTreeMap;

use crds::{contract::Sha256Hash, oauth_application::DeletionPolicy};

use super::{
    kind::{Kind, OFFERED_LABEL},
    secret::{Bytes, MANAGER, Manifest},
};
use crate::{
    gateways::ResourceId,
    plan::{Credentials, OWNER_ANNOTATION, ROTATED_FOR_ANNOTATION},
};

/// The type of config Secrets.
pub(super) const CONFIG_TYPE: &str = "flightgate.dev/config";
/// Their one key.
pub(super) const CONFIG_KEY: &str = "config.json";
/// Stands on config Secrets: the kind of the resource that one states.
pub(super) const KIND_LABEL: &str = "flightgate.dev/kind";
/// Stands on config Secrets: the namespace of that resource.
pub(super) const OWNER_NAMESPACE_LABEL: &str = "flightgate.dev/owner-namespace";
/// Stands on config Secrets: the name of that resource.
pub(super) const OWNER_NAME_LABEL: &str = "flightgate.dev/owner-name";
/// Stands on config Secrets that outlive their resource.
pub(super) const POLICY_LABEL: &str = "flightgate.dev/deletion-policy";
/// Its value.
pub(super) const ORPHAN: &str = "Orphan";
/// Stands on config Secrets: the identifier that is that resource's alone.
pub(super) const PUBLIC_ID_ANNOTATION: &str = "flightgate.dev/public-id";
const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// The name of a resource's config Secret: as the file that `compile` writes.
/// Neither names of resources nor of namespaces hold a dot, so no two resources
/// have the same.
pub(super) fn config_name(id: &ResourceId) -> String {
    let kind = id.kind.to_lowercase();
    format!("{kind}.{}.{}", id.namespace, id.name)
}

/// The config Secret of a resource with this document.
pub(super) fn config<K: Kind>(
    resource: &K,
    namespace: &str,
    public_id: Option<&str>,
    document: Vec<u8>,
) -> (Manifest, Sha256Hash) {
    let id = resource.id();
    let mut labels = BTreeMap::from([
        (KIND_LABEL, id.kind.to_owned()),
        (OWNER_NAMESPACE_LABEL, id.namespace.to_string()),
        (OWNER_NAME_LABEL, id.name.to_string()),
        (MANAGED_BY_LABEL, MANAGER.to_owned()),
    ]);
    if resource.deletion_policy() == DeletionPolicy::Orphan {
        labels.insert(POLICY_LABEL, ORPHAN.into());
    }
    let public_id = public_id.map(|id| (PUBLIC_ID_ANNOTATION, id.to_owned()));
    let sha256 = Sha256Hash::of(&document);
    let manifest = Manifest {
        namespace: namespace.into(),
        name: config_name(&id),
        type_: CONFIG_TYPE,
        labels,
        annotations: public_id.into_iter().collect(),
        data: BTreeMap::from([(CONFIG_KEY, Bytes::new(document))]),
        reserved: &[POLICY_LABEL],
    };
    (manifest, sha256)
}

/// The credentials Secret of a resource.
///
/// It has no owner reference: after a restore from a backup the garbage
/// collector would see an owner of another uid, and delete the Secret before
/// anybody could adopt the identity in it. The finalizer removes it instead.
pub(super) fn credentials<K: Kind>(resource: &K, credentials: Credentials) -> Manifest {
    let Credentials {
        secret_name,
        owner,
        entries,
        rotated_for,
    } = credentials;
    let rotated_for = rotated_for.map(|value| (ROTATED_FOR_ANNOTATION, value));
    let entries = entries.into_iter().map(|(key, value)| {
        let bytes = value.expose().as_bytes().to_vec();
        (key, Bytes::new(bytes))
    });
    Manifest {
        namespace: resource.id().namespace.to_string(),
        name: secret_name,
        type_: "Opaque",
        labels: BTreeMap::from([
            (OFFERED_LABEL, "true".to_owned()),
            (MANAGED_BY_LABEL, MANAGER.to_owned()),
        ]),
        annotations: [(OWNER_ANNOTATION, owner)]
            .into_iter()
            .chain(rotated_for)
            .collect(),
        data: entries.collect(),
        reserved: K::RESERVED,
    }
}
