//! `OAuthApplication`: a partner's client.

#![allow(
    clippy::doc_markdown,
    reason = "kubectl explain prints the comments of fields as they are"
)]

use jiff::Timestamp;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    condition::Condition,
    contract::{ClientType, GrantType},
    period::Period,
    schema,
};

/// What a partner's application may do, and where its credentials go.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "flightgate.dev",
    version = "v1alpha1",
    kind = "OAuthApplication",
    plural = "oauthapplications",
    shortname = "oapp",
    category = "flightgate",
    namespaced,
    status = "OAuthApplicationStatus",
    derive = "PartialEq",
    doc = "A partner's OAuth client. Flightgate makes its client id and secret, writes them into a Secret for the partner, and has the gateway accept them.",
    printcolumn(name = "CLIENT-ID", type_ = "string", json_path = ".status.clientId", description = "The client identifier; it never changes."),
    printcolumn(name = "READY", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", description = "Whether every ready gateway replica serves it."),
    printcolumn(name = "REASON", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", description = "Why, in one word."),
    printcolumn(name = "TYPE", type_ = "string", json_path = ".spec.clientType", description = "Whether it keeps a secret.", priority = 1),
    printcolumn(name = "GRANTS", type_ = "string", json_path = ".spec.grantTypes", description = "The grants it may use.", priority = 1),
    printcolumn(name = "SCOPES", type_ = "string", json_path = ".spec.scopes", description = "The scopes it may ask for.", priority = 1),
    printcolumn(name = "PLAN", type_ = "string", json_path = ".spec.plan", description = "Its quota plan.", priority = 1),
    printcolumn(name = "GATEWAY", type_ = "string", json_path = ".spec.gateway", description = "The gateway that serves it.", priority = 1),
    printcolumn(name = "MESSAGE", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", description = "Why, in a sentence.", priority = 1),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new(crate::schema::NAME_RULE).message(crate::schema::NAME_MESSAGE),
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules()))]
pub struct OAuthApplicationSpec {
    /// The gateway that serves the application, by name. It cannot be changed.
    #[serde(default = "schema::default_name")]
    #[schemars(schema_with = "schema::gateway")]
    pub gateway: String,
    /// The name that people see on the consent page and in lists; at most 80
    /// characters.
    #[schemars(schema_with = "schema::display_name")]
    pub display_name: String,
    /// What the application does, in a sentence for the consent page; at most
    /// 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::description")]
    pub description: Option<String>,
    /// The application's home page, linked from the consent page; https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::link")]
    pub homepage_url: Option<String>,
    /// The application's logo, shown on the consent page; https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::link")]
    pub logo_url: Option<String>,
    /// Whether the application can keep a secret (RFC 6749 section 2.1).
    /// confidential: it runs on a server, and authenticates with its secret.
    /// public: it runs on its users' devices, has no secret, and must use PKCE
    /// (RFC 7636). It cannot be changed.
    #[serde(default = "default_client_type")]
    #[schemars(extend("x-kubernetes-validations" = [schema::immutable("who could keep a secret once cannot become public, nor the other way round: make a new OAuthApplication")]))]
    pub client_type: ClientType,
    /// The ways in which it may get tokens: client_credentials (RFC 6749
    /// section 4.4; as itself), authorization_code (section 4.1; for a user who
    /// consents in the browser), refresh_token (section 6; needs one of the
    /// grants that have a user), device_code (RFC 8628; for devices without
    /// keyboard) and passkey (a one-time code that a signed-in user types on the
    /// authorization page).
    #[schemars(schema_with = "schema::grant_types")]
    pub grant_types: Vec<GrantType>,
    /// Where the browser may be sent back to: compared exactly, character by
    /// character. https, or http on localhost and loopback addresses. Needed by
    /// authorization_code and passkey, and by no other grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::redirect_uris")]
    pub redirect_uris: Vec<String>,
    /// The scopes that it may ask for. Each must stand in the gateway's scope
    /// catalogue; the condition Accepted says so if one does not.
    #[schemars(schema_with = "schema::scopes")]
    pub scopes: Vec<String>,
    /// The token policy, by its name under `profiles` in gateway.yaml.
    #[serde(default = "schema::default_name")]
    #[schemars(schema_with = "schema::entry_name")]
    pub profile: String,
    /// The quota plan, by its name under `plans` in gateway.yaml.
    #[serde(default = "schema::default_name")]
    #[schemars(schema_with = "schema::entry_name")]
    pub plan: String,
    /// Where the credentials are written, and when they are renewed.
    #[serde(default)]
    pub secret: ApplicationSecret,
    /// What becomes of the client when this resource is deleted. Delete: it
    /// stops working, and the Secret that was made for it goes. Orphan: client
    /// and Secret live on, and a resource of the same name adopts them again.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// The Secret with the application's credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = secret_rules()))]
pub struct ApplicationSecret {
    /// Its name in the application's namespace; by default the application's
    /// name and `-credentials`. Its keys are client_id, client_secret,
    /// previous_client_secret (during an overlap), issuer and token_endpoint. It
    /// cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label")]
    pub name: Option<String>,
    /// Bring your own: the Secret is read, never written. Its label
    /// `flightgate.dev/credentials: "true"` offers it, and it must hold
    /// client_id and client_secret, the latter of at least 32 characters. It
    /// cannot be changed.
    #[serde(default)]
    pub existing: bool,
    /// Renews the secret from time to time. Without it, the secret is renewed on
    /// demand alone: whenever the annotation flightgate.dev/rotate of this
    /// resource gets a new value, such as now. The old secret works on for the
    /// overlap, which is 7d without this. To delete the Secret renews it too,
    /// and ends the old one at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "Rotation::schema")]
    pub rotation: Option<Rotation>,
}

/// When a secret is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = rotation_rules()))]
pub struct Rotation {
    /// How old a secret becomes before the next one is made: a whole number and
    /// a unit of s, m, h, d or w, such as 90d.
    #[schemars(schema_with = "schema::lifetime")]
    pub interval: Period,
    /// How long the old secret still works beside the new one, in the same
    /// form, such as 7d: the time that its users have to fetch the new one.
    /// Shorter than the interval.
    #[serde(default = "Rotation::default_overlap")]
    #[schemars(schema_with = "schema::lifetime")]
    pub overlap: Period,
}

/// What becomes of a client when its resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum DeletionPolicy {
    /// It stops working.
    #[default]
    Delete,
    /// It lives on.
    Orphan,
}

/// What Flightgate has made of the application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OAuthApplicationStatus {
    /// The client identifier. It never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub client_id: Option<String>,
    /// The metadata.generation that this status is about; if it is smaller than
    /// the present one, the status is out of date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The secrets that work at present, the newest first: one, or two during
    /// an overlap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub secrets: Vec<SecretStatus>,
    /// Accepted, CredentialsReady and Ready, which is the one to wait for: every
    /// ready gateway replica serves what the spec asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// One secret, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct SecretStatus {
    /// Names the secret in metrics and audit; says nothing about its value.
    #[schemars(length(min = 1, max = 64))]
    pub id: String,
    /// When the secret was made.
    pub created_at: Timestamp,
    /// From when on it is refused; absent: it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to within ten minutes; absent: never, so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

impl Rotation {
    fn default_overlap() -> Period {
        Period::days(7)
    }

    /// The schema of a [`Rotation`] that may be absent, but is never null.
    pub(crate) fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<Self>()
    }
}

fn default_client_type() -> ClientType {
    ClientType::Confidential
}

fn rules() -> [serde_json::Value; 6] {
    use schema::{rule, rule_at};
    [
        rule_at(
            ".redirectUris",
            "!self.grantTypes.exists(g, g == 'authorization_code' || g == 'passkey') || (has(self.redirectUris) && size(self.redirectUris) > 0)",
            "authorization_code and passkey send the browser back: write at least one redirect URI, such as https://partner.example/callback",
        ),
        rule_at(
            ".redirectUris",
            "self.grantTypes.exists(g, g == 'authorization_code' || g == 'passkey') || !has(self.redirectUris) || size(self.redirectUris) == 0",
            "only authorization_code and passkey redirect: leave redirectUris out, or add one of these to grantTypes",
        ),
        rule_at(
            ".grantTypes",
            "!('refresh_token' in self.grantTypes) || self.grantTypes.exists(g, g == 'authorization_code' || g == 'device_code' || g == 'passkey')",
            "refresh tokens come with a user's grant: add authorization_code, device_code or passkey, or leave refresh_token out",
        ),
        rule_at(
            ".grantTypes",
            "self.clientType != 'public' || !('client_credentials' in self.grantTypes)",
            "a public client has no secret to authenticate with: leave client_credentials out, or write clientType: confidential",
        ),
        rule_at(
            ".secret",
            "self.clientType != 'public' || !self.secret.existing",
            "a public client has no secret: leave secret.existing out",
        ),
        rule(
            "self.clientType != 'public' || !has(self.secret.rotation)",
            "a public client has no secret to renew: leave secret.rotation out",
        ),
    ]
}

fn secret_rules() -> [serde_json::Value; 4] {
    use schema::{rule_at, secret_name_is_immutable};
    [
        secret_name_is_immutable(),
        rule_at(
            ".existing",
            "self.existing == oldSelf.existing",
            "made credentials and brought ones do not turn into each other: make a new OAuthApplication",
        ),
        rule_at(
            ".existing",
            "!self.existing || has(self.name)",
            "write secret.name: the name of the Secret that you bring",
        ),
        rule_at(
            ".existing",
            "!self.existing || !has(self.rotation)",
            "a secret that you bring is yours to renew: leave rotation out, and change the Secret instead",
        ),
    ]
}

fn rotation_rules() -> [serde_json::Value; 1] {
    [schema::rule_at(
        ".overlap",
        &schema::shorter("self.overlap", "self.interval"),
        "write an overlap that is shorter than the interval, or there would be more than two secrets at a time (the default overlap is 7d)",
    )]
}
