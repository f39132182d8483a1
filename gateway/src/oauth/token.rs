//! The token endpoint (RFC 6749 section 3.2).

use std::sync::Arc;

use crds::contract::{ClientType, GrantType};
use http::Response;
use serde::Serialize;

use super::{
    Call, client, code, device, error::Error, form::Form, issue::Tokens, private_json, refresh,
};
use crate::{
    body::Body,
    core::Core,
    mint,
    registry::Client,
    scopes::ScopeSet,
    store::{GrantId, TokenKind, TokenRecord},
    telemetry::audit,
};

/// A successful answer (RFC 6749 section 5.1).
#[derive(Serialize)]
struct Issued<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

/// Which members an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// With `scope`.
    Standard,
    /// Without it (FCV-36).
    Logbook,
}

/// Answers a token request.
pub(super) async fn answer(
    core: &Core,
    call: &Call<'_>,
    shape: Shape,
) -> Result<Response<Body>, Error> {
    let form = Form::parse(call.headers, &call.body)?;
    let client = client::identify(core, call.headers, &form)?;
    let gateway = &core.shared;
    let tokens = match form.required("grant_type")? {
        "client_credentials" => return client_credentials(core, &client, &form, shape).await,
        "authorization_code" => code::exchange(gateway, &client, &form).await?,
        "refresh_token" => refresh::exchange(gateway, &client, &form).await?,
        "urn:ietf:params:oauth:grant-type:device_code" => {
            device::exchange(gateway, &client, &form).await?
        }
        _ => return Err(Error::grant_type()),
    };
    core.metrics.token_issued();
    respond(core, &tokens, shape)
}

fn respond(core: &Core, tokens: &Tokens, shape: Shape) -> Result<Response<Body>, Error> {
    let scope = core.shared.catalogue.join(tokens.scopes);
    private_json(&Issued {
        access_token: tokens.access.expose(),
        token_type: "Bearer",
        expires_in: tokens.expires_in,
        refresh_token: tokens.refresh.as_ref().map(|token| token.expose().as_str()),
        scope: (shape == Shape::Standard).then_some(&scope),
    })
}

/// RFC 6749 section 4.4: the client acts on its own account (WF-6).
async fn client_credentials(
    core: &Core,
    client: &Arc<Client>,
    form: &Form<'_>,
    shape: Shape,
) -> Result<Response<Body>, Error> {
    let is_public = client.client_type == ClientType::Public;
    if is_public || !client.may_use(GrantType::ClientCredentials) {
        return Err(Error::unauthorized(
            "this client may not use the grant client_credentials",
        ));
    }
    let scopes = requested(core, client, form.optional("scope"))?;
    let catalogue = &core.shared.catalogue;
    let token = mint::token(&core.shared.config.prefixes.access, &*core.shared.rng)?;
    let mut grant = GrantId([0; 16]);
    core.shared.rng.fill(&mut grant.0)?;
    let issued_at = core.shared.clock.now();
    let expires_in = client.profile.access_ttl.as_secs();
    let record = TokenRecord {
        kind: TokenKind::Access,
        client: client.id.clone(),
        subject: client.id.clone(),
        grant,
        scopes: catalogue.list(scopes).map(str::to_owned).collect(),
        issued_at,
        expires_at: issued_at + expires_in,
    };
    core.shared
        .store
        .insert(
            core.shared.keys.pepper.hash(token.expose().as_bytes()),
            record,
        )
        .await?;
    core.metrics.token_issued();
    audit::granted(
        "client_credentials",
        &client.id,
        client,
        &catalogue.join(scopes),
    );
    let tokens = Tokens {
        access: token,
        expires_in,
        refresh: None,
        scopes,
    };
    respond(core, &tokens, shape)
}

/// The scopes that a client gets on its own account: those it asked for, or all
/// of its own if it asked for none (RFC 6749 section 3.3).
fn requested(core: &Core, client: &Client, parameter: Option<&str>) -> Result<ScopeSet, Error> {
    let catalogue = &core.shared.catalogue;
    let allowed = client.scopes.without(catalogue.withheld());
    let Some(parameter) = parameter else {
        return Ok(allowed);
    };
    let unknown = |_| Error::scope("a scope that was asked for does not exist");
    let asked = catalogue.parse(parameter).map_err(unknown)?;
    let excess = asked.without(allowed);
    if !excess.is_empty() {
        return Err(Error::scope(format!(
            "this client does not have: {}",
            catalogue.join(excess)
        )));
    }
    if asked.is_empty() {
        return Err(Error::scope("scope is given and names nothing"));
    }
    Ok(asked)
}
