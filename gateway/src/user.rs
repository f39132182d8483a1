//! The people behind grants: accounts, passwords, sessions, and sign-in here or
//! at an upstream provider. Everything below HTTP; pages call it.
//!
//! What a page does, with the function that does it:
//!
//! | to | call |
//! |---|---|
//! | know who asks | [`Users::signed_in`] with the request's headers |
//! | show a form | [`Users::form_cookie`] gives the cookie that its CSRF token hangs on, [`Users::csrf_token`] the token |
//! | take a form | [`cross_site::check`], then [`Users::check_csrf`] |
//! | sign in with a password | [`Users::sign_in`]; it is throttled, and gives the cookies to set |
//! | sign in at a provider | [`Users::begin_upstream`], then [`Users::finish_upstream`] at [`upstream::callback_path`] |
//! | sign out | [`Users::end_session`], or [`Users::end_sessions`] everywhere |
//! | slow down guessing of codes | [`throttle::Throttle::attempt`] of [`Users::throttle`] |
//!
//! Cookies go out as [`cookie::CookieValue::set`] and [`cookie::clear`] write
//! them, never otherwise.
//!
//! Invariant: nothing here is kept by a name or an identifier in clear; keys of
//! entries are HMACs under the pepper.

pub mod account;
pub mod cli;
pub mod command;
pub mod cookie;
pub mod cross_site;
pub mod csrf;
pub mod name;
pub mod password;
pub mod session;
pub mod sign_in;
pub mod throttle;
pub mod upstream;

use std::{path::Path, sync::Arc};

use crds::gateway_config::GatewayConfig;
use url::Url;

use crate::{
    clock::{Clock, NoRandomness, Rng},
    mint::Pepper,
    store::{Store, StoreError},
};

pub use self::account::{NewUser, User};
use self::{
    command::{Grants, NoGrants},
    name::NameError,
    password::{PasswordError, Passwords},
    throttle::Throttle,
    upstream::Upstream,
};

/// Everything that concerns users, over the parts that a gateway has.
pub struct Users {
    store: Arc<dyn Store>,
    pepper: Pepper,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    config: Arc<GatewayConfig>,
    passwords: Passwords,
    /// Slows down guessing: here of passwords, elsewhere of codes.
    pub throttle: Throttle,
    upstream: Upstream,
    grants: Arc<dyn Grants>,
}

/// Something about users did not work.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system's randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// A user name that cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A password that is not taken.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Another user has this name.
    #[error("there is a user `{0}` already: choose another name")]
    NameTaken(String),
    /// Another user has this subject.
    #[error("there is a user with the subject `{0}` already: choose another subject")]
    SubjectTaken(String),
    /// Nobody has this name.
    #[error("there is no user `{0}`: `flightgate-gateway user list` names them all")]
    Unknown(String),
    /// A field that cannot be what it is.
    #[error("{field}: expected {expected}")]
    Field {
        /// Which one.
        field: &'static str,
        /// What it may be.
        expected: String,
    },
}

impl Users {
    /// Users over these parts. `issuer` is the one with the port that the
    /// public listener got.
    pub fn new(
        config: Arc<GatewayConfig>,
        issuer: &Url,
        store: Arc<dyn Store>,
        pepper: &Pepper,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Self {
        Self {
            passwords: Passwords::new(pepper),
            throttle: Throttle::new(pepper.clone(), clock.clone()),
            grants: Arc::new(NoGrants),
            upstream: Upstream::new(&config.users, issuer),
            pepper: pepper.clone(),
            store,
            clock,
            rng,
            config,
        }
    }
    /// The same, with a way to revoke what users have granted.
    #[must_use]
    pub fn with_grants(mut self, grants: Arc<dyn Grants>) -> Self {
        self.grants = grants;
        self
    }

    /// The folder of the store, as text that tells stores of one host apart.
    pub(crate) fn store_name(config: &GatewayConfig) -> String {
        let crds::gateway_config::Store::Sled(sled) = &config.store;
        let path: &Path = &sled.path;
        // One that is not there yet is nobody's.
        let path = path.canonicalize().unwrap_or_else(|_| path.into());
        path.display().to_string()
    }
}

#[cfg(test)]
mod tests;
