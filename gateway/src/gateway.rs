//! What all threads share: read by everyone, and changed only as a whole.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, OnceLock, atomic::AtomicU64},
    thread::available_parallelism,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use crds::gateway_config::{GatewayConfig, Store as StoreConfig};
use tokio::runtime::Handle;
use url::Url;

use crate::{
    clock::{Clock, Rng},
    keys::{Keys, KeysError},
    oauth::{grant::Grants, metadata},
    registry::Registry,
    revocations::Revocations,
    route::{RouteError, Router},
    scopes::Catalogue,
    store::{
        Store, StoreError,
        sled::{SledOptions, SledStore},
    },
    telemetry::metrics::Metrics,
    user::Users,
};

/// What all threads share.
pub struct Gateway {
    /// The configuration, checked.
    pub config: Arc<GatewayConfig>,
    /// The issuer identifier as it appears everywhere.
    pub issuer: String,
    /// The same as a URL, with the port that the public listener got.
    pub public_url: Url,
    /// Where what may take its time runs; set at the start.
    pub slow: OnceLock<Handle>,
    /// Where users type the code of a device (RFC 8628 section 3.3).
    pub verification_uri: String,
    /// The scopes that exist.
    pub catalogue: Arc<Catalogue>,
    /// Which path leads where.
    pub router: Router,
    /// The clients and keys of now.
    pub registry: ArcSwap<Registry>,
    /// Documents that are not in force as they stand, and why.
    pub rejected_documents: Mutex<BTreeMap<String, String>>,
    /// How often a document was rejected.
    pub rejected: AtomicU64,
    /// Where grants live.
    pub store: Arc<dyn Store>,
    /// The gateway's own keys.
    pub keys: Keys,
    /// Who may sign in, and who has.
    pub users: Users,
    /// What users allowed applications.
    pub grants: Grants,
    /// News of dead tokens.
    pub revocations: Arc<Revocations>,
    /// Counters.
    pub metrics: Metrics,
    /// The metadata document.
    pub metadata: Bytes,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives randomness.
    pub rng: Arc<dyn Rng>,
}

/// The gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Its keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Its store.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// Its paths.
    #[error("routes: {0}")]
    Route(#[from] RouteError),
}

impl Gateway {
    /// Opens everything that the configuration names. `port` is the one that
    /// the public listener got.
    pub fn open(
        config: Arc<GatewayConfig>,
        port: u16,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<Arc<Self>, GatewayError> {
        let catalogue = Arc::new(Catalogue::new(&config));
        let router = Router::new(&config, &catalogue)?;
        let keys = Keys::open(&config.keys.path, &*rng)?;
        let store = store(&config.store, &keys)?;
        let issuer_url = with_port(&config.issuer, port);
        let issuer = issuer(&issuer_url);
        let revocations = Arc::new(Revocations::default());
        let grants = Grants::new(store.clone(), &keys.pepper, revocations.clone());
        let users = Users::new(
            config.clone(),
            &issuer_url,
            store.clone(),
            &keys.pepper,
            clock.clone(),
            rng.clone(),
        )
        .with_grants(Arc::new(grants.clone()));
        let metrics = Metrics::new(
            threads(&config),
            router
                .routes()
                .iter()
                .map(|route| route.path.clone())
                .collect(),
        );
        Ok(Arc::new(Self {
            verification_uri: format!("{}{}/device", metadata::origin(&issuer), config.pages.base),
            metadata: metadata::document(&config, &catalogue, &issuer),
            registry: ArcSwap::default(),
            rejected_documents: Mutex::default(),
            rejected: AtomicU64::default(),
            public_url: issuer_url,
            slow: OnceLock::new(),
            grants,
            revocations,
            config,
            issuer,
            catalogue,
            router,
            store,
            users,
            keys,
            metrics,
            clock,
            rng,
        }))
    }
}

/// How many threads serve requests.
pub fn threads(config: &GatewayConfig) -> usize {
    match config.workers {
        Some(workers) => usize::try_from(workers.get()).unwrap_or(1),
        None => available_parallelism().map_or(1, usize::from),
    }
}

/// The issuer as configured, with the public listener's port in the place of
/// port 0.
fn with_port(configured: &Url, port: u16) -> Url {
    let mut url = configured.clone();
    if url.port() == Some(0) {
        // Only URLs without a host refuse a port, and the check refused those.
        let _ = url.set_port(Some(port));
    }
    url
}

/// The issuer identifier: without a slash for an empty path.
fn issuer(url: &Url) -> String {
    let mut text = url.to_string();
    if url.path() == "/" {
        text.truncate(text.trim_end_matches('/').len());
    }
    text
}

pub(crate) fn store(config: &StoreConfig, keys: &Keys) -> Result<Arc<dyn Store>, StoreError> {
    let StoreConfig::Sled(sled) = config;
    let mib = |count: u32| u64::from(count) << 20;
    Ok(Arc::new(SledStore::open(&SledOptions {
        cache_bytes: mib(sled.cache_mib),
        reserve_bytes: mib(sled.reserve_mib),
        ..SledOptions::new(Path::new(&sled.path), keys.pepper.fingerprint())
    })?))
}
