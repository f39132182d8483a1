//! What is wrong with a resource?

use std::time::Duration;

use crds::condition::{CREDENTIALS_READY, Status};
use jiff::Timestamp;

use super::{Facts, Finding, advice::advice, brought, gather::Found, operator};
use crate::{
    controller::FINALIZER,
    plugin::{period, resource::Resource, screen::harmless},
};

/// So long an operator may take to look at a resource, and a gateway to follow.
const PATIENCE: Duration = Duration::from_secs(30);
/// So long a deletion may take.
const DELETION: Duration = Duration::from_mins(1);
/// So long before its end a secret in use is worth a word.
const SOON: Duration = Duration::from_hours(7 * 24);
/// The same for an old one that is still used.
const SOON_FOR_OLD: Duration = Duration::from_hours(2 * 24);

/// Everything that is wrong with it.
pub(super) fn judge(resource: &Resource, facts: &Facts) -> Vec<Finding> {
    if resource.deleted_at.is_some() {
        return deletion(resource, facts.now).into_iter().collect();
    }
    if !resource.is_observed() {
        return unobserved(resource, facts).into_iter().collect();
    }
    let key = (resource.namespace.clone(), resource.secret_name.clone());
    // What could not be looked at is said elsewhere.
    let secret = facts.secrets.get(&key).and_then(|it| it.as_ref().ok());
    let mut findings = Vec::new();
    if resource.is_brought
        && let Some(found) = secret
    {
        findings.extend(brought::judge(resource, found.as_ref()));
    }
    let is_said = !findings.is_empty();
    findings.extend(condition(resource, is_said, facts.now));
    let has_credentials = resource
        .condition(CREDENTIALS_READY)
        .is_some_and(|it| it.status == Status::True);
    if has_credentials && !resource.is_brought && secret.is_some_and(Option::is_none) {
        findings.push(Finding::wrong(
            format!(
                "{}: its Secret `{}` is not there.",
                resource.title(),
                resource.secret_name
            ),
            "an operator that runs makes it again within a second, with a new secret: see that one does",
        ));
    }
    if let Some(Some(found)) = secret {
        findings.extend(unrotated(resource, found, facts.now));
    }
    findings.extend(ends(resource, facts.now));
    findings
}

/// A deletion that does not come to its end.
fn deletion(resource: &Resource, now: Timestamp) -> Option<Finding> {
    let deleted = resource.deleted_at?;
    if is_within(deleted, DELETION, now) {
        return None;
    }
    let Resource {
        namespace,
        name,
        finalizers,
        ..
    } = resource;
    let step = if finalizers.iter().any(|it| it == FINALIZER) {
        format!(
            "see that an operator looks after `{namespace}`. Only if there never will be one again: kubectl patch {} --type=merge -p '{{\"metadata\":{{\"finalizers\":null}}}}', and delete the Secret {}.{namespace}.{name} where the gateway runs",
            resource.argument(),
            resource.kind.name().to_lowercase(),
        )
    } else {
        "see to whoever set these finalizers; Flightgate's own is gone".into()
    };
    Some(Finding::wrong(
        format!(
            "{} is being deleted for {}, held by {}.",
            resource.title(),
            period::age(deleted, now),
            harmless(&finalizers.join(", "))
        ),
        step,
    ))
}

/// A resource that nobody looks after.
fn unobserved(resource: &Resource, facts: &Facts) -> Option<Finding> {
    let changed = resource.changed_at?;
    if is_within(changed, PATIENCE, facts.now) {
        return None;
    }
    let namespace = &resource.namespace;
    let age = period::age(changed, facts.now);
    let what = match resource.observed_generation {
        None => format!("{}: nobody has looked at it in {age}.", resource.title()),
        Some(_) => format!(
            "{}: nobody has looked at its last change in {age}.",
            resource.title()
        ),
    };
    let step = if operator::is_any_alive(facts) {
        format!(
            "name `{namespace}` under `namespaces` in the chart's values, and helm upgrade; if it is, kubectl logs of the operator"
        )
    } else {
        format!("see that an operator runs, and that its `namespaces` has `{namespace}`")
    };
    Some(Finding::wrong(what, step))
}

/// A rotation that was asked for and does not come.
fn unrotated(resource: &Resource, found: &Found, now: Timestamp) -> Option<Finding> {
    let is_done = resource.asked.is_none() || resource.asked == found.rotated_for;
    let changed = resource.changed_at?;
    if is_done || resource.is_brought || resource.is_public || is_within(changed, PATIENCE, now) {
        return None;
    }
    Some(Finding::wrong(
        format!(
            "{}: a rotation of its {} is asked for and was not made in {}.",
            resource.title(),
            resource.kind.noun(),
            period::age(changed, now)
        ),
        format!(
            "see that an operator runs and looks after `{}`, and that nothing above keeps it",
            resource.namespace
        ),
    ))
}

/// The first condition that does not hold.
fn condition(resource: &Resource, is_said: bool, now: Timestamp) -> Option<Finding> {
    let Some(condition) = resource.trouble() else {
        let (status, reason) = resource.ready();
        let is_late = resource
            .changed_at
            .is_some_and(|at| !is_within(at, PATIENCE, now));
        return (status != Status::True && is_late).then(|| {
            Finding::wrong(
                format!("{} is not Ready ({}).", resource.title(), harmless(reason)),
                format!("kubectl flightgate status {}", resource.argument()),
            )
        });
    };
    let is_new = is_within(condition.last_transition_time, PATIENCE, now);
    if (condition.reason == "Pending" && is_new)
        || (is_said && brought::REASONS.contains(&condition.reason.as_str()))
    {
        return None;
    }
    let holds = match condition.status {
        Status::Unknown => "may not be",
        _ => "is not",
    };
    Some(Finding::wrong(
        format!(
            "{} {holds} {} ({}) for {}: {}",
            resource.title(),
            harmless(&condition.kind),
            harmless(&condition.reason),
            period::age(condition.last_transition_time, now),
            harmless(&condition.message)
        ),
        advice(resource, condition),
    ))
}

/// Secrets that end soon while somebody uses them.
fn ends(resource: &Resource, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let noun = resource.kind.noun();
    let title = resource.title();
    let soon = |end: Option<Timestamp>, soon: Duration| {
        end.filter(|end| *end > now && is_within(now, soon, *end))
    };
    let newest = resource.secrets.first();
    if let Some(secret) = newest
        && let Some(end) = soon(secret.expires_at, SOON)
        && let Some(used) = secret.last_used_at
        && resource.rotates_at().is_none_or(|turn| turn >= end)
    {
        let overlap = period::until(now.checked_add(resource.overlap()).unwrap_or(now), now);
        findings.push(Finding::wrong(
            format!(
                "{title}: its {noun} ends at {}, was used {} ago, and nothing renews it.",
                period::point(end, now),
                period::age(used, now)
            ),
            format!(
                "kubectl flightgate rotate {}; the old one works on until its end, for at most {overlap}",
                resource.argument()
            ),
        ));
    }
    for old in resource.secrets.iter().skip(1) {
        let made = newest.map(|it| it.created_at);
        if let Some(end) = soon(old.expires_at, SOON_FOR_OLD)
            && let Some(used) = old.last_used_at
            && made.is_some_and(|made| used > made)
        {
            findings.push(Finding::wrong(
                format!(
                    "{title}: its old {noun} ends at {}, and was used {} ago though there is a new one.",
                    period::point(end, now),
                    period::age(used, now)
                ),
                format!(
                    "see that its user takes the new one: kubectl flightgate credentials {}",
                    resource.argument()
                ),
            ));
        }
    }
    findings
}

/// Whether `end` is at most so long after `start`.
fn is_within(start: Timestamp, period: Duration, end: Timestamp) -> bool {
    Duration::try_from(end.duration_since(start)).map_or(true, |since| since <= period)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugin::{
        doctor::gather::tests::healthy,
        resource::tests::{at, served},
    };

    fn found(changes: &[(&str, Value)]) -> Vec<String> {
        let findings = judge(&served(changes), &healthy());
        findings
            .into_iter()
            .map(|it| format!("{} → {}", it.what, it.step))
            .collect()
    }

    #[track_caller]
    fn says(changes: &[(&str, Value)], parts: &[&str]) {
        let found = found(changes);
        assert_eq!(found.len(), 1, "{found:?}");
        for part in parts {
            assert!(found[0].contains(part), "{part}: {found:?}");
        }
    }

    #[test]
    fn a_deletion_that_takes_long_names_what_holds_it() {
        let since = |second| {
            [
                ("/metadata/deletionTimestamp", json!(at(second))),
                ("/metadata/finalizers", json!(["flightgate.dev/config"])),
            ]
        };
        assert!(found(&since(-59)).is_empty());
        let parts = [
            "deleted for 2m, held by flightgate.dev/config",
            "oauthapplication.partners.acme",
        ];
        says(&since(-120), &parts);
    }

    #[test]
    fn what_nobody_looks_at_is_told_after_a_while() {
        let status = ("/status", json!({}));
        says(
            std::slice::from_ref(&status),
            &[
                "nobody has looked at it in 24h",
                "name `partners` under `namespaces`",
            ],
        );
        assert!(found(&[status, ("/metadata/creationTimestamp", json!(at(-29)))]).is_empty());
        let parts = ["its last change"];
        says(&[("/metadata/generation", json!(3))], &parts);
    }

    #[test]
    fn a_condition_that_does_not_hold_comes_with_its_message_and_a_step() {
        let not = |i: usize, reason: &str| {
            let path = |key: &str| format!("/status/conditions/{i}/{key}");
            [
                (path("status"), json!("False")),
                (path("reason"), json!(reason)),
            ]
        };
        for (i, reason, parts) in [
            (
                0,
                "UnknownScope",
                [
                    "is not Accepted (UnknownScope) for 24h: Good.",
                    "kubectl edit oapp/acme -n partners, or",
                ],
            ),
            (
                1,
                "Expired",
                [
                    "is not CredentialsReady",
                    "kubectl flightgate rotate oapp/acme -n partners",
                ],
            ),
            (
                2,
                "GatewayUnreachable",
                ["is not Ready", "app.kubernetes.io/name=flightgate-gateway"],
            ),
            (2, "Pending", ["is not Ready", "see to the gateway"]),
            (
                2,
                "SomethingNew",
                ["is not Ready", "kubectl flightgate status oapp/acme"],
            ),
        ] {
            let not = not(i, reason);
            let changes: Vec<_> = not
                .iter()
                .map(|(path, it)| (path.as_str(), it.clone()))
                .collect();
            says(&changes, &parts);
        }
        let not = not(2, "Pending");
        let mut changes: Vec<_> = not
            .iter()
            .map(|(path, it)| (path.as_str(), it.clone()))
            .collect();
        changes.push(("/status/conditions/2/lastTransitionTime", json!(at(-3))));
        assert!(found(&changes).is_empty(), "it was changed a moment ago");
    }

    #[test]
    fn a_secret_that_is_gone_is_told() {
        let mut facts = healthy();
        for found in facts.secrets.values_mut() {
            *found = Ok(None);
        }
        let findings = judge(&served(&[]), &facts);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].what.contains("`acme-credentials` is not there"));
    }

    #[test]
    fn a_rotation_that_does_not_come_is_told() {
        let asked = json!({"flightgate.dev/rotate": "now"});
        let asked = ("/metadata/annotations", asked);
        says(
            std::slice::from_ref(&asked),
            &["asked for and was not made in 24h"],
        );
        let mut facts = healthy();
        for found in facts.secrets.values_mut() {
            *found = Ok(Some(Found {
                rotated_for: Some("now".into()),
                ..Found::default()
            }));
        }
        assert_eq!(judge(&served(&[asked]), &facts), []);
    }

    #[test]
    fn a_secret_that_ends_while_it_is_used_is_told_in_time() {
        let secrets = |secrets: Value| [("/spec/secret", json!({})), ("/status/secrets", secrets)];
        let one = |end: i64, used: Option<i64>| {
            secrets(json!([{
                "id": "s-1", "createdAt": at(-86_400), "expiresAt": at(end), "lastUsedAt": used.map(at),
            }]))
        };
        says(
            &one(86_400, Some(-60)),
            &["(in 24h), was used 60s ago", "rotate oapp/acme"],
        );
        assert!(found(&one(86_400, None)).is_empty(), "nobody uses it");
        assert!(
            found(&one(30 * 86_400, Some(-60))).is_empty(),
            "there is time"
        );
        let two = |end: i64, used: i64| {
            secrets(json!([
                {"id": "s-2", "createdAt": at(-600)},
                {"id": "s-1", "createdAt": at(-86_400), "expiresAt": at(end), "lastUsedAt": at(used)},
            ]))
        };
        says(
            &two(86_400, -60),
            &["its old client secret ends", "takes the new one"],
        );
        assert!(found(&two(86_400, -601)).is_empty(), "it has fallen silent");
        assert!(found(&two(5 * 86_400, -60)).is_empty(), "there is time");
    }
}
