//! What is read from the API server, and what is said when that fails.

use std::fmt::{self, Debug};

use crds::{ApiKey, OAuthApplication, Webhook};
use k8s_openapi::{NamespaceResourceScope, api::events::v1::Event};
use kube::{Api, Client, api::ListParams};
use serde::de::DeserializeOwned;

use super::{access::chain, kind::Kind, resource::Resource};

/// Something that is asked of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) verb: &'static str,
    pub(super) group: &'static str,
    pub(super) plural: &'static str,
    /// None: all of them, or it is in none.
    pub(super) namespace: Option<String>,
}

/// The API server refused or did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApiError {
    /// The user may not do that.
    #[error(
        "you may not {}: ask for the verb `{}` on `{}`{}",
        .0, .0.verb, .0.plural, .0.group_in_words()
    )]
    Forbidden(Request),
    /// The API server does not know the kind.
    #[error(
        "the API server does not know {}.{}: install Flightgate's definitions, kubectl apply --server-side -f crds/yaml",
        .0.plural, .0.group
    )]
    NotInstalled(Request),
    /// The API server does not know the user.
    #[error(
        "the API server does not accept your credentials: log in again, or choose another --context"
    )]
    Unauthorized,
    /// Somebody else wrote at the same time.
    #[error("somebody else changed it at the same time: try again")]
    Conflict,
    /// Anything else.
    #[error("cannot {request}: {reason}")]
    Other {
        /// What was asked for.
        request: Request,
        /// What came instead.
        reason: String,
    },
}

impl Request {
    /// Something that is asked of a core resource.
    pub(super) fn core(verb: &'static str, plural: &'static str, namespace: Option<&str>) -> Self {
        Self {
            verb,
            group: "",
            plural,
            namespace: namespace.map(str::to_owned),
        }
    }

    /// Something that is asked of a kind of ours.
    pub(super) fn ours(verb: &'static str, kind: Kind, namespace: Option<&str>) -> Self {
        Self {
            group: crds::GROUP,
            ..Self::core(verb, kind.plural(), namespace)
        }
    }

    /// What a failure of it means.
    pub(super) fn failed(self, error: kube::Error) -> ApiError {
        match error {
            kube::Error::Api(status) => match status.code {
                401 => ApiError::Unauthorized,
                // An admission plugin refuses with the same code.
                403 if status.message.contains("is forbidden: User ") => ApiError::Forbidden(self),
                404 if self.group == crds::GROUP => ApiError::NotInstalled(self),
                409 => ApiError::Conflict,
                _ => ApiError::Other {
                    request: self,
                    reason: format!("{} ({})", status.message, status.code),
                },
            },
            other => ApiError::Other {
                request: self,
                reason: chain(&other),
            },
        }
    }

    fn group_in_words(&self) -> String {
        match self.group {
            "" => String::new(),
            group => format!(" of the API group {group}"),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.plural)?;
        match &self.namespace {
            Some(namespace) => write!(f, " in the namespace `{namespace}`"),
            None => f.write_str(" in all namespaces"),
        }
    }
}

/// An Api of one namespace, or of all.
pub(super) fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// All resources of a kind, by namespace and name.
pub(super) async fn list(
    client: &Client,
    kind: Kind,
    namespace: Option<&str>,
) -> Result<Vec<Resource>, ApiError> {
    async fn all<K>(client: &Client, namespace: Option<&str>) -> kube::Result<Vec<Resource>>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Into<Resource>,
    {
        let api = api::<K>(client, namespace);
        let list = api.list(&ListParams::default()).await?;
        Ok(list.items.into_iter().map(Into::into).collect())
    }
    let found = match kind {
        Kind::Application => all::<OAuthApplication>(client, namespace).await,
        Kind::ApiKey => all::<ApiKey>(client, namespace).await,
        Kind::Webhook => all::<Webhook>(client, namespace).await,
    };
    let mut found = found.map_err(|error| Request::ours("list", kind, namespace).failed(error))?;
    found.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(found)
}

/// One resource, if it is there. That its kind is known to the API server is for
/// [`served`] to say.
pub(super) async fn get(
    client: &Client,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> Result<Option<Resource>, ApiError> {
    async fn one<K>(client: &Client, namespace: &str, name: &str) -> kube::Result<Option<Resource>>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Into<Resource>,
    {
        let found = api::<K>(client, Some(namespace)).get_opt(name).await?;
        Ok(found.map(Into::into))
    }
    let found = match kind {
        Kind::Application => one::<OAuthApplication>(client, namespace, name).await,
        Kind::ApiKey => one::<ApiKey>(client, namespace, name).await,
        Kind::Webhook => one::<Webhook>(client, namespace, name).await,
    };
    found.map_err(|error| Request::ours("get", kind, Some(namespace)).failed(error))
}

/// The kinds of ours that the API server serves. Everybody may ask for that.
pub(super) async fn served(client: &Client) -> Result<Vec<Kind>, ApiError> {
    let served = client.list_api_group_resources("flightgate.dev/v1alpha1");
    let served = match served.await {
        Ok(served) => served.resources,
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(error) => {
            return Err(Request::core("list", "API resources", None).failed(error));
        }
    };
    let is_served = |kind: &Kind| served.iter().any(|it| it.name == kind.plural());
    Ok(Kind::ALL.into_iter().filter(is_served).collect())
}

/// Something that happened to a resource.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Happening {
    pub(super) at: Option<jiff::Timestamp>,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) reason: String,
    pub(super) note: String,
}

/// The last events of a resource, the newest first.
pub(super) async fn events(client: &Client, about: &Resource) -> Result<Vec<Happening>, ApiError> {
    const SHOWN: usize = 8;
    let namespace = Some(about.namespace.as_str());
    let params = ListParams::default().fields(&format!("regarding.name={}", about.name));
    let list = api::<Event>(client, namespace).list(&params).await;
    let list = list.map_err(|error| {
        let request = Request {
            group: "events.k8s.io",
            ..Request::core("list", "events", namespace)
        };
        request.failed(error)
    })?;
    let is_about = |event: &Event| {
        let regarding = event.regarding.as_ref();
        regarding.is_some_and(|it| {
            it.kind.as_deref() == Some(about.kind.name())
                && (about.uid.is_none() || it.uid == about.uid)
        })
    };
    let mut events: Vec<_> = list
        .items
        .into_iter()
        .filter(is_about)
        .map(happening)
        .collect();
    events.sort_by_key(|it| std::cmp::Reverse(it.at));
    events.truncate(SHOWN);
    Ok(events)
}

fn happening(event: Event) -> Happening {
    let again = event.series.map(|it| it.last_observed_time.0);
    let first = event.event_time.map(|it| it.0);
    Happening {
        at: again.or(first),
        kind: event.type_.unwrap_or_default(),
        reason: event.reason.unwrap_or_default(),
        note: event.note.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failed(code: u16, message: &str, request: Request) -> String {
        let status = serde_json::from_value(json!({"code": code, "message": message})).unwrap();
        let error = kube::Error::Api(Box::new(status));
        request.failed(error).to_string()
    }

    #[test]
    fn a_refusal_names_the_verb_that_is_missing() {
        let forbidden = "x is forbidden: User \"u\" cannot";
        let said = failed(
            403,
            forbidden,
            Request::core("get", "secrets", Some("partners")),
        );
        assert_eq!(
            said,
            "you may not get secrets in the namespace `partners`: ask for the verb `get` on `secrets`"
        );
        let said = failed(403, forbidden, Request::ours("list", Kind::ApiKey, None));
        assert!(said.contains("all namespaces"), "{said}");
        assert!(
            said.ends_with("on `apikeys` of the API group flightgate.dev"),
            "{said}"
        );
        let said = failed(404, "", Request::ours("list", Kind::ApiKey, None));
        assert!(said.contains("kubectl apply"), "{said}");
        let said = failed(
            403,
            "admission denied",
            Request::core("get", "secrets", None),
        );
        assert!(said.contains("admission denied (403)"), "{said}");
    }
}
