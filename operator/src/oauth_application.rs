//! `OAuthApplication`: from what a partner's client asks for to what the
//! gateway and the partner must know.

use crds::{
    OAuthApplication,
    contract::{Application, ClientType, Document, Resource, SecretHash, Sha256Hash, Version},
    oauth_application::{OAuthApplicationStatus, SecretStatus},
    secret::Secret,
};
use jiff::Timestamp;

use crate::{
    catalogue::{Asker, Catalogue},
    mint::{self, Form, NoRandomness, Rng},
    plan::{self, Credentials, CredentialsState, Event, Plan, Refusal},
    rotation::{self, Held, Key, Known, Policy, Turned},
};

/// The shortest secret that may be brought: a document holds its SHA-256, which
/// short secrets do not withstand.
pub const SHORTEST_BROUGHT: usize = 32;

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The document that the gateway has.
    pub document: Option<Application>,
    /// The credentials, made or brought.
    pub credentials: Option<Found>,
    /// The status as last reported.
    pub status: OAuthApplicationStatus,
}

/// A credentials Secret as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// `client_id`.
    pub client_id: Option<String>,
    /// `client_secret`.
    pub client_secret: Option<Secret<String>>,
    /// `previous_client_secret`.
    pub previous_client_secret: Option<Secret<String>>,
    /// The value of the rotate annotation that was last acted on.
    pub rotated_for: Option<String>,
    /// Whose they are, by their own account.
    pub owner: Option<String>,
}

/// The name of the application's credentials Secret.
pub fn secret_name(application: &OAuthApplication) -> String {
    let name = application.metadata.name.as_deref().unwrap_or_default();
    application
        .spec
        .secret
        .name
        .clone()
        .unwrap_or_else(|| format!("{name}-credentials"))
}

/// Decides what ought to be there for `application`. Planning twice from what
/// the first plan left behind changes nothing.
pub fn plan(
    application: &OAuthApplication,
    observed: &Observed,
    catalogue: &Catalogue,
    now: Timestamp,
    rng: &dyn Rng,
) -> Result<Plan<OAuthApplicationStatus>, NoRandomness> {
    let mut refusals = refusals(application, catalogue);
    let generation = application.metadata.generation.unwrap_or(1);
    if let Some(found) = &observed.credentials
        && !application.spec.secret.existing
    {
        plan::check_owner(
            &secret_name(application),
            found.owner.as_deref(),
            &plan::owner(application),
            observed.document.is_some(),
            &mut refusals,
        );
    }
    let secrets = if application.spec.secret.existing {
        brought(application, observed, now, rng, &mut refusals)?
    } else if refusals.is_empty() {
        made(application, observed, catalogue, now, rng)?
    } else {
        Secrets::default()
    };
    if !refusals.is_empty() {
        return Ok(refused(&observed.status, generation, refusals, now));
    }

    let document = Document {
        version: Version,
        namespace: application.metadata.namespace.clone().unwrap_or_default(),
        name: application.metadata.name.clone().unwrap_or_default(),
        generation,
        resource: Resource::OauthApplication(contract(application, &secrets)),
    };
    let status = OAuthApplicationStatus {
        client_id: Some(secrets.client_id),
        observed_generation: Some(generation),
        secrets: statuses(&secrets.hashes, &observed.status.secrets),
        conditions: plan::conditions(
            &observed.status.conditions,
            generation,
            Ok(CredentialsState::Usable),
            now,
        ),
    };
    Ok(Plan {
        document: Some(document),
        credentials: secrets.credentials,
        status,
        events: secrets.events,
        refusals: Vec::new(),
        due: secrets.due,
    })
}

#[derive(Default)]
struct Secrets {
    client_id: String,
    hashes: Vec<SecretHash>,
    credentials: Option<Credentials>,
    events: Vec<Event>,
    due: Option<Timestamp>,
}

fn refusals(application: &OAuthApplication, catalogue: &Catalogue) -> Vec<Refusal> {
    let spec = &application.spec;
    let mut refusals = Vec::new();
    catalogue.check_gateway(&spec.gateway, &mut refusals);
    catalogue.check_scopes(
        &spec.scopes,
        Asker::Application(&spec.grant_types),
        &mut refusals,
    );
    catalogue.check_profile(&spec.profile, &spec.grant_types, &mut refusals);
    catalogue.check_plan(&spec.plan, &mut refusals);
    refusals
}

/// The last good configuration keeps serving: document and credentials stay.
fn refused(
    observed: &OAuthApplicationStatus,
    generation: i64,
    refusals: Vec<Refusal>,
    now: Timestamp,
) -> Plan<OAuthApplicationStatus> {
    let status = OAuthApplicationStatus {
        client_id: observed.client_id.clone(),
        observed_generation: Some(generation),
        secrets: observed.secrets.clone(),
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

fn made(
    application: &OAuthApplication,
    observed: &Observed,
    catalogue: &Catalogue,
    now: Timestamp,
    rng: &dyn Rng,
) -> Result<Secrets, NoRandomness> {
    let found = observed.credentials.as_ref();
    let prefixes = &catalogue.config().prefixes;
    // Identity is never lost: whoever still knows the id is believed, and who
    // was told it first before who was told it last.
    let known_id = observed
        .document
        .as_ref()
        .map(|document| &document.client_id)
        .or(observed.status.client_id.as_ref())
        .or(found.and_then(|found| found.client_id.as_ref()));
    let client_id = match known_id {
        Some(id) => id.clone(),
        None => mint::identifier(&prefixes.client, 24, rng)?,
    };
    let mut entries = vec![("client_id", Secret::new(client_id.clone()))];
    let mut secrets = Secrets {
        client_id,
        ..Secrets::default()
    };
    let mut rotated_for = None;
    if application.spec.client_type == ClientType::Confidential {
        let held = found.and_then(|found| {
            Some(Held {
                current: found.client_secret.clone()?,
                previous: found.previous_client_secret.clone(),
                rotated_for: found.rotated_for.clone(),
            })
        });
        let policy = Policy {
            form: Form::Checked(&prefixes.secret),
            rotation: application.spec.secret.rotation,
            lifetime: None,
            asked: asked(application.metadata.annotations.as_ref()),
            had_secrets: !observed.status.secrets.is_empty(),
        };
        let known = match &observed.document {
            Some(document) => document.secrets.iter().map(known).collect(),
            None => rotation::remembered(&observed.status.secrets, held.as_ref(), policy.form),
        };
        let turned = rotation::turn("client secret", held.as_ref(), &known, &policy, now, rng)?;
        entries.push(("client_secret", turned.current.secret.clone()));
        if let Some(previous) = &turned.previous {
            entries.push(("previous_client_secret", previous.secret.clone()));
        }
        secrets.hashes = hashes(&turned);
        secrets.due = turned.due;
        secrets.events = turned.events;
        rotated_for = turned.rotated_for;
    }
    entries.push(("issuer", Secret::new(catalogue.issuer())));
    entries.push(("token_endpoint", Secret::new(catalogue.token_endpoint())));
    secrets.credentials = Some(Credentials {
        secret_name: secret_name(application),
        owner: plan::owner(application),
        entries,
        rotated_for,
    });
    Ok(secrets)
}

/// Takes the credentials that the user brought. Nothing is ever written there.
fn brought(
    application: &OAuthApplication,
    observed: &Observed,
    now: Timestamp,
    rng: &dyn Rng,
    refusals: &mut Vec<Refusal>,
) -> Result<Secrets, NoRandomness> {
    let name = secret_name(application);
    let mut refuse = |reason, message: String| {
        refusals.push(Refusal::new("spec.secret.existing", reason, message));
    };
    let Some(found) = &observed.credentials else {
        refuse(
            "SecretNotFound",
            format!("there is no Secret `{name}` with the keys client_id and client_secret"),
        );
        return Ok(Secrets::default());
    };
    let client_id = found.client_id.clone().unwrap_or_default();
    if !is_client_id(&client_id) {
        refuse(
            "BadClientId",
            format!(
                "the Secret `{name}` needs a key client_id of 1 to 128 letters, digits and `-._~`"
            ),
        );
    }
    if let Some(old) = &observed.document
        && old.client_id != client_id
    {
        refuse(
            "ClientIdChanged",
            format!(
                "the Secret `{name}` holds another client_id than `{}`, which never changes: bring that one back, or make a new OAuthApplication",
                old.client_id
            ),
        );
    }
    let mut hashes = Vec::new();
    let current = found.client_secret.as_ref();
    let previous = found.previous_client_secret.as_ref();
    let values = [
        ("client_secret", current),
        ("previous_client_secret", previous),
    ];
    for (key, secret) in values {
        let length = secret.map_or(0, |secret| secret.expose().len());
        let is_needed = key == "client_secret" || secret.is_some();
        if is_needed && length < SHORTEST_BROUGHT {
            refuse(
                "SecretTooShort",
                format!(
                    "the Secret `{name}` needs a key {key} of at least {SHORTEST_BROUGHT} characters, but it has {length}"
                ),
            );
        }
        let Some(secret) = secret else { continue };
        let sha256 = Sha256Hash::of(secret.expose().as_bytes());
        let document = observed.document.as_ref();
        let known = document.and_then(|it| it.secrets.iter().find(|hash| hash.sha256 == sha256));
        hashes.push(match known {
            Some(known) => SecretHash {
                expires_at: None,
                ..known.clone()
            },
            None => SecretHash {
                id: rotation::new_id(rng)?,
                sha256,
                created_at: now,
                expires_at: None,
            },
        });
    }
    Ok(Secrets {
        client_id,
        hashes,
        ..Secrets::default()
    })
}

fn is_client_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

fn contract(application: &OAuthApplication, secrets: &Secrets) -> Application {
    let spec = &application.spec;
    Application {
        client_id: secrets.client_id.clone(),
        display_name: spec.display_name.clone(),
        description: spec.description.clone(),
        homepage_url: spec.homepage_url.clone(),
        logo_url: spec.logo_url.clone(),
        client_type: spec.client_type,
        grant_types: spec.grant_types.clone(),
        redirect_uris: spec.redirect_uris.clone(),
        scopes: spec.scopes.clone(),
        profile: spec.profile.clone(),
        plan: spec.plan.clone(),
        secrets: secrets.hashes.clone(),
    }
}

/// The value of the rotate annotation.
pub(crate) fn asked(
    annotations: Option<&std::collections::BTreeMap<String, String>>,
) -> Option<&str> {
    annotations?
        .get(crds::ROTATE_ANNOTATION)
        .map(String::as_str)
}

/// The hashes of the secrets, the newest first.
pub(crate) fn hashes(turned: &Turned) -> Vec<SecretHash> {
    let hash = |key: &Key| SecretHash {
        id: key.id.clone(),
        sha256: Sha256Hash::of(key.secret.expose().as_bytes()),
        created_at: key.created_at,
        expires_at: key.expires_at,
    };
    turned.keys().map(hash).collect()
}

pub(crate) fn known(hash: &SecretHash) -> Known {
    Known {
        id: hash.id.clone(),
        sha256: hash.sha256,
        created_at: hash.created_at,
        expires_at: hash.expires_at,
    }
}

/// What the status says of secrets; when they were last used is kept.
pub(crate) fn statuses(hashes: &[SecretHash], observed: &[SecretStatus]) -> Vec<SecretStatus> {
    let status = |hash: &SecretHash| SecretStatus {
        id: hash.id.clone(),
        created_at: hash.created_at,
        expires_at: hash.expires_at,
        last_used_at: observed
            .iter()
            .find(|status| status.id == hash.id)
            .and_then(|status| status.last_used_at),
    };
    hashes.iter().map(status).collect()
}
