//! Accounts: who exists, under which name, with which marks.

use serde::{Deserialize, Serialize};

use super::{
    UserError, Users,
    name::{MAX_EMAIL, Username, is_email},
    password::Hashed,
};
use crate::{
    clock::UnixSeconds,
    store::{
        StoreError,
        entry::{Change, Found, Space, Stored},
    },
};
use crds::secret::Secret;

/// How often a change is tried again when another one came first.
const TRIES: usize = 16;
/// The longest subject, in bytes: it goes into tokens and identities.
const MAX_SUBJECT: usize = 128;
/// The longest plan name, in bytes.
const MAX_PLAN: usize = 64;
/// The longest name of a user elsewhere, in bytes.
const MAX_LINKED: usize = 128;

/// Somebody who can sign in, and to whom grants belong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// A UUID (version 4), never used twice.
    pub id: String,
    /// Who this is to the API behind the gateway: the `sub` of tokens and
    /// identities. Never changes.
    pub subject: String,
    /// As it was written; [`Username`] says what it may be.
    pub username: String,
    /// Where to write to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether somebody trustworthy says that the address is theirs.
    #[serde(default)]
    pub email_verified: bool,
    /// The address of their GitHub account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_email: Option<String>,
    /// Their name at Discord.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discord_username: Option<String>,
    /// The plan of `gateway.yaml` that their use is counted by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Whether they may grant scopes marked `adminOnly`, and see what
    /// administrators see.
    #[serde(default)]
    pub is_admin: bool,
    /// Nobody signs in as a disabled user, and their sessions are over.
    #[serde(default)]
    pub disabled: bool,
    /// Argon2id in PHC form; none if they sign in elsewhere alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) password: Option<Hashed>,
    /// Sessions of another epoch are over.
    #[serde(default)]
    pub(super) session_epoch: u64,
    /// Unix seconds.
    pub created_at: UnixSeconds,
    /// Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_changed_at: Option<UnixSeconds>,
}

impl Stored for User {
    const SPACE: Space = Space::User;

    fn expires_at(&self) -> u64 {
        u64::MAX
    }
}

impl User {
    /// Whether they can sign in with a password.
    pub const fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Which sessions and passkeys still count: those of this epoch.
    pub(crate) const fn epoch(&self) -> u64 {
        self.session_epoch
    }

    /// Whether a session or passkey of this epoch still counts.
    pub(crate) const fn admits(&self, epoch: u64) -> bool {
        !self.disabled && self.session_epoch == epoch
    }
}

/// Which user has a name.
#[derive(Serialize, Deserialize)]
struct Named {
    subject: String,
}

impl Stored for Named {
    const SPACE: Space = Space::Username;

    fn expires_at(&self) -> u64 {
        u64::MAX
    }
}

/// What a new user is made of.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    /// The name.
    pub username: String,
    /// The subject; default: the id.
    pub subject: Option<String>,
    /// Where to write to.
    pub email: Option<String>,
    /// Whether that address is known to be theirs.
    pub email_verified: bool,
    /// The address of their GitHub account.
    pub github_email: Option<String>,
    /// Their name at Discord.
    pub discord_username: Option<String>,
    /// Whether they are an administrator.
    pub is_admin: bool,
    /// A plan of `gateway.yaml`.
    pub plan: Option<String>,
    /// The password; none: they sign in elsewhere.
    pub password: Option<Secret<String>>,
}

impl Users {
    /// Makes a user. Of any number who ask for one name or subject at the same
    /// time, one gets it.
    pub async fn create(&self, new: NewUser) -> Result<User, UserError> {
        let name = Username::parse(&new.username)?;
        self.check_fields(&new)?;
        let id = self.fresh_id()?;
        let subject = new.subject.clone().unwrap_or_else(|| id.clone());
        // Before the work of hashing.
        self.check_free(&name, &subject).await?;
        let password = match &new.password {
            Some(password) => Some(self.hash_for(password, &name, new.email.as_deref()).await?),
            None => None,
        };
        let user = self.user(id, subject, &name, new, password);
        self.insert(&name, &user, Change::new()).await?;
        Ok(user)
    }

    pub(super) fn user(
        &self,
        id: String,
        subject: String,
        name: &Username,
        new: NewUser,
        password: Option<Hashed>,
    ) -> User {
        let now = self.clock.now();
        User {
            id,
            subject,
            username: name.written().to_owned(),
            email: new.email,
            email_verified: new.email_verified,
            github_email: new.github_email,
            discord_username: new.discord_username,
            plan: new.plan,
            is_admin: new.is_admin,
            disabled: false,
            password_changed_at: password.is_some().then_some(now),
            password,
            session_epoch: 0,
            created_at: now,
        }
    }

    /// Stores a user and their name, with `change`, or nothing.
    pub(super) async fn insert(
        &self,
        name: &Username,
        user: &User,
        change: Change,
    ) -> Result<(), UserError> {
        let (name_key, key) = (self.name_key(name), self.subject_key(&user.subject));
        let named = Named {
            subject: user.subject.clone(),
        };
        let change = change
            .expect_none::<Named>(name_key)
            .expect_none::<User>(key)
            .put(name_key, &named)?
            .put(key, user)?;
        match self.store.apply(change).await {
            Err(StoreError::Conflict) => {
                // Names and subjects are never given back, so now it shows.
                self.check_free(name, &user.subject).await?;
                Err(StoreError::Conflict.into())
            }
            other => Ok(other?),
        }
    }

    /// The user of this name, in whatever case.
    pub async fn by_name(&self, name: &str) -> Result<Option<Found<User>>, UserError> {
        match Username::parse(name) {
            Ok(name) => self.named(&name).await,
            Err(_) => Ok(None),
        }
    }

    pub(super) async fn named(&self, name: &Username) -> Result<Option<Found<User>>, UserError> {
        match self.store.get::<Named>(self.name_key(name)).await? {
            Some(named) => self.by_subject(&named.value.subject).await,
            None => Ok(None),
        }
    }

    /// The user with this subject.
    pub async fn by_subject(&self, subject: &str) -> Result<Option<Found<User>>, UserError> {
        Ok(self.store.get(self.subject_key(subject)).await?)
    }

    /// Users in an order that says nothing, after the one with the key `after`
    /// ([`Found::id`]); at most `limit`.
    pub async fn list(
        &self,
        after: Option<[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<Found<User>>, UserError> {
        Ok(self.store.list(&[], after, limit).await?)
    }

    /// Shuts a user out, and ends all their sessions at once. Says whether
    /// that was news.
    pub async fn disable(&self, name: &str) -> Result<bool, UserError> {
        self.change(name, |user| {
            let news = !user.disabled;
            user.disabled = true;
            user.session_epoch += u64::from(news);
            news
        })
        .await
    }

    /// Lets a disabled user in again, with the password they had. Says
    /// whether that was news.
    pub async fn enable(&self, name: &str) -> Result<bool, UserError> {
        self.change(name, |user| std::mem::take(&mut user.disabled))
            .await
    }

    /// Gives a user a new password, and ends all their sessions at once.
    pub async fn reset_password(
        &self,
        name: &str,
        password: &Secret<String>,
    ) -> Result<(), UserError> {
        let found = self.must_find(name).await?;
        let email = found.value.email.as_deref();
        let hash = self
            .hash_for(password, &Username::parse(name)?, email)
            .await?;
        let now = self.clock.now();
        self.change(name, |user| {
            user.password = Some(hash.clone());
            user.password_changed_at = Some(now);
            user.session_epoch += 1;
            true
        })
        .await?;
        Ok(())
    }

    /// Ends all sessions of a user at once.
    pub async fn end_sessions(&self, name: &str) -> Result<(), UserError> {
        self.change(name, |user| {
            user.session_epoch += 1;
            true
        })
        .await?;
        Ok(())
    }

    /// Changes a user, whoever else does so at the same time. `edit` may be
    /// called more than once; it says whether there is anything to write.
    async fn change(
        &self,
        name: &str,
        edit: impl Fn(&mut User) -> bool,
    ) -> Result<bool, UserError> {
        for _ in 0..TRIES {
            let found = self.must_find(name).await?;
            let mut user = found.value.clone();
            if !edit(&mut user) {
                return Ok(false);
            }
            match self.replace(&found, &user).await {
                Err(StoreError::Conflict) => {}
                other => return Ok(other.map(|()| true)?),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Writes what a user has become, unless somebody else did.
    pub(super) async fn replace(&self, found: &Found<User>, user: &User) -> Result<(), StoreError> {
        let change = Change::new().expect(found).put(*found.id(), user)?;
        self.store.apply(change).await
    }

    async fn must_find(&self, name: &str) -> Result<Found<User>, UserError> {
        let name = Username::parse(name)?;
        let found = self.named(&name).await?;
        found.ok_or_else(|| UserError::Unknown(name.to_string()))
    }

    async fn check_free(&self, name: &Username, subject: &str) -> Result<(), UserError> {
        if self
            .store
            .get::<Named>(self.name_key(name))
            .await?
            .is_some()
        {
            return Err(UserError::NameTaken(name.to_string()));
        }
        if self.by_subject(subject).await?.is_some() {
            return Err(UserError::SubjectTaken(subject.to_owned()));
        }
        Ok(())
    }

    fn check_fields(&self, new: &NewUser) -> Result<(), UserError> {
        let field = |field, expected: String| Err(UserError::Field { field, expected });
        if let Some(subject) = &new.subject {
            let visible = |c: char| !c.is_control() && !c.is_whitespace();
            if subject.is_empty() || subject.len() > MAX_SUBJECT || !subject.chars().all(visible) {
                return field(
                    "subject",
                    format!("1 to {MAX_SUBJECT} bytes without spaces, such as pilot:anna"),
                );
            }
            // A client's own data is kept under its client id.
            let client = &self.config.prefixes.client;
            if !client.is_empty() && subject.starts_with(client.as_str()) {
                return field(
                    "subject",
                    format!("one that does not start with `{client}`, as client ids do"),
                );
            }
        }
        for (name, email) in [("email", &new.email), ("github email", &new.github_email)] {
            if email.as_deref().is_some_and(|email| !is_email(email)) {
                return field(
                    name,
                    format!("an address such as anna@example.org, at most {MAX_EMAIL} bytes"),
                );
            }
        }
        if let Some(name) = &new.discord_username {
            let printable = !name.trim().is_empty() && !name.chars().any(char::is_control);
            if !printable || name.len() > MAX_LINKED {
                return field(
                    "discord username",
                    format!("a name such as anna#1234, at most {MAX_LINKED} bytes"),
                );
            }
        }
        if new.email_verified && new.email.is_none() {
            return field("verified", "an e-mail address that it is about".into());
        }
        if let Some(plan) = &new.plan
            && (plan.len() > MAX_PLAN || !self.config.plans.contains_key(plan))
        {
            let plans: Vec<_> = self.config.plans.keys().map(String::as_str).collect();
            return field(
                "plan",
                format!("a plan of gateway.yaml: {}", plans.join(", ")),
            );
        }
        Ok(())
    }

    /// A UUID of version 4.
    pub(super) fn fresh_id(&self) -> Result<String, UserError> {
        let mut bytes = [0; 16];
        self.rng.fill(&mut bytes)?;
        Ok(uuid::Builder::from_random_bytes(bytes)
            .into_uuid()
            .to_string())
    }

    pub(super) fn subject_key(&self, subject: &str) -> [u8; 32] {
        self.pepper.id("user", &[subject.as_bytes()])
    }

    fn name_key(&self, name: &Username) -> [u8; 32] {
        self.pepper.id("username", &[name.folded().as_bytes()])
    }
}
