//! Sign-in at an upstream provider by OpenID Connect: there and back.
//!
//! What is kept meanwhile is a [`Visit`], under an HMAC of the `state` and of
//! the visitor's cookie: so it is found by the browser that began it alone, and
//! nonce and PKCE verifier, which are HMACs of the same two, need not be kept
//! at all.

mod claims;
mod http;
mod provider;

use std::net::IpAddr;

use ::http::{HeaderMap, HeaderValue};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use crds::gateway_config::{Admins, Users as UsersConfig};
use openidconnect::{Nonce, PkceCodeVerifier};
use serde::{Deserialize, Serialize};
use url::Url;

pub use self::provider::ProviderError;
use self::{claims::Identity, provider::Provider};
use super::{
    NewUser, User, UserError, Users,
    cookie::{self, CookieValue},
    name::{Username, is_email},
    session::Proof,
    throttle::{Purpose, RetryAfter, Who},
};
use crate::{
    clock::UnixSeconds,
    pages::source::Source,
    store::{
        StoreError,
        entry::{Change, Found, Space, Stored},
    },
};

/// How long somebody may stay at the provider, in seconds.
const VISIT_TTL: u64 = 10 * 60;
/// The longest place to continue at, in bytes.
const MAX_CONTINUE: usize = 3_000;
/// How often a user is looked for again when somebody else changed them.
const TRIES: usize = 16;

/// The path at the issuer's host to which a provider sends its users back; its
/// URL is what the provider must be told as redirect URI. One for each, so that
/// an answer cannot pass for that of another.
pub fn callback_path(provider: &str) -> String {
    format!("/sign-in/{provider}/callback")
}

/// The providers of a gateway.
pub(super) struct Upstream {
    providers: Vec<Provider>,
}

impl Upstream {
    pub(super) fn new(config: &UsersConfig, issuer: &Url) -> Self {
        let providers = config.providers.iter();
        Self {
            providers: providers
                .map(|config| Provider::new(config.clone(), issuer))
                .collect(),
        }
    }

    fn provider(&self, name: &str) -> Result<&Provider, UpstreamError> {
        let mut providers = self.providers.iter();
        providers
            .find(|provider| provider.config.name == name)
            .ok_or(UpstreamError::NoProvider)
    }
}

/// A sign-in at a provider that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    provider: String,
    continue_to: String,
    /// Unix seconds.
    expires_at: UnixSeconds,
}

impl Stored for Visit {
    const SPACE: Space = Space::Visit;

    fn expires_at(&self) -> u64 {
        self.expires_at
    }
}

/// Which user somebody at a provider is here.
#[derive(Serialize, Deserialize)]
struct Link {
    subject: String,
}

impl Stored for Link {
    const SPACE: Space = Space::Link;

    fn expires_at(&self) -> u64 {
        u64::MAX
    }
}

/// A sign-in that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Where to send the browser, with 303.
    pub redirect: Url,
    /// `Set-Cookie` headers that must go out with that.
    pub cookies: Vec<HeaderValue>,
}

/// A sign-in that has come to its good end.
#[derive(Debug)]
pub struct Finished {
    /// Who.
    pub user: User,
    /// The cookie of the new session.
    pub session: CookieValue,
    /// `Set-Cookie` headers that must go out with the answer.
    pub cookies: Vec<HeaderValue>,
    /// Where to send the browser: a path of this host.
    pub continue_to: String,
}

/// A sign-in that has come to another end.
#[derive(Debug)]
pub struct Unfinished {
    /// Why.
    pub error: UpstreamError,
    /// Where it would have led, if that is known: for a link to try again.
    pub continue_to: Option<String>,
}

/// Why nobody has signed in at a provider.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// `gateway.yaml` has none of this name.
    #[error("there is no such sign-in provider here: choose one on the sign-in page")]
    NoProvider,
    /// The place to continue at is none of this host.
    #[error("expected a path of this host to continue at, of at most {MAX_CONTINUE} bytes")]
    Continue,
    /// Too many were begun.
    #[error(transparent)]
    Wait(#[from] RetryAfter),
    /// What came back belongs to no sign-in of this browser.
    #[error(
        "this sign-in has expired, is already finished, or was begun in another browser: begin again"
    )]
    NoVisit,
    /// What came back is not an answer.
    #[error("the provider's answer cannot be used: {0}")]
    Answer(&'static str),
    /// The user said no, or the provider did.
    #[error("the provider did not sign you in: access was denied")]
    Denied,
    /// The provider refused.
    #[error("the provider refused the sign-in with `{code}`")]
    Refused {
        /// Its error code.
        code: String,
    },
    /// The user is disabled here.
    #[error("this account is disabled here: ask those who run this service")]
    Disabled,
    /// The provider did not do its part.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Something here did not work.
    #[error(transparent)]
    User(#[from] UserError),
}

impl From<StoreError> for UpstreamError {
    fn from(error: StoreError) -> Self {
        Self::User(error.into())
    }
}

impl From<UpstreamError> for Unfinished {
    fn from(error: UpstreamError) -> Self {
        Self {
            error,
            continue_to: None,
        }
    }
}

/// A path of this host, which no browser takes for another host.
fn is_local(path: &str) -> bool {
    let mut bytes = path.bytes();
    bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && path.len() <= MAX_CONTINUE
        && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
}

impl Users {
    /// Names and titles of the providers, for the sign-in page.
    pub fn providers(&self) -> impl Iterator<Item = (&str, &str)> {
        let providers = self.config.users.providers.iter();
        providers.map(|provider| (provider.name.as_str(), provider.title.as_str()))
    }

    /// Where a form of the sign-in page may be redirected to: to the providers.
    pub fn provider_sources(&self) -> impl Iterator<Item = Source> {
        let providers = self.config.users.providers.iter();
        providers.filter_map(|provider| Source::origin(&Url::parse(&provider.issuer).ok()?))
    }

    /// Sends a browser to a provider. `continue_to` is where it goes afterwards:
    /// path and query at this host. Call it for a POST of the sign-in page, not
    /// for a GET that any site can cause.
    pub async fn begin_upstream(
        &self,
        provider: &str,
        continue_to: &str,
        address: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Begun, UpstreamError> {
        let provider = self.upstream.provider(provider)?;
        if !is_local(continue_to) {
            return Err(UpstreamError::Continue);
        }
        // Each begin is counted: it writes to the store for whoever comes.
        drop(
            self.throttle
                .attempt(&[(Purpose::Visit, Who::Address(address))])?,
        );
        let known = provider.known(&*self.clock).await?;
        let mut cookies = Vec::new();
        let held = CookieValue::from_headers(headers, cookie::VISITOR);
        let visitor = if let Some(visitor) = held {
            visitor
        } else {
            let fresh = CookieValue::fresh(&*self.rng).map_err(UserError::from)?;
            cookies.extend(fresh.set(cookie::VISITOR, None));
            fresh
        };
        let state = CookieValue::fresh(&*self.rng).map_err(UserError::from)?;
        let visit = Visit {
            provider: provider.config.name.clone(),
            continue_to: continue_to.to_owned(),
            expires_at: self.clock.now() + VISIT_TTL,
        };
        let key = self.visit_id("visit", &state, &visitor);
        let change = Change::new().expect_none::<Visit>(key).put(key, &visit)?;
        self.store.apply(change).await?;
        let redirect = provider.authorize(
            &known,
            state.expose(),
            &self.nonce(&state, &visitor),
            &self.verifier(&state, &visitor),
        )?;
        Ok(Begun { redirect, cookies })
    }

    /// Takes what a provider sent back: `provider` as the path has it, `query`
    /// as it came. Each sign-in is finished once, however it ends.
    pub async fn finish_upstream(
        &self,
        provider: &str,
        query: &str,
        headers: &HeaderMap,
    ) -> Result<Finished, Unfinished> {
        let provider = self.upstream.provider(provider)?;
        let answer = Answer::parse(query)?;
        let (state, visitor) = CookieValue::parse(&answer.state)
            .zip(CookieValue::from_headers(headers, cookie::VISITOR))
            .ok_or(UpstreamError::NoVisit)?;
        let visit = self.consume_visit(provider, &state, &visitor).await?;
        let finished = async {
            let known = provider.known(&*self.clock).await?;
            answer.check_issuer(&provider.config.issuer, known.sends_issuer())?;
            let code = answer.code()?;
            let verifier = self.verifier(&state, &visitor);
            let nonce = self.nonce(&state, &visitor);
            let clock = &*self.clock;
            let identity = provider
                .identity(known, code, verifier, &nonce, clock)
                .await?;
            let user = self.user_of(provider, &identity).await?;
            let proof = Proof::Upstream {
                auth_time: identity.auth_time,
            };
            let session = self.begin_session(&user, proof, headers).await?;
            Ok::<_, UpstreamError>((user, session))
        };
        match finished.await {
            Ok((user, session)) => Ok(Finished {
                user,
                cookies: session.set(cookie::SESSION, None).into_iter().collect(),
                session,
                continue_to: visit.continue_to,
            }),
            Err(error) => Err(Unfinished {
                error,
                continue_to: Some(visit.continue_to),
            }),
        }
    }

    /// Takes the visit of this browser out of the store, for one caller alone.
    async fn consume_visit(
        &self,
        provider: &Provider,
        state: &CookieValue,
        visitor: &CookieValue,
    ) -> Result<Visit, UpstreamError> {
        let key = self.visit_id("visit", state, visitor);
        let found = self.store.get::<Visit>(key).await?;
        let found = found
            .filter(|found| {
                found.value.provider == provider.config.name
                    && found.value.expires_at > self.clock.now()
            })
            .ok_or(UpstreamError::NoVisit)?;
        let change = Change::new().expect(&found).remove::<Visit>(key);
        match self.store.apply(change).await {
            Ok(()) => Ok(found.value),
            Err(StoreError::Conflict) => Err(UpstreamError::NoVisit),
            Err(error) => Err(error.into()),
        }
    }

    /// The user who this is here: as linked, brought up to date, or new.
    async fn user_of(
        &self,
        provider: &Provider,
        identity: &Identity,
    ) -> Result<User, UpstreamError> {
        let config = &provider.config;
        let parts = [config.issuer.as_bytes(), identity.subject.as_bytes()];
        let link = self.pepper.id("link", &parts);
        for _ in 0..TRIES {
            let user = match self.store.get::<Link>(link).await? {
                Some(linked) => {
                    let found = self.by_subject(&linked.value.subject).await?;
                    let found = found.ok_or(UpstreamError::Disabled)?;
                    if found.value.disabled {
                        return Err(UpstreamError::Disabled);
                    }
                    self.bring_up_to_date(found, identity, config.admins.as_ref())
                        .await
                }
                None => self.welcome(provider, identity, link).await,
            };
            match user {
                Err(UserError::NameTaken(_) | UserError::Store(StoreError::Conflict)) => {}
                other => return Ok(other?),
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn bring_up_to_date(
        &self,
        found: Found<User>,
        identity: &Identity,
        admins: Option<&Admins>,
    ) -> Result<User, UserError> {
        let mut user = found.value.clone();
        if let Some(email) = &identity.email {
            user.email = Some(email.clone());
            user.email_verified = identity.email_verified;
        }
        if let Some(admins) = admins {
            user.is_admin = identity.has(admins);
        }
        if user != found.value {
            self.replace(&found, &user).await?;
        }
        Ok(user)
    }

    /// Makes the user and the link to them at once. Somebody who is here
    /// already under the same name or address is another user: names and
    /// addresses of elsewhere prove nothing here.
    async fn welcome(
        &self,
        provider: &Provider,
        identity: &Identity,
        link: [u8; 32],
    ) -> Result<User, UserError> {
        let name = self.free_name(provider, identity).await?;
        let id = self.fresh_id()?;
        let new = NewUser {
            email: identity.email.clone(),
            email_verified: identity.email.is_some() && identity.email_verified,
            is_admin: provider
                .config
                .admins
                .as_ref()
                .is_some_and(|admins| identity.has(admins)),
            ..NewUser::default()
        };
        let user = self.user(id.clone(), id, &name, new, None);
        let linked = Link {
            subject: user.subject.clone(),
        };
        let change = Change::new().expect_none::<Link>(link).put(link, &linked)?;
        self.insert(&name, &user, change).await?;
        Ok(user)
    }

    /// The name they have there, or one like it that nobody has here.
    async fn free_name(
        &self,
        provider: &Provider,
        identity: &Identity,
    ) -> Result<Username, UserError> {
        let wanted = [identity.username.as_deref(), identity.email.as_deref()]
            .into_iter()
            .flatten()
            .find_map(|text| Username::parse(text).ok());
        if let Some(name) = &wanted
            && self.named(name).await?.is_none()
        {
            return Ok(name.clone());
        }
        let base = wanted.as_ref().map_or(&*provider.config.name, |name| {
            let (local, _) = name
                .written()
                .split_once('@')
                .unwrap_or((name.written(), ""));
            local
        });
        let mut suffix = [0; 4];
        self.rng.fill(&mut suffix)?;
        let suffix = format!("-{:08x}", u32::from_be_bytes(suffix));
        // A local part may have characters that a plain name may not.
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let base: String = base.chars().filter(plain).take(48).collect();
        Ok(Username::parse(&(base + &suffix))?)
    }

    fn visit_id(&self, domain: &str, state: &CookieValue, visitor: &CookieValue) -> [u8; 32] {
        let parts: [&[u8]; 2] = [&*state.bytes(), &*visitor.bytes()];
        self.pepper.id(domain, &parts)
    }

    fn nonce(&self, state: &CookieValue, visitor: &CookieValue) -> Nonce {
        Nonce::new(URL_SAFE_NO_PAD.encode(self.visit_id("visit nonce", state, visitor)))
    }

    fn verifier(&self, state: &CookieValue, visitor: &CookieValue) -> PkceCodeVerifier {
        let id = self.visit_id("visit verifier", state, visitor);
        PkceCodeVerifier::new(URL_SAFE_NO_PAD.encode(id))
    }
}

/// What a provider sent back, as it stands in the query.
#[derive(Default)]
struct Answer {
    state: String,
    code: Option<String>,
    error: Option<String>,
    issuer: Option<String>,
}

impl Answer {
    fn parse(query: &str) -> Result<Self, UpstreamError> {
        let mut answer = Self::default();
        let mut state = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*name {
                "state" => &mut state,
                "code" => &mut answer.code,
                "error" => &mut answer.error,
                "iss" => &mut answer.issuer,
                _ => continue,
            };
            if slot.replace(value.into_owned()).is_some() {
                return Err(UpstreamError::Answer("a parameter stands twice"));
            }
        }
        answer.state = state.ok_or(UpstreamError::Answer("`state` is missing"))?;
        Ok(answer)
    }

    /// RFC 9207: an answer of another issuer is no answer to this visit.
    fn check_issuer(&self, issuer: &str, must: bool) -> Result<(), UpstreamError> {
        match &self.issuer {
            Some(found) if found == issuer => Ok(()),
            Some(_) => Err(UpstreamError::Answer("`iss` is another issuer")),
            None if must => Err(UpstreamError::Answer("`iss` is missing")),
            None => Ok(()),
        }
    }

    fn code(&self) -> Result<&str, UpstreamError> {
        match (&self.error, &self.code) {
            (Some(error), _) if error == "access_denied" => Err(UpstreamError::Denied),
            (Some(error), _) => Err(UpstreamError::Refused {
                code: error_code(error),
            }),
            (None, Some(code)) => Ok(code),
            (None, None) => Err(UpstreamError::Answer("`code` is missing")),
        }
    }
}

/// An error code as people may be shown it: whoever made the query wrote it.
fn error_code(text: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    text.chars().filter(plain).take(64).collect()
}

/// The address of an identity, if it can be one.
fn address(text: &str) -> Option<String> {
    is_email(text).then(|| text.to_owned())
}
