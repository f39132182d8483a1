//! Tokens that act for a user: how a pair is made, and what a client is told.

use crds::{
    contract::GrantType,
    gateway_config::{Lifetime, Rotation},
    secret::Secret,
};

use super::{error::Error, refresh::Refresh};
use crate::{
    clock::UnixSeconds,
    gateway::Gateway,
    mint,
    registry::Client,
    scopes::ScopeSet,
    store::{GrantId, TokenHash, TokenKind, TokenRecord, entry::Change},
};

/// For whom tokens are made, and with what.
pub(super) struct Delegation<'a> {
    pub(super) client: &'a Client,
    pub(super) subject: &'a str,
    pub(super) grant: GrantId,
    /// What the access token carries.
    pub(super) scopes: ScopeSet,
    /// What the refresh token may be exchanged for.
    pub(super) granted: ScopeSet,
    /// When the first refresh token of this chain was issued.
    pub(super) began_at: UnixSeconds,
}

/// What a client gets.
pub(super) struct Tokens {
    pub(super) access: Secret<String>,
    /// Seconds from now.
    pub(super) expires_in: u64,
    pub(super) refresh: Option<Secret<String>>,
    pub(super) scopes: ScopeSet,
}

/// Where the characters of fresh tokens come from.
pub(super) enum Source<'a> {
    /// From the system.
    Random,
    /// From the refresh token that they succeed, so that they can be made again.
    Predecessor(&'a [u8]),
}

impl Source<'_> {
    fn token(
        &self,
        gateway: &Gateway,
        prefix: &str,
        purpose: &str,
    ) -> Result<Secret<String>, Error> {
        Ok(match self {
            Self::Random => mint::token(prefix, &*gateway.rng)?,
            Self::Predecessor(token) => {
                mint::successor(prefix, &gateway.keys.pepper, purpose, token)
            }
        })
    }

    /// The access token.
    pub(super) fn access(&self, gateway: &Gateway) -> Result<Secret<String>, Error> {
        self.token(gateway, &gateway.config.prefixes.access, "successor access")
    }

    /// The refresh token.
    pub(super) fn refresh(&self, gateway: &Gateway) -> Result<Secret<String>, Error> {
        self.token(
            gateway,
            &gateway.config.prefixes.refresh,
            "successor refresh",
        )
    }
}

/// The name that a token has at rest.
pub(super) fn hash(gateway: &Gateway, token: &str) -> TokenHash {
    gateway.keys.pepper.hash(token.as_bytes())
}

/// Adds a pair of tokens to a change: an access token, and a refresh token if
/// this client gets one.
pub(super) fn pair(
    gateway: &Gateway,
    delegation: &Delegation<'_>,
    source: &Source<'_>,
    change: Change,
) -> Result<(Tokens, Change), Error> {
    let now = gateway.clock.now();
    let Delegation { client, .. } = delegation;
    let names = |scopes| gateway.catalogue.list(scopes).map(str::to_owned).collect();
    let access = source.access(gateway)?;
    let expires_in = client.profile.access_ttl.as_secs();
    let record = TokenRecord {
        kind: TokenKind::Delegated,
        client: client.id.clone(),
        subject: delegation.subject.to_owned(),
        grant: delegation.grant,
        scopes: names(delegation.scopes),
        issued_at: now,
        expires_at: now + expires_in,
    };
    let mut change = change.token(hash(gateway, access.expose()), record);
    let mut refresh = None;
    if gets_refresh(client) {
        let policy = &client.profile.refresh;
        let from = match policy.lifetime {
            Lifetime::Sliding => now,
            Lifetime::Absolute => delegation.began_at,
        };
        let token = source.refresh(gateway)?;
        let entry = Refresh {
            client: client.id.clone(),
            subject: delegation.subject.to_owned(),
            grant: delegation.grant,
            scopes: names(delegation.granted),
            began_at: delegation.began_at,
            issued_at: now,
            expires_at: from + policy.ttl.as_secs(),
            used_at: None,
        };
        change = change.put(hash(gateway, token.expose()).0, &entry)?;
        refresh = Some(token);
    }
    let tokens = Tokens {
        access,
        expires_in,
        refresh,
        scopes: delegation.scopes,
    };
    Ok((tokens, change))
}

fn gets_refresh(client: &Client) -> bool {
    client.may_use(GrantType::RefreshToken) && client.profile.refresh.rotation != Rotation::None
}
