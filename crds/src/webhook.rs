//! `Webhook`: an endpoint that receives signed events of one application.

#![allow(
    clippy::doc_markdown,
    reason = "kubectl explain prints the comments of fields as they are"
)]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{api_key::MintedSecret, condition::Condition, oauth_application::SecretStatus, schema};

/// Which events go where.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "flightgate.dev",
    version = "v1alpha1",
    kind = "Webhook",
    plural = "webhooks",
    category = "flightgate",
    namespaced,
    status = "WebhookStatus",
    derive = "PartialEq",
    doc = "An endpoint that receives the events of one application, signed by Standard Webhooks, at least once.",
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url", description = "Where events are posted."),
    printcolumn(name = "READY", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", description = "Whether every ready gateway replica serves it."),
    printcolumn(name = "REASON", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", description = "Why, in one word."),
    printcolumn(name = "APPLICATION", type_ = "string", json_path = ".spec.applicationRef.name", description = "Whose events these are.", priority = 1),
    printcolumn(name = "EVENTS", type_ = "string", json_path = ".spec.events", description = "The events it wants.", priority = 1),
    printcolumn(name = "SUSPENDED", type_ = "boolean", json_path = ".spec.suspended", description = "Whether deliveries are held back.", priority = 1),
    printcolumn(name = "GATEWAY", type_ = "string", json_path = ".spec.gateway", description = "The gateway that delivers.", priority = 1),
    printcolumn(name = "MESSAGE", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", description = "Why, in a sentence.", priority = 1),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new(crate::schema::NAME_RULE).message(crate::schema::NAME_MESSAGE),
)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSpec {
    /// The gateway that delivers, by name. It cannot be changed.
    #[serde(default = "schema::default_name")]
    #[schemars(schema_with = "schema::gateway")]
    pub gateway: String,
    /// The application whose events these are. It cannot be changed.
    #[schemars(extend("x-kubernetes-validations" = [schema::immutable("a webhook stays with its application: make a new Webhook for the other application")]))]
    pub application_ref: ApplicationRef,
    /// Where events are posted: an https URL on the public network. Redirects
    /// are not followed.
    #[schemars(schema_with = "schema::endpoint")]
    pub url: String,
    /// The events that it wants, such as flight.uploaded; others are not sent.
    #[schemars(schema_with = "schema::events")]
    pub events: Vec<String>,
    /// Where the signing secret is written, and when it is renewed. During an
    /// overlap every event carries a signature with each of both secrets.
    #[serde(default)]
    pub signing_secret: MintedSecret,
    /// Deliver one event after the other, in order: a failing delivery holds up
    /// those behind it.
    #[serde(default)]
    pub ordered: bool,
    /// Keep events, deliver none, until this is false again.
    #[serde(default)]
    pub suspended: bool,
}

/// An application in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct ApplicationRef {
    /// The name of an OAuthApplication in the same namespace.
    #[schemars(schema_with = "schema::label")]
    pub name: String,
}

/// What Flightgate has made of the webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookStatus {
    /// The metadata.generation that this status is about; if it is smaller than
    /// the present one, the status is out of date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The signing secrets in use, the newest first: one, or two during an
    /// overlap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub signing_secrets: Vec<SecretStatus>,
    /// Accepted, CredentialsReady and Ready, which is the one to wait for: every
    /// ready gateway replica serves what the spec asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
