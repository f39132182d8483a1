//! Signing in with a name and a password.

use std::net::IpAddr;

use crds::secret::Secret;
use http::{HeaderMap, HeaderValue};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    User, UserError, Users,
    cookie::{self, CookieValue},
    name::Username,
    password::Verdict,
    session::Proof,
    throttle::{Purpose, RetryAfter, Who},
};
use crate::store::{StoreError, entry::Found};

/// How long a browser stays known, in seconds: half a year.
const KNOWN_FOR: u64 = 180 * 24 * 60 * 60;

/// Somebody has signed in.
#[derive(Debug)]
pub struct Started {
    /// Who.
    pub user: User,
    /// The cookie of the new session.
    pub session: CookieValue,
    /// `Set-Cookie` headers that must go out with the answer.
    pub cookies: Vec<HeaderValue>,
}

/// Nobody has signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Name, password, or both; or the user is disabled. Which of these is
    /// nobody's business.
    #[error("name or password is wrong")]
    Wrong,
    /// Too many have failed.
    #[error(transparent)]
    Wait(#[from] RetryAfter),
    /// `users.local` is off.
    #[error("nobody signs in with a password here: choose a provider")]
    Off,
    /// Something did not work.
    #[error(transparent)]
    User(#[from] UserError),
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        Self::User(error.into())
    }
}

impl Users {
    /// Signs in. Check the form first ([`super::cross_site::check`],
    /// [`Users::check_csrf`]).
    ///
    /// A wrong password, an unknown name, a disabled user and one without a
    /// password take the same work and give the same answer. Failures are
    /// counted by address and by account; a browser in which this user has
    /// signed in before has a count of its own, so that strangers cannot lock
    /// anyone out of the browsers they use.
    pub async fn sign_in(
        &self,
        name: &str,
        password: &Secret<String>,
        address: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Started, SignInError> {
        if !self.config.users.local {
            return Err(SignInError::Off);
        }
        let parsed = Username::parse(name).ok();
        let folded = parsed.as_ref().map_or("", Username::folded);
        let known = CookieValue::from_headers(headers, cookie::KNOWN)
            .filter(|known| self.is_known(known, folded));
        let account = match &known {
            Some(known) => Who::Text(known.expose()),
            // All that cannot be names share one count: there is nobody to lock out.
            None => Who::Text(folded),
        };
        let attempt = self.throttle.attempt(&[
            (Purpose::SignIn, Who::Address(address)),
            (Purpose::Account, account),
        ])?;
        match self.verified(parsed.as_ref(), password).await {
            Ok(Some(found)) => {
                attempt.succeeded();
                let session = self
                    .begin_session(&found.value, Proof::Password, headers)
                    .await?;
                let known = self.known_cookie(folded).map_err(UserError::from)?;
                let cookies = [
                    session.set(cookie::SESSION, None),
                    known.set(cookie::KNOWN, Some(KNOWN_FOR)),
                ];
                Ok(Started {
                    user: found.value,
                    session,
                    cookies: cookies.into_iter().flatten().collect(),
                })
            }
            Ok(None) => Err(SignInError::Wrong),
            Err(error) => {
                attempt.withdraw();
                Err(error.into())
            }
        }
    }

    /// The user with this name and password.
    async fn verified(
        &self,
        name: Option<&Username>,
        password: &Secret<String>,
    ) -> Result<Option<Found<User>>, UserError> {
        let found = match name {
            Some(name) => self.named(name).await?,
            None => None,
        };
        let hash = found
            .as_ref()
            .filter(|found| !found.value.disabled)
            .and_then(|found| found.value.password.clone());
        let verdict = self.passwords.verify(password, hash).await?;
        match (verdict, found) {
            (Verdict::Right, Some(found)) => Ok(Some(found)),
            (Verdict::RightButOutdated, Some(found)) => {
                self.rehash(found, password).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Hashes a password again, as today's are, while it is at hand.
    async fn rehash(
        &self,
        found: Found<User>,
        password: &Secret<String>,
    ) -> Result<Found<User>, UserError> {
        let hash = self.passwords.hash(password, self.fresh_salt()?).await?;
        let mut user = found.value.clone();
        user.password = Some(hash);
        match self.replace(&found, &user).await {
            // What came first counts; the next sign-in tries again.
            Ok(()) | Err(StoreError::Conflict | StoreError::Full { .. }) => Ok(found),
            Err(error) => Err(error.into()),
        }
    }

    /// A cookie that says that this user has signed in with this browser: 16
    /// random bytes, and 16 of an HMAC of them and the name.
    fn known_cookie(&self, folded: &str) -> Result<CookieValue, crate::clock::NoRandomness> {
        let mut bytes = Zeroizing::new([0; 32]);
        let (nonce, mac) = bytes.split_at_mut(16);
        self.rng.fill(nonce)?;
        mac.copy_from_slice(&self.known_mac(nonce, folded)[..16]);
        Ok(CookieValue::of(&bytes))
    }

    fn is_known(&self, cookie: &CookieValue, folded: &str) -> bool {
        let bytes = cookie.bytes();
        let (nonce, mac) = bytes.split_at(16);
        self.known_mac(nonce, folded)[..16].ct_eq(mac).into()
    }

    fn known_mac(&self, nonce: &[u8], folded: &str) -> [u8; 32] {
        self.pepper.id("known browser", &[nonce, folded.as_bytes()])
    }
}
