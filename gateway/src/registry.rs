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
pub mod last_use;

use last_use::{LastUse, LastUses};

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

/// An API key by one of its secrets.
#[derive(Clone, Debug)]
pub struct PresentedKey {
    /// The key.
    pub key: Arc<ApiKey>,
    /// From when on this secret is refused.
    pub expires_at: UnixSeconds,
    /// When it was last used.
    pub last_use: Arc<LastUse>,
}

/// A secret by its hash, until it expires.
#[derive(Clone, Debug)]
struct Credential {
    id: String,
    sha256: [u8; 32],
    expires_at: UnixSeconds,
    last_use: Arc<LastUse>,
}

/// All that the documents say.
#[derive(Debug, Default)]
pub struct Registry {
    clients: HashMap<String, Arc<Client>>,
    api_keys: HashMap<[u8; 32], PresentedKey>,
    last_uses: LastUses,
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
    /// Reads one document. Secrets that are known go on with their last use.
    pub fn read(
        bytes: &[u8],
        config: &GatewayConfig,
        catalogue: &Catalogue,
        last_uses: &mut LastUses,
    ) -> Result<Self, DocumentError> {
        let document = Document::from_json(bytes)?;
        let entry = match document.resource {
            Resource::OauthApplication(application) => {
                let client = Client::new(application, config, catalogue, last_uses)?;
                Entry::Client(Arc::new(client))
            }
            Resource::ApiKey(key) => {
                let credentials = Credential::all(&key.keys, last_uses);
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
                    registry.tell_uses_of(&client.secrets);
                }
                Entry::ApiKey(key, credentials) => {
                    for credential in credentials {
                        let presented = PresentedKey {
                            key: key.clone(),
                            expires_at: credential.expires_at,
                            last_use: credential.last_use.clone(),
                        };
                        registry.api_keys.insert(credential.sha256, presented);
                    }
                    registry.tell_uses_of(credentials);
                }
                Entry::Webhook => {}
            }
        }
        registry
    }

    fn tell_uses_of(&mut self, credentials: &[Credential]) {
        for credential in credentials {
            let last_use = credential.last_use.clone();
            self.last_uses.insert(credential.id.clone(), last_use);
        }
    }

    /// The client of this id.
    pub fn client(&self, id: &str) -> Option<&Arc<Client>> {
        self.clients.get(id)
    }

    /// The API key with this SHA-256.
    pub fn api_key(&self, sha256: &[u8; 32]) -> Option<&PresentedKey> {
        self.api_keys.get(sha256)
    }

    /// When each of its secrets was last used.
    pub fn last_uses(&self) -> &LastUses {
        &self.last_uses
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
        last_uses: &mut LastUses,
    ) -> Result<Self, DocumentError> {
        let Some(profile) = config.profiles.get(&application.profile) else {
            return Err(DocumentError::Profile(application.profile));
        };
        Ok(Self {
            scopes: catalogue.set(application.scopes.iter().map(String::as_str)),
            secrets: Credential::all(&application.secrets, last_uses),
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

    /// The last use of `secret`, if it is one of its secrets that are valid at
    /// `now`. Takes as long for a wrong secret as for a right one.
    pub fn verify_secret(&self, secret: &[u8], now: UnixSeconds) -> Option<&LastUse> {
        let sha256 = Sha256Hash::of(secret).0;
        self.secrets.iter().fold(None, |found, credential| {
            let same =
                aws_lc_rs::constant_time::verify_slices_are_equal(&credential.sha256, &sha256);
            if same.is_ok() && now < credential.expires_at {
                Some(&*credential.last_use)
            } else {
                found
            }
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

impl Credential {
    fn all(secrets: &[SecretHash], last_uses: &mut LastUses) -> Vec<Self> {
        let credentials = secrets.iter().map(|secret| Self {
            id: secret.id.clone(),
            sha256: secret.sha256.0,
            expires_at: secret.expires_at.map_or(UnixSeconds::MAX, unix_seconds),
            last_use: last_uses.of(&secret.id),
        });
        credentials.collect()
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
            id: String::new(),
            sha256: Sha256Hash::of(secret).0,
            expires_at: *expires_at,
            last_use: Arc::default(),
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
        let verify = |secret: &[u8], now| client.verify_secret(secret, now).is_some();
        assert!(verify(b"new", 99) && verify(b"old", 99));
        assert!(verify(b"new", 100) && !verify(b"old", 100));
        assert!(!verify(b"", 0) && !verify(b"neW", 0));
    }
}
