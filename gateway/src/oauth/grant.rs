//! A grant: what one user allowed one application, from the consent on until
//! it is revoked. There is one per user and application, and every token that
//! acts for the user names it; so a single removal ends all of them, whenever
//! they were issued (WF-44, FCV-106 to FCV-109).

use serde::{Deserialize, Serialize};

use crate::{
    clock::UnixSeconds,
    gateway::Gateway,
    revocations::Dead,
    scopes::ScopeSet,
    store::{
        GrantId, StoreError,
        entry::{Change, Found, Space, Stored},
    },
};

use super::error::Error;

/// How often a change is tried again that another one came before.
const TRIES: usize = 64;

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

/// Where the grant of this user and application is kept. All of one user stand
/// together.
fn id(gateway: &Gateway, subject: &str, client: &str) -> [u8; 32] {
    let mut id = [0; 32];
    id[..16].copy_from_slice(&of_subject(gateway, subject));
    let client = gateway.keys.pepper.id("grant client", &[client.as_bytes()]);
    id[16..].copy_from_slice(&client[..16]);
    id
}

fn of_subject(gateway: &Gateway, subject: &str) -> [u8; 16] {
    let id = gateway
        .keys
        .pepper
        .id("grant subject", &[subject.as_bytes()]);
    id.first_chunk().copied().unwrap_or_default()
}

/// The grant of this user and application.
pub async fn find(
    gateway: &Gateway,
    subject: &str,
    client: &str,
) -> Result<Option<Found<Grant>>, StoreError> {
    gateway.store.get(id(gateway, subject, client)).await
}

/// The same, if it is still the one that a token or code names.
pub async fn in_force(
    gateway: &Gateway,
    subject: &str,
    client: &str,
    grant: GrantId,
) -> Result<Option<Found<Grant>>, StoreError> {
    let found = find(gateway, subject, client).await?;
    Ok(found.filter(|found| found.value.id == grant))
}

/// All grants of a user (FCV-101), at most a thousand.
pub async fn list(gateway: &Gateway, subject: &str) -> Result<Vec<Grant>, StoreError> {
    let prefix = of_subject(gateway, subject);
    let found = gateway.store.list::<Grant>(&prefix, None, 1_000).await?;
    Ok(found.into_iter().map(|found| found.value).collect())
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
    let known = find(gateway, subject, client).await?;
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
    let key = id(gateway, subject, client);
    let change = match &known {
        Some(known) => Change::new().expect(known),
        None => Change::new().expect_none::<Grant>(key),
    };
    let change = change.put(key, &grant)?;
    Ok((grant, change))
}

/// Revokes a grant, with all tokens and codes under it. With an `only`, not
/// another one that came after it. Whether there was one.
pub async fn revoke(
    gateway: &Gateway,
    subject: &str,
    client: &str,
    only: Option<GrantId>,
) -> Result<bool, StoreError> {
    for _ in 0..TRIES {
        let Some(found) = find(gateway, subject, client).await? else {
            break;
        };
        let grant = found.value.id;
        if only.is_some_and(|only| only != grant) {
            break;
        }
        let change = Change::new().expect(&found).remove::<Grant>(*found.id());
        let applied = gateway.store.apply(change).await;
        if matches!(applied, Err(StoreError::Conflict)) {
            continue;
        }
        // Whatever the store says: nobody passes on a token that somebody
        // wanted dead.
        gateway.revocations.publish(Dead::Grant(grant));
        return applied.map(|()| true);
    }
    // Another one may be revoking it, and be waiting for the disk.
    if let Some(only) = only {
        gateway.revocations.publish(Dead::Grant(only));
    }
    Ok(false)
}

/// Does this again for as long as another change came before.
pub(super) async fn retried<T>(
    mut attempt: impl AsyncFnMut() -> Result<Attempt<T>, Error>,
) -> Result<T, Error> {
    for _ in 0..TRIES {
        if let Attempt::Done(value) = attempt().await? {
            return Ok(value);
        }
    }
    Err(Error::unavailable())
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
