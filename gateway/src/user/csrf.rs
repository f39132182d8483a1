//! The token that every form carries: an HMAC of the form's purpose and of the
//! cookie that the browser holds, so that nothing need be stored.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderMap;
use subtle::ConstantTimeEq;

use super::{
    Users,
    cookie::{self, CookieValue},
};
use crate::clock::NoRandomness;

/// A form whose token does not fit the browser that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this form has expired, or it belongs to another browser: open the page again and send it from there"
)]
pub struct BadToken;

/// The cookie that a form hangs on.
#[derive(Clone, Debug)]
pub enum FormCookie {
    /// The browser has it.
    Held(CookieValue),
    /// It is new: send [`CookieValue::set`] of [`cookie::VISITOR`], without an
    /// age, along with the form.
    New(CookieValue),
}

impl FormCookie {
    /// Its value.
    pub const fn value(&self) -> &CookieValue {
        match self {
            Self::Held(value) | Self::New(value) => value,
        }
    }
}

impl Users {
    /// The cookie that a form for this browser hangs on: that of its session
    /// (`session` is of what [`Users::signed_in`] found), else that of the
    /// visitor, else a new one.
    pub fn form_cookie(
        &self,
        headers: &HeaderMap,
        session: Option<&CookieValue>,
    ) -> Result<FormCookie, NoRandomness> {
        if let Some(session) = session {
            return Ok(FormCookie::Held(session.clone()));
        }
        match CookieValue::from_headers(headers, cookie::VISITOR) {
            Some(visitor) => Ok(FormCookie::Held(visitor)),
            None => CookieValue::fresh(&*self.rng).map(FormCookie::New),
        }
    }

    /// The token of a form: for one purpose (`sign-in`, `consent`, …) and the
    /// browser with this cookie.
    pub fn csrf_token(&self, purpose: &str, cookie: &CookieValue) -> String {
        URL_SAFE_NO_PAD.encode(self.csrf_mac(purpose, cookie))
    }

    /// Whether `token` is that of this purpose and browser, in a time that does
    /// not tell how much of it is right. `session` is as for
    /// [`Users::form_cookie`]; a form without any cookie is refused.
    pub fn check_csrf(
        &self,
        purpose: &str,
        headers: &HeaderMap,
        session: Option<&CookieValue>,
        token: &str,
    ) -> Result<(), BadToken> {
        let visitor;
        let cookie = if let Some(session) = session {
            session
        } else {
            visitor = CookieValue::from_headers(headers, cookie::VISITOR).ok_or(BadToken)?;
            &visitor
        };
        let expected = self.csrf_token(purpose, cookie);
        if expected.as_bytes().ct_eq(token.as_bytes()).into() {
            Ok(())
        } else {
            Err(BadToken)
        }
    }

    fn csrf_mac(&self, purpose: &str, cookie: &CookieValue) -> [u8; 32] {
        let cookie = cookie.bytes();
        self.pepper.id("csrf", &[purpose.as_bytes(), &*cookie])
    }
}
