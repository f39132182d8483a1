//! The gateway's public keys, fetched from its JWKS (RFC 7517, RFC 8037).

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::clock::Clock;

/// Between two fetches for the sake of a key that is not known.
const REST: SignedDuration = SignedDuration::from_secs(3);

/// The age from which keys are fetched again although all are known, so that a
/// key which the gateway withdrew does not live on.
const STALE: SignedDuration = SignedDuration::from_mins(10);

/// Bytes of the largest key set that is read.
const MAX_JWKS: usize = 64 * 1024;

/// The keys of the gateway, by `kid`.
///
/// Fetched when first asked for, and again for a `kid` that is not among them, by
/// one request at a time and at most every three seconds: neither a flood of
/// tokens with invented `kid`s nor a gateway that is away makes for more.
pub struct Keyring {
    url: Url,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    keys: RwLock<Keys>,
    last: Mutex<Option<Attempt>>,
}

#[derive(Default)]
struct Keys {
    by_kid: HashMap<String, Arc<DecodingKey>>,
    fetched: Option<Timestamp>,
}

#[derive(Clone, Copy)]
struct Attempt {
    at: Timestamp,
    worked: bool,
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The gateway does not publish a key of this `kid`.
    #[error("the gateway publishes no such key")]
    Unknown,
    /// The gateway cannot be asked.
    #[error("the gateway's keys cannot be fetched")]
    Unavailable,
}

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{}", innermost(.0))]
    Http(#[from] reqwest::Error),
    #[error("the answer is larger than 64 KiB")]
    TooLarge,
    #[error("the answer is not a JWKS: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the answer holds no Ed25519 key for signatures")]
    NoKey,
}

/// What lies under an error of `reqwest`, whose own message is only where it was.
fn innermost(error: &reqwest::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

impl Keyring {
    /// The keys at this address. Nothing is fetched yet.
    ///
    /// # Errors
    /// If no HTTP client can be made.
    pub fn new(url: Url, clock: Arc<dyn Clock>) -> Result<Keyring, reqwest::Error> {
        // No client is made without one, where http alone is spoken too; it fails
        // where another part of the program chose one before.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder()
            // The gateway stands beside this process: no proxy, no detour.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(1))
            .timeout(Duration::from_secs(3))
            .build()?;
        Ok(Keyring {
            url,
            http,
            clock,
            keys: RwLock::default(),
            last: Mutex::default(),
        })
    }

    /// The key of this `kid`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn key(&self, kid: &str) -> Result<Arc<DecodingKey>, KeyError> {
        if let Some(key) = self.known(kid) {
            if self.is_stale()
                && let Ok(mut last) = self.last.try_lock()
            {
                // On failure the keys that are known go on serving.
                self.fetch_rested(&mut last).await;
                return self.known(kid).ok_or(KeyError::Unknown);
            }
            return Ok(key);
        }
        // Whoever waits here finds the answer of the one before.
        let mut last = self.last.lock().await;
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        if !self.fetch_rested(&mut last).await {
            return Err(KeyError::Unavailable);
        }
        self.known(kid).ok_or(KeyError::Unknown)
    }

    /// Fetches, unless the last fetch was just now. Whether the last fetch worked.
    async fn fetch_rested(&self, last: &mut Option<Attempt>) -> bool {
        let now = self.clock.now();
        if let Some(attempt) = last
            && now.duration_since(attempt.at).abs() < REST
        {
            return attempt.worked;
        }
        let worked = match self.fetch().await {
            Ok(by_kid) => {
                tracing::info!(keys = by_kid.len(), "fetched the gateway's keys");
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Keys {
                    by_kid,
                    fetched: Some(now),
                };
                true
            }
            Err(error) => {
                tracing::warn!(url = %self.url, %error, "cannot fetch the gateway's keys");
                false
            }
        };
        *last = Some(Attempt { at: now, worked });
        worked
    }

    async fn fetch(&self) -> Result<HashMap<String, Arc<DecodingKey>>, FetchError> {
        let mut response = self
            .http
            .get(self.url.clone())
            .send()
            .await?
            .error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_JWKS {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let set: KeySet = serde_json::from_slice(&body)?;
        let keys: HashMap<_, _> = set.keys.into_iter().filter_map(Jwk::into_key).collect();
        if keys.is_empty() {
            Err(FetchError::NoKey)
        } else {
            Ok(keys)
        }
    }

    fn known(&self, kid: &str) -> Option<Arc<DecodingKey>> {
        self.keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .by_kid
            .get(kid)
            .cloned()
    }

    fn is_stale(&self) -> bool {
        let fetched = self
            .keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .fetched;
        fetched.is_none_or(|fetched| self.clock.now().duration_since(fetched) > STALE)
    }
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Jwk>,
}

/// A key as it is published. What it does not say it may be used for, it may.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
}

impl Jwk {
    /// The key and its name, if it is one for Ed25519 signatures.
    fn into_key(self) -> Option<(String, Arc<DecodingKey>)> {
        let is_ed25519 = self.kty == "OKP" && self.crv.as_deref() == Some("Ed25519");
        let signs = self
            .alg
            .is_none_or(|alg| alg == "EdDSA" || alg == "Ed25519")
            && self.usage.is_none_or(|usage| usage == "sig");
        if !(is_ed25519 && signs) {
            return None;
        }
        let key = DecodingKey::from_ed_components(&self.x?).ok()?;
        Some((self.kid?, Arc::new(key)))
    }
}
