//! Who granted, refused, revoked or replayed what: one line each, for people
//! who must answer for it later. Never a token, code, secret or password.

use std::net::IpAddr;

use crate::registry::Client;

/// The target of these lines: `audit` in `log.level` turns them on and off.
const TARGET: &str = "audit";

/// Tokens were issued.
pub(crate) fn granted(grant_type: &str, subject: &str, client: &Client, scope: &str) {
    tracing::info!(
        target: TARGET, event = "token_issued", grant_type, subject, client_id = client.id, scope,
    );
}

/// A one-time thing came a second time, and its grant was revoked.
pub(crate) fn replayed(event: &str, subject: &str, client: &str) {
    tracing::warn!(target: TARGET, event, subject, client_id = client, "grant revoked");
}

/// An OAuth endpoint refused a request.
pub(crate) fn refused(endpoint: &str, error: &str) {
    // A device that waits is not refused anything.
    if !matches!(error, "authorization_pending" | "slow_down") {
        tracing::info!(target: TARGET, event = "request_refused", endpoint, error);
    }
}

/// Something that a user or a client did. Whoever is not known is left out.
pub(crate) fn event(event: &str, subject: &str, client: &str) {
    let known = |text| Some(text).filter(|text: &&str| !text.is_empty());
    let (subject, client_id) = (known(subject), known(client));
    tracing::info!(target: TARGET, event, subject, client_id);
}

/// Something that came from an address, of which nobody can say more: what was
/// typed as a user name may be a password.
pub(crate) fn from(event: &str, address: IpAddr, client: &str) {
    let client_id = Some(client).filter(|client| !client.is_empty());
    tracing::info!(target: TARGET, event, %address, client_id);
}
