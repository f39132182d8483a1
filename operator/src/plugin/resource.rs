//! One view of the three kinds of resource: what a person asks of any of them.

use std::time::Duration;

use crds::{
    ApiKey, OAuthApplication, Webhook,
    condition::{ACCEPTED, Condition, READY, Status},
    contract::{ClientType, GrantType},
    oauth_application::{Rotation, SecretStatus},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::kind::{Kind, last_used};
use crate::{api_key, oauth_application, plan, rotation, webhook};

/// A resource, whichever its kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resource {
    pub(super) kind: Kind,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: Option<String>,
    pub(super) version: Option<String>,
    pub(super) generation: i64,
    pub(super) created_at: Option<Timestamp>,
    /// When what it asks for was last written, as far as is known.
    pub(super) changed_at: Option<Timestamp>,
    pub(super) deleted_at: Option<Timestamp>,
    pub(super) finalizers: Vec<String>,
    /// The value of the rotate annotation.
    pub(super) asked: Option<String>,
    pub(super) gateway: String,
    /// The client id or the key id.
    pub(super) public_id: Option<String>,
    pub(super) observed_generation: Option<i64>,
    pub(super) conditions: Vec<Condition>,
    /// The secrets that work, the newest first.
    pub(super) secrets: Vec<SecretStatus>,
    pub(super) rotation: Option<Rotation>,
    /// The name of the Secret with the credentials.
    pub(super) secret_name: String,
    /// Whether that Secret is the user's own.
    pub(super) is_brought: bool,
    /// Whether there is no secret at all: a public client's.
    pub(super) is_public: bool,
    /// The grants of an application.
    pub(super) grants: Vec<GrantType>,
    /// Whose credentials they are, as it stands with them.
    pub(super) owner: String,
}

impl Resource {
    /// What it is called in a sentence.
    pub(super) fn title(&self) -> String {
        format!("{} {}/{}", self.kind.name(), self.namespace, self.name)
    }

    /// What it is called in a command: `oapp/acme -n partners`.
    pub(super) fn argument(&self) -> String {
        format!("{}/{} -n {}", self.kind.short(), self.name, self.namespace)
    }

    /// A condition, if it is there.
    pub(super) fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|it| it.kind == kind)
    }

    /// Whether the operator has looked at what it asks for now.
    pub(super) fn is_observed(&self) -> bool {
        self.observed_generation
            .is_some_and(|it| it >= self.generation)
    }

    /// Whether it is Ready in its present form, and why, in one word each.
    pub(super) fn ready(&self) -> (Status, &str) {
        if self.deleted_at.is_some() {
            return (Status::Unknown, "Deleting");
        }
        match self.condition(READY) {
            Some(it) if it.observed_generation >= self.generation => (it.status, &it.reason),
            None if !self.is_observed() => (Status::Unknown, "NotObserved"),
            Some(_) => (Status::Unknown, "NotObserved"),
            None => (Status::Unknown, "Pending"),
        }
    }

    /// The first condition that does not hold, in the order in which they come
    /// to hold.
    pub(super) fn trouble(&self) -> Option<&Condition> {
        let order = [ACCEPTED, crds::condition::CREDENTIALS_READY, READY];
        let conditions = order.iter().filter_map(|kind| self.condition(kind));
        conditions.into_iter().find(|it| it.status != Status::True)
    }

    /// When a new secret is made by itself.
    pub(super) fn rotates_at(&self) -> Option<Timestamp> {
        let newest = self.secrets.first()?;
        Some(rotation::later(newest.created_at, self.rotation?.interval))
    }

    /// How long an old secret works beside the new one.
    pub(super) fn overlap(&self) -> Duration {
        let overlap = self.rotation.map(|it| it.overlap);
        overlap.unwrap_or(rotation::OVERLAP).duration()
    }

    /// When any of its secrets was last used.
    pub(super) fn last_used(&self) -> Option<Timestamp> {
        last_used(&self.secrets)
    }

    /// As it is printed for programs.
    pub(super) fn to_json(&self) -> Value {
        let (ready, reason) = self.ready();
        let mut value = json!({
            "kind": self.kind.name(),
            "namespace": self.namespace,
            "name": self.name,
            "gateway": self.gateway,
            "ready": ready,
            "reason": reason,
            "createdAt": self.created_at,
            "secretName": self.secret_name,
            "secrets": self.secrets,
            "conditions": self.conditions,
            "lastUsedAt": self.last_used(),
            "rotatesAt": self.rotates_at(),
            "expiresAt": self.secrets.first().and_then(|it| it.expires_at),
        });
        let id = match self.kind {
            Kind::Application => Some("clientId"),
            Kind::ApiKey => Some("keyId"),
            Kind::Webhook => None,
        };
        if let Some(id) = id {
            value[id] = json!(self.public_id);
        }
        value
    }

    fn new(kind: Kind, owner: String, metadata: ObjectMeta) -> Self {
        let mut annotations = metadata.annotations.unwrap_or_default();
        let created_at = metadata.creation_timestamp.map(|it| it.0);
        let fields = metadata.managed_fields.unwrap_or_default().into_iter();
        let own = fields.filter(|it| it.subresource.is_none());
        let changed_at = own.filter_map(|it| it.time).map(|it| it.0).max();
        Self {
            kind,
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
            uid: metadata.uid,
            version: metadata.resource_version,
            generation: metadata.generation.unwrap_or(1),
            created_at,
            changed_at: changed_at.or(created_at),
            deleted_at: metadata.deletion_timestamp.map(|it| it.0),
            finalizers: metadata.finalizers.unwrap_or_default(),
            asked: annotations.remove(crds::ROTATE_ANNOTATION),
            gateway: String::new(),
            public_id: None,
            observed_generation: None,
            conditions: Vec::new(),
            secrets: Vec::new(),
            rotation: None,
            secret_name: String::new(),
            is_brought: false,
            is_public: false,
            grants: Vec::new(),
            owner,
        }
    }
}

impl From<OAuthApplication> for Resource {
    fn from(it: OAuthApplication) -> Self {
        let secret_name = oauth_application::secret_name(&it);
        let status = it.status.clone().unwrap_or_default();
        Self {
            gateway: it.spec.gateway.clone(),
            public_id: status.client_id,
            observed_generation: status.observed_generation,
            conditions: status.conditions,
            secrets: status.secrets,
            rotation: it.spec.secret.rotation,
            secret_name,
            is_brought: it.spec.secret.existing,
            is_public: it.spec.client_type == ClientType::Public,
            grants: it.spec.grant_types.clone(),
            ..Self::new(Kind::Application, plan::owner(&it), it.metadata)
        }
    }
}

impl From<ApiKey> for Resource {
    fn from(it: ApiKey) -> Self {
        let secret_name = api_key::secret_name(&it);
        let status = it.status.clone().unwrap_or_default();
        Self {
            gateway: it.spec.gateway.clone(),
            public_id: status.key_id,
            observed_generation: status.observed_generation,
            conditions: status.conditions,
            secrets: status.keys,
            rotation: it.spec.secret.rotation,
            secret_name,
            ..Self::new(Kind::ApiKey, plan::owner(&it), it.metadata)
        }
    }
}

impl From<Webhook> for Resource {
    fn from(it: Webhook) -> Self {
        let secret_name = webhook::secret_name(&it);
        let status = it.status.clone().unwrap_or_default();
        Self {
            gateway: it.spec.gateway.clone(),
            observed_generation: status.observed_generation,
            conditions: status.conditions,
            secrets: status.signing_secrets,
            rotation: it.spec.signing_secret.rotation,
            secret_name,
            ..Self::new(Kind::Webhook, plan::owner(&it), it.metadata)
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A point in time, in seconds after one that all these tests share.
    pub(in crate::plugin) fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// An application that is served, a day old, with this changed.
    pub(in crate::plugin) fn served(changes: &[(&str, Value)]) -> Resource {
        let conditions = ["Accepted", "CredentialsReady", "Ready"];
        let conditions = conditions.map(|kind| {
            json!({
                "type": kind, "status": "True", "observedGeneration": 2,
                "lastTransitionTime": at(-86_400), "reason": "Served", "message": "Good.",
            })
        });
        let mut object = json!({
            "metadata": {
                "namespace": "partners", "name": "acme", "generation": 2,
                "creationTimestamp": at(-86_400),
            },
            "spec": {
                "displayName": "Acme", "grantTypes": ["client_credentials"], "scopes": ["flights:read"],
                "secret": {"rotation": {"interval": "90d", "overlap": "7d"}},
            },
            "status": {
                "clientId": "fg_app_1", "observedGeneration": 2,
                "secrets": [{"id": "s-new", "createdAt": at(-86_400)}],
                "conditions": conditions,
            },
        });
        for (pointer, value) in changes {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            match object.pointer_mut(pointer) {
                Some(there) => *there = value.clone(),
                None => object.pointer_mut(parent).unwrap()[key] = value.clone(),
            }
        }
        let application: OAuthApplication = serde_json::from_value(object).unwrap();
        application.into()
    }

    #[test]
    fn ready_is_about_the_present_generation() {
        assert_eq!(served(&[]).ready(), (Status::True, "Served"));
        let changed = served(&[("/metadata/generation", json!(3))]);
        assert_eq!(changed.ready(), (Status::Unknown, "NotObserved"));
        let new = served(&[("/status", json!({}))]);
        assert_eq!(new.ready(), (Status::Unknown, "NotObserved"));
        let deleted = served(&[("/metadata/deletionTimestamp", json!(at(0)))]);
        assert_eq!(deleted.ready().1, "Deleting");
    }

    #[test]
    fn the_first_trouble_is_what_the_others_follow_from() {
        assert_eq!(served(&[]).trouble(), None);
        let refused = served(&[
            ("/status/conditions/0/status", json!("False")),
            ("/status/conditions/2/status", json!("False")),
        ]);
        assert_eq!(refused.trouble().unwrap().kind, ACCEPTED);
    }
}
