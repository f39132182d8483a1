//! Token introspection (RFC 7662).
//!
//! A client may ask about its own tokens. What it may not know about, it is
//! told the same of as of a token that never was.

use http::Response;
use serde::Serialize;

use super::{
    Call, client,
    error::Error,
    form::Form,
    private_json,
    refresh::{self, Refresh},
};
use crate::{
    body::Body,
    core::Core,
    gateway::Gateway,
    mint,
    store::{GrantId, TokenKind, TokenRecord},
};

/// The answer about a live token (RFC 7662 section 2.2).
#[derive(Serialize)]
struct Live<'a> {
    active: bool,
    scope: &'a str,
    client_id: &'a str,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    iat: u64,
    exp: u64,
    iss: &'a str,
}

/// The answer about any other (WF-59): nothing but this.
#[derive(Serialize)]
struct Dead {
    active: bool,
}

/// Answers an introspection request.
pub(super) async fn answer(core: &Core, call: &Call<'_>) -> Result<Response<Body>, Error> {
    let form = Form::parse(call.headers, &call.body)?;
    let client = client::authenticate(core, call.headers, &form)?;
    let token = form.required("token")?;
    let gateway = &core.shared;
    let catalogue = &gateway.catalogue;
    let scope = |names: &[String]| {
        let scopes = catalogue.set(names.iter().map(String::as_str));
        catalogue.join(scopes.and(client.scopes))
    };
    if let Some(record) = live(gateway, token.as_bytes()).await?
        && record.client == client.id
    {
        return private_json(&Live {
            active: true,
            scope: &scope(&record.scopes),
            client_id: &record.client,
            sub: &record.subject,
            token_type: Some("Bearer"),
            iat: record.issued_at,
            exp: record.expires_at,
            iss: &gateway.issuer,
        });
    }
    if let Some(refresh) = live_refresh(gateway, token).await?
        && refresh.client == client.id
    {
        return private_json(&Live {
            active: true,
            scope: &scope(&refresh.scopes),
            client_id: &refresh.client,
            sub: &refresh.subject,
            token_type: None,
            iat: refresh.issued_at,
            exp: refresh.expires_at,
            iss: &gateway.issuer,
        });
    }
    private_json(&Dead { active: false })
}

/// The record of an access token that is good.
pub(super) async fn live(gateway: &Gateway, token: &[u8]) -> Result<Option<TokenRecord>, Error> {
    if !mint::is_well_formed(token, &gateway.config.prefixes.access) {
        return Ok(None);
    }
    let record = gateway.store.find(gateway.keys.pepper.hash(token)).await?;
    let now = gateway.clock.now();
    let Some(record) = record.filter(|record| now < record.expires_at) else {
        return Ok(None);
    };
    let is_good = match record.kind {
        TokenKind::Access => true,
        TokenKind::Delegated => {
            is_granted(gateway, &record.subject, &record.client, record.grant).await?
        }
    };
    Ok(is_good.then_some(record))
}

/// A refresh token that is good, and was not used.
async fn live_refresh(gateway: &Gateway, token: &str) -> Result<Option<Refresh>, Error> {
    let now = gateway.clock.now();
    let found = refresh::find(gateway, token)
        .await?
        .map(|found| found.value);
    let found = found.filter(|refresh| refresh.used_at.is_none() && now < refresh.expires_at);
    let Some(found) = found else {
        return Ok(None);
    };
    let is_good = is_granted(gateway, &found.subject, &found.client, found.grant).await?;
    Ok(is_good.then_some(found))
}

async fn is_granted(
    gateway: &Gateway,
    subject: &str,
    client: &str,
    grant: GrantId,
) -> Result<bool, Error> {
    let found = gateway.grants.in_force(subject, client, grant).await?;
    Ok(found.is_some())
}
