//! `ApiKey`: from what a key may do to what the gateway and its holder must
//! know.

use crds::{
    ApiKey,
    api_key::ApiKeyStatus,
    condition::{CREDENTIALS_READY, Status},
    contract::{self, Document, Resource, Version},
    secret::Secret,
};
use ipnet::IpNet;
use jiff::Timestamp;

use crate::{
    catalogue::{Asker, Catalogue},
    mint::{self, Form, NoRandomness, Rng},
    oauth_application::{asked, hashes, known, statuses},
    plan::{self, Credentials, CredentialsState, Event, Plan, Refusal},
    rotation::{self, Held, Policy},
};

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The document that the gateway has.
    pub document: Option<contract::ApiKey>,
    /// The key, as its holder finds it.
    pub credentials: Option<Found>,
    /// The status as last reported.
    pub status: ApiKeyStatus,
}

/// A credentials Secret as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// `key_id`.
    pub key_id: Option<String>,
    /// `api_key`.
    pub api_key: Option<Secret<String>>,
    /// `previous_api_key`.
    pub previous_api_key: Option<Secret<String>>,
    /// The value of the rotate annotation that was last acted on.
    pub rotated_for: Option<String>,
    /// Whose they are, by their own account.
    pub owner: Option<String>,
}

/// The name of the key's Secret.
pub fn secret_name(key: &ApiKey) -> String {
    let name = key.metadata.name.as_deref().unwrap_or_default();
    key.spec
        .secret
        .name
        .clone()
        .unwrap_or_else(|| format!("{name}-api-key"))
}

/// Decides what ought to be there for `key`. Planning twice from what the first
/// plan left behind changes nothing.
pub fn plan(
    key: &ApiKey,
    observed: &Observed,
    catalogue: &Catalogue,
    now: Timestamp,
    rng: &dyn Rng,
) -> Result<Plan<ApiKeyStatus>, NoRandomness> {
    let spec = &key.spec;
    let generation = key.metadata.generation.unwrap_or(1);
    let mut refusals = Vec::new();
    catalogue.check_gateway(&spec.gateway, &mut refusals);
    catalogue.check_scopes(&spec.scopes, Asker::ApiKey, &mut refusals);
    catalogue.check_plan(&spec.plan, &mut refusals);
    let allowed_cidrs = networks(&spec.allowed_cidrs, &mut refusals);
    if let Some(found) = &observed.credentials {
        plan::check_owner(
            &secret_name(key),
            found.owner.as_deref(),
            &plan::owner(key),
            observed.document.is_some(),
            &mut refusals,
        );
    }
    if !refusals.is_empty() {
        return Ok(refused(&observed.status, generation, refusals, now));
    }

    let found = observed.credentials.as_ref();
    let known_id = observed
        .document
        .as_ref()
        .map(|document| &document.id)
        .or(observed.status.key_id.as_ref())
        .or(found.and_then(|found| found.key_id.as_ref()));
    let id = match known_id {
        Some(id) => id.clone(),
        None => mint::identifier("key-", 16, rng)?,
    };
    let held = found.and_then(|found| {
        Some(Held {
            current: found.api_key.clone()?,
            previous: found.previous_api_key.clone(),
            rotated_for: found.rotated_for.clone(),
        })
    });
    let policy = Policy {
        form: Form::Checked(&catalogue.config().prefixes.api_key),
        rotation: spec.secret.rotation,
        lifetime: spec.expires_after,
        asked: asked(key.metadata.annotations.as_ref()),
        had_secrets: !observed.status.keys.is_empty(),
    };
    let known = match &observed.document {
        Some(document) => document.keys.iter().map(known).collect(),
        None => rotation::remembered(&observed.status.keys, held.as_ref(), policy.form),
    };
    let turned = rotation::turn("API key", held.as_ref(), &known, &policy, now, rng)?;

    let mut entries = vec![
        ("key_id", Secret::new(id.clone())),
        ("api_key", turned.current.secret.clone()),
    ];
    if let Some(previous) = &turned.previous {
        entries.push(("previous_api_key", previous.secret.clone()));
    }
    let keys = hashes(&turned);
    let state = if turned.is_expired(now) {
        CredentialsState::Expired
    } else {
        CredentialsState::Usable
    };
    let status = ApiKeyStatus {
        key_id: Some(id.clone()),
        observed_generation: Some(generation),
        keys: statuses(&keys, &observed.status.keys),
        conditions: plan::conditions(&observed.status.conditions, generation, Ok(state), now),
    };
    let document = document(key, generation, id, allowed_cidrs, keys);
    let mut events = turned.events;
    if state == CredentialsState::Expired {
        events.extend(expiry_event(&observed.status));
    }
    Ok(Plan {
        document: Some(document),
        credentials: Some(Credentials {
            secret_name: secret_name(key),
            owner: plan::owner(key),
            entries,
            rotated_for: turned.rotated_for,
        }),
        status,
        events,
        refusals: Vec::new(),
        due: turned.due,
    })
}

fn document(
    key: &ApiKey,
    generation: i64,
    id: String,
    allowed_cidrs: Vec<IpNet>,
    keys: Vec<contract::SecretHash>,
) -> Document {
    let spec = &key.spec;
    Document {
        version: Version,
        namespace: key.metadata.namespace.clone().unwrap_or_default(),
        name: key.metadata.name.clone().unwrap_or_default(),
        generation,
        resource: Resource::ApiKey(contract::ApiKey {
            id,
            subject: spec.subject.clone(),
            display_name: spec.display_name.clone(),
            scopes: spec.scopes.clone(),
            plan: spec.plan.clone(),
            allowed_cidrs,
            keys,
        }),
    }
}

/// Says once that a key has ended.
fn expiry_event(observed: &ApiKeyStatus) -> Option<Event> {
    let is_known = observed
        .conditions
        .iter()
        .any(|it| it.kind == CREDENTIALS_READY && it.status == Status::False);
    let message = format!(
        "The API key has ended. Set the annotation {} to a new value to have another one made.",
        crds::ROTATE_ANNOTATION
    );
    (!is_known).then(|| Event::warning("CredentialsExpired", message))
}

/// The schema has looked at them already; what it let pass and `ipnet` does not
/// read is refused here rather than dropped, or the key would be usable from
/// anywhere.
fn networks(texts: &[String], refusals: &mut Vec<Refusal>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        match text.parse() {
            Ok(network) => networks.push(network),
            Err(_) => refusals.push(Refusal::new(
                format!("spec.allowedCidrs[{i}]"),
                "BadNetwork",
                format!("`{text}` is not a network in CIDR notation, such as 10.0.0.0/8"),
            )),
        }
    }
    networks
}

/// The last good configuration keeps serving: document and credentials stay.
fn refused(
    observed: &ApiKeyStatus,
    generation: i64,
    refusals: Vec<Refusal>,
    now: Timestamp,
) -> Plan<ApiKeyStatus> {
    let status = ApiKeyStatus {
        key_id: observed.key_id.clone(),
        observed_generation: Some(generation),
        keys: observed.keys.clone(),
        conditions: plan::conditions(&observed.conditions, generation, Err(&refusals), now),
    };
    Plan {
        document: None,
        credentials: None,
        status,
        events: plan::refusal_events(&refusals),
        refusals,
        due: None,
    }
}
