//! What the doctor looks at.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt, future::join_all, stream};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        authorization::v1::{
            ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
        },
        coordination::v1::Lease,
        core::v1::Secret,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};

use super::definitions::{self, Definition};
use crate::{
    lease::LABEL,
    plan::ROTATED_FOR_ANNOTATION,
    plugin::{
        access::Access,
        api::{self, ApiError, Request},
        arguments::DoctorOptions,
        kind::Kind,
        resource::Resource,
    },
};

/// So many Secrets are asked for at a time.
const AT_A_TIME: usize = 16;

/// Everything that was looked at.
#[derive(Clone, Debug)]
pub(in crate::plugin) struct Facts {
    /// By the API server's clock.
    pub(super) now: Timestamp,
    /// None: all of them.
    pub(super) namespace: Option<String>,
    pub(super) definitions: Vec<(Kind, Definition)>,
    pub(super) leases: Result<Vec<Leadership>, ApiError>,
    /// What the user may and may not do; those that were asked about.
    pub(super) rights: Vec<(Request, bool)>,
    pub(super) resources: Vec<Resource>,
    /// Why kinds could not be listed.
    pub(super) unreadable: Vec<ApiError>,
    /// By namespace and name.
    pub(super) secrets: BTreeMap<(String, String), Result<Option<Found>, ApiError>>,
}

/// A Lease of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leadership {
    pub(super) namespace: String,
    pub(super) name: String,
    /// None: nobody.
    pub(super) holder: Option<String>,
    pub(super) acquired_at: Option<Timestamp>,
    pub(super) renewed_at: Option<Timestamp>,
    pub(super) duration: Duration,
}

/// A credentials Secret, without what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) labels: BTreeMap<String, String>,
    /// The value of the rotate annotation that was last acted on.
    pub(super) rotated_for: Option<String>,
    /// The length of each value; of brought Secrets alone.
    pub(super) lengths: BTreeMap<String, usize>,
}

/// Looks at everything that there is to look at.
pub(super) async fn gather(access: &Access, options: &DoctorOptions) -> Result<Facts, ApiError> {
    let client = &access.client;
    let namespace = (!options.all_namespaces).then(|| access.namespace.clone());
    let scope = namespace.as_deref();
    let lists = Kind::ALL.map(|kind| api::list(client, kind, scope));
    let (definitions, leases, rights, lists, now) = tokio::join!(
        definitions::look(client),
        leases(client, options.operator_namespace.as_deref()),
        rights(client, scope),
        join_all(lists),
        access.now(),
    );
    let mut resources = Vec::new();
    let mut unreadable = Vec::new();
    for list in lists {
        match list {
            Ok(list) => resources.extend(list),
            // The definitions say so.
            Err(ApiError::NotInstalled(_)) => {}
            Err(error) => unreadable.push(error),
        }
    }
    let wanted = resources.iter().filter(|it| it.deleted_at.is_none());
    let secrets = stream::iter(wanted.map(|it| secret(client, it)))
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    Ok(Facts {
        now,
        definitions: definitions?,
        leases,
        rights,
        unreadable,
        secrets,
        resources,
        namespace,
    })
}

async fn leases(client: &Client, namespace: Option<&str>) -> Result<Vec<Leadership>, ApiError> {
    let (label, value) = LABEL;
    let params = ListParams::default().labels(&format!("{label}={value}"));
    let list = api::api::<Lease>(client, namespace).list(&params).await;
    let list = list.map_err(|error| {
        let request = Request {
            group: "coordination.k8s.io",
            ..Request::core("list", "leases", namespace)
        };
        request.failed(error)
    })?;
    let mut leases: Vec<_> = list.items.into_iter().map(leadership).collect();
    leases.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(leases)
}

fn leadership(lease: Lease) -> Leadership {
    let spec = lease.spec.unwrap_or_default();
    let seconds = spec.lease_duration_seconds.unwrap_or(0);
    Leadership {
        namespace: lease.metadata.namespace.unwrap_or_default(),
        name: lease.metadata.name.unwrap_or_default(),
        holder: spec.holder_identity.filter(|it| !it.is_empty()),
        acquired_at: spec.acquire_time.map(|it| it.0),
        renewed_at: spec.renew_time.map(|it| it.0),
        duration: Duration::from_secs(seconds.try_into().unwrap_or(0)),
    }
}

/// What the plugin's other commands need. A question that gets no answer is no
/// finding.
async fn rights(client: &Client, namespace: Option<&str>) -> Vec<(Request, bool)> {
    let mut requests = vec![
        Request::core("get", "secrets", namespace),
        Request {
            group: "events.k8s.io",
            ..Request::core("list", "events", namespace)
        },
    ];
    requests.extend(Kind::ALL.map(|kind| Request::ours("get", kind, namespace)));
    requests.extend(Kind::ALL.map(|kind| Request::ours("patch", kind, namespace)));
    let answers = requests.iter().map(|request| may(client, request));
    let answers = join_all(answers).await;
    let answers = requests.into_iter().zip(answers);
    answers
        .filter_map(|(request, answer)| Some((request, answer?)))
        .collect()
}

async fn may(client: &Client, request: &Request) -> Option<bool> {
    let review = SelfSubjectAccessReview {
        metadata: ObjectMeta::default(),
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(request.group.into()),
                namespace: request.namespace.clone(),
                resource: Some(request.plural.into()),
                verb: Some(request.verb.into()),
                ..ResourceAttributes::default()
            }),
            non_resource_attributes: None,
        },
        status: None,
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = api.create(&PostParams::default(), &review).await.ok()?;
    Some(answer.status?.allowed)
}

type Entry = ((String, String), Result<Option<Found>, ApiError>);

/// Looks for a resource's Secret. What it holds is read only if the user brought
/// it, and of that the lengths are kept.
async fn secret(client: &Client, resource: &Resource) -> Entry {
    let namespace = Some(resource.namespace.as_str());
    let api = api::api::<Secret>(client, namespace);
    let found = if resource.is_brought {
        let found = api.get_opt(&resource.secret_name).await;
        found.map(|it| it.map(|it| found_of(it.metadata, it.data)))
    } else {
        let found = api.get_metadata_opt(&resource.secret_name).await;
        found.map(|it| it.map(|it| found_of(it.metadata, None)))
    };
    let found = found.map_err(|error| Request::core("get", "secrets", namespace).failed(error));
    let key = (resource.namespace.clone(), resource.secret_name.clone());
    (key, found)
}

fn found_of(
    metadata: ObjectMeta,
    data: Option<BTreeMap<String, k8s_openapi::ByteString>>,
) -> Found {
    let data = data.unwrap_or_default().into_iter();
    let mut annotations = metadata.annotations.unwrap_or_default();
    Found {
        rotated_for: annotations.remove(ROTATED_FOR_ANNOTATION),
        labels: metadata.labels.unwrap_or_default(),
        lengths: data
            .map(|(key, value)| (key, zeroize::Zeroizing::new(value.0).len()))
            .collect(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::plugin::resource::tests::at;

    /// A cluster where nothing is wrong, and nothing is in it yet.
    pub(in crate::plugin::doctor) fn healthy() -> Facts {
        let key = ("partners".into(), "acme-credentials".into());
        Facts {
            now: at(0),
            namespace: Some("partners".into()),
            definitions: Kind::ALL
                .map(|kind| (kind, Definition::Installed { lacks: Vec::new() }))
                .into(),
            leases: Ok(vec![Leadership {
                namespace: "flightgate".into(),
                name: "fg-operator".into(),
                holder: Some("pod-1".into()),
                acquired_at: Some(at(-86_400)),
                renewed_at: Some(at(-1)),
                duration: Duration::from_secs(12),
            }]),
            rights: Vec::new(),
            resources: Vec::new(),
            unreadable: Vec::new(),
            secrets: BTreeMap::from([(key, Ok(Some(Found::default())))]),
        }
    }
}
