//! A token into a caller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;

use super::jwks::{KeyError, Keyring};
use super::{Caller, Subject};
use crate::clock::Clock;

/// Seconds by which the gateway's clock and ours may differ.
const LEEWAY_S: i64 = 30;

/// Bytes of the longest token that is looked at.
const MAX_TOKEN: usize = 8 * 1024;

/// Verified tokens that are remembered.
const MAX_REMEMBERED: usize = 4096;

/// Checks identity tokens: `EdDSA` alone, a key of the gateway's, its issuer, its time.
///
/// The gateway sends the same token for many requests, so a token that was found
/// good is remembered by its bytes until it expires. A key that the gateway
/// withdraws thus stays good for at most the life of the tokens it signed.
pub struct Verifier {
    keys: Keyring,
    validation: Validation,
    clock: Arc<dyn Clock>,
    remembered: Mutex<HashMap<Box<str>, Remembered>>,
}

#[derive(Clone)]
struct Remembered {
    caller: Arc<Caller>,
    expires: i64,
}

/// The claims of an identity. All are required.
#[derive(Deserialize)]
#[allow(
    dead_code,
    reason = "a claim that is only required to be there is read by serde alone"
)]
struct Claims {
    iss: String,
    sub: String,
    client_id: String,
    scope: String,
    grant: String,
    jti: String,
    iat: i64,
    exp: i64,
}

/// Why a token is not accepted. No message repeats any of it.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Not a JWT that this API accepts.
    #[error("expected an EdDSA JWT of the gateway: {0}")]
    Invalid(&'static str),
    /// The keys cannot be had at the moment, so nothing can be said of the token.
    #[error("the gateway's keys cannot be fetched at the moment")]
    KeysUnavailable,
}

impl Verifier {
    /// A verifier that accepts tokens of this issuer, signed by a key of `keys`.
    pub fn new(keys: Keyring, issuer: &str, clock: Arc<dyn Clock>) -> Verifier {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["iss", "sub", "exp"]);
        validation.validate_aud = false;
        // `jsonwebtoken` asks the machine's clock; `in_time` asks ours.
        validation.validate_exp = false;
        Verifier {
            keys,
            validation,
            clock,
            remembered: Mutex::default(),
        }
    }

    /// The caller whom this token names.
    ///
    /// # Errors
    /// [`IdentityError::Invalid`] if the token is none of the gateway's or out of
    /// its time, [`IdentityError::KeysUnavailable`] if that cannot be told.
    pub async fn verify(&self, token: &str) -> Result<Arc<Caller>, IdentityError> {
        let now = self.clock.now().as_second();
        if let Some(known) = self.recall(token) {
            return in_time(known.expires, now).map(|()| known.caller);
        }
        let (caller, expires) = self.check(token, now).await?;
        let caller = Arc::new(caller);
        self.remember(
            token,
            Remembered {
                caller: Arc::clone(&caller),
                expires,
            },
            now,
        );
        Ok(caller)
    }

    async fn check(&self, token: &str, now: i64) -> Result<(Caller, i64), IdentityError> {
        use IdentityError::Invalid;
        if token.len() > MAX_TOKEN {
            return Err(Invalid("it is longer than 8 KiB"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Invalid("it is not a JWT"))?;
        if header.alg != Algorithm::EdDSA {
            return Err(Invalid("it is signed with another algorithm"));
        }
        // RFC 7515, 4.1.11: an extension that must be understood, and is not.
        if header.crit.is_some() {
            return Err(Invalid("it has a `crit` header"));
        }
        let kid = header
            .kid
            .ok_or(Invalid("it does not name its key (`kid`)"))?;
        let key = self.keys.key(&kid).await.map_err(|error| match error {
            KeyError::Unknown => Invalid("its key is none of the gateway's"),
            KeyError::Unavailable => IdentityError::KeysUnavailable,
        })?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &self.validation)
            .map_err(why)?
            .claims;
        in_time(claims.exp, now)?;
        if claims.iat > now.saturating_add(LEEWAY_S) {
            return Err(Invalid("it is issued in the future"));
        }
        if claims.sub.is_empty() || claims.client_id.is_empty() || claims.jti.is_empty() {
            return Err(Invalid("one of `sub`, `client_id`, `jti` is empty"));
        }
        let caller = Caller {
            subject: Subject(claims.sub),
            client_id: claims.client_id,
            grant: claims.grant,
            scopes: claims
                .scope
                .split(' ')
                .filter(|scope| !scope.is_empty())
                .map(str::to_owned)
                .collect(),
        };
        Ok((caller, claims.exp))
    }

    fn recall(&self, token: &str) -> Option<Remembered> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(token)
            .cloned()
    }

    fn remember(&self, token: &str, what: Remembered, now: i64) {
        let mut remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.retain(|_, known| in_time(known.expires, now).is_ok());
        }
        if remembered.len() >= MAX_REMEMBERED {
            // All are alive: begin anew rather than keep an order for this.
            remembered.clear();
        }
        remembered.insert(token.into(), what);
    }
}

fn in_time(expires: i64, now: i64) -> Result<(), IdentityError> {
    if now < expires.saturating_add(LEEWAY_S) {
        Ok(())
    } else {
        Err(IdentityError::Invalid("it has expired"))
    }
}

fn why(error: jsonwebtoken::errors::Error) -> IdentityError {
    use jsonwebtoken::errors::ErrorKind;
    IdentityError::Invalid(match error.into_kind() {
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::Json(_) => {
            "one of iss, sub, client_id, scope, grant, jti, iat, exp is missing or of the wrong type"
        }
        _ => "it cannot be read",
    })
}
