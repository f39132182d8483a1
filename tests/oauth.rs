//! What a partner does at the gateway's own endpoints.

use serde_json::Value;

use crate::{
    client::{Answer, Call},
    gateway::Gateway,
    harness::Credentials,
};

pub(crate) const TOKEN: &str = "/api/oauth/token";
pub(crate) const INTROSPECT: &str = "/api/oauth/introspect";
pub(crate) const REVOKE: &str = "/api/oauth/revoke";
pub(crate) const FLIGHTS: &str = "/api/v1/flights";

/// A token request by Basic, with these parameters beside the grant.
pub(crate) fn token_call(client: &Credentials, more: &[(&str, &str)]) -> Call {
    let mut parameters = vec![("grant_type", "client_credentials")];
    parameters.extend(more);
    Call::form(TOKEN, &parameters).basic(&client.id, &client.secret)
}

/// An introspection or revocation request.
pub(crate) fn token_about(path: &str, client: &Credentials, token: &str) -> Call {
    Call::form(path, &[("token", token)]).basic(&client.id, &client.secret)
}

impl Gateway {
    /// A token with all scopes of the client.
    pub(crate) async fn token(&self, client: &Credentials) -> String {
        issued(&self.answer(token_call(client, &[])).await)
    }

    /// A token with these scopes.
    pub(crate) async fn token_for(&self, client: &Credentials, scope: &str) -> String {
        issued(&self.answer(token_call(client, &[("scope", scope)])).await)
    }

    /// What introspection says.
    pub(crate) async fn introspect(&self, client: &Credentials, token: &str) -> Value {
        let answer = self.answer(token_about(INTROSPECT, client, token)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Revokes a token.
    pub(crate) async fn revoke(&self, client: &Credentials, token: &str) {
        let answer = self.answer(token_about(REVOKE, client, token)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The status of a listing with this token.
    pub(crate) async fn list_status(&self, token: &str) -> u16 {
        self.answer(Call::get(FLIGHTS).bearer(token)).await.status
    }
}

/// The token of a token answer.
pub(crate) fn issued(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// A string of base62 and CRC-32 as the gateway makes its tokens, which it has
/// never made.
pub(crate) fn made_up(prefix: &str) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut token = format!("{prefix}{}", "Q".repeat(43));
    let mut value = crc32fast::hash(token.as_bytes());
    let mut check = [0; 6];
    for slot in check.iter_mut().rev() {
        *slot = ALPHABET[(value % 62) as usize];
        value /= 62;
    }
    token.push_str(std::str::from_utf8(&check).unwrap());
    token
}
