//! `ApiKey`: a person's or script's key.

#![allow(
    clippy::doc_markdown,
    reason = "kubectl explain prints the comments of fields as they are"
)]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    condition::Condition,
    oauth_application::{Rotation, SecretStatus},
    period::Period,
    schema,
};

/// What a key may do, for whom, and where it is written.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "flightgate.dev",
    version = "v1alpha1",
    kind = "ApiKey",
    plural = "apikeys",
    category = "flightgate",
    namespaced,
    status = "ApiKeyStatus",
    derive = "PartialEq",
    doc = "A person's or script's key to the API: a bearer token that is made outside of any OAuth flow. It never carries destructive scopes.",
    printcolumn(name = "SUBJECT", type_ = "string", json_path = ".spec.subject", description = "On whose behalf it acts."),
    printcolumn(name = "READY", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", description = "Whether every ready gateway replica serves it."),
    printcolumn(name = "REASON", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", description = "Why, in one word."),
    printcolumn(name = "KEY-ID", type_ = "string", json_path = ".status.keyId", description = "Names the key in metrics and audit.", priority = 1),
    printcolumn(name = "EXPIRES", type_ = "string", json_path = ".status.keys[0].expiresAt", description = "When the present key ends.", priority = 1),
    printcolumn(name = "SCOPES", type_ = "string", json_path = ".spec.scopes", description = "The scopes that it carries.", priority = 1),
    printcolumn(name = "PLAN", type_ = "string", json_path = ".spec.plan", description = "Its quota plan.", priority = 1),
    printcolumn(name = "GATEWAY", type_ = "string", json_path = ".spec.gateway", description = "The gateway that serves it.", priority = 1),
    printcolumn(name = "MESSAGE", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", description = "Why, in a sentence.", priority = 1),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new(crate::schema::NAME_RULE).message(crate::schema::NAME_MESSAGE),
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules()))]
pub struct ApiKeySpec {
    /// The gateway that accepts the key, by name. It cannot be changed.
    #[serde(default = "schema::default_name")]
    #[schemars(schema_with = "schema::gateway")]
    pub gateway: String,
    /// On whose behalf the key acts, as kind:name, such as pilot:anna. It cannot
    /// be changed.
    #[schemars(schema_with = "schema::subject")]
    pub subject: String,
    /// What people call the key; at most 80 characters.
    #[schemars(schema_with = "schema::display_name")]
    pub display_name: String,
    /// The scopes that it carries. Each must stand in the gateway's scope
    /// catalogue and be neither destructive nor reserved there.
    #[schemars(schema_with = "schema::scopes")]
    pub scopes: Vec<String>,
    /// The quota plan, by its name under `plans` in gateway.yaml.
    #[serde(default = "schema::default_name")]
    #[schemars(schema_with = "schema::entry_name")]
    pub plan: String,
    /// How long after its making a key ends: a whole number and a unit of s, m,
    /// h, d or w, such as 90d; absent: it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::lifetime")]
    pub expires_after: Option<Period>,
    /// The networks that it may be used from, such as 10.0.0.0/8; absent: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::cidrs")]
    pub allowed_cidrs: Vec<String>,
    /// Where the key is written, and when it is renewed.
    #[serde(default)]
    pub secret: MintedSecret,
}

/// A Secret that Flightgate makes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = [schema::secret_name_is_immutable()]))]
pub struct MintedSecret {
    /// Its name in the resource's namespace. That of an ApiKey is by default the
    /// resource's name and `-api-key`; it holds key_id, api_key and, during an
    /// overlap, previous_api_key. That of a Webhook is by default the resource's
    /// name and `-webhook`; it holds webhook_secret and, during an overlap,
    /// previous_webhook_secret. It cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label")]
    pub name: Option<String>,
    /// Renews the secret from time to time. Without it, the secret is renewed on
    /// demand alone: whenever the annotation flightgate.dev/rotate of this
    /// resource gets a new value, such as now. The old secret works on for the
    /// overlap, which is 7d without this. To delete the Secret renews it too,
    /// and ends the old one at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "Rotation::schema")]
    pub rotation: Option<Rotation>,
}

/// What Flightgate has made of the key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyStatus {
    /// Names the key towards the API, in metrics and in audit. It never changes
    /// and is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub key_id: Option<String>,
    /// The metadata.generation that this status is about; if it is smaller than
    /// the present one, the status is out of date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The keys that work at present, the newest first: one, or two during an
    /// overlap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub keys: Vec<SecretStatus>,
    /// Accepted, CredentialsReady and Ready, which is the one to wait for: every
    /// ready gateway replica serves what the spec asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

fn rules() -> [serde_json::Value; 1] {
    [schema::rule_at(
        ".expiresAfter",
        &format!(
            "!has(self.expiresAfter) || !has(self.secret.rotation) || {}",
            schema::shorter("self.secret.rotation.interval", "self.expiresAfter")
        ),
        "each key would end before the next one is made: write an expiresAfter that is longer than secret.rotation.interval",
    )]
}
