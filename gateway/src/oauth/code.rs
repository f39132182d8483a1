//! Authorization codes (RFC 6749 section 4.1): made when a user approves,
//! exchanged once.

use crds::{contract::GrantType, secret::Secret};
use serde::{Deserialize, Serialize};

use super::{
    entitlement,
    error::Error,
    form::Form,
    grant::{self, Attempt, Grant, TRIES},
    issue::{self, Delegation, Source, Tokens, hash},
    pkce,
};
use crate::{
    clock::UnixSeconds,
    gateway::Gateway,
    mint,
    registry::Client,
    scopes::ScopeSet,
    store::{
        GrantId,
        entry::{Found, Space, Stored},
    },
    telemetry::audit,
};

/// How long a code is remembered after it expired, so that who uses it again is
/// noticed, in seconds.
const REMEMBERED: u64 = 24 * 60 * 60;
/// What a code starts with. It is no bearer of anything, and never configured.
const PREFIX: &str = "fg_code_";

/// An authorization code, at rest under its HMAC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    client: String,
    subject: String,
    grant: GrantId,
    scopes: Vec<String>,
    /// To be repeated at the token endpoint (RFC 6749 section 4.1.3).
    redirect_uri: Option<String>,
    /// RFC 7636, S256.
    challenge: Option<String>,
    issued_at: UnixSeconds,
    expires_at: UnixSeconds,
    used: bool,
}

impl Stored for Code {
    const SPACE: Space = Space::Code;

    fn expires_at(&self) -> u64 {
        self.expires_at.saturating_add(REMEMBERED)
    }
}

/// What a user approved.
#[derive(Clone, Debug)]
pub struct Approval<'a> {
    /// The application.
    pub client: &'a Client,
    /// The user.
    pub subject: &'a str,
    /// What the user approved, of what was asked for.
    pub scopes: ScopeSet,
    /// The redirect URI, if the client has to repeat it.
    pub redirect_uri: Option<&'a str>,
    /// The PKCE challenge.
    pub challenge: Option<&'a str>,
    /// Life of the code in seconds.
    pub ttl: u64,
}

/// Makes a code, and the grant that it stands for: new, or the known one with
/// what was approved now beside what it had.
pub async fn issue(gateway: &Gateway, approval: &Approval<'_>) -> Result<Secret<String>, Error> {
    for _ in 0..TRIES {
        let (client, subject) = (&approval.client.id, approval.subject);
        let (grant, change) = grant::extend(gateway, subject, client, approval.scopes).await?;
        let code = mint::token(PREFIX, &*gateway.rng)?;
        let now = gateway.clock.now();
        let entry = Code {
            client: client.clone(),
            subject: subject.to_owned(),
            grant: grant.id,
            scopes: gateway
                .catalogue
                .list(approval.scopes)
                .map(str::to_owned)
                .collect(),
            redirect_uri: approval.redirect_uri.map(str::to_owned),
            challenge: approval.challenge.map(str::to_owned),
            issued_at: now,
            expires_at: now + approval.ttl,
            used: false,
        };
        let change = change.put(hash(gateway, code.expose()).0, &entry)?;
        if let Attempt::Done(()) = grant::apply(gateway, change).await? {
            return Ok(code);
        }
    }
    Err(Error::unavailable())
}

/// Exchanges a code for tokens (RFC 6749 section 4.1.3).
pub(super) async fn exchange(
    gateway: &Gateway,
    client: &Client,
    form: &Form<'_>,
) -> Result<Tokens, Error> {
    if !client.may_use(GrantType::AuthorizationCode) && !client.may_use(GrantType::Passkey) {
        return Err(Error::unauthorized(
            "this client may not use the grant authorization_code",
        ));
    }
    let text = form.required("code")?;
    if !mint::is_well_formed(text.as_bytes(), PREFIX) {
        return Err(unknown(client));
    }
    let id = hash(gateway, text).0;
    for _ in 0..TRIES {
        let found = gateway.store.get::<Code>(id).await?;
        let found = found.filter(|found| found.value.client == client.id);
        let Some(found) = found else {
            return Err(unknown(client));
        };
        let code = &found.value;
        if code.used {
            // Somebody has a copy (RFC 6749 section 4.1.2).
            audit::replayed("code_replayed", &code.subject, &code.client);
            gateway
                .grants
                .revoke(&code.subject, &code.client, Some(code.grant))
                .await?;
            return Err(unknown(client));
        }
        if gateway.clock.now() >= code.expires_at {
            return Err(unknown(client));
        }
        check(code, client, form)?;
        let known = gateway
            .grants
            .in_force(&code.subject, &code.client, code.grant)
            .await?;
        let Some(known) = known else {
            return Err(unknown(client));
        };
        if let Attempt::Done(tokens) = redeem(gateway, client, &found, &known).await? {
            return Ok(tokens);
        }
    }
    Err(Error::unavailable())
}

/// Whether who brings the code is who asked for it.
fn check(code: &Code, client: &Client, form: &Form<'_>) -> Result<(), Error> {
    let given = form.optional("redirect_uri");
    if let Some(expected) = &code.redirect_uri
        && given != Some(expected)
    {
        return Err(Error::grant(
            client,
            "redirect_uri is not the one of the authorization request",
        ));
    }
    match (&code.challenge, form.optional("code_verifier")) {
        (None, None) => Ok(()),
        (Some(challenge), Some(verifier)) if pkce::verify(challenge, verifier) => Ok(()),
        (Some(_), Some(_)) => Err(Error::grant(
            client,
            "code_verifier does not fit the code_challenge of the authorization request",
        )),
        (Some(_), None) => Err(Error::grant(
            client,
            "code_verifier is missing: the authorization request had a code_challenge",
        )),
        // RFC 9700 section 4.8.2: somebody took the challenge out.
        (None, Some(_)) => Err(Error::grant(
            client,
            "code_verifier is given, and the authorization request had no code_challenge",
        )),
    }
}

async fn redeem(
    gateway: &Gateway,
    client: &Client,
    found: &Found<Code>,
    grant: &Found<Grant>,
) -> Result<Attempt<Tokens>, Error> {
    let code = &found.value;
    let scopes = gateway
        .catalogue
        .set(code.scopes.iter().map(String::as_str));
    let scopes = entitlement::left(gateway, &code.subject, scopes.and(client.scopes)).await?;
    let Some(scopes) = scopes else {
        return Err(unknown(client));
    };
    let used = Code {
        used: true,
        ..code.clone()
    };
    let delegation = Delegation {
        client,
        subject: &code.subject,
        grant: code.grant,
        scopes,
        granted: scopes,
        began_at: gateway.clock.now(),
    };
    let change = crate::store::entry::Change::new()
        .expect(found)
        .expect(grant);
    let (tokens, change) = issue::pair(gateway, &delegation, &Source::Random, change)?;
    let change = change.put(*found.id(), &used)?;
    Ok(match grant::apply(gateway, change).await? {
        Attempt::Done(()) => {
            audit::granted(
                "authorization_code",
                &code.subject,
                client,
                &gateway.catalogue.join(scopes),
            );
            Attempt::Done(tokens)
        }
        Attempt::Again => Attempt::Again,
    })
}

/// One answer for every code that is not to be had, so that it tells nothing.
fn unknown(client: &Client) -> Error {
    Error::grant(
        client,
        "the code is unknown, expired, used already, or was issued to another client",
    )
}
