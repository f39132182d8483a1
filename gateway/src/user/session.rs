//! Browser sessions: who is signed in, since when, and until when.

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::{
    User, UserError, Users,
    cookie::{self, CookieValue},
};
use crate::{
    clock::UnixSeconds,
    store::{
        StoreError,
        entry::{Change, Found, Space, Stored},
    },
};

/// How often a session's last use is written down, in seconds.
const SEEN_EVERY: u64 = 60;

/// A browser in which somebody is signed in. It is stored under the HMAC of its
/// cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whose.
    pub subject: String,
    /// It is over when the user's epoch is another: so that all sessions of a
    /// user end with one write.
    epoch: u64,
    /// When it began; Unix seconds.
    pub created_at: UnixSeconds,
    /// When the user last proved who they are; Unix seconds.
    pub auth_time: UnixSeconds,
    /// When it was last used, to the minute; Unix seconds.
    pub seen_at: UnixSeconds,
    /// Over from this second on, however much it is used; Unix seconds.
    pub expires_at: UnixSeconds,
    /// How they proved it (RFC 8176): `pwd`, or `fed` for an upstream provider.
    pub amr: Vec<String>,
}

impl Stored for Session {
    const SPACE: Space = Space::Session;

    fn expires_at(&self) -> u64 {
        self.expires_at
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The user, as of now.
    pub user: User,
    /// Their session.
    pub session: Session,
    /// Its cookie: CSRF tokens hang on it.
    pub cookie: CookieValue,
}

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// With a password, here.
    Password,
    /// At an upstream provider, at this time if it says when.
    Upstream {
        /// `auth_time` of its ID token.
        auth_time: Option<UnixSeconds>,
    },
}

impl Users {
    /// Who asks, by the cookie of the request; `None` for everyone whose
    /// session is not, or no longer, good. Notes that it was used.
    pub async fn signed_in(&self, headers: &HeaderMap) -> Result<Option<SignedIn>, UserError> {
        let Some(cookie) = CookieValue::from_headers(headers, cookie::SESSION) else {
            return Ok(None);
        };
        let key = self.session_key(&cookie);
        let Some(found) = self.store.get::<Session>(key).await? else {
            return Ok(None);
        };
        let now = self.clock.now();
        let idle = self.config.users.session_idle.as_secs();
        if found.value.expires_at <= now || found.value.seen_at.saturating_add(idle) <= now {
            return Ok(None);
        }
        let Some(user) = self.by_subject(&found.value.subject).await? else {
            return Ok(None);
        };
        if !user.value.admits(found.value.epoch) {
            return Ok(None);
        }
        let session = self.note_use(found, now, idle).await?;
        Ok(Some(SignedIn {
            user: user.value,
            session,
            cookie,
        }))
    }

    /// Writes down that a session is used, about once a minute.
    async fn note_use(
        &self,
        found: Found<Session>,
        now: UnixSeconds,
        idle: u64,
    ) -> Result<Session, UserError> {
        // A short idle time is measured more closely.
        let due = found
            .value
            .seen_at
            .saturating_add(SEEN_EVERY.min(idle / 4 + 1));
        if now < due {
            return Ok(found.value);
        }
        let mut session = found.value.clone();
        session.seen_at = now;
        let change = Change::new().expect(&found).put(*found.id(), &session)?;
        match self.store.apply(change).await {
            // Another request said so, or ended it: neither is undone.
            // Without room nothing can be noted, and nobody is thrown out.
            Ok(()) | Err(StoreError::Conflict | StoreError::Full { .. }) => Ok(session),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins a session for a user who has just proved who they are, under a
    /// new cookie, and ends the one that this browser had: a cookie from
    /// before is worth nothing after. The user is as they were when the proof
    /// was checked: if they are reset or disabled meanwhile, it is over at once.
    pub async fn begin_session(
        &self,
        user: &User,
        proof: Proof,
        headers: &HeaderMap,
    ) -> Result<CookieValue, UserError> {
        let cookie = CookieValue::fresh(&*self.rng)?;
        let now = self.clock.now();
        let (method, auth_time) = match proof {
            Proof::Password => ("pwd", None),
            Proof::Upstream { auth_time } => ("fed", auth_time),
        };
        let session = Session {
            subject: user.subject.clone(),
            epoch: user.session_epoch,
            created_at: now,
            auth_time: auth_time.map_or(now, |time| time.min(now)),
            seen_at: now,
            expires_at: now.saturating_add(self.config.users.session_ttl.as_secs()),
            amr: vec![method.into()],
        };
        let key = self.session_key(&cookie);
        let mut change = Change::new()
            .expect_none::<Session>(key)
            .put(key, &session)?;
        if let Some(previous) = CookieValue::from_headers(headers, cookie::SESSION) {
            change = change.remove::<Session>(self.session_key(&previous));
        }
        self.store.apply(change).await?;
        Ok(cookie)
    }

    /// Ends the session of this cookie, if there is one. Send
    /// [`cookie::clear`] of [`cookie::SESSION`] along.
    pub async fn end_session(&self, cookie: &CookieValue) -> Result<(), UserError> {
        let change = Change::new().remove::<Session>(self.session_key(cookie));
        Ok(self.store.apply(change).await?)
    }

    fn session_key(&self, cookie: &CookieValue) -> [u8; 32] {
        self.pepper.id("session", &[&*cookie.bytes()])
    }
}
