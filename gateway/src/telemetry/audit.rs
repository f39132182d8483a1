//! Who granted, refused, revoked or replayed what: one line each, for people
//! who must answer for it later. Never a token, code, secret or password.

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

/// Something that a user or a client did.
pub(crate) fn event(event: &str, subject: &str, client: &str) {
    tracing::info!(target: TARGET, event, subject, client_id = client);
}
