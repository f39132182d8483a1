//! What whoever runs a gateway does to its users: as data, so that it can be
//! asked of a running gateway too.

use crds::secret::{self, Secret};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{NewUser, User, UserError, Users};
use crate::{clock::UnixSeconds, store::StoreError};

/// Users in one answer.
const PAGE: usize = 500;

/// Something to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Command {
    /// Make a user.
    Add(Add),
    /// Name users, after the one with this key.
    List {
        /// The key that the last answer ended with.
        after: Option<[u8; 32]>,
    },
    /// Shut a user out.
    Disable {
        /// Their name.
        name: String,
    },
    /// Let a user in again.
    Enable {
        /// Their name.
        name: String,
    },
    /// Give a user a new password.
    Reset(Reset),
}

/// A user to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Add {
    /// Their name.
    pub name: String,
    /// Who they are to the API; default: a fresh id.
    pub subject: Option<String>,
    /// Where to write to.
    pub email: Option<String>,
    /// Whether that is known to be theirs.
    pub verified: bool,
    /// The address of their GitHub account.
    #[serde(default)]
    pub github_email: Option<String>,
    /// Their name at Discord.
    #[serde(default)]
    pub discord_username: Option<String>,
    /// Whether they are an administrator.
    pub admin: bool,
    /// A plan of `gateway.yaml`.
    pub plan: Option<String>,
    /// Their password.
    #[serde(with = "secret::in_clear")]
    pub password: Secret<String>,
}

/// A password to set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reset {
    /// Whose.
    pub name: String,
    /// The new one.
    #[serde(with = "secret::in_clear")]
    pub password: Secret<String>,
    /// Whether what they have granted to applications ends too.
    pub revoke_grants: bool,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Answer {
    /// The user who was made.
    Added(Shown),
    /// Some users.
    Users {
        /// They.
        users: Vec<Shown>,
        /// Where the next answer begins, if there are more.
        next: Option<[u8; 32]>,
    },
    /// Whether anything had to be changed.
    Changed(bool),
    /// How many grants were revoked.
    Reset {
        /// So many.
        revoked: usize,
    },
}

/// A user as whoever runs the gateway sees them.
#[allow(
    clippy::struct_excessive_bools,
    reason = "marks that are independent of each other"
)]
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// The id.
    pub id: String,
    /// Who they are to the API.
    pub subject: String,
    /// Their name.
    pub username: String,
    /// Where to write to.
    pub email: Option<String>,
    /// Whether that is known to be theirs.
    pub email_verified: bool,
    /// The address of their GitHub account.
    #[serde(default)]
    pub github_email: Option<String>,
    /// Their name at Discord.
    #[serde(default)]
    pub discord_username: Option<String>,
    /// Their plan.
    pub plan: Option<String>,
    /// Whether they are an administrator.
    pub admin: bool,
    /// Whether they are shut out.
    pub disabled: bool,
    /// Whether they can sign in with a password.
    pub password: bool,
    /// Unix seconds.
    pub created_at: UnixSeconds,
    /// Unix seconds.
    pub password_changed_at: Option<UnixSeconds>,
}

impl From<User> for Shown {
    fn from(user: User) -> Self {
        Self {
            password: user.has_password(),
            id: user.id,
            subject: user.subject,
            username: user.username,
            email: user.email,
            email_verified: user.email_verified,
            github_email: user.github_email,
            discord_username: user.discord_username,
            plan: user.plan,
            admin: user.is_admin,
            disabled: user.disabled,
            created_at: user.created_at,
            password_changed_at: user.password_changed_at,
        }
    }
}

/// Ends what a user has granted to applications.
pub trait Grants: Send + Sync + 'static {
    /// Revokes all grants of this subject; says how many.
    fn revoke_all<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<usize, StoreError>>;
}

/// Of a gateway on which users grant nothing.
pub(super) struct NoGrants;

impl Grants for NoGrants {
    fn revoke_all<'a>(&'a self, _subject: &'a str) -> BoxFuture<'a, Result<usize, StoreError>> {
        Box::pin(std::future::ready(Ok(0)))
    }
}

impl Users {
    /// Does it.
    pub async fn run(&self, command: Command) -> Result<Answer, UserError> {
        match command {
            Command::Add(add) => {
                let user = self
                    .create(NewUser {
                        username: add.name,
                        subject: add.subject,
                        email: add.email,
                        email_verified: add.verified,
                        github_email: add.github_email,
                        discord_username: add.discord_username,
                        is_admin: add.admin,
                        plan: add.plan,
                        password: Some(add.password),
                    })
                    .await?;
                tracing::info!(user = user.username, subject = user.subject, "user added");
                Ok(Answer::Added(user.into()))
            }
            Command::List { after } => {
                let found = self.list(after, PAGE).await?;
                let last = found.last().filter(|_| found.len() == PAGE);
                Ok(Answer::Users {
                    next: last.map(|last| *last.id()),
                    users: found.into_iter().map(|found| found.value.into()).collect(),
                })
            }
            Command::Disable { name } => {
                let changed = self.disable(&name).await?;
                // Applications act for them no longer, whatever their tokens say.
                let revoked = match self.by_name(&name).await? {
                    Some(user) => self.grants.revoke_all(&user.value.subject).await?,
                    None => 0,
                };
                tracing::info!(user = name, revoked, "user disabled, all sessions ended");
                Ok(Answer::Changed(changed))
            }
            Command::Enable { name } => {
                let changed = self.enable(&name).await?;
                tracing::info!(user = name, "user enabled");
                Ok(Answer::Changed(changed))
            }
            Command::Reset(reset) => {
                self.reset_password(&reset.name, &reset.password).await?;
                let user = self.by_name(&reset.name).await?;
                let revoked = match user {
                    Some(user) if reset.revoke_grants => {
                        self.grants.revoke_all(&user.value.subject).await?
                    }
                    _ => 0,
                };
                tracing::info!(
                    user = reset.name,
                    revoked,
                    "password reset, all sessions ended"
                );
                Ok(Answer::Reset { revoked })
            }
        }
    }
}
