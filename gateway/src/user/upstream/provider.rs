//! One provider: what is known of it, and what it is asked.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use crds::{gateway_config::Provider as Config, secret::Secret};
use openidconnect::{
    AdditionalProviderMetadata, AuthType, AuthorizationCode, ClaimsVerificationError, Client,
    ClientId, ClientSecret, CsrfToken, DiscoveryError, EmptyExtraTokenFields, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IdTokenFields, IssuerUrl, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, ProviderMetadata, RedirectUrl, RequestTokenError, Scope,
    SignatureVerificationError, StandardErrorResponse, StandardTokenResponse, TokenResponse,
    UserInfoClaims,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClaimName, CoreClaimType,
        CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim, CoreGrantType,
        CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
        CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType, CoreRevocableToken,
        CoreRevocationErrorResponse, CoreSubjectIdentifierType, CoreTokenIntrospectionResponse,
        CoreTokenType,
    },
};
use reqwest::Client as Http;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use url::Url;

use super::{
    callback_path,
    claims::{Identity, Others},
    error_code,
    http::{self, HttpError},
};
use crate::clock::{Clock, UnixSeconds};

/// How long what is known of a provider is believed, in seconds.
const FRESH: u64 = 60 * 60;
/// How long it is used when the provider does not answer any more.
const STALE: u64 = 24 * 60 * 60;
/// How long a provider that did not answer is not asked again, and how long
/// keys are kept even if one is missing.
const PAUSE: u64 = 10;
/// By how much a provider's clock may be behind, in seconds.
const SKEW: u64 = 60;
/// The largest file that can be a client secret, in bytes.
const MAX_SECRET: u64 = 4_096;

/// A provider that did not do its part. The texts are for people who sign in
/// as well as for those who run the gateway; none of them is told a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProviderError {
    /// It cannot be asked.
    #[error("{title} cannot be reached now ({reason}): try again later, or sign in another way")]
    Unreachable {
        /// Its title.
        title: String,
        /// What happened.
        reason: String,
    },
    /// It answered what it should not have.
    #[error("{title} did not answer as a sign-in provider does ({reason})")]
    Answer {
        /// Its title.
        title: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It did not take the code or the client's secret.
    #[error("{title} refused to end the sign-in with `{code}`: begin again")]
    Refused {
        /// Its title.
        title: String,
        /// Its error code.
        code: String,
    },
    /// The file with the client secret.
    #[error("the client secret cannot be read from {}: {reason}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

/// What RFC 9207 adds to the metadata.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Extension {
    authorization_response_iss_parameter_supported: Option<bool>,
}

impl AdditionalProviderMetadata for Extension {}

type Metadata = ProviderMetadata<
    Extension,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type Tokens = StandardTokenResponse<
    IdTokenFields<
        Others,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type OidcClient = Client<
    Others,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What is known of a provider: its metadata and keys.
pub(super) struct Known {
    metadata: Metadata,
    http: Http,
    at: UnixSeconds,
}

impl Known {
    /// Whether its answers always carry `iss` (RFC 9207 section 3).
    pub(super) fn sends_issuer(&self) -> bool {
        self.metadata
            .additional_metadata()
            .authorization_response_iss_parameter_supported
            == Some(true)
    }
}

#[derive(Default)]
struct Cache {
    known: Option<Arc<Known>>,
    /// The last failure, and when.
    failed: Option<(UnixSeconds, ProviderError)>,
}

/// One provider.
pub(super) struct Provider {
    pub(super) config: Config,
    redirect: Url,
    /// Locked while the provider is asked, so that it is asked once.
    cache: Mutex<Cache>,
}

impl Provider {
    pub(super) fn new(config: Config, issuer: &Url) -> Self {
        let mut redirect = issuer.clone();
        redirect.set_path(&callback_path(&config.name));
        Self {
            config,
            redirect,
            cache: Mutex::default(),
        }
    }

    /// What is known of it, asked for where that is not fresh.
    pub(super) async fn known(&self, clock: &dyn Clock) -> Result<Arc<Known>, ProviderError> {
        self.known_since(clock, clock.now().saturating_sub(FRESH))
            .await
    }

    /// The same, asked for where it is older than `since`.
    async fn known_since(
        &self,
        clock: &dyn Clock,
        since: UnixSeconds,
    ) -> Result<Arc<Known>, ProviderError> {
        let mut cache = self.cache.lock().await;
        let now = clock.now();
        if let Some(known) = cache.known.as_ref().filter(|known| known.at >= since) {
            return Ok(known.clone());
        }
        let usable = cache
            .known
            .clone()
            .filter(|known| known.at.saturating_add(STALE) > now);
        let paused = cache.failed.as_ref();
        let error = match paused.filter(|(at, _)| at.saturating_add(PAUSE) > now) {
            Some((_, error)) => error.clone(),
            None => match self.discover(now).await {
                Ok(known) => {
                    let known = Arc::new(known);
                    *cache = Cache {
                        known: Some(known.clone()),
                        failed: None,
                    };
                    return Ok(known);
                }
                Err(error) => {
                    tracing::warn!(provider = self.config.name, %error, "sign-in provider");
                    cache.failed = Some((now, error.clone()));
                    error
                }
            },
        };
        usable.ok_or(error)
    }

    async fn discover(&self, now: UnixSeconds) -> Result<Known, ProviderError> {
        let issuer = IssuerUrl::new(self.config.issuer.clone())
            .map_err(|error| self.answered(&error.to_string()))?;
        let authority = self.config.certificate_authority.as_deref();
        let http = http::client(authority).map_err(|error| self.unreachable(&error))?;
        let asked = |request| {
            let http = http.clone();
            async move { http::exchange(&http, request).await }
        };
        let metadata =
            Metadata::discover_async(issuer, &asked)
                .await
                .map_err(|error| match error {
                    DiscoveryError::Request(error) => self.unreachable(&error),
                    // Its body and its text may be long.
                    DiscoveryError::Response(status, ..) if !status.is_success() => {
                        self.unreachable(&HttpError::Failed(format!("it answers {status}")))
                    }
                    DiscoveryError::Response(..) => self.answered("its metadata is no JSON"),
                    DiscoveryError::Parse(error) => {
                        self.answered(&format!("its metadata: {}", error.path()))
                    }
                    DiscoveryError::Validation(text) => self.answered(&text),
                    _ => self.answered("its metadata cannot be used"),
                })?;
        self.check_endpoints(&metadata)?;
        Ok(Known {
            metadata,
            http,
            at: now,
        })
    }

    /// Codes and the secret go nowhere in clear that the issuer does not.
    fn check_endpoints(&self, metadata: &Metadata) -> Result<(), ProviderError> {
        if self.config.issuer.starts_with("http:") {
            return Ok(());
        }
        let endpoints = [
            Some(metadata.authorization_endpoint().url()),
            metadata.token_endpoint().map(openidconnect::TokenUrl::url),
            metadata
                .userinfo_endpoint()
                .map(openidconnect::UserInfoUrl::url),
            Some(metadata.jwks_uri().url()),
        ];
        if endpoints
            .into_iter()
            .flatten()
            .any(|url| url.scheme() != "https")
        {
            return Err(self.answered("one of its endpoints is not https"));
        }
        Ok(())
    }

    fn client(
        &self,
        known: &Known,
        secret: Option<Secret<String>>,
    ) -> Result<OidcClient, ProviderError> {
        let redirect = RedirectUrl::new(self.redirect.to_string());
        let methods = known.metadata.token_endpoint_auth_methods_supported();
        let only_post = methods.is_some_and(|methods| {
            !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        Ok(Client::from_provider_metadata(
            known.metadata.clone(),
            ClientId::new(self.config.client_id.clone()),
            secret.map(|secret| ClientSecret::new(secret.expose().clone())),
        )
        .set_redirect_uri(redirect.map_err(|error| self.answered(&error.to_string()))?)
        .set_auth_type(if only_post {
            AuthType::RequestBody
        } else {
            AuthType::BasicAuth
        }))
    }

    /// Where to send a browser.
    pub(super) fn authorize(
        &self,
        known: &Known,
        state: &str,
        nonce: &Nonce,
        verifier: &PkceCodeVerifier,
    ) -> Result<Url, ProviderError> {
        let client = self.client(known, None)?;
        let scopes = self.config.scopes.iter();
        let (state, nonce) = (CsrfToken::new(state.to_owned()), nonce.clone());
        let (url, ..) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || state.clone(),
                move || nonce.clone(),
            )
            // That one is added anyway.
            .add_scopes(
                scopes
                    .filter(|scope| *scope != "openid")
                    .map(|scope| Scope::new(scope.clone())),
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(verifier))
            .url();
        Ok(url)
    }

    /// Who the code stands for.
    pub(super) async fn identity(
        &self,
        known: Arc<Known>,
        code: &str,
        verifier: PkceCodeVerifier,
        nonce: &Nonce,
        clock: &dyn Clock,
    ) -> Result<Identity, ProviderError> {
        let client = self.client(&known, Some(self.secret().await?))?;
        let asked = |request| {
            let http = known.http.clone();
            async move { http::exchange(&http, request).await }
        };
        let tokens = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|_| self.answered("its metadata names no token endpoint"))?
            .set_pkce_verifier(verifier)
            .request_async(&asked)
            .await
            .map_err(|error| match error {
                RequestTokenError::ServerResponse(refusal) => ProviderError::Refused {
                    title: self.config.title.clone(),
                    code: error_code(refusal.error().as_ref()),
                },
                RequestTokenError::Request(error) => self.unreachable(&error),
                _ => self.answered("its token endpoint's answer cannot be read"),
            })?;
        let mut claims = match Self::verified(&client, &tokens, nonce, clock) {
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey
                | SignatureVerificationError::CryptoError(_),
            )) => {
                // Its keys may have turned since they were fetched.
                let since = clock.now().saturating_sub(PAUSE);
                let known = self.known_since(clock, since).await?;
                Self::verified(&self.client(&known, None)?, &tokens, nonce, clock)
            }
            other => other,
        }
        .map_err(|error| self.answered(&format!("its ID token: {error}")))?;
        let subject = claims
            .get("sub")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| self.answered("its ID token has no `sub`"))?;
        if self.wants_more(&claims) && known.metadata.userinfo_endpoint().is_some() {
            let subject = openidconnect::SubjectIdentifier::new(subject.clone());
            let more: UserInfoClaims<Others, CoreGenderClaim> = client
                .user_info(tokens.access_token().clone(), Some(subject))
                .map_err(|_| self.answered("its metadata names no UserInfo endpoint"))?
                .request_async(&asked)
                .await
                .map_err(|_| self.answered("its UserInfo endpoint's answer cannot be used"))?;
            let mut more = map(&more);
            if claims.get("email") != more.get("email") && claims.contains_key("email") {
                // What it says there is about another address.
                more.remove("email_verified");
            }
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
        }
        let username = &self.config.username_claim;
        Ok(Identity::new(&subject, claims, username))
    }

    /// The claims of the ID token, which is what it must be: signed with a key
    /// of this issuer, for this client and this visit, and not expired.
    fn verified(
        client: &OidcClient,
        tokens: &Tokens,
        nonce: &Nonce,
        clock: &dyn Clock,
    ) -> Result<Map<String, Value>, ClaimsVerificationError> {
        let other = |text: &str| ClaimsVerificationError::Other(text.into());
        let token = tokens.id_token().ok_or_else(|| other("it is missing"))?;
        let now = UNIX_EPOCH + Duration::from_secs(clock.now().saturating_sub(SKEW));
        // Never one of those that the client secret signs.
        let verifier = client
            .id_token_verifier()
            .set_allowed_algs([
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
                CoreJwsSigningAlgorithm::RsaSsaPssSha256,
                CoreJwsSigningAlgorithm::RsaSsaPssSha384,
                CoreJwsSigningAlgorithm::RsaSsaPssSha512,
                CoreJwsSigningAlgorithm::EcdsaP256Sha256,
                CoreJwsSigningAlgorithm::EcdsaP384Sha384,
                CoreJwsSigningAlgorithm::EdDsa,
            ])
            .set_time_fn(move || now.into());
        let claims = token.claims(&verifier, nonce)?;
        if claims.subject().as_str().is_empty() {
            return Err(other("its `sub` is empty"));
        }
        Ok(map(claims))
    }

    /// Whether the ID token leaves out what `UserInfo` may say.
    fn wants_more(&self, claims: &Map<String, Value>) -> bool {
        let admins = self.config.admins.as_ref();
        let wanted = [self.config.username_claim.as_str(), "email"]
            .into_iter()
            .chain(admins.map(|admins| admins.claim.as_str()));
        wanted.into_iter().any(|name| !claims.contains_key(name))
    }

    async fn secret(&self) -> Result<Secret<String>, ProviderError> {
        let path = &self.config.client_secret_file;
        let failed = |reason: String| ProviderError::Secret {
            path: path.clone(),
            reason,
        };
        let text = read_small(path).await.map_err(failed)?;
        let secret = text.expose().trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(failed("it is empty".into()));
        }
        Ok(Secret::new(secret.to_owned()))
    }

    fn unreachable(&self, error: &HttpError) -> ProviderError {
        ProviderError::Unreachable {
            title: self.config.title.clone(),
            reason: error.to_string(),
        }
    }

    fn answered(&self, reason: &str) -> ProviderError {
        ProviderError::Answer {
            title: self.config.title.clone(),
            reason: reason.chars().take(200).collect(),
        }
    }
}

async fn read_small(path: &Path) -> Result<Secret<String>, String> {
    let said = |error: std::io::Error| error.to_string();
    let length = tokio::fs::metadata(path).await.map_err(said)?.len();
    if length > MAX_SECRET {
        return Err(format!("it has {length} bytes, more than any secret"));
    }
    let text = tokio::fs::read_to_string(path).await.map_err(said)?;
    Ok(Secret::new(text))
}

/// Claims by their names.
fn map(claims: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(claims) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}
