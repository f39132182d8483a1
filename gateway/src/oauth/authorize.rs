//! The authorization request (RFC 6749 section 4.1.1): read and judged here,
//! without a look at who the user is. The pages ask the user.

use std::{collections::HashMap, sync::Arc};

use crds::{
    contract::{ClientType, GrantType},
    gateway_config::Pkce,
};

use super::{
    code::{self, Approval},
    error::Error,
    pkce, redirect,
};
use crate::{
    clock::UnixSeconds, gateway::Gateway, registry::Client, scopes::ScopeSet, telemetry::audit,
};

/// The longest `state` that is given back, in bytes.
const MAX_STATE: usize = 4_096;

/// Which kind of request this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 6749.
    Standard,
    /// Flight Crew View's (FCV-12, FCV-13): client, redirect URI and state are
    /// all there is.
    Logbook,
}

impl Dialect {
    /// What answers name as their issuer (RFC 9207). The programme of the
    /// logbook surface promises `code` and `state` alone (FCV-23).
    fn issuer(self, gateway: &Gateway) -> Option<&str> {
        match self {
            Self::Standard => Some(&gateway.issuer),
            Self::Logbook => None,
        }
    }
}

/// An authorization request that may be put before a user.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asks.
    pub client: Arc<Client>,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// What it asks for, and may ask for.
    pub scopes: ScopeSet,
    /// Which user it expects (`login_hint`).
    pub login_hint: Option<String>,
    /// Whether the user is to be seen (`prompt`).
    pub prompt: Prompt,
    /// Seconds since the user signed in, at the most (`max_age`).
    pub max_age: Option<u64>,
    dialect: Dialect,
    /// Whether the token request must repeat the redirect URI.
    repeats_uri: bool,
    state: Option<String>,
    challenge: Option<String>,
}

/// What the client wants the user to see (`OpenID` Connect Core section 3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Nothing at all.
    pub none: bool,
    /// The sign-in page, signed in or not.
    pub login: bool,
    /// The consent page, consented or not.
    pub consent: bool,
}

/// A request that goes no further.
#[derive(Debug)]
pub enum Refused {
    /// The user is told; nobody is sent anywhere (RFC 6749 section 4.1.2.1).
    Page(Unverified),
    /// The client is told, by this URL.
    Redirect(String),
}

/// Why nobody is sent anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// There is no such client.
    #[error("The link that brought you here names no application that is known here.")]
    Client,
    /// The redirect URI is not the client's.
    #[error(
        "The link that brought you here would send you on to an address that this application has not registered."
    )]
    RedirectUri,
    /// The request cannot be read.
    #[error("The link that brought you here is malformed or incomplete.")]
    Malformed,
}

/// An error that the client is told of (RFC 6749 section 4.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    code: &'static str,
    description: &'static str,
}

impl Fault {
    const fn new(code: &'static str, description: &'static str) -> Self {
        Self { code, description }
    }

    const fn request(description: &'static str) -> Self {
        Self::new("invalid_request", description)
    }

    /// The user, or the policy, said no (AF-31).
    pub const DENIED: Self = Self::new("access_denied", "the user did not approve");
    /// `prompt=none`, and nobody is signed in.
    pub const LOGIN_REQUIRED: Self = Self::new("login_required", "the user has to sign in");
    /// `prompt=none`, and the user was not asked yet.
    pub const CONSENT_REQUIRED: Self = Self::new("consent_required", "the user has to consent");
    /// The user has none of the rights that were asked for.
    pub const NOTHING_TO_GRANT: Self = Self::new(
        "access_denied",
        "the user cannot grant any of the scopes that were asked for",
    );
    /// The gateway cannot store anything now.
    pub const UNAVAILABLE: Self = Self::new(
        "temporarily_unavailable",
        "nothing was stored; try again later",
    );
}

/// The parameters of a request, each at most once.
struct Parameters(HashMap<String, String>);

impl Parameters {
    /// Reads a query; the name of a parameter that is repeated.
    fn parse(query: &str) -> Result<Self, Option<String>> {
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if value.contains(['\0', char::REPLACEMENT_CHARACTER]) || parameters.len() >= 64 {
                return Err(None);
            }
            if parameters
                .insert(name.to_string(), value.into_owned())
                .is_some()
            {
                return Err(Some(name.into_owned()));
            }
        }
        parameters.retain(|_, value| !value.is_empty());
        Ok(Self(parameters))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl Request {
    /// Reads and judges the query of an authorization request.
    pub fn parse(gateway: &Gateway, query: &str, dialect: Dialect) -> Result<Self, Refused> {
        let parameters = match Parameters::parse(query) {
            Ok(parameters) => parameters,
            // Of two client ids or redirect URIs, neither is to be trusted. Of
            // others, the client can be told, once it is known.
            Err(Some(name)) if !matches!(&*name, "client_id" | "redirect_uri") => {
                return Err(repeated(gateway, query, dialect));
            }
            Err(_) => return Err(Refused::Page(Unverified::Malformed)),
        };
        let (client, redirect_uri) = verified(gateway, &parameters, dialect)?;
        let state = parameters.get("state").map(str::to_owned);
        let refuse = |fault: Fault| {
            let issuer = dialect.issuer(gateway);
            Refused::Redirect(answer(&redirect_uri, fault, state.as_deref(), issuer))
        };
        if state.as_ref().is_some_and(|state| state.len() > MAX_STATE) {
            return Err(Refused::Page(Unverified::Malformed));
        }
        let judged = match dialect {
            Dialect::Standard => standard(gateway, &client, &parameters),
            Dialect::Logbook => logbook(gateway, &client),
        };
        let judged = judged.map_err(refuse)?;
        Ok(Self {
            dialect,
            repeats_uri: dialect == Dialect::Standard && parameters.get("redirect_uri").is_some(),
            client,
            redirect_uri,
            scopes: judged.scopes,
            login_hint: parameters.get("login_hint").map(str::to_owned),
            prompt: judged.prompt,
            max_age: judged.max_age,
            state,
            challenge: judged.challenge,
        })
    }

    /// The URL that tells the client of a fault.
    pub fn refusal(&self, gateway: &Gateway, fault: Fault) -> String {
        let (state, issuer) = (self.state.as_deref(), self.dialect.issuer(gateway));
        answer(&self.redirect_uri, fault, state, issuer)
    }

    /// What this user can grant of what is asked for (FT-10).
    pub fn grantable(&self, gateway: &Gateway, is_admin: bool) -> ScopeSet {
        if is_admin {
            self.scopes
        } else {
            self.scopes.without(gateway.catalogue.admin_only())
        }
    }

    /// Whether the user is asked even if everything was granted before: another
    /// program on the user's machine could pretend to be this one (RFC 8252
    /// section 8.6).
    pub fn always_asks(&self) -> bool {
        self.prompt.consent
            || self.client.client_type == ClientType::Public
                && !self.redirect_uri.starts_with("https://")
    }

    /// Whether a sign-in at this time is recent enough.
    pub fn accepts_sign_in(&self, auth_time: UnixSeconds, now: UnixSeconds) -> bool {
        let age = now.saturating_sub(auth_time);
        self.max_age.is_none_or(|max_age| age <= max_age)
    }

    /// Grants `approved` to the client: the URL that brings it the code. With
    /// `code_ttl`, in seconds, instead of what its profile says.
    pub async fn approve(
        &self,
        gateway: &Gateway,
        subject: &str,
        approved: ScopeSet,
        code_ttl: Option<u64>,
    ) -> Result<String, Error> {
        let approval = Approval {
            client: &self.client,
            subject,
            scopes: approved.and(self.scopes),
            redirect_uri: self.repeats_uri.then_some(&*self.redirect_uri),
            challenge: self.challenge.as_deref(),
            ttl: code_ttl.unwrap_or(self.client.profile.code_ttl.as_secs()),
        };
        let code = code::issue(gateway, &approval).await?;
        audit::event("consent_granted", subject, &self.client.id);
        Ok(redirect::with(
            &self.redirect_uri,
            &[
                ("code", Some(code.expose())),
                ("state", self.state.as_deref()),
                ("iss", self.dialect.issuer(gateway)),
            ],
        ))
    }
}

/// The client and the redirect URI, which must be right before anything is
/// sent there.
fn verified(
    gateway: &Gateway,
    parameters: &Parameters,
    dialect: Dialect,
) -> Result<(Arc<Client>, String), Refused> {
    let registry = gateway.registry.load();
    let client = parameters
        .get("client_id")
        .and_then(|id| registry.client(id));
    let client = client.ok_or(Refused::Page(Unverified::Client))?;
    let given = parameters.get("redirect_uri");
    if dialect == Dialect::Logbook && given.is_none() {
        return Err(Refused::Page(Unverified::Malformed));
    }
    let uri = redirect::resolve(client, given);
    let uri = uri
        .ok_or(Refused::Page(Unverified::RedirectUri))?
        .to_owned();
    Ok((client.clone(), uri))
}

/// What to say to a request in which a parameter is repeated.
fn repeated(gateway: &Gateway, query: &str, dialect: Dialect) -> Refused {
    let mut first = HashMap::new();
    let mut count = HashMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        *count.entry(name.to_string()).or_insert(0) += 1;
        first.entry(name.to_string()).or_insert(value.into_owned());
    }
    let once = |name: &str| count.get(name).is_none_or(|count| *count == 1);
    if !once("client_id") || !once("redirect_uri") {
        return Refused::Page(Unverified::Malformed);
    }
    match verified(gateway, &Parameters(first.clone()), dialect) {
        Ok((_, uri)) => {
            let state = first.get("state").filter(|_| once("state"));
            let (state, issuer) = (state.map(String::as_str), dialect.issuer(gateway));
            let fault = Fault::request("a parameter is repeated");
            Refused::Redirect(answer(&uri, fault, state, issuer))
        }
        Err(refused) => refused,
    }
}

fn answer(uri: &str, fault: Fault, state: Option<&str>, issuer: Option<&str>) -> String {
    redirect::with(
        uri,
        &[
            ("error", Some(fault.code)),
            ("error_description", Some(fault.description)),
            ("state", state),
            ("iss", issuer),
        ],
    )
}

/// What is left of a request when its form is right.
#[derive(Debug)]
struct Judged {
    scopes: ScopeSet,
    prompt: Prompt,
    max_age: Option<u64>,
    challenge: Option<String>,
}

fn logbook(gateway: &Gateway, client: &Client) -> Result<Judged, Fault> {
    if !client.may_use(GrantType::Passkey) {
        return Err(Fault::new(
            "unauthorized_client",
            "this client may not use the grant passkey",
        ));
    }
    if client.client_type == ClientType::Public || client.profile.pkce == Pkce::Required {
        return Err(Fault::new(
            "unauthorized_client",
            "this client must use PKCE, and requests of this kind have none",
        ));
    }
    Ok(Judged {
        scopes: client.scopes.without(gateway.catalogue.withheld()),
        prompt: Prompt::default(),
        max_age: None,
        challenge: None,
    })
}

fn standard(gateway: &Gateway, client: &Client, parameters: &Parameters) -> Result<Judged, Fault> {
    for (name, code) in [
        ("request", "request_not_supported"),
        ("request_uri", "request_uri_not_supported"),
        ("registration", "registration_not_supported"),
    ] {
        if parameters.get(name).is_some() {
            return Err(Fault::new(code, "send the parameters themselves"));
        }
    }
    match parameters.get("response_type") {
        Some("code") => {}
        Some(_) => {
            return Err(Fault::new(
                "unsupported_response_type",
                "expected response_type=code",
            ));
        }
        None => return Err(Fault::request("response_type is missing: expected code")),
    }
    if parameters
        .get("response_mode")
        .is_some_and(|mode| mode != "query")
    {
        return Err(Fault::request("expected response_mode=query, or none"));
    }
    if !client.may_use(GrantType::AuthorizationCode) {
        return Err(Fault::new(
            "unauthorized_client",
            "this client may not use the grant authorization_code",
        ));
    }
    let max_age = parameters.get("max_age").map(str::parse).transpose();
    Ok(Judged {
        challenge: challenge(client, parameters)?,
        scopes: scopes(gateway, client, parameters.get("scope"))?,
        prompt: prompt(parameters.get("prompt").unwrap_or_default())?,
        max_age: max_age.map_err(|_| Fault::request("max_age: expected whole seconds"))?,
    })
}

/// RFC 7636 section 4.4.1; RFC 9700 section 2.1.1.
fn challenge(client: &Client, parameters: &Parameters) -> Result<Option<String>, Fault> {
    let required =
        client.client_type == ClientType::Public || client.profile.pkce == Pkce::Required;
    let method = parameters.get("code_challenge_method");
    match (parameters.get("code_challenge"), method) {
        (Some(challenge), Some("S256")) if pkce::is_challenge(challenge) => {
            Ok(Some(challenge.to_owned()))
        }
        (Some(_), Some("S256")) => Err(Fault::request(
            "code_challenge: expected base64url of a SHA-256 hash, 43 characters without padding",
        )),
        (Some(_), _) => Err(Fault::request(
            "expected code_challenge_method=S256; plain is not accepted",
        )),
        (None, Some(_)) => Err(Fault::request("code_challenge is missing")),
        (None, None) if required => Err(Fault::request(
            "code_challenge is missing: this client must use PKCE (RFC 7636)",
        )),
        (None, None) => Ok(None),
    }
}

fn scopes(gateway: &Gateway, client: &Client, scope: Option<&str>) -> Result<ScopeSet, Fault> {
    let catalogue = &gateway.catalogue;
    let allowed = client.scopes.without(catalogue.reserved());
    let Some(scope) = scope else {
        return Ok(allowed);
    };
    let unknown = Fault::new("invalid_scope", "a scope that was asked for does not exist");
    let asked = catalogue.parse(scope).map_err(|_| unknown)?;
    if asked.is_empty() {
        return Err(Fault::new(
            "invalid_scope",
            "scope is given and names nothing",
        ));
    }
    if !allowed.contains(asked) {
        return Err(Fault::new(
            "invalid_scope",
            "this client may not ask for one of these scopes",
        ));
    }
    Ok(asked)
}

fn prompt(text: &str) -> Result<Prompt, Fault> {
    let mut prompt = Prompt::default();
    for value in text.split(' ').filter(|value| !value.is_empty()) {
        match value {
            "none" => prompt.none = true,
            "login" | "select_account" => prompt.login = true,
            "consent" => prompt.consent = true,
            _ => {
                return Err(Fault::request(
                    "prompt: expected none, login, consent or select_account",
                ));
            }
        }
    }
    if prompt.none && (prompt.login || prompt.consent) {
        return Err(Fault::request("prompt=none goes with nothing else"));
    }
    Ok(prompt)
}
