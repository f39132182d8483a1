//! How secrets come, turn and go: one in use, and during an overlap the one
//! before it.

use crds::{contract::Sha256Hash, oauth_application, period::Period, secret::Secret};
use jiff::Timestamp;

use crate::{
    mint::{self, Form, NoRandomness, Rng},
    plan::Event,
};

/// How long an old secret works beside the new one, unless the resource says.
pub(crate) const OVERLAP: Period = Period::days(7);

/// The secrets that were found where they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The one in use.
    pub current: Secret<String>,
    /// The one before it.
    pub previous: Option<Secret<String>>,
    /// The value of the rotate annotation that was last acted on.
    pub rotated_for: Option<String>,
}

/// What the last document knew of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: String,
    /// SHA-256 of the secret.
    pub sha256: Sha256Hash,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
}

/// What the resource asks for.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// What the secrets look like.
    pub form: Form<'a>,
    /// When they are renewed.
    pub rotation: Option<oauth_application::Rotation>,
    /// How long each lives.
    pub lifetime: Option<Period>,
    /// The value of the rotate annotation.
    pub asked: Option<&'a str>,
    /// Whether the status tells of secrets, whoever else knows of them.
    pub had_secrets: bool,
}

/// A secret and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Names it; says nothing about its value.
    pub id: String,
    /// Its value.
    pub secret: Secret<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
}

/// The secrets that ought to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turned {
    /// The one in use.
    pub current: Key,
    /// The one before it, while it still works.
    pub previous: Option<Key>,
    /// The value of the rotate annotation that has now been acted on.
    pub rotated_for: Option<String>,
    /// What happened.
    pub events: Vec<Event>,
    /// When there is something to do though nothing changed.
    pub due: Option<Timestamp>,
}

impl Turned {
    /// The secrets, the newest first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// Whether the one in use has ended.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.current.expires_at.is_some_and(|end| end <= now)
    }
}

/// What the status remembers of the secrets that were found, when there is no
/// document that knows them: which is which by their order, the newest first.
/// Only those count that were made here.
pub fn remembered(
    statuses: &[oauth_application::SecretStatus],
    held: Option<&Held>,
    form: Form<'_>,
) -> Vec<Known> {
    let held = held.into_iter();
    let secrets = held.flat_map(|held| std::iter::once(&held.current).chain(&held.previous));
    let remembered = secrets.zip(statuses);
    remembered
        .filter(|(secret, _)| form.fits(secret.expose()))
        .map(|(secret, status)| Known {
            id: status.id.clone(),
            sha256: Sha256Hash::of(secret.expose().as_bytes()),
            created_at: status.created_at,
            expires_at: status.expires_at,
        })
        .collect()
}

/// Decides which secrets ought to be there. `noun` names them in events, such
/// as `client secret`.
///
/// Secrets are matched with what the last document knew by their hash. One that
/// the document does not know was written just before a crash, or survived the
/// document: it is taken as made now. One that was not made here (somebody
/// edited it) and one that is gone are replaced at once, without overlap: to
/// delete a credentials Secret is the way to revoke a leaked one.
pub fn turn(
    noun: &str,
    held: Option<&Held>,
    known: &[Known],
    policy: &Policy<'_>,
    now: Timestamp,
    rng: &dyn Rng,
) -> Result<Turned, NoRandomness> {
    let overlap = policy.rotation.map_or(OVERLAP, |rotation| rotation.overlap);
    let rotated_for = policy.asked.map(str::to_owned);
    let is_ours = |secret: &Secret<String>| {
        // What the document knows was made here, even if prefixes have changed
        // since.
        let sha256 = Sha256Hash::of(secret.expose().as_bytes());
        known.iter().any(|known| known.sha256 == sha256) || policy.form.fits(secret.expose())
    };
    let fitting = held.filter(|held| is_ours(&held.current));

    let Some(held) = fitting else {
        let current = fresh(policy, now, rng)?;
        let event = match held {
            Some(_) => Event::warning(
                "CredentialsRepaired",
                format!(
                    "The {noun} had been edited; a new one was made, and the old one no longer works."
                ),
            ),
            None if known.is_empty() && !policy.had_secrets => {
                Event::normal("CredentialsCreated", format!("The {noun} was made."))
            }
            None => Event::warning(
                "CredentialsRecreated",
                format!(
                    "The {noun} was gone; a new one was made, and the old one no longer works."
                ),
            ),
        };
        return Ok(turned(current, None, rotated_for, vec![event], policy));
    };

    let current = recall(&held.current, known, policy, now, rng)?;
    let asked_anew = policy.asked.is_some() && policy.asked != held.rotated_for.as_deref();
    let is_old = policy
        .rotation
        .is_some_and(|rotation| later(current.created_at, rotation.interval) <= now);
    if asked_anew || is_old {
        let end = later(now, overlap);
        let previous = Key {
            expires_at: Some(current.expires_at.map_or(end, |own| own.min(end))),
            ..current
        };
        let current = fresh(policy, now, rng)?;
        let event = Event::normal(
            "CredentialsRotated",
            format!(
                "A new {noun} was made ({}); the old one works until {}.",
                if asked_anew {
                    "on demand"
                } else {
                    "it was due"
                },
                previous.expires_at.unwrap_or(end)
            ),
        );
        let previous = Some(previous).filter(|key| still_works(key, now));
        return Ok(turned(current, previous, rotated_for, vec![event], policy));
    }

    let previous = match held.previous.as_ref().filter(|secret| is_ours(secret)) {
        None => None,
        Some(secret) => {
            let mut key = recall(secret, known, policy, now, rng)?;
            let known_end = known
                .iter()
                .find(|known| known.id == key.id)
                .and_then(|known| known.expires_at);
            // Never longer than one overlap from now, even if the document still
            // takes it for the present one (a crash came between the two writes).
            let ends = [Some(later(now, overlap)), known_end, key.expires_at];
            key.expires_at = ends.into_iter().flatten().min();
            Some(key).filter(|key| still_works(key, now))
        }
    };
    let mut events = Vec::new();
    if held.previous.is_some() && previous.is_none() {
        events.push(Event::normal(
            "OverlapEnded",
            format!("The old {noun} no longer works."),
        ));
    }
    Ok(turned(current, previous, rotated_for, events, policy))
}

fn turned(
    current: Key,
    previous: Option<Key>,
    rotated_for: Option<String>,
    events: Vec<Event>,
    policy: &Policy<'_>,
) -> Turned {
    let due = [
        policy
            .rotation
            .map(|rotation| later(current.created_at, rotation.interval)),
        current.expires_at,
        previous.as_ref().and_then(|key| key.expires_at),
    ];
    Turned {
        due: due.into_iter().flatten().min(),
        current,
        previous,
        rotated_for,
        events,
    }
}

fn fresh(policy: &Policy<'_>, now: Timestamp, rng: &dyn Rng) -> Result<Key, NoRandomness> {
    Ok(Key {
        id: new_id(rng)?,
        secret: policy.form.mint(rng)?,
        created_at: now,
        expires_at: policy.lifetime.map(|lifetime| later(now, lifetime)),
    })
}

fn recall(
    secret: &Secret<String>,
    known: &[Known],
    policy: &Policy<'_>,
    now: Timestamp,
    rng: &dyn Rng,
) -> Result<Key, NoRandomness> {
    let sha256 = Sha256Hash::of(secret.expose().as_bytes());
    let (id, created_at) = match known.iter().find(|known| known.sha256 == sha256) {
        Some(known) => (known.id.clone(), known.created_at),
        None => (new_id(rng)?, now),
    };
    Ok(Key {
        id,
        secret: secret.clone(),
        created_at,
        expires_at: policy.lifetime.map(|lifetime| later(created_at, lifetime)),
    })
}

/// An id for a secret.
pub(crate) fn new_id(rng: &dyn Rng) -> Result<String, NoRandomness> {
    mint::identifier("s-", 8, rng)
}

fn still_works(key: &Key, now: Timestamp) -> bool {
    key.expires_at.is_none_or(|end| end > now)
}

/// `period` after `from`, or the end of time.
pub(crate) fn later(from: Timestamp, period: Period) -> Timestamp {
    from.checked_add(period.duration())
        .unwrap_or(Timestamp::MAX)
}
