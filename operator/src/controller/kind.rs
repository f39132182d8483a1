//! What the three kinds of resource have in common for the controller, and what
//! sets each apart. Everything else is the same machinery for all of them.

use std::fmt::Debug;

use crds::{
    ApiKey, OAuthApplication, Webhook,
    api_key::ApiKeyStatus,
    condition::{self, ACCEPTED, Condition, READY, Status},
    contract::{Document, Resource},
    oauth_application::{DeletionPolicy, OAuthApplicationStatus, SecretStatus},
    webhook::WebhookStatus,
};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use serde::{Serialize, de::DeserializeOwned};

use super::secret::Found;
use crate::{
    api_key,
    catalogue::Catalogue,
    events::About,
    gateways::ResourceId,
    mint::{NoRandomness, Rng},
    oauth_application,
    plan::{self, OWNER_ANNOTATION, Plan, ROTATED_FOR_ANNOTATION, Refusal},
    webhook::{self, Referent},
};

/// Stands on credentials Secrets: made ones, and ones that their owner offers.
/// No other Secret is looked at or watched.
pub(crate) const OFFERED_LABEL: &str = "flightgate.dev/credentials";

/// What was found of a resource.
#[derive(Debug)]
pub(super) struct Observed<S> {
    /// The document that its gateway has.
    pub(super) document: Option<Document>,
    /// Its credentials Secret.
    pub(super) credentials: Option<Found>,
    /// The application that it names.
    pub(super) referent: Referent,
    /// The status as last reported.
    pub(super) status: S,
}

/// A kind of resource.
pub(super) trait Kind:
    kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    /// Its status.
    type Status: Clone + Debug + Default + PartialEq + Serialize + Send + Sync + 'static;

    /// Its name.
    const KIND: &'static str;
    /// What its credentials Secret may hold, and the annotation that it may
    /// have: the operator's alone.
    const RESERVED: &'static [&'static str];

    /// The gateway that it names.
    fn gateway(&self) -> &str;
    /// The status as last reported.
    fn status(&self) -> Option<&Self::Status>;
    /// The conditions of a status.
    fn conditions(status: &mut Self::Status) -> &mut Vec<Condition>;
    /// The secrets of a status.
    fn secrets(status: &mut Self::Status) -> &mut Vec<SecretStatus>;
    /// Which generation a status is about.
    fn observed_generation(status: &mut Self::Status) -> &mut Option<i64>;
    /// The name of its credentials Secret.
    fn secret_name(&self) -> String;
    /// The application that it names.
    fn application(&self) -> Option<&str> {
        None
    }
    /// Whether its credentials are somebody else's, to be read alone.
    fn is_brought(&self) -> bool {
        false
    }
    /// What becomes of its document when it is deleted.
    fn deletion_policy(&self) -> DeletionPolicy {
        DeletionPolicy::Delete
    }
    /// The identifier under which a gateway knows it, if that must be its alone.
    fn public_id(document: &Document) -> Option<&str>;
    /// The same, to be put right.
    fn public_id_mut(document: &mut Document) -> Option<&mut String>;
    /// That identifier, as the status tells it.
    fn reported_id(status: &Self::Status) -> Option<&str>;
    /// The pure plan.
    fn plan(
        &self,
        observed: &Observed<Self::Status>,
        catalogue: &Catalogue,
        now: Timestamp,
        rng: &dyn Rng,
    ) -> Result<Plan<Self::Status>, NoRandomness>;

    /// Which resource this is.
    fn id(&self) -> ResourceId {
        let metadata = self.meta();
        ResourceId {
            kind: Self::KIND,
            namespace: metadata.namespace.as_deref().unwrap_or_default().into(),
            name: metadata.name.as_deref().unwrap_or_default().into(),
        }
    }

    /// The same, for events.
    fn about(&self) -> About {
        let ResourceId {
            kind,
            namespace,
            name,
        } = self.id();
        About {
            api_version: Self::api_version(&()),
            kind,
            namespace,
            name,
            uid: self.meta().uid.as_deref().unwrap_or_default().into(),
        }
    }
}

impl Kind for OAuthApplication {
    type Status = OAuthApplicationStatus;
    const KIND: &'static str = "OAuthApplication";
    const RESERVED: &'static [&'static str] = &[
        "client_id",
        "client_secret",
        "previous_client_secret",
        "issuer",
        "token_endpoint",
        ROTATED_FOR_ANNOTATION,
    ];

    fn gateway(&self) -> &str {
        &self.spec.gateway
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn conditions(status: &mut Self::Status) -> &mut Vec<Condition> {
        &mut status.conditions
    }

    fn secrets(status: &mut Self::Status) -> &mut Vec<SecretStatus> {
        &mut status.secrets
    }

    fn observed_generation(status: &mut Self::Status) -> &mut Option<i64> {
        &mut status.observed_generation
    }

    fn secret_name(&self) -> String {
        oauth_application::secret_name(self)
    }

    fn is_brought(&self) -> bool {
        self.spec.secret.existing
    }

    fn deletion_policy(&self) -> DeletionPolicy {
        self.spec.deletion_policy
    }

    fn public_id(document: &Document) -> Option<&str> {
        match &document.resource {
            Resource::OauthApplication(application) => Some(&application.client_id),
            _ => None,
        }
    }

    fn public_id_mut(document: &mut Document) -> Option<&mut String> {
        match &mut document.resource {
            Resource::OauthApplication(application) => Some(&mut application.client_id),
            _ => None,
        }
    }

    fn reported_id(status: &Self::Status) -> Option<&str> {
        status.client_id.as_deref()
    }

    fn plan(
        &self,
        observed: &Observed<Self::Status>,
        catalogue: &Catalogue,
        now: Timestamp,
        rng: &dyn Rng,
    ) -> Result<Plan<Self::Status>, NoRandomness> {
        let name = self.secret_name();
        if self.is_brought()
            && let Some(found) = &observed.credentials
            && found.labels.get(OFFERED_LABEL).map(String::as_str) != Some("true")
        {
            let refusal = Refusal::new(
                "spec.secret.existing",
                "SecretNotOffered",
                format!(
                    "the Secret `{name}` lacks the label {OFFERED_LABEL}: \"true\", by which its owner offers it to Flightgate: add it"
                ),
            );
            return Ok(refuse(self, &observed.status, vec![refusal], now));
        }
        let document = observed.document.as_ref();
        let observed = oauth_application::Observed {
            document: document.and_then(|document| match &document.resource {
                Resource::OauthApplication(application) => Some(application.clone()),
                _ => None,
            }),
            credentials: observed
                .credentials
                .as_ref()
                .map(|found| oauth_application::Found {
                    client_id: found.text("client_id").map(|id| id.expose().clone()),
                    client_secret: found.text("client_secret"),
                    previous_client_secret: found.text("previous_client_secret"),
                    rotated_for: annotation(found, ROTATED_FOR_ANNOTATION),
                    owner: annotation(found, OWNER_ANNOTATION),
                }),
            status: observed.status.clone(),
        };
        oauth_application::plan(self, &observed, catalogue, now, rng)
    }
}

impl Kind for ApiKey {
    type Status = ApiKeyStatus;
    const KIND: &'static str = "ApiKey";
    const RESERVED: &'static [&'static str] = &[
        "key_id",
        "api_key",
        "previous_api_key",
        ROTATED_FOR_ANNOTATION,
    ];

    fn gateway(&self) -> &str {
        &self.spec.gateway
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn conditions(status: &mut Self::Status) -> &mut Vec<Condition> {
        &mut status.conditions
    }

    fn secrets(status: &mut Self::Status) -> &mut Vec<SecretStatus> {
        &mut status.keys
    }

    fn observed_generation(status: &mut Self::Status) -> &mut Option<i64> {
        &mut status.observed_generation
    }

    fn secret_name(&self) -> String {
        api_key::secret_name(self)
    }

    fn public_id(document: &Document) -> Option<&str> {
        match &document.resource {
            Resource::ApiKey(key) => Some(&key.id),
            _ => None,
        }
    }

    fn public_id_mut(document: &mut Document) -> Option<&mut String> {
        match &mut document.resource {
            Resource::ApiKey(key) => Some(&mut key.id),
            _ => None,
        }
    }

    fn reported_id(status: &Self::Status) -> Option<&str> {
        status.key_id.as_deref()
    }

    fn plan(
        &self,
        observed: &Observed<Self::Status>,
        catalogue: &Catalogue,
        now: Timestamp,
        rng: &dyn Rng,
    ) -> Result<Plan<Self::Status>, NoRandomness> {
        let document = observed.document.as_ref();
        let observed = api_key::Observed {
            document: document.and_then(|document| match &document.resource {
                Resource::ApiKey(key) => Some(key.clone()),
                _ => None,
            }),
            credentials: observed.credentials.as_ref().map(|found| api_key::Found {
                key_id: found.text("key_id").map(|id| id.expose().clone()),
                api_key: found.text("api_key"),
                previous_api_key: found.text("previous_api_key"),
                rotated_for: annotation(found, ROTATED_FOR_ANNOTATION),
                owner: annotation(found, OWNER_ANNOTATION),
            }),
            status: observed.status.clone(),
        };
        api_key::plan(self, &observed, catalogue, now, rng)
    }
}

impl Kind for Webhook {
    type Status = WebhookStatus;
    const KIND: &'static str = "Webhook";
    const RESERVED: &'static [&'static str] = &[
        "webhook_secret",
        "previous_webhook_secret",
        ROTATED_FOR_ANNOTATION,
    ];

    fn gateway(&self) -> &str {
        &self.spec.gateway
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn conditions(status: &mut Self::Status) -> &mut Vec<Condition> {
        &mut status.conditions
    }

    fn secrets(status: &mut Self::Status) -> &mut Vec<SecretStatus> {
        &mut status.signing_secrets
    }

    fn observed_generation(status: &mut Self::Status) -> &mut Option<i64> {
        &mut status.observed_generation
    }

    fn secret_name(&self) -> String {
        webhook::secret_name(self)
    }

    fn application(&self) -> Option<&str> {
        Some(&self.spec.application_ref.name)
    }

    fn public_id(_: &Document) -> Option<&str> {
        None
    }

    fn public_id_mut(_: &mut Document) -> Option<&mut String> {
        None
    }

    fn reported_id(_: &Self::Status) -> Option<&str> {
        None
    }

    fn plan(
        &self,
        observed: &Observed<Self::Status>,
        catalogue: &Catalogue,
        now: Timestamp,
        rng: &dyn Rng,
    ) -> Result<Plan<Self::Status>, NoRandomness> {
        let document = observed.document.as_ref();
        let observed = webhook::Observed {
            application: observed.referent.clone(),
            document: document.and_then(|document| match &document.resource {
                Resource::Webhook(webhook) => Some(webhook.clone()),
                _ => None,
            }),
            credentials: observed.credentials.as_ref().map(|found| webhook::Found {
                webhook_secret: found.text("webhook_secret"),
                previous_webhook_secret: found.text("previous_webhook_secret"),
                rotated_for: annotation(found, ROTATED_FOR_ANNOTATION),
                owner: annotation(found, OWNER_ANNOTATION),
            }),
            status: observed.status.clone(),
        };
        webhook::plan(self, &observed, catalogue, now, rng)
    }
}

/// The plan for a resource that is refused: the last good configuration keeps
/// serving, document and credentials stay.
pub(super) fn refuse<K: Kind>(
    resource: &K,
    observed: &K::Status,
    refusals: Vec<Refusal>,
    now: Timestamp,
) -> Plan<K::Status> {
    let generation = resource.meta().generation.unwrap_or(1);
    let mut status = observed.clone();
    *K::observed_generation(&mut status) = Some(generation);
    let conditions = K::conditions(&mut status);
    *conditions = plan::conditions(conditions, generation, Err(&refusals), now);
    Plan {
        document: None,
        credentials: None,
        status,
        events: plan::refusal_events(&refusals),
        refusals,
        due: None,
    }
}

/// Without any gateway.yaml nothing can be planned; what is served stays.
pub(super) fn unconfigured<K: Kind>(
    resource: &K,
    mut status: K::Status,
    gateway: &str,
    problem: &str,
    now: Timestamp,
) -> Plan<K::Status> {
    let generation = resource.meta().generation.unwrap_or(1);
    let message = format!("The configuration of the gateway `{gateway}` is not usable: {problem}");
    *K::observed_generation(&mut status) = Some(generation);
    for kind in [ACCEPTED, READY] {
        condition::set(
            K::conditions(&mut status),
            Condition {
                kind: kind.into(),
                status: Status::Unknown,
                observed_generation: generation,
                last_transition_time: now,
                reason: "GatewayNotConfigured".into(),
                message: message.chars().take(4096).collect(),
            },
        );
    }
    Plan {
        document: None,
        credentials: None,
        status,
        events: Vec::new(),
        refusals: Vec::new(),
        due: None,
    }
}

fn annotation(found: &Found, key: &str) -> Option<String> {
    found.annotations.get(key).cloned()
}
