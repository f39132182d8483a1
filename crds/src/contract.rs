//! The document that the operator hands to the gateway: one per accepted
//! resource, as the key `config.json` of a Secret or as a file `*.json`.
//!
//! Credentials stand in it as SHA-256 hashes alone. Webhook signing secrets are
//! the one exception: the gateway must sign with them.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::secret::{self, Secret};

/// The version that this build writes and reads.
pub const VERSION: &str = "flightgate.dev/contract/v1";

/// One accepted resource, as the gateway needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// Always [`VERSION`]; a document of another version is not read.
    pub version: Version,
    /// Namespace of the resource.
    pub namespace: String,
    /// Name of the resource.
    pub name: String,
    /// `metadata.generation` of the resource that this document states.
    pub generation: i64,
    /// What the resource asks of the gateway.
    pub resource: Resource,
}

/// The resource of a [`Document`], by kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Resource {
    /// A partner's client.
    OauthApplication(Application),
    /// A person's or script's key.
    ApiKey(ApiKey),
    /// An endpoint that wants events.
    Webhook(Webhook),
}

/// An OAuth client (RFC 6749 section 2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Application {
    /// The client identifier; immutable.
    pub client_id: String,
    /// The name that people see.
    pub display_name: String,
    /// One sentence for the consent page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Shown on the consent page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage_url: Option<String>,
    /// Shown on the consent page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
    /// Whether the client can keep a secret.
    pub client_type: ClientType,
    /// The grants it may use.
    pub grant_types: Vec<GrantType>,
    /// Exact redirection URIs.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// The scopes it may ask for, by catalogue name.
    pub scopes: Vec<String>,
    /// Token policy, by name.
    pub profile: String,
    /// Quota plan, by name.
    pub plan: String,
    /// The secrets that authenticate it: one, or two during an overlap.
    #[serde(default)]
    pub secrets: Vec<SecretHash>,
}

/// An API key: a bearer token made outside of any OAuth flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKey {
    /// The key's public identifier, as `client_id` towards the upstream.
    pub id: String,
    /// On whose behalf it acts, such as `pilot:anna`.
    pub subject: String,
    /// The name that people see.
    pub display_name: String,
    /// The scopes that it carries.
    pub scopes: Vec<String>,
    /// Quota plan, by name.
    pub plan: String,
    /// The addresses it may be used from; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_cidrs: Vec<IpNet>,
    /// Hashes of the key: one, or two during an overlap.
    pub keys: Vec<SecretHash>,
}

/// An endpoint that receives signed events of one application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Webhook {
    /// The application whose events these are, by client id.
    pub client_id: String,
    /// Where to deliver.
    pub url: String,
    /// The events it wants, such as `flight.uploaded`.
    pub events: Vec<String>,
    /// What to sign with: one, or two while a secret rotates.
    pub signing_secrets: Vec<SigningSecret>,
    /// Deliver one after the other, in order.
    pub ordered: bool,
    /// Keep events, deliver none.
    pub suspended: bool,
}

/// A credential by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretHash {
    /// Names the secret in status and metrics; says nothing about its value.
    pub id: String,
    /// SHA-256 of the secret's bytes.
    pub sha256: Sha256Hash,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A webhook signing secret, in clear because the gateway signs with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SigningSecret {
    /// Names the secret in status and metrics.
    pub id: String,
    /// `whsec_` and base64, by Standard Webhooks.
    #[serde(with = "secret::in_clear")]
    pub secret: Secret<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is no longer signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Whether a client can keep a secret (RFC 6749 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientType {
    /// It runs on a server and keeps a secret.
    Confidential,
    /// It runs with its users, has no secret, and must use PKCE.
    Public,
}

/// A way to a token.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// RFC 6749 section 4.4.
    ClientCredentials,
    /// RFC 6749 section 4.1, with RFC 7636.
    AuthorizationCode,
    /// RFC 6749 section 6.
    RefreshToken,
    /// RFC 8628.
    DeviceCode,
    /// A one-time code that a signed-in user makes and types on the
    /// authorization page (FCV-18).
    Passkey,
}

/// The version field of a [`Document`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version;

/// 32 bytes of SHA-256, written as base64url without padding.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Hash(pub [u8; 32]);

/// A document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not a contract document, or one of another version.
    #[error("not a {VERSION} document: {0}")]
    Json(#[from] serde_json::Error),
}

impl Document {
    /// Reads a document.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ReadError> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The document's bytes: equal documents give equal bytes.
    pub fn to_json(&self) -> Vec<u8> {
        // Only maps with non-string keys and failing Serialize impls can fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

impl Sha256Hash {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Sha256Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Sha256Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Sha256Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(&text)
            .ok()
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| {
            de::Error::custom("expected SHA-256 as 43 characters of base64url without padding")
        })
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(VERSION)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == VERSION {
            Ok(Self)
        } else {
            Err(de::Error::custom(format_args!(
                "version is `{text}`, this build reads `{VERSION}`"
            )))
        }
    }
}
