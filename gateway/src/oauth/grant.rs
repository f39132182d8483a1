//! A grant: what one user allowed one application, from the consent on until
//! it is revoked. There is one per user and application, and every token that
//! acts for the user names it; so a single removal ends all of them, whenever
//! they were issued (WF-44, FCV-106 to FCV-109).

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::{
    clock::UnixSeconds,
    gateway::Gateway,
    mint::Pepper,
    revocations::{Dead, Revocations},
    scopes::ScopeSet,
    store::{
        GrantId, Store, StoreError,
        entry::{Change, Found, Space, Stored},
    },
    user::command,
};

use super::error::Error;

/// How often a change is tried again that another one came before.
pub(super) const TRIES: usize = 64;

/// What one user allowed one application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Names this consent: another one after a revocation has another id.
    pub id: GrantId,
    /// The user.
    pub subject: String,
    /// The application, by client id.
    pub client: String,
    /// All scopes that were approved so far.
    pub scopes: Vec<String>,
    /// When it began, in Unix seconds.
    pub created_at: UnixSeconds,
    /// When the user last approved, in Unix seconds.
    pub approved_at: UnixSeconds,
}

impl Stored for Grant {
    const SPACE: Space = Space::Grant;

    fn expires_at(&self) -> u64 {
        u64::MAX
    }
}

/// All grants.
#[derive(Clone)]
pub struct Grants {
    store: Arc<dyn Store>,
    pepper: Pepper,
    revocations: Arc<Revocations>,
}

impl Grants {
    /// The grants in this store; those that end are told of in `revocations`.
    pub fn new(store: Arc<dyn Store>, pepper: &Pepper, revocations: Arc<Revocations>) -> Self {
        Self {
            store,
            pepper: pepper.clone(),
            revocations,
        }
    }

    /// The grant of this user and application.
    pub async fn find(
        &self,
        subject: &str,
        client: &str,
    ) -> Result<Option<Found<Grant>>, StoreError> {
        self.store.get(self.id(subject, client)).await
    }

    /// The same, if it is still the one that a token or code names.
    pub async fn in_force(
        &self,
        subject: &str,
        client: &str,
        grant: GrantId,
    ) -> Result<Option<Found<Grant>>, StoreError> {
        let found = self.find(subject, client).await?;
        Ok(found.filter(|found| found.value.id == grant))
    }

    /// All grants of a user (FCV-101), at most a thousand.
    pub async fn list(&self, subject: &str) -> Result<Vec<Grant>, StoreError> {
        let prefix = self.of_subject(subject);
        let found = self.store.list::<Grant>(&prefix, None, 1_000).await?;
        Ok(found.into_iter().map(|found| found.value).collect())
    }

    /// Revokes a grant, with all tokens and codes under it. With an `only`, not
    /// another one that came after it. Whether there was one.
    pub async fn revoke(
        &self,
        subject: &str,
        client: &str,
        only: Option<GrantId>,
    ) -> Result<bool, StoreError> {
        for _ in 0..TRIES {
            let Some(found) = self.find(subject, client).await? else {
                break;
            };
            let grant = found.value.id;
            if only.is_some_and(|only| only != grant) {
                break;
            }
            let change = Change::new().expect(&found).remove::<Grant>(*found.id());
            let applied = self.store.apply(change).await;
            if matches!(applied, Err(StoreError::Conflict)) {
                continue;
            }
            // Whatever the store says: nobody passes on a token that somebody
            // wanted dead.
            self.revocations.publish(Dead::Grant(grant));
            return applied.map(|()| true);
        }
        // Another one may be revoking it, and be waiting for the disk.
        if let Some(only) = only {
            self.revocations.publish(Dead::Grant(only));
        }
        Ok(false)
    }

    /// Where the grant of this user and application is kept. All of one user
    /// stand together.
    fn id(&self, subject: &str, client: &str) -> [u8; 32] {
        let mut id = [0; 32];
        id[..16].copy_from_slice(&self.of_subject(subject));
        let client = self.pepper.id("grant client", &[client.as_bytes()]);
        id[16..].copy_from_slice(&client[..16]);
        id
    }

    fn of_subject(&self, subject: &str) -> [u8; 16] {
        let id = self.pepper.id("grant subject", &[subject.as_bytes()]);
        id.first_chunk().copied().unwrap_or_default()
    }
}

impl command::Grants for Grants {
    fn revoke_all<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<usize, StoreError>> {
        Box::pin(async move {
            let mut revoked = 0;
            loop {
                let grants = self.list(subject).await?;
                if grants.is_empty() {
                    return Ok(revoked);
                }
                for grant in grants {
                    revoked += usize::from(self.revoke(subject, &grant.client, None).await?);
                }
            }
        })
    }
}

/// A grant with these scopes beside those that it has, and the beginning of the
/// change that writes it.
pub(super) async fn extend(
    gateway: &Gateway,
    subject: &str,
    client: &str,
    approved: ScopeSet,
) -> Result<(Grant, Change), Error> {
    let now = gateway.clock.now();
    let catalogue = &gateway.catalogue;
    let known = gateway.grants.find(subject, client).await?;
    let mut grant = if let Some(known) = &known {
        known.value.clone()
    } else {
        let mut id = GrantId([0; 16]);
        gateway.rng.fill(&mut id.0)?;
        Grant {
            id,
            subject: subject.to_owned(),
            client: client.to_owned(),
            scopes: Vec::new(),
            created_at: now,
            approved_at: now,
        }
    };
    let before = catalogue.set(grant.scopes.iter().map(String::as_str));
    let scopes = catalogue.list(before.or(approved));
    grant.scopes = scopes.map(str::to_owned).collect();
    grant.approved_at = now;
    let key = gateway.grants.id(subject, client);
    let change = match &known {
        Some(known) => Change::new().expect(known),
        None => Change::new().expect_none::<Grant>(key),
    };
    let change = change.put(key, &grant)?;
    Ok((grant, change))
}

/// What became of one try.
pub(super) enum Attempt<T> {
    /// It is over.
    Done(T),
    /// Something that it had read changed meanwhile.
    Again,
}

/// Applies a change, or says that it is to be thought over.
pub(super) async fn apply(gateway: &Gateway, change: Change) -> Result<Attempt<()>, Error> {
    match gateway.store.apply(change).await {
        Ok(()) => Ok(Attempt::Done(())),
        Err(StoreError::Conflict | StoreError::Exists) => Ok(Attempt::Again),
        Err(error) => Err(error.into()),
    }
}
