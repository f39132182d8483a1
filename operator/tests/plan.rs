//! What is planned for a resource, given what is there. No file, no network,
//! no clock.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may")]

use std::cell::Cell;

use crds::{
    ApiKey, OAuthApplication, Webhook,
    condition::{ACCEPTED, CREDENTIALS_READY, READY, Status},
    contract::{self, Document, Resource, Sha256Hash},
    gateway_config::GatewayConfig,
    oauth_application::OAuthApplicationStatus,
    secret::Secret,
};
use flightgate_operator::{
    api_key,
    catalogue::Catalogue,
    mint::{Form, NoRandomness, Rng},
    oauth_application::{self, Found, Observed},
    plan::{EventKind, Plan},
    webhook::{self, Referent},
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

/// Randomness that repeats (`SplitMix64`).
struct Seeded(Cell<u64>);

impl Rng for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        for byte in bytes {
            let next = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
            self.0.set(next);
            let mut z = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (z >> 56) as u8;
        }
        Ok(())
    }
}

fn rng(seed: u64) -> Seeded {
    Seeded(Cell::new(seed))
}

fn catalogue() -> Catalogue {
    Catalogue::new(
        "default",
        GatewayConfig::from_yaml(include_str!("manifests/gateway.yaml")).unwrap(),
    )
}

fn at(hours: i64) -> Timestamp {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    start + SignedDuration::from_hours(hours)
}

fn application(spec: &serde_json::Value, rotate: Option<&str>) -> OAuthApplication {
    let mut object = json!({
        "apiVersion": "flightgate.dev/v1alpha1",
        "kind": "OAuthApplication",
        "metadata": {"name": "acme", "namespace": "partners", "generation": 4},
        "spec": {"displayName": "Acme", "grantTypes": ["client_credentials"], "scopes": ["flights:read"]},
    });
    if let Some(rotate) = rotate {
        object["metadata"]["annotations"] = json!({"flightgate.dev/rotate": rotate});
    }
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn key(spec: &serde_json::Value) -> ApiKey {
    let mut object = json!({
        "apiVersion": "flightgate.dev/v1alpha1",
        "kind": "ApiKey",
        "metadata": {"name": "anna", "namespace": "partners", "generation": 1},
        "spec": {"subject": "pilot:anna", "displayName": "Anna", "scopes": ["flights:read"]},
    });
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn hook() -> Webhook {
    serde_json::from_value(json!({
        "apiVersion": "flightgate.dev/v1alpha1",
        "kind": "Webhook",
        "metadata": {"name": "flights", "namespace": "partners", "generation": 1},
        "spec": {"applicationRef": {"name": "acme"}, "url": "https://a.example", "events": ["flight.uploaded"]},
    }))
    .unwrap()
}

fn planned(
    application: &OAuthApplication,
    observed: &Observed,
    hours: i64,
    seed: u64,
) -> Plan<OAuthApplicationStatus> {
    oauth_application::plan(application, observed, &catalogue(), at(hours), &rng(seed)).unwrap()
}

fn contract_of(document: &Document) -> contract::Application {
    match &document.resource {
        Resource::OauthApplication(application) => application.clone(),
        other => panic!("{other:?}"),
    }
}

/// What is there after the plan was applied.
fn applied(before: &Observed, plan: &Plan<OAuthApplicationStatus>) -> Observed {
    let found = plan.credentials.as_ref().map(|credentials| {
        let entry = |key: &str| {
            let (_, value) = credentials.entries.iter().find(|(name, _)| *name == key)?;
            Some(value.clone())
        };
        Found {
            client_id: entry("client_id").map(|id| id.expose().clone()),
            client_secret: entry("client_secret"),
            previous_client_secret: entry("previous_client_secret"),
            rotated_for: credentials.rotated_for.clone(),
            owner: Some(credentials.owner.clone()),
        }
    });
    Observed {
        document: plan
            .document
            .as_ref()
            .map(contract_of)
            .or(before.document.clone()),
        credentials: found.or(before.credentials.clone()),
        status: plan.status.clone(),
    }
}

fn condition(status: &OAuthApplicationStatus, kind: &str) -> (Status, String, Timestamp) {
    let condition = status.conditions.iter().find(|it| it.kind == kind).unwrap();
    assert_eq!(condition.observed_generation, 4);
    (
        condition.status,
        condition.reason.clone(),
        condition.last_transition_time,
    )
}

#[test]
fn a_first_plan_makes_an_identity_and_says_so() {
    let plan = planned(&application(&json!({}), None), &Observed::default(), 0, 1);
    assert!(plan.refusals.is_empty());
    let document = plan.document.unwrap();
    assert_eq!(
        (
            document.namespace.as_str(),
            document.name.as_str(),
            document.generation
        ),
        ("partners", "acme", 4)
    );
    assert_eq!(plan.credentials.unwrap().secret_name, "acme-credentials");
    assert_eq!(plan.events.len(), 1);
    assert_eq!(
        (plan.events[0].kind, plan.events[0].reason),
        (EventKind::Normal, "CredentialsCreated")
    );
    assert_eq!(
        condition(&plan.status, ACCEPTED),
        (Status::True, "Accepted".into(), at(0))
    );
    assert_eq!(condition(&plan.status, CREDENTIALS_READY).0, Status::True);
    assert!(
        plan.status.conditions.iter().all(|it| it.kind != READY),
        "only gateways can say that they serve it"
    );
    assert_eq!(plan.status.observed_generation, Some(4));
    assert_eq!(plan.due, None);
}

#[test]
fn a_public_client_gets_an_id_and_no_secret() {
    let spec = json!({"clientType": "public", "grantTypes": ["device_code"]});
    let plan = planned(&application(&spec, None), &Observed::default(), 0, 1);
    let keys: Vec<_> = plan
        .credentials
        .unwrap()
        .entries
        .iter()
        .map(|(key, _)| *key)
        .collect();
    assert_eq!(keys, ["client_id", "issuer", "token_endpoint"]);
    assert!(contract_of(&plan.document.unwrap()).secrets.is_empty());
}

#[test]
fn a_refused_change_keeps_the_last_good_configuration() {
    let good = application(&json!({}), None);
    let observed = applied(
        &Observed::default(),
        &planned(&good, &Observed::default(), 0, 1),
    );
    let bad = application(
        &json!({"scopes": ["flights:reed"], "plan": "platinum"}),
        None,
    );
    let plan = planned(&bad, &observed, 5, 2);
    assert!(plan.document.is_none() && plan.credentials.is_none());
    assert_eq!(plan.refusals.len(), 2);
    assert_eq!(plan.status.client_id, observed.status.client_id);
    assert_eq!(plan.status.secrets, observed.status.secrets);
    assert_eq!(
        condition(&plan.status, ACCEPTED),
        (Status::False, "UnknownScope".into(), at(5))
    );
    assert_eq!(condition(&plan.status, READY).0, Status::False);
    assert!(
        plan.events
            .iter()
            .all(|event| event.kind == EventKind::Warning)
    );

    // The next look at it says the same, and moves no transition time.
    let again = planned(&bad, &applied(&observed, &plan), 6, 3);
    assert_eq!(again.status, plan.status);
    let healed = planned(&good, &applied(&observed, &plan), 7, 4);
    assert_eq!(
        condition(&healed.status, ACCEPTED),
        (Status::True, "Accepted".into(), at(7))
    );
    assert_eq!(healed.status.client_id, observed.status.client_id);
}

#[test]
fn identity_is_adopted_from_whatever_survives() {
    let application = application(&json!({}), None);
    let full = applied(
        &Observed::default(),
        &planned(&application, &Observed::default(), 0, 1),
    );
    let id = full.status.client_id.clone();
    let document_alone = Observed {
        document: full.document.clone(),
        ..Observed::default()
    };
    let credentials_alone = Observed {
        credentials: full.credentials.clone(),
        ..Observed::default()
    };
    let status_alone = Observed {
        status: full.status.clone(),
        ..Observed::default()
    };
    for (observed, keeps_secret) in [
        (document_alone, false),
        (credentials_alone, true),
        (status_alone, false),
    ] {
        let plan = planned(&application, &observed, 1, 2);
        assert_eq!(plan.status.client_id, id);
        let after = applied(&observed, &plan);
        let secret = |it: &Observed| it.credentials.clone().unwrap().client_secret;
        assert_eq!(secret(&after) == secret(&full), keeps_secret);
    }
}

#[test]
fn others_credentials_are_neither_adopted_nor_overwritten() {
    let application = application(&json!({}), None);
    let full = applied(
        &Observed::default(),
        &planned(&application, &Observed::default(), 0, 1),
    );
    for (owner, served, refused) in [
        (Some("OAuthApplication partners/acme"), false, false),
        (Some("OAuthApplication partners/other"), false, true),
        (Some("OAuthApplication partners/other"), true, true),
        (None, false, true),
        (None, true, false),
    ] {
        let mut observed = full.clone();
        observed.credentials.as_mut().unwrap().owner = owner.map(str::to_owned);
        if !served {
            observed.document = None;
        }
        let plan = planned(&application, &observed, 1, 2);
        let reason = plan.refusals.first().map(|refusal| refusal.reason);
        assert_eq!(
            reason,
            refused.then_some("SecretNotOwned"),
            "{owner:?} {served}"
        );
    }
}

#[test]
fn a_lost_secret_is_replaced_at_once_and_somebody_is_told() {
    let application = application(&json!({}), None);
    let mut observed = applied(
        &Observed::default(),
        &planned(&application, &Observed::default(), 0, 1),
    );
    let old = observed.document.clone().unwrap().secrets[0].clone();
    observed.credentials = None;
    let plan = planned(&application, &observed, 1, 2);
    let secrets = contract_of(&plan.document.unwrap()).secrets;
    assert_eq!(secrets.len(), 1);
    assert_ne!(secrets[0].sha256, old.sha256);
    assert_eq!(
        (plan.events[0].kind, plan.events[0].reason),
        (EventKind::Warning, "CredentialsRecreated")
    );
}

#[test]
fn when_to_look_again_is_said() {
    let spec = json!({"secret": {"rotation": {"interval": "10d", "overlap": "2d"}}});
    let application = application(&spec, None);
    let first = planned(&application, &Observed::default(), 0, 1);
    assert_eq!(first.due, Some(at(240)));
    let observed = applied(&Observed::default(), &first);
    let rotated = planned(&application, &observed, 240, 2);
    assert_eq!(rotated.events[0].reason, "CredentialsRotated");
    assert_eq!(rotated.due, Some(at(240 + 48)));
    let observed = applied(&observed, &rotated);
    let over = planned(&application, &observed, 240 + 48, 3);
    assert_eq!(over.events[0].reason, "OverlapEnded");
    assert_eq!(over.due, Some(at(480)));
    assert_eq!(over.status.secrets.len(), 1);
}

#[test]
fn when_a_secret_was_last_used_survives_a_plan() {
    let application = application(&json!({}), None);
    let mut observed = applied(
        &Observed::default(),
        &planned(&application, &Observed::default(), 0, 1),
    );
    observed.status.secrets[0].last_used_at = Some(at(3));
    let plan = planned(&application, &observed, 4, 2);
    assert_eq!(plan.status.secrets[0].last_used_at, Some(at(3)));
}

#[test]
fn a_key_that_has_ended_says_how_to_get_another() {
    let key = key(&json!({"expiresAfter": "1d"}));
    let first = api_key::plan(
        &key,
        &api_key::Observed::default(),
        &catalogue(),
        at(0),
        &rng(1),
    )
    .unwrap();
    assert_eq!(first.due, Some(at(24)));
    let Resource::ApiKey(document) = first.document.unwrap().resource else {
        panic!()
    };
    let credentials = first.credentials.unwrap();
    let observed = api_key::Observed {
        document: Some(document),
        credentials: Some(api_key::Found {
            key_id: first.status.key_id.clone(),
            api_key: Some(credentials.entries[1].1.clone()),
            owner: Some(credentials.owner.clone()),
            ..api_key::Found::default()
        }),
        status: first.status,
    };
    let plan = api_key::plan(&key, &observed, &catalogue(), at(24), &rng(2)).unwrap();
    let ready = plan
        .status
        .conditions
        .iter()
        .find(|it| it.kind == CREDENTIALS_READY)
        .unwrap();
    assert_eq!(
        (ready.status, ready.reason.as_str()),
        (Status::False, "Expired")
    );
    assert!(ready.message.contains("flightgate.dev/rotate"));
    assert_eq!(plan.events[0].reason, "CredentialsExpired");
    let later = api_key::Observed {
        status: plan.status.clone(),
        ..observed.clone()
    };
    let again = api_key::plan(&key, &later, &catalogue(), at(25), &rng(3)).unwrap();
    assert!(again.events.is_empty(), "it is said once");
    assert_eq!(plan.status.key_id, observed.status.key_id);
}

#[test]
fn a_network_that_cannot_be_read_is_refused_rather_than_dropped() {
    let key = key(&json!({"allowedCidrs": ["10.0.0.0/8", "intranet"]}));
    let plan = api_key::plan(
        &key,
        &api_key::Observed::default(),
        &catalogue(),
        at(0),
        &rng(1),
    )
    .unwrap();
    assert!(plan.document.is_none());
    assert_eq!(plan.refusals[0].path, "spec.allowedCidrs[1]");
}

#[test]
fn a_webhook_waits_for_its_application() {
    for (referent, reason) in [
        (Referent::Missing, Some("ApplicationNotFound")),
        (Referent::Pending, Some("ApplicationNotReady")),
        (Referent::Client("fg_app_1".into()), None),
    ] {
        let observed = webhook::Observed {
            application: referent,
            document: None,
            credentials: None,
            status: crds::webhook::WebhookStatus::default(),
        };
        let plan = webhook::plan(&hook(), &observed, &catalogue(), at(0), &rng(1)).unwrap();
        assert_eq!(plan.refusals.first().map(|refusal| refusal.reason), reason);
        assert_eq!(plan.document.is_some(), reason.is_none());
    }
}

#[test]
fn a_plan_shows_no_secret_when_it_is_printed() {
    let plan = planned(
        &application(&json!({}), Some("now")),
        &Observed::default(),
        0,
        1,
    );
    let secret = plan.credentials.as_ref().unwrap().entries[1]
        .1
        .expose()
        .clone();
    assert!(Form::Checked("fg_secret_").fits(&secret));
    assert!(!format!("{plan:?}").contains(&secret));
    let key = key(&json!({}));
    let plan = api_key::plan(
        &key,
        &api_key::Observed::default(),
        &catalogue(),
        at(0),
        &rng(1),
    )
    .unwrap();
    assert!(!format!("{plan:?}").contains("fg_pat_"));
}

#[derive(Clone, Debug)]
enum Step {
    Wait(i64),
    Annotate(Option<&'static str>),
    LoseCredentials,
    LoseDocument,
    LoseStatus,
    EditSecret,
    CrashBeforeDocument,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_i64..24 * 12).prop_map(Step::Wait),
        3 => prop_oneof![Just(None), Just(Some("now")), Just(Some("again"))].prop_map(Step::Annotate),
        1 => Just(Step::LoseCredentials),
        1 => Just(Step::LoseDocument),
        1 => Just(Step::LoseStatus),
        1 => Just(Step::EditSecret),
        2 => Just(Step::CrashBeforeDocument),
    ]
}

proptest! {
    /// Whatever happens between two plans: the identity stays, what the holder
    /// was last given works, nobody has three secrets, and a plan that was
    /// applied has nothing left to do.
    #[test]
    fn planning_twice_is_planning_once(
        steps in proptest::collection::vec(step(), 1..24),
        rotates in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let spec = if rotates {
            json!({"secret": {"rotation": {"interval": "10d", "overlap": "3d"}}})
        } else {
            json!({})
        };
        let mut observed = Observed::default();
        let mut hours = 0;
        let mut rotate = None;
        let mut identity = None;
        let mut crash = false;
        for (i, step) in steps.into_iter().enumerate() {
            let mut may_lose_the_old = false;
            match step {
                Step::Wait(more) => {
                    hours += more;
                    may_lose_the_old = more >= 24 * 3;
                }
                Step::Annotate(value) => rotate = value,
                Step::LoseCredentials => {
                    // One of the three must survive: an identity that nobody
                    // remembers is gone.
                    if observed.document.is_some() || observed.status.client_id.is_some() {
                        observed.credentials = None;
                    }
                    may_lose_the_old = true;
                }
                Step::LoseDocument => {
                    if observed.credentials.is_some() || observed.status.client_id.is_some() {
                        observed.document = None;
                    }
                }
                Step::LoseStatus => {
                    if observed.credentials.is_some() || observed.document.is_some() {
                        observed.status = OAuthApplicationStatus::default();
                    }
                }
                Step::EditSecret => {
                    if let Some(found) = &mut observed.credentials {
                        found.client_secret = Some(Secret::new("hunter2".into()));
                    }
                    may_lose_the_old = true;
                }
                Step::CrashBeforeDocument => crash = true,
            }
            let given = observed.credentials.as_ref().and_then(|found| found.client_secret.clone());
            let application = application(&spec, rotate);
            let plan = planned(&application, &observed, hours, seed.wrapping_add(i as u64));
            let mut after = applied(&observed, &plan);

            let id = after.status.client_id.clone();
            prop_assert!(identity.is_none() || identity == id);
            identity = id;
            let document = after.document.clone().unwrap();
            let found = after.credentials.clone().unwrap();
            let works = |secret: &Secret<String>| {
                let sha256 = Sha256Hash::of(secret.expose().as_bytes());
                document.secrets.iter().any(|it| it.sha256 == sha256 && it.expires_at.is_none_or(|end| end > at(hours)))
            };
            prop_assert!(works(found.client_secret.as_ref().unwrap()));
            prop_assert!(found.previous_client_secret.as_ref().is_none_or(works));
            prop_assert!(document.secrets.len() <= 2);
            if let Some(given) = given.filter(|_| !may_lose_the_old) {
                prop_assert!(works(&given), "what the holder had no longer works");
            }

            let again = planned(&application, &after, hours, !seed);
            prop_assert_eq!(&again.document, &plan.document);
            prop_assert_eq!(&again.credentials, &plan.credentials);
            prop_assert_eq!(&again.status, &plan.status);
            prop_assert!(again.events.is_empty());

            if crash {
                after.document = observed.document.clone();
                after.status = observed.status.clone();
                crash = after.document.is_none();
            }
            observed = after;
        }
    }
}
