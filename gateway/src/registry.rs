//! What the operator's documents say, ready for the way of a request: clients
//! by id and API keys by hash. Swapped as a whole; a request sees one registry
//! from its beginning to its end.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crds::contract::{self, ClientType, Document, GrantType, Resource, SecretHash, Sha256Hash};
use crds::gateway_config::{ClientAuth, GatewayConfig, Profile};
use ipnet::IpNet;
use jiff::Timestamp;

use crate::{
    clock::UnixSeconds,
    scopes::{Catalogue, ScopeSet},
};

pub mod cluster;
pub mod directory;

/// An OAuth client.
#[derive(Debug)]
pub struct Client {
    /// Its identifier.
    pub id: String,
    /// The name that people see.
    pub display_name: String,
    /// One sentence about it.
    pub description: Option<String>,
    /// Where people find out more.
    pub homepage_url: Option<String>,
    /// Its picture.
    pub logo_url: Option<String>,
    /// Whether it can keep a secret.
    pub client_type: ClientType,
    /// Where its users are sent back to.
    pub redirect_uris: Vec<String>,
    /// The grants it may use.
    pub grant_types: Vec<GrantType>,
    /// The scopes it may ask for.
    pub scopes: ScopeSet,
    /// Its token policy.
    pub profile: Arc<Profile>,
    secrets: Vec<Credential>,
}

/// An API key.
#[derive(Debug)]
pub struct ApiKey {
    /// Its public identifier.
    pub id: String,
    /// On whose behalf it acts.
    pub subject: String,
    /// The scopes it carries.
    pub scopes: ScopeSet,
    /// The addresses it may be used from; empty: any.
    pub allowed_cidrs: Vec<IpNet>,
}

/// A secret by its hash, until it expires.
#[derive(Clone, Copy, Debug)]
struct Credential {
    sha256: [u8; 32],
    expires_at: UnixSeconds,
}

/// All that the documents say.
#[derive(Debug, Default)]
pub struct Registry {
    clients: HashMap<String, Arc<Client>>,
    api_keys: HashMap<[u8; 32], (Arc<ApiKey>, UnixSeconds)>,
    /// SHA-256 of each document as it was read, by its source's name for it.
    hashes: BTreeMap<String, Sha256Hash>,
    /// Counts the registries that this process has served.
    generation: u64,
}

/// A document that says what this gateway cannot follow.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is no contract document.
    #[error(transparent)]
    Read(#[from] contract::ReadError),
    /// Its profile does not exist here.
    #[error("profile `{0}` is not in gateway.yaml under `profiles`")]
    Profile(String),
}

/// One document as it was read, checked against the configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    sha256: Sha256Hash,
    entry: Entry,
}

#[derive(Clone, Debug)]
enum Entry {
    Client(Arc<Client>),
    ApiKey(Arc<ApiKey>, Vec<Credential>),
    /// Known and counted; it asks nothing of the way of a request.
    Webhook,
}

impl Loaded {
    /// Reads one document.
    pub fn read(
        bytes: &[u8],
        config: &GatewayConfig,
        catalogue: &Catalogue,
    ) -> Result<Self, DocumentError> {
        let document = Document::from_json(bytes)?;
        let entry = match document.resource {
            Resource::OauthApplication(application) => {
                Entry::Client(Arc::new(Client::new(application, config, catalogue)?))
            }
            Resource::ApiKey(key) => {
                let credentials = key.keys.iter().map(Credential::from).collect();
                Entry::ApiKey(Arc::new(ApiKey::new(key, catalogue)), credentials)
            }
            Resource::Webhook(_) => Entry::Webhook,
        };
        Ok(Self {
            sha256: Sha256Hash::of(bytes),
            entry,
        })
    }

    /// Whether this was read from exactly these bytes.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        self.sha256 == Sha256Hash::of(bytes)
    }
}

impl Registry {
    /// The registry of these documents, by their source's names for them.
    pub fn new<'a>(
        generation: u64,
        documents: impl IntoIterator<Item = (&'a String, &'a Loaded)>,
    ) -> Self {
        let mut registry = Self {
            generation,
            ..Self::default()
        };
        for (name, loaded) in documents {
            registry.hashes.insert(name.clone(), loaded.sha256);
            match &loaded.entry {
                // The first by name keeps an id that two claim, and nobody is
                // locked out by a document that comes later.
                Entry::Client(client) if registry.clients.contains_key(&client.id) => {
                    tracing::error!(
                        document = name,
                        client_id = client.id,
                        "another document has this client id"
                    );
                }
                Entry::Client(client) => {
                    registry.clients.insert(client.id.clone(), client.clone());
                }
                Entry::ApiKey(key, credentials) => {
                    for credential in credentials {
                        registry
                            .api_keys
                            .insert(credential.sha256, (key.clone(), credential.expires_at));
                    }
                }
                Entry::Webhook => {}
            }
        }
        registry
    }

    /// The client of this id.
    pub fn client(&self, id: &str) -> Option<&Arc<Client>> {
        self.clients.get(id)
    }

    /// The API key with this SHA-256, and from when on it is refused.
    pub fn api_key(&self, sha256: &[u8; 32]) -> Option<&(Arc<ApiKey>, UnixSeconds)> {
        self.api_keys.get(sha256)
    }

    /// SHA-256 of each document, by name.
    pub fn hashes(&self) -> &BTreeMap<String, Sha256Hash> {
        &self.hashes
    }

    /// Grows with every change.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl Client {
    fn new(
        application: contract::Application,
        config: &GatewayConfig,
        catalogue: &Catalogue,
    ) -> Result<Self, DocumentError> {
        let Some(profile) = config.profiles.get(&application.profile) else {
            return Err(DocumentError::Profile(application.profile));
        };
        Ok(Self {
            scopes: catalogue.set(application.scopes.iter().map(String::as_str)),
            secrets: application.secrets.iter().map(Credential::from).collect(),
            id: application.client_id,
            display_name: application.display_name,
            description: application.description,
            homepage_url: application.homepage_url,
            logo_url: application.logo_url,
            redirect_uris: application.redirect_uris,
            client_type: application.client_type,
            grant_types: application.grant_types,
            profile: Arc::new(profile.clone()),
        })
    }

    /// Whether it may use this grant.
    pub fn may_use(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }

    /// Whether it may authenticate in this way.
    pub fn may_authenticate_by(&self, method: ClientAuth) -> bool {
        self.profile.client_auth.contains(&method)
    }

    /// Whether `secret` is one of its secrets that are valid at `now`. Takes as
    /// long for a wrong secret as for a right one.
    pub fn verify_secret(&self, secret: &[u8], now: UnixSeconds) -> bool {
        let sha256 = Sha256Hash::of(secret).0;
        self.secrets.iter().fold(false, |found, credential| {
            let same =
                aws_lc_rs::constant_time::verify_slices_are_equal(&credential.sha256, &sha256);
            found | (same.is_ok() && now < credential.expires_at)
        })
    }
}

impl ApiKey {
    fn new(key: contract::ApiKey, catalogue: &Catalogue) -> Self {
        Self {
            // The operator refuses these; the catalogue may have changed since.
            scopes: catalogue
                .set(key.scopes.iter().map(String::as_str))
                .without(catalogue.destructive()),
            id: key.id,
            subject: key.subject,
            allowed_cidrs: key.allowed_cidrs,
        }
    }
}

impl From<&SecretHash> for Credential {
    fn from(secret: &SecretHash) -> Self {
        Self {
            sha256: secret.sha256.0,
            expires_at: secret.expires_at.map_or(UnixSeconds::MAX, unix_seconds),
        }
    }
}

/// A time before 1970 has passed at any time that this program sees.
fn unix_seconds(at: Timestamp) -> UnixSeconds {
    UnixSeconds::try_from(at.as_second()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(secrets: &[(&[u8], UnixSeconds)]) -> Client {
        let secrets = secrets.iter().map(|(secret, expires_at)| Credential {
            sha256: Sha256Hash::of(secret).0,
            expires_at: *expires_at,
        });
        Client {
            id: "a".into(),
            display_name: "A".into(),
            description: None,
            homepage_url: None,
            logo_url: None,
            redirect_uris: vec![],
            client_type: ClientType::Confidential,
            grant_types: vec![],
            scopes: ScopeSet::EMPTY,
            profile: Arc::default(),
            secrets: secrets.collect(),
        }
    }

    #[test]
    fn both_secrets_work_during_the_overlap_and_the_old_one_not_a_second_longer() {
        let client = client(&[(b"new", UnixSeconds::MAX), (b"old", 100)]);
        assert!(client.verify_secret(b"new", 99) && client.verify_secret(b"old", 99));
        assert!(client.verify_secret(b"new", 100) && !client.verify_secret(b"old", 100));
        assert!(!client.verify_secret(b"", 0) && !client.verify_secret(b"neW", 0));
    }
}
