//! Device authorization (RFC 8628): a device shows a short code, a user types
//! it where there is a keyboard, and the device hears of it by asking.

use std::sync::Arc;

use crds::{
    contract::{ClientType, GrantType},
    secret::Secret,
};
use http::Response;
use serde::{Deserialize, Serialize};

use super::{
    Call, client, entitlement,
    error::Error,
    form::Form,
    grant::{self, Attempt, TRIES},
    issue::{self, Delegation, Source, Tokens, hash},
    private_json,
};
use crate::{
    body::Body,
    clock::UnixSeconds,
    core::Core,
    gateway::Gateway,
    mint,
    registry::Client,
    scopes::ScopeSet,
    store::{
        GrantId,
        entry::{Change, Found, Space, Stored},
    },
    telemetry::audit,
    user::throttle::{Purpose, Who},
};

/// Seconds between two questions of a device, at first (WF-61).
const INTERVAL: u64 = 5;
/// Seconds that each `slow_down` adds (RFC 8628 section 3.5).
const SLOWER: u64 = 5;
/// The slowest that a device is told to be, in seconds.
const SLOWEST: u64 = 120;
/// What a device code starts with.
const PREFIX: &str = "fg_device_";
/// Consonants that are hard to mistake, and spell nothing (section 6.1).
const ALPHABET: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a user code: 34 bits, which the throttle of the page where it is
/// typed makes enough for its short life.
const USER_CODE_LEN: usize = 8;
/// Seconds that a used or expired code is remembered, to be told from an
/// unknown one.
const REMEMBERED: u64 = 60 * 60;

/// A device authorization, at rest under the HMAC of its device code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The application, by client id.
    pub client: String,
    /// What it asks for.
    pub scopes: Vec<String>,
    /// When the device may no longer be approved, in Unix seconds.
    pub expires_at: UnixSeconds,
    state: State,
    interval: u64,
    polled_at: Option<UnixSeconds>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Pending,
    Denied,
    Approved {
        subject: String,
        grant: GrantId,
        scopes: Vec<String>,
    },
    Used {
        subject: String,
        grant: GrantId,
    },
}

impl Stored for Device {
    const SPACE: Space = Space::Device;

    fn expires_at(&self) -> u64 {
        self.expires_at.saturating_add(REMEMBERED)
    }
}

/// Which device a user code stands for, at rest under the HMAC of the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCode {
    device: [u8; 32],
    expires_at: UnixSeconds,
}

impl Stored for UserCode {
    const SPACE: Space = Space::UserCode;

    fn expires_at(&self) -> u64 {
        self.expires_at
    }
}

/// The answer of the endpoint (section 3.2).
#[derive(Serialize)]
struct Answer<'a> {
    device_code: &'a str,
    user_code: &'a str,
    verification_uri: &'a str,
    verification_uri_complete: &'a str,
    expires_in: u64,
    interval: u64,
}

/// Answers a device authorization request (section 3.1).
pub(super) async fn answer(core: &Core, call: &Call<'_>) -> Result<Response<Body>, Error> {
    let gateway = &core.shared;
    let form = Form::parse(call.headers, &call.body)?;
    let client = client::identify(core, call.headers, &form)?;
    if !client.may_use(GrantType::DeviceCode) {
        return Err(Error::unauthorized(
            "this client may not use the grant device_code",
        ));
    }
    let scopes = asked(gateway, &client, form.optional("scope"))?;
    // Whoever knows a public client's id can ask, and each answer is stored.
    if client.client_type == ClientType::Public {
        let who = [(Purpose::Device, Who::Address(call.peer))];
        let begun = gateway.users.throttle.attempt(&who);
        drop(begun.map_err(|wait| Error::too_many(wait.0))?);
    }
    let now = gateway.clock.now();
    let ttl = client.profile.device_code_ttl.as_secs();
    let device = Device {
        client: client.id.clone(),
        scopes: gateway.catalogue.list(scopes).map(str::to_owned).collect(),
        expires_at: now + ttl,
        state: State::Pending,
        interval: INTERVAL,
        polled_at: None,
    };
    let (device_code, user_code) = keep(gateway, &device).await?;
    audit::event("device_authorization_started", "", &client.id);
    let shown = shown(&user_code);
    let uri = &gateway.verification_uri;
    private_json(&Answer {
        device_code: device_code.expose(),
        user_code: shown.expose(),
        verification_uri: uri,
        verification_uri_complete: &format!("{uri}?user_code={}", shown.expose()),
        expires_in: ttl,
        interval: INTERVAL,
    })
}

/// Stores a device under fresh codes.
async fn keep(
    gateway: &Gateway,
    device: &Device,
) -> Result<(Secret<String>, Secret<String>), Error> {
    for _ in 0..TRIES {
        let device_code = mint::token(PREFIX, &*gateway.rng)?;
        let user_code = mint::typed(ALPHABET, USER_CODE_LEN, &*gateway.rng)?;
        let id = hash(gateway, device_code.expose()).0;
        let entry = UserCode {
            device: id,
            expires_at: device.expires_at,
        };
        let user_id = user_code_id(gateway, user_code.expose());
        let change = Change::new()
            .expect_none::<UserCode>(user_id)
            .put(user_id, &entry)?
            .put(id, device)?;
        if let Attempt::Done(()) = grant::apply(gateway, change).await? {
            return Ok((device_code, user_code));
        }
    }
    Err(Error::unavailable())
}

fn asked(gateway: &Gateway, client: &Client, scope: Option<&str>) -> Result<ScopeSet, Error> {
    let catalogue = &gateway.catalogue;
    let allowed = client.scopes.without(catalogue.reserved());
    let Some(scope) = scope else {
        return Ok(allowed);
    };
    let unknown = |_| Error::scope("a scope that was asked for does not exist");
    let asked = catalogue.parse(scope).map_err(unknown)?;
    if asked.is_empty() {
        return Err(Error::scope("scope is given and names nothing"));
    }
    let excess = asked.without(allowed);
    if !excess.is_empty() {
        return Err(Error::scope(format!(
            "this client does not have: {}",
            catalogue.join(excess)
        )));
    }
    Ok(asked)
}

/// `BCDF-GHJK`.
fn shown(code: &Secret<String>) -> Secret<String> {
    let (left, right) = code.expose().split_at(USER_CODE_LEN / 2);
    Secret::new(format!("{left}-{right}"))
}

/// Where a user code is kept, however it was typed.
fn user_code_id(gateway: &Gateway, typed: &str) -> [u8; 32] {
    gateway
        .keys
        .pepper
        .id("user code", &[plain(typed).as_bytes()])
}

/// What was meant: letters alone, in capitals (section 6.1).
fn plain(typed: &str) -> String {
    let letters = typed.chars().filter(char::is_ascii_alphabetic);
    letters
        .map(|letter| letter.to_ascii_uppercase())
        .take(64)
        .collect()
}

/// A device that waits for a user.
pub struct Waiting {
    /// The code as the device shows it.
    pub user_code: String,
    /// Which application it runs.
    pub client: Arc<Client>,
    /// What it asks for, and may still ask for.
    pub scopes: ScopeSet,
    found: Found<Device>,
}

/// The device that shows this code, if it still waits.
pub async fn find(gateway: &Gateway, typed: &str) -> Result<Option<Waiting>, Error> {
    let code = plain(typed);
    if code.len() != USER_CODE_LEN {
        return Ok(None);
    }
    let now = gateway.clock.now();
    let Some(entry) = gateway
        .store
        .get::<UserCode>(user_code_id(gateway, &code))
        .await?
    else {
        return Ok(None);
    };
    let found = gateway.store.get::<Device>(entry.value.device).await?;
    let waits = |device: &Device| now < device.expires_at && device.state == State::Pending;
    let Some(found) = found.filter(|found| waits(&found.value)) else {
        return Ok(None);
    };
    let registry = gateway.registry.load();
    let Some(client) = registry.client(&found.value.client) else {
        return Ok(None);
    };
    let scopes = gateway
        .catalogue
        .set(found.value.scopes.iter().map(String::as_str));
    Ok(Some(Waiting {
        user_code: shown(&Secret::new(code)).expose().clone(),
        client: client.clone(),
        scopes: scopes.and(client.scopes),
        found,
    }))
}

/// What a user says to a device: `Some`, with the scopes that are approved, or
/// no. Whether it was in time, and the first to say so.
pub async fn decide(
    gateway: &Gateway,
    waiting: &Waiting,
    subject: &str,
    approved: Option<ScopeSet>,
) -> Result<bool, Error> {
    let device = &waiting.found.value;
    let client = &device.client;
    for _ in 0..TRIES {
        let (state, change) = match approved.map(|approved| approved.and(waiting.scopes)) {
            Some(approved) => {
                let (grant, change) = grant::extend(gateway, subject, client, approved).await?;
                let scopes = gateway
                    .catalogue
                    .list(approved)
                    .map(str::to_owned)
                    .collect();
                let subject = subject.to_owned();
                let grant = grant.id;
                (
                    State::Approved {
                        subject,
                        grant,
                        scopes,
                    },
                    change,
                )
            }
            None => (State::Denied, Change::new()),
        };
        // The device may have asked meanwhile, which changes the entry.
        let Some(found) = gateway.store.get::<Device>(*waiting.found.id()).await? else {
            return Ok(false);
        };
        if found.value.state != State::Pending || gateway.clock.now() >= device.expires_at {
            return Ok(false);
        }
        let decided = Device {
            state,
            ..found.value.clone()
        };
        let change = change.expect(&found).put(*found.id(), &decided)?;
        if let Attempt::Done(()) = grant::apply(gateway, change).await? {
            let event = if approved.is_some() {
                "device_approved"
            } else {
                "device_denied"
            };
            audit::event(event, subject, client);
            return Ok(true);
        }
    }
    Err(Error::unavailable())
}

/// A device asks whether it was approved (section 3.4).
pub(super) async fn exchange(
    gateway: &Gateway,
    client: &Client,
    form: &Form<'_>,
) -> Result<Tokens, Error> {
    if !client.may_use(GrantType::DeviceCode) {
        return Err(Error::unauthorized(
            "this client may not use the grant device_code",
        ));
    }
    let text = form.required("device_code")?;
    if !mint::is_well_formed(text.as_bytes(), PREFIX) {
        return Err(unknown(client));
    }
    let id = hash(gateway, text).0;
    for _ in 0..TRIES {
        let found = gateway.store.get::<Device>(id).await?;
        let Some(found) = found.filter(|found| found.value.client == client.id) else {
            return Err(unknown(client));
        };
        if let Attempt::Done(tokens) = answer_device(gateway, client, &found).await? {
            return Ok(tokens);
        }
    }
    Err(Error::unavailable())
}

async fn answer_device(
    gateway: &Gateway,
    client: &Client,
    found: &Found<Device>,
) -> Result<Attempt<Tokens>, Error> {
    let device = &found.value;
    if let State::Used { subject, grant } = &device.state {
        audit::replayed("device_code_replayed", subject, &device.client);
        gateway
            .grants
            .revoke(subject, &device.client, Some(*grant))
            .await?;
        return Err(unknown(client));
    }
    if gateway.clock.now() >= device.expires_at {
        return Err(Error::device(
            "expired_token",
            "the device code has expired: begin again",
        ));
    }
    match too_fast(gateway, found).await? {
        Some(Attempt::Done(error)) => return Err(error),
        Some(Attempt::Again) => return Ok(Attempt::Again),
        None => {}
    }
    match &device.state {
        State::Denied => Err(Error::device("access_denied", "the user said no")),
        State::Approved {
            subject,
            grant,
            scopes,
        } => redeem(gateway, client, found, (subject, *grant, scopes)).await,
        State::Pending => wait(gateway, found).await,
        State::Used { .. } => Err(unknown(client)),
    }
}

/// Who asks faster than told is to slow down, by five seconds each time.
async fn too_fast(
    gateway: &Gateway,
    found: &Found<Device>,
) -> Result<Option<Attempt<Error>>, Error> {
    let device = &found.value;
    let now = gateway.clock.now();
    let early = device
        .polled_at
        .is_some_and(|at| now < at + device.interval);
    if !early || device.state != State::Pending {
        return Ok(None);
    }
    let slowed = Device {
        interval: (device.interval + SLOWER).min(SLOWEST),
        polled_at: Some(now),
        ..device.clone()
    };
    // What changes nothing needs no write: who hammers costs a look-up.
    if slowed != *device {
        let change = Change::new().expect(found).put(*found.id(), &slowed)?;
        if let Attempt::Again = grant::apply(gateway, change).await? {
            return Ok(Some(Attempt::Again));
        }
    }
    Ok(Some(Attempt::Done(Error::device(
        "slow_down",
        format!("ask no more often than every {} seconds", slowed.interval),
    ))))
}

async fn wait(gateway: &Gateway, found: &Found<Device>) -> Result<Attempt<Tokens>, Error> {
    let polled = Device {
        polled_at: Some(gateway.clock.now()),
        ..found.value.clone()
    };
    let change = Change::new().expect(found).put(*found.id(), &polled)?;
    match grant::apply(gateway, change).await? {
        Attempt::Done(()) => Err(Error::device(
            "authorization_pending",
            "the user has not decided yet",
        )),
        Attempt::Again => Ok(Attempt::Again),
    }
}

async fn redeem(
    gateway: &Gateway,
    client: &Client,
    found: &Found<Device>,
    (subject, id, scopes): (&str, GrantId, &[String]),
) -> Result<Attempt<Tokens>, Error> {
    let Some(known) = gateway.grants.in_force(subject, &client.id, id).await? else {
        return Err(unknown(client));
    };
    let scopes = gateway.catalogue.set(scopes.iter().map(String::as_str));
    let scopes = entitlement::left(gateway, subject, scopes.and(client.scopes)).await?;
    let Some(scopes) = scopes else {
        return Err(unknown(client));
    };
    let delegation = Delegation {
        client,
        subject,
        grant: id,
        scopes,
        granted: scopes,
        began_at: gateway.clock.now(),
    };
    let change = Change::new().expect(found).expect(&known);
    let (tokens, change) = issue::pair(gateway, &delegation, &Source::Random, change)?;
    let used = Device {
        state: State::Used {
            subject: subject.to_owned(),
            grant: id,
        },
        ..found.value.clone()
    };
    let change = change.put(*found.id(), &used)?;
    Ok(match grant::apply(gateway, change).await? {
        Attempt::Done(()) => {
            audit::granted(
                "device_code",
                subject,
                client,
                &gateway.catalogue.join(scopes),
            );
            Attempt::Done(tokens)
        }
        Attempt::Again => Attempt::Again,
    })
}

fn unknown(client: &Client) -> Error {
    Error::grant(
        client,
        "the device code is unknown, used already, or was issued to another client",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_code_is_read_however_it_was_typed() {
        for typed in ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk ", "BCDF–GHJK"] {
            assert_eq!(plain(typed), "BCDFGHJK", "{typed}");
        }
    }
}
