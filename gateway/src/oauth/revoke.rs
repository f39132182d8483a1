//! Token revocation (RFC 7009), in the three forms that partners know.
//!
//! An access token ends alone. With a refresh token, everything under its grant
//! ends (section 2.1, FCV-106 to FCV-108).

use bytes::Bytes;
use crds::contract::Sha256Hash;
use http::Response;

use super::{Call, client, error::Error, form::Form, introspect, no_store, refresh};
use crate::{
    body::Body, core::Core, gateway::Gateway, mint, registry::Client, revocations::Dead,
    telemetry::audit,
};

/// Answers a revocation request of a client. A token that is unknown or dead
/// already is revoked for all that the client needs to know (WF-57).
pub(super) async fn answer(core: &Core, call: &Call<'_>) -> Result<Response<Body>, Error> {
    let form = Form::parse(call.headers, &call.body)?;
    let client = client::identify(core, call.headers, &form)?;
    let token = form.required("token")?;
    let registry = core.shared.registry.load();
    if registry
        .api_key(&Sha256Hash::of(token.as_bytes()).0)
        .is_some()
    {
        return Err(Error::token_type());
    }
    revoke(core, Some(&client), token).await?;
    Ok(done(b"{}"))
}

/// Answers whoever has a token: to have it is enough to end it, and the answer
/// tells nothing (AF-41 to AF-43).
pub(super) async fn answer_bearer(core: &Core, call: &Call<'_>) -> Result<Response<Body>, Error> {
    let form = Form::parse(call.headers, &call.body)?;
    revoke(core, None, form.required("token")?).await?;
    Ok(done(b"{}"))
}

/// Answers as Flight Crew View does (FCV-103 to FCV-105).
pub(super) async fn answer_logbook(core: &Core, call: &Call<'_>) -> Result<Response<Body>, Error> {
    let form = Form::parse(call.headers, &call.body)?;
    let client = client::authenticate(core, call.headers, &form)?;
    let token = form.required("refreshToken")?;
    // An access token is none of these, and told nothing of.
    if mint::is_well_formed(token.as_bytes(), &core.shared.config.prefixes.refresh) {
        revoke(core, Some(&client), token).await?;
    }
    Ok(done(br#"{"success":"token_revoked"}"#))
}

/// Ends a token, if it is this client's; with none, whosever it is.
async fn revoke(core: &Core, client: Option<&Client>, token: &str) -> Result<(), Error> {
    let gateway = &core.shared;
    let is_anothers = |owner: &str| client.is_some_and(|client| client.id != owner);
    if let Some(found) = refresh::find(gateway, token).await? {
        let refresh = found.value;
        if is_anothers(&refresh.client) {
            return Err(not_yours());
        }
        let revoked = finish(core, async move |gateway| {
            let (subject, client) = (&refresh.subject, &refresh.client);
            let revoked = gateway
                .grants
                .revoke(subject, client, Some(refresh.grant))
                .await?;
            if revoked {
                audit::event("grant_revoked", subject, client);
            }
            Ok(revoked)
        });
        if revoked.await? {
            core.metrics.token_revoked();
        }
        return Ok(());
    }
    if !mint::is_well_formed(token.as_bytes(), &gateway.config.prefixes.access) {
        return Ok(());
    }
    if introspect::live(gateway, token.as_bytes())
        .await?
        .is_some_and(|record| is_anothers(&record.client))
    {
        return Err(not_yours());
    }
    // For a token that nobody finds any more as well: another one may be
    // revoking it, and be waiting for the disk.
    let hash = gateway.keys.pepper.hash(token.as_bytes());
    let revoked = finish(core, async move |gateway| {
        let consumed = gateway.store.consume(hash).await;
        // Whatever the store says: nobody passes on a token that somebody
        // wanted dead.
        gateway.revocations.publish(Dead::Token(hash));
        let consumed = consumed?;
        if let Some(record) = &consumed {
            audit::event("token_revoked", &record.subject, &record.client);
        }
        Ok(consumed.is_some())
    });
    if revoked.await? {
        core.metrics.token_revoked();
    }
    Ok(())
}

/// Runs this in a task of its own: a revocation that has begun ends, whether or
/// not the client is still there.
async fn finish(
    core: &Core,
    revocation: impl AsyncFnOnce(&Gateway) -> Result<bool, Error> + 'static,
) -> Result<bool, Error> {
    let shared = core.shared.clone();
    let task = tokio::task::spawn_local(async move { revocation(&shared).await });
    task.await
        .map_err(|_| Error::server("the revocation was not finished"))?
}

fn not_yours() -> Error {
    Error::unauthorized("the token was issued to another client (RFC 7009 section 2.1)")
}

fn done(json: &'static [u8]) -> Response<Body> {
    let mut response = Response::new(Body::full(Bytes::from_static(json)));
    no_store(response.headers_mut());
    response
}
