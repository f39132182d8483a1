//! `Webhook`: from where events go to what the gateway and the receiver must
//! know.

use crds::{
    Webhook,
    contract::{self, Document, Resource, Sha256Hash, SigningSecret, Version},
    secret::Secret,
    webhook::WebhookStatus,
};
use jiff::Timestamp;

use crate::{
    catalogue::Catalogue,
    mint::{Form, NoRandomness, Rng},
    oauth_application::{asked, statuses},
    plan::{self, Credentials, CredentialsState, Plan, Refusal},
    rotation::{self, Held, Known, Policy, Turned},
};

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The application that the webhook names.
    pub application: Referent,
    /// The document that the gateway has.
    pub document: Option<contract::Webhook>,
    /// The signing secret, as the receiver finds it.
    pub credentials: Option<Found>,
    /// The status as last reported.
    pub status: WebhookStatus,
}

/// The application that a webhook names, in its own namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Referent {
    /// There is none of that name.
    Missing,
    /// It is there but has no client id yet.
    Pending,
    /// It is there, with this client id.
    Client(String),
}

/// A credentials Secret as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// `webhook_secret`.
    pub webhook_secret: Option<Secret<String>>,
    /// `previous_webhook_secret`.
    pub previous_webhook_secret: Option<Secret<String>>,
    /// The value of the rotate annotation that was last acted on.
    pub rotated_for: Option<String>,
    /// Whose they are, by their own account.
    pub owner: Option<String>,
}

/// The name of the webhook's Secret.
pub fn secret_name(webhook: &Webhook) -> String {
    let name = webhook.metadata.name.as_deref().unwrap_or_default();
    webhook
        .spec
        .signing_secret
        .name
        .clone()
        .unwrap_or_else(|| format!("{name}-webhook"))
}

/// Decides what ought to be there for `webhook`. Planning twice from what the
/// first plan left behind changes nothing.
pub fn plan(
    webhook: &Webhook,
    observed: &Observed,
    catalogue: &Catalogue,
    now: Timestamp,
    rng: &dyn Rng,
) -> Result<Plan<WebhookStatus>, NoRandomness> {
    let spec = &webhook.spec;
    let generation = webhook.metadata.generation.unwrap_or(1);
    let mut refusals = Vec::new();
    catalogue.check_gateway(&spec.gateway, &mut refusals);
    let client_id = match &observed.application {
        Referent::Client(id) => id.clone(),
        missing => {
            refusals.push(dangling(&spec.application_ref.name, missing));
            String::new()
        }
    };
    if let Some(found) = &observed.credentials {
        plan::check_owner(
            &secret_name(webhook),
            found.owner.as_deref(),
            &plan::owner(webhook),
            observed.document.is_some(),
            &mut refusals,
        );
    }
    if !refusals.is_empty() {
        return Ok(refused(&observed.status, generation, refusals, now));
    }

    let held = observed.credentials.as_ref().and_then(|found| {
        Some(Held {
            current: found.webhook_secret.clone()?,
            previous: found.previous_webhook_secret.clone(),
            rotated_for: found.rotated_for.clone(),
        })
    });
    let policy = Policy {
        form: Form::Signing,
        rotation: spec.signing_secret.rotation,
        lifetime: None,
        asked: asked(webhook.metadata.annotations.as_ref()),
        had_secrets: !observed.status.signing_secrets.is_empty(),
    };
    let known = match &observed.document {
        Some(document) => document.signing_secrets.iter().map(known).collect(),
        None => rotation::remembered(&observed.status.signing_secrets, held.as_ref(), policy.form),
    };
    let turned = rotation::turn("signing secret", held.as_ref(), &known, &policy, now, rng)?;

    let mut entries = vec![("webhook_secret", turned.current.secret.clone())];
    if let Some(previous) = &turned.previous {
        entries.push(("previous_webhook_secret", previous.secret.clone()));
    }
    let status = WebhookStatus {
        observed_generation: Some(generation),
        signing_secrets: statuses(
            &crate::oauth_application::hashes(&turned),
            &observed.status.signing_secrets,
        ),
        conditions: plan::conditions(
            &observed.status.conditions,
            generation,
            Ok(CredentialsState::Usable),
            now,
        ),
    };
    let document = Document {
        version: Version,
        namespace: webhook.metadata.namespace.clone().unwrap_or_default(),
        name: webhook.metadata.name.clone().unwrap_or_default(),
        generation,
        resource: Resource::Webhook(contract::Webhook {
            client_id,
            url: spec.url.clone(),
            events: spec.events.clone(),
            signing_secrets: signing_secrets(&turned),
            ordered: spec.ordered,
            suspended: spec.suspended,
        }),
    };
    Ok(Plan {
        document: Some(document),
        credentials: Some(Credentials {
            secret_name: secret_name(webhook),
            owner: plan::owner(webhook),
            entries,
            rotated_for: turned.rotated_for,
        }),
        status,
        events: turned.events,
        refusals: Vec::new(),
        due: turned.due,
    })
}

fn dangling(name: &str, referent: &Referent) -> Refusal {
    let path = "spec.applicationRef.name";
    if *referent == Referent::Missing {
        Refusal::new(
            path,
            "ApplicationNotFound",
            format!("there is no OAuthApplication `{name}` in this namespace"),
        )
    } else {
        Refusal::new(
            path,
            "ApplicationNotReady",
            format!("the OAuthApplication `{name}` is not accepted, so it has no events"),
        )
    }
}

fn known(secret: &SigningSecret) -> Known {
    Known {
        id: secret.id.clone(),
        sha256: Sha256Hash::of(secret.secret.expose().as_bytes()),
        created_at: secret.created_at,
        expires_at: secret.expires_at,
    }
}

fn signing_secrets(turned: &Turned) -> Vec<SigningSecret> {
    let signing = |key: &rotation::Key| SigningSecret {
        id: key.id.clone(),
        secret: key.secret.clone(),
        created_at: key.created_at,
        expires_at: key.expires_at,
    };
    turned.keys().map(signing).collect()
}

/// The last good configuration keeps serving: document and credentials stay.
fn refused(
    observed: &WebhookStatus,
    generation: i64,
    refusals: Vec<Refusal>,
    now: Timestamp,
) -> Plan<WebhookStatus> {
    let status = WebhookStatus {
        observed_generation: Some(generation),
        signing_secrets: observed.signing_secrets.clone(),
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
