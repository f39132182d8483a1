//! Refresh tokens (RFC 6749 section 6), by the policy of the client's profile.
//!
//! - `singleUse`: the successor replaces it. Whoever brings it again has a copy
//!   that one of the two should not have, and the whole grant ends (WF-44,
//!   RFC 9700 section 4.14.2). Within a `retryWindow`, the same successor is
//!   given once more, unless that one has been used.
//! - `grace`: it works for a while longer, each time for a pair of its own
//!   (FCV-48).

use crds::{
    contract::GrantType,
    gateway_config::{Refresh as Policy, Rotation},
};
use serde::{Deserialize, Serialize};

use super::{
    entitlement,
    error::Error,
    form::Form,
    grant::{self, Attempt, Grant, TRIES},
    issue::{self, Delegation, Source, Tokens, hash},
};
use crate::{
    clock::UnixSeconds,
    gateway::Gateway,
    mint,
    registry::Client,
    scopes::ScopeSet,
    store::{
        GrantId,
        entry::{Change, Found, Space, Stored},
    },
    telemetry::audit,
};

/// A refresh token, at rest under its HMAC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    /// `client_id` that it was issued to.
    pub client: String,
    /// For whom.
    pub subject: String,
    /// Under which grant.
    pub grant: GrantId,
    /// What it may be exchanged for.
    pub scopes: Vec<String>,
    /// When the first of its chain was issued.
    pub began_at: UnixSeconds,
    /// When it was issued.
    pub issued_at: UnixSeconds,
    /// From when on it is refused.
    pub expires_at: UnixSeconds,
    /// When it was used first.
    pub used_at: Option<UnixSeconds>,
}

impl Stored for Refresh {
    const SPACE: Space = Space::Refresh;

    fn expires_at(&self) -> u64 {
        self.expires_at
    }
}

/// What a use of a refresh token comes to.
#[derive(Debug, PartialEq, Eq)]
enum Use {
    /// A fresh pair.
    Fresh,
    /// The successor that it has already.
    Again,
    /// Nothing, and nothing is wrong.
    Over,
    /// Somebody has a copy.
    Replay,
}

/// What the policy says about a token that was first used at `used_at`.
fn consider(policy: &Policy, used_at: Option<UnixSeconds>, now: UnixSeconds) -> Use {
    let within = |used_at, period: Option<crds::period::Period>| {
        period.is_some_and(|period| now < used_at + period.as_secs())
    };
    match (policy.rotation, used_at) {
        (Rotation::None, _) => Use::Over,
        (_, None) => Use::Fresh,
        (Rotation::Grace, Some(at)) if within(at, policy.window) => Use::Fresh,
        (Rotation::Grace, Some(_)) => Use::Over,
        (Rotation::SingleUse, Some(at)) if within(at, policy.retry_window) => Use::Again,
        (Rotation::SingleUse, Some(_)) => Use::Replay,
    }
}

/// The refresh token behind this text, if it is one, whatever its state.
pub(super) async fn find(gateway: &Gateway, text: &str) -> Result<Option<Found<Refresh>>, Error> {
    if !mint::is_well_formed(text.as_bytes(), &gateway.config.prefixes.refresh) {
        return Ok(None);
    }
    Ok(gateway.store.get(hash(gateway, text).0).await?)
}

/// Exchanges a refresh token for tokens.
pub(super) async fn exchange(
    gateway: &Gateway,
    client: &Client,
    form: &Form<'_>,
) -> Result<Tokens, Error> {
    if !client.may_use(GrantType::RefreshToken) {
        return Err(Error::unauthorized(
            "this client may not use the grant refresh_token",
        ));
    }
    let text = form.required("refresh_token")?;
    for _ in 0..TRIES {
        let found = find(gateway, text).await?;
        let found = found.filter(|found| found.value.client == client.id);
        let now = gateway.clock.now();
        let Some(found) = found.filter(|found| now < found.value.expires_at) else {
            return Err(unknown(client));
        };
        let refresh = &found.value;
        let (subject, id) = (&refresh.subject, refresh.grant);
        let Some(known) = gateway
            .grants
            .in_force(subject, &refresh.client, id)
            .await?
        else {
            return Err(unknown(client));
        };
        let attempt = match consider(&client.profile.refresh, refresh.used_at, now) {
            Use::Over => return Err(unknown(client)),
            Use::Fresh => rotate(gateway, client, form, &found, &known, text).await?,
            Use::Again => match repeat(gateway, text).await? {
                Some(tokens) => Attempt::Done(tokens),
                None => return Err(replayed(gateway, client, refresh).await?),
            },
            Use::Replay => return Err(replayed(gateway, client, refresh).await?),
        };
        if let Attempt::Done(tokens) = attempt {
            return Ok(tokens);
        }
    }
    Err(Error::unavailable())
}

/// Ends the grant of a token that came twice; the error that says so.
async fn replayed(gateway: &Gateway, client: &Client, refresh: &Refresh) -> Result<Error, Error> {
    let (subject, owner) = (&refresh.subject, &refresh.client);
    audit::replayed("refresh_token_replayed", subject, owner);
    gateway
        .grants
        .revoke(subject, owner, Some(refresh.grant))
        .await?;
    Ok(unknown(client))
}

/// A fresh pair in the place of this token.
async fn rotate(
    gateway: &Gateway,
    client: &Client,
    form: &Form<'_>,
    found: &Found<Refresh>,
    grant: &Found<Grant>,
    text: &str,
) -> Result<Attempt<Tokens>, Error> {
    let refresh = &found.value;
    let catalogue = &gateway.catalogue;
    let granted = catalogue.set(refresh.scopes.iter().map(String::as_str));
    let granted = entitlement::left(gateway, &refresh.subject, granted.and(client.scopes)).await?;
    let Some(granted) = granted else {
        return Err(unknown(client));
    };
    let delegation = Delegation {
        client,
        subject: &refresh.subject,
        grant: refresh.grant,
        scopes: narrowed(gateway, granted, form.optional("scope"))?,
        granted,
        began_at: refresh.began_at,
    };
    let source = match client.profile.refresh.retry_window {
        Some(_) => Source::Predecessor(text.as_bytes()),
        None => Source::Random,
    };
    let change = Change::new().expect(found).expect(grant);
    let (tokens, change) = issue::pair(gateway, &delegation, &source, change)?;
    let used = Refresh {
        used_at: Some(refresh.used_at.unwrap_or(gateway.clock.now())),
        ..refresh.clone()
    };
    let change = change.put(*found.id(), &used)?;
    Ok(match grant::apply(gateway, change).await? {
        Attempt::Done(()) => {
            let scope = catalogue.join(delegation.scopes);
            audit::granted("refresh_token", &refresh.subject, client, &scope);
            Attempt::Done(tokens)
        }
        Attempt::Again => Attempt::Again,
    })
}

/// The tokens that were given for this one already, if their owner does not
/// use them yet.
async fn repeat(gateway: &Gateway, text: &str) -> Result<Option<Tokens>, Error> {
    let source = Source::Predecessor(text.as_bytes());
    let (access, refresh) = (source.access(gateway)?, source.refresh(gateway)?);
    let successor = find(gateway, refresh.expose()).await?;
    let record = gateway.store.find(hash(gateway, access.expose())).await?;
    let (Some(successor), Some(record)) = (successor, record) else {
        return Ok(None);
    };
    let now = gateway.clock.now();
    if successor.value.used_at.is_some() || now >= record.expires_at {
        return Ok(None);
    }
    // In the queue behind the write that made them: nobody is told of tokens
    // that are not on disk yet.
    let Attempt::Done(()) = grant::apply(gateway, Change::new().expect(&successor)).await? else {
        return Ok(None);
    };
    Ok(Some(Tokens {
        access,
        expires_in: record.expires_at - now,
        refresh: Some(refresh),
        scopes: gateway
            .catalogue
            .set(record.scopes.iter().map(String::as_str)),
    }))
}

/// The scopes that are asked for, of those that were granted (RFC 6749
/// section 6).
fn narrowed(
    gateway: &Gateway,
    granted: ScopeSet,
    parameter: Option<&str>,
) -> Result<ScopeSet, Error> {
    let Some(parameter) = parameter else {
        return Ok(granted);
    };
    let unknown = |_| Error::scope("a scope that was asked for does not exist");
    let asked = gateway.catalogue.parse(parameter).map_err(unknown)?;
    if asked.is_empty() || !granted.contains(asked) {
        return Err(Error::scope(
            "a refresh cannot widen what the user granted: ask for some of it, or for none",
        ));
    }
    Ok(asked)
}

/// One answer for every token that is not to be had.
fn unknown(client: &Client) -> Error {
    Error::grant(
        client,
        "the refresh token is unknown, expired, revoked, used already, or was issued to another client",
    )
}

#[cfg(test)]
mod tests {
    use crds::period::Period;

    use super::*;

    #[test]
    fn each_policy_treats_a_used_token_as_its_programme_promises() {
        let single = Policy::default();
        assert_eq!(consider(&single, None, 5), Use::Fresh);
        assert_eq!(consider(&single, Some(5), 5), Use::Replay);

        let retry = Policy {
            retry_window: Some(Period::seconds(10)),
            ..Policy::default()
        };
        assert_eq!(consider(&retry, Some(5), 14), Use::Again);
        assert_eq!(consider(&retry, Some(5), 15), Use::Replay);

        let grace = Policy {
            rotation: Rotation::Grace,
            window: Some(Period::days(7)),
            ..Policy::default()
        };
        let week = 7 * 86_400;
        assert_eq!(consider(&grace, Some(5), 5 + week - 1), Use::Fresh);
        assert_eq!(consider(&grace, Some(5), 5 + week), Use::Over);

        let none = Policy {
            rotation: Rotation::None,
            ..Policy::default()
        };
        assert_eq!(consider(&none, None, 5), Use::Over);
    }
}
