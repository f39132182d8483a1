//! Token revocation (RFC 7009).

use bytes::Bytes;
use crds::contract::Sha256Hash;
use http::Response;

use super::{Call, client, error::Error, form::Form, introspect, no_store};
use crate::{body::Body, core::Core, mint};

/// Answers a revocation request. A token that is unknown or dead already is
/// revoked for all that the client needs to know (WF-57).
pub(super) async fn answer(core: &Core, call: &Call<'_>) -> Result<Response<Body>, Error> {
    let form = Form::parse(call.headers, &call.body)?;
    let client = client::authenticate(core, call.headers, &form)?;
    let token = form.required("token")?.as_bytes();
    if core
        .shared
        .registry
        .load()
        .api_key(&Sha256Hash::of(token).0)
        .is_some()
    {
        return Err(Error::token_type());
    }
    if introspect::live(core, token)
        .await?
        .is_some_and(|record| record.client != client.id)
    {
        return Err(Error::unauthorized(
            "the token was issued to another client (RFC 7009 section 2.1)",
        ));
    }
    if mint::is_well_formed(token, &core.shared.config.prefixes.access) {
        let hash = core.shared.keys.pepper.hash(token);
        // In a task of its own: one that has begun ends, whether or not the
        // client is still there. And for a token that nobody finds any more as
        // well: another one may be revoking it, and be waiting for the disk.
        let shared = core.shared.clone();
        let revoked = tokio::task::spawn_local(async move {
            let consumed = shared.store.consume(hash).await;
            // Whatever the store says: nobody passes on a token that somebody
            // wanted dead.
            shared.revocations.publish(hash);
            consumed
        });
        let consumed = revoked
            .await
            .map_err(|_| Error::server("the revocation was not finished"))??;
        if consumed.is_some() {
            core.metrics.token_revoked();
        }
    }
    let mut response = Response::new(Body::full(Bytes::from_static(b"{}")));
    no_store(response.headers_mut());
    Ok(response)
}
