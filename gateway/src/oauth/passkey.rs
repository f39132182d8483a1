//! Passkeys of the logbook surface (FCV-18 to FCV-30): a code of 8 characters
//! that a signed-in user makes, and types once on the authorization page in the
//! place of a sign-in.

use crds::{gateway_config::TestPasskey, secret::Secret};
use serde::{Deserialize, Serialize};

use super::{
    entitlement,
    error::Error,
    grant::{self, Attempt, TRIES},
};
use crate::{
    clock::UnixSeconds,
    gateway::Gateway,
    mint,
    registry::Client,
    store::entry::{Change, Space, Stored},
    telemetry::audit,
};

/// Letters and digits that are hard to mistake for each other.
const ALPHABET: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// Characters of a passkey: 40 bits, which the throttle of the page where it is
/// typed makes enough for its short life.
pub const LEN: usize = 8;

/// A passkey, at rest under its HMAC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passkey {
    subject: String,
    created_at: UnixSeconds,
    expires_at: UnixSeconds,
}

impl Stored for Passkey {
    const SPACE: Space = Space::Passkey;

    fn expires_at(&self) -> u64 {
        self.expires_at
    }
}

/// Whom a passkey stands for.
pub struct Holder {
    /// The user.
    pub subject: String,
    /// Life of the code that it gives, in seconds, if not the profile's.
    pub code_ttl: Option<u64>,
}

/// A fresh passkey for this user, and how many seconds it lives at the most: an
/// application's profile may say less.
pub async fn create(gateway: &Gateway, subject: &str) -> Result<(Secret<String>, u64), Error> {
    let profiles = gateway.config.profiles.values();
    let ttl = profiles.map(|profile| profile.passkey_ttl.as_secs()).max();
    let ttl = ttl.unwrap_or_default();
    let now = gateway.clock.now();
    let entry = Passkey {
        subject: subject.to_owned(),
        created_at: now,
        expires_at: now + ttl,
    };
    for _ in 0..TRIES {
        let passkey = mint::typed(ALPHABET, LEN, &*gateway.rng)?;
        let id = id(gateway, passkey.expose());
        let change = Change::new().expect_none::<Passkey>(id).put(id, &entry)?;
        if let Attempt::Done(()) = grant::apply(gateway, change).await? {
            audit::event("passkey_created", subject, "");
            return Ok((passkey, ttl));
        }
    }
    Err(Error::unavailable())
}

/// Takes a passkey: of any number of simultaneous callers exactly one gets its
/// holder.
pub async fn take(
    gateway: &Gateway,
    client: &Client,
    typed: &str,
) -> Result<Option<Holder>, Error> {
    let plain = plain(typed);
    if plain.len() != LEN {
        return Ok(None);
    }
    if let Some(test) = test_passkey(gateway)
        && plain == test.passkey.to_ascii_uppercase()
    {
        return Ok(Some(Holder {
            subject: test.subject.clone(),
            code_ttl: Some(test.code_ttl.as_secs()),
        }));
    }
    let id = id(gateway, &plain);
    let Some(found) = gateway.store.get::<Passkey>(id).await? else {
        return Ok(None);
    };
    let Passkey {
        subject,
        created_at,
        expires_at,
    } = found.value.clone();
    let ttl = client.profile.passkey_ttl.as_secs();
    if gateway.clock.now() >= expires_at.min(created_at + ttl) {
        return Ok(None);
    }
    if entitlement::left(gateway, &subject, client.scopes)
        .await?
        .is_none()
    {
        return Ok(None);
    }
    let change = Change::new().expect(&found).remove::<Passkey>(id);
    Ok(match grant::apply(gateway, change).await? {
        Attempt::Done(()) => Some(Holder {
            subject,
            code_ttl: None,
        }),
        // Another one took it.
        Attempt::Again => None,
    })
}

/// The passkey of partners' tests, where there is one (FCV-26).
fn test_passkey(gateway: &Gateway) -> Option<&TestPasskey> {
    let mut surfaces = gateway.config.surfaces.iter();
    surfaces.find_map(|surface| match surface {
        crds::gateway_config::Surface::Logbook(logbook) => logbook.test_passkey.as_ref(),
        crds::gateway_config::Surface::Standard(_) => None,
    })
}

fn id(gateway: &Gateway, plain: &str) -> [u8; 32] {
    gateway.keys.pepper.id("passkey", &[plain.as_bytes()])
}

/// What was meant: letters and digits alone, in capitals.
fn plain(typed: &str) -> String {
    let letters = typed.chars().filter(char::is_ascii_alphanumeric);
    letters
        .map(|letter| letter.to_ascii_uppercase())
        .take(64)
        .collect()
}
