//! Token introspection (RFC 7662).
//!
//! A client may ask about its own tokens. What it may not know about, it is
//! told the same of as of a token that never was.

use http::Response;
use serde::Serialize;

use super::{Call, client, error::Error, form::Form, private_json};
use crate::{
    body::Body,
    core::Core,
    mint,
    store::{TokenKind, TokenRecord},
};

/// The answer about a live token (RFC 7662 section 2.2).
#[derive(Serialize)]
struct Live<'a> {
    active: bool,
    scope: &'a str,
    client_id: &'a str,
    sub: &'a str,
    token_type: &'static str,
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
    let token = form.required("token")?.as_bytes();
    match live(core, token).await? {
        Some(record) if record.client == client.id => {
            let catalogue = &core.shared.catalogue;
            let scopes = catalogue
                .set(record.scopes.iter().map(String::as_str))
                .and(client.scopes);
            private_json(&Live {
                active: true,
                scope: &catalogue.join(scopes),
                client_id: &record.client,
                sub: &record.subject,
                token_type: "Bearer",
                iat: record.issued_at,
                exp: record.expires_at,
                iss: &core.shared.issuer,
            })
        }
        _ => private_json(&Dead { active: false }),
    }
}

/// The record of an access token that has not expired.
pub(super) async fn live(core: &Core, token: &[u8]) -> Result<Option<TokenRecord>, Error> {
    if !mint::is_well_formed(token, &core.shared.config.prefixes.access) {
        return Ok(None);
    }
    let record = core
        .shared
        .store
        .find(core.shared.keys.pepper.hash(token))
        .await?;
    let now = core.shared.clock.now();
    Ok(record.filter(|record| record.kind == TokenKind::Access && now < record.expires_at))
}
