//! The last step: what became of a resource, in its status and in events.

use std::{sync::Arc, time::Duration};

use crds::{
    condition::{self, Condition, READY, Status},
    oauth_application::SecretStatus,
};
use jiff::Timestamp;
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams},
    runtime::controller::Action,
};
use serde_json::json;

use super::{Context, fault::Fault, kind::Kind, memory::Settled, secret::MANAGER, watches::trim};
use crate::{
    gateways::{ResourceId, view::Verdict},
    plan::Event,
};

/// So long the gateway is given before anybody is told that it does not serve a
/// document: mostly it does by then, and one write says everything.
const PATIENCE: Duration = Duration::from_secs(1);
/// So long it may take until the gateway has been asked for the first time.
const ASKING: Duration = Duration::from_secs(5);
/// So old the last use in a status may be before a later one is told.
const USES_TOLD_EVERY: Duration = Duration::from_mins(10);
/// In this time everything is looked at once.
pub(super) const ROUND: Duration = Duration::from_mins(10);

/// Tells of a resource at rest, if there is anything to tell.
pub(super) async fn report<K: Kind>(
    resource: &K,
    id: &ResourceId,
    settled: &Settled<K::Status>,
    context: &Context<K>,
) -> Result<Action, Fault> {
    let generation = resource.meta().generation.unwrap_or(1);
    let reported = resource.status().cloned();
    let written = settled.written.as_deref().cloned();
    let mut known = written.or_else(|| reported.clone());
    let planned = settled.planned.as_deref().cloned();
    let mut status = planned.or(reported).unwrap_or_default();
    let before = known
        .as_mut()
        .and_then(|it| ready(K::conditions(it)).cloned());
    let now = context.now();
    if let Some((document, sha256)) = &settled.document {
        // Without its gateway nothing would have been accepted.
        let gateway = context.gateways.get(resource.gateway());
        let verdict = gateway.map(|it| it.verdict(id, document, *sha256));
        let verdict = verdict.unwrap_or(Verdict::NoReplica);
        let age = settled.since.elapsed();
        let patience = match verdict {
            Verdict::Waiting { .. } => PATIENCE,
            Verdict::Unasked => ASKING,
            _ => Duration::ZERO,
        };
        if age < patience {
            return Ok(Action::requeue(patience.saturating_sub(age)));
        }
        let conditions = K::conditions(&mut status);
        conditions.retain(|it| it.kind != READY);
        conditions.extend(before.clone());
        condition::set(
            conditions,
            served(&verdict, resource.gateway(), generation, now),
        );
    }
    if let Some(gateway) = context.gateways.get(resource.gateway()) {
        refresh(K::secrets(&mut status), |id| gateway.last_used(id));
    }
    if known.as_ref() == Some(&status) {
        if resource.status() == Some(&status) {
            // The resource itself remembers all that there is to know.
            context.memory.amend(id, |old| Settled {
                versions: resource.meta().resource_version.iter().cloned().collect(),
                planned: None,
                written: None,
                document: old.document.clone(),
                ..*old
            });
        }
    } else {
        write(resource, &status, context).await?;
        let after = ready(K::conditions(&mut status)).cloned();
        if let Some(event) = transition(before.as_ref(), after.as_ref()) {
            context.events.tell(resource.about(), event);
        }
    }
    Ok(next(settled.due, now))
}

/// Tells when secrets were last used: at once when it is the first time, else
/// when what was told is old.
fn refresh(secrets: &mut [SecretStatus], last_used: impl Fn(&str) -> Option<Timestamp>) {
    for secret in secrets {
        let Some(now) = last_used(&secret.id) else {
            continue;
        };
        let is_old = secret.last_used_at.is_none_or(|told| {
            let since = now.duration_since(told);
            Duration::try_from(since).is_ok_and(|since| since >= USES_TOLD_EVERY)
        });
        if is_old {
            secret.last_used_at = Some(now);
        }
    }
}

/// When to look again. What is not due soon has no place in the schedule: it is
/// looked at in its turn, as clocks jump and machines sleep.
fn next(due: Option<Timestamp>, now: Timestamp) -> Action {
    let until = due.map(|due| Duration::try_from(due.duration_since(now)).unwrap_or_default());
    match until {
        Some(until) if until <= ROUND * 2 => Action::requeue(until),
        _ => Action::await_change(),
    }
}

fn ready(conditions: &[Condition]) -> Option<&Condition> {
    conditions.iter().find(|it| it.kind == READY)
}

/// The condition Ready, by what the gateway's replicas say.
fn served(verdict: &Verdict, gateway: &str, generation: i64, now: Timestamp) -> Condition {
    let (status, reason, message) = match verdict {
        Verdict::Served => (
            Status::True,
            "Served",
            format!("Every ready replica of the gateway `{gateway}` serves it."),
        ),
        Verdict::Unasked => (
            Status::Unknown,
            "Pending",
            format!("The gateway `{gateway}` has not been asked yet."),
        ),
        Verdict::Waiting { replicas } => (
            Status::False,
            "Pending",
            format!(
                "The gateway `{gateway}` does not serve it yet: {}.",
                list(replicas.iter().map(String::as_str))
            ),
        ),
        Verdict::Rejected { replica, reason } => (
            Status::False,
            "RejectedByGateway",
            format!("The gateway `{gateway}` cannot follow it: {replica}: {reason}"),
        ),
        Verdict::Unreachable { replicas } => {
            let replicas: Vec<_> = replicas
                .iter()
                .map(|(name, trouble)| format!("{name} {trouble}"))
                .collect();
            (
                Status::Unknown,
                "GatewayUnreachable",
                format!(
                    "Nobody can say whether the gateway `{gateway}` serves it: {}.",
                    list(replicas.iter().map(String::as_str))
                ),
            )
        }
        Verdict::NoReplica => (
            Status::False,
            "GatewayUnreachable",
            format!("The gateway `{gateway}` has no ready replica."),
        ),
    };
    Condition {
        kind: READY.into(),
        status,
        observed_generation: generation,
        last_transition_time: now,
        reason: reason.into(),
        message: message.chars().take(4096).collect(),
    }
}

/// The first few of many.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let names: Vec<_> = names.collect();
    let text = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// What there is to tell when Ready has changed.
fn transition(before: Option<&Condition>, after: Option<&Condition>) -> Option<Event> {
    let after = after?;
    let was_ready = before.is_some_and(|it| it.status == Status::True);
    let is_ready = after.status == Status::True;
    let is_another_reason = before.is_none_or(|it| it.reason != after.reason);
    if is_ready && !was_ready {
        return Some(Event::normal("Served", after.message.clone()));
    }
    // Refusals have events of their own.
    let is_of_the_gateway = ["RejectedByGateway", "GatewayUnreachable"]
        .iter()
        .any(|reason| after.reason == *reason);
    (is_of_the_gateway && is_another_reason).then(|| {
        let reason = if after.reason == "RejectedByGateway" {
            "RejectedByGateway"
        } else {
            "GatewayUnreachable"
        };
        Event::warning(reason, after.message.clone())
    })
}

/// Writes a status, and remembers that.
pub(super) async fn write<K: Kind>(
    resource: &K,
    status: &K::Status,
    context: &Context<K>,
) -> Result<(), Fault> {
    let at = Fault::at("write the status");
    let id = resource.id();
    let api: Api<K> = Api::namespaced(context.client.clone(), &id.namespace);
    let metadata = json!({"name": &*id.name, "uid": resource.meta().uid});
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::KIND,
        "metadata": metadata,
        "status": status,
    });
    let params = PatchParams::apply(MANAGER).force();
    let mut now = match api
        .patch_status(&id.name, &params, &Patch::Apply(&body))
        .await
    {
        Ok(now) => now,
        // It is gone, and nobody wants to know.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => return Err(at(error)),
    };
    if now.status() != Some(status) {
        // Something in it is another manager's, after a restore from a backup
        // for instance; replaced as a whole it is no longer.
        let body = json!({"metadata": metadata, "status": status});
        let params = PatchParams {
            field_manager: Some(MANAGER.into()),
            ..PatchParams::default()
        };
        let patched = api
            .patch_status(&id.name, &params, &Patch::Merge(&body))
            .await;
        now = patched.map_err(at)?;
    }
    let version = now.meta().resource_version.clone();
    // What somebody changed a moment before this write is in its answer, and was
    // not looked at: that version is not one that is known.
    let version = version.filter(|_| asks_the_same(resource.meta(), now.meta()));
    context.memory.amend(&id, |old| Settled {
        versions: recent(&old.versions, version),
        planned: Some(
            old.planned
                .clone()
                .unwrap_or_else(|| Arc::new(status.clone())),
        ),
        written: Some(Arc::new(status.clone())),
        document: old.document.clone(),
        ..*old
    });
    Ok(())
}

/// Whether two versions of a resource ask for the same: whether they differ in
/// nothing but their status.
fn asks_the_same(looked_at: &ObjectMeta, now: &ObjectMeta) -> bool {
    let asks = |meta: &ObjectMeta| {
        let mut meta = meta.clone();
        trim(&mut meta);
        (meta.generation, meta.deletion_timestamp, meta.annotations)
    };
    asks(looked_at) == asks(now)
}

/// The last few versions: a watch is never further behind than that.
fn recent(old: &[String], new: Option<String>) -> Vec<String> {
    const KEPT: usize = 4;
    let old = &old[old.len().saturating_sub(KEPT)..];
    old.iter().cloned().chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(verdict: &Verdict) -> Condition {
        served(verdict, "default", 3, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn only_served_by_all_is_ready() {
        let silent = Verdict::Unreachable {
            replicas: vec![("pod-1".into(), crate::gateways::view::Trouble::Slow)],
        };
        let waiting = Verdict::Waiting {
            replicas: (1..=7).map(|i| format!("pod-{i}")).collect(),
        };
        for (verdict, status, reason, message) in [
            (
                Verdict::Served,
                Status::True,
                "Served",
                "Every ready replica",
            ),
            (
                silent,
                Status::Unknown,
                "GatewayUnreachable",
                "pod-1 does not answer in time",
            ),
            (waiting, Status::False, "Pending", "pod-5 and 2 more"),
            (
                Verdict::NoReplica,
                Status::False,
                "GatewayUnreachable",
                "no ready replica",
            ),
            (
                Verdict::Unasked,
                Status::Unknown,
                "Pending",
                "not been asked",
            ),
        ] {
            let condition = condition(&verdict);
            assert_eq!(
                (condition.status, condition.reason.as_str()),
                (status, reason)
            );
            assert!(condition.message.contains(message), "{}", condition.message);
        }
    }

    #[test]
    fn a_change_that_came_just_before_our_write_is_not_taken_for_ours() {
        let meta = |generation, annotations: &[(&str, &str)]| ObjectMeta {
            generation: Some(generation),
            annotations: Some(
                annotations
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
            ),
            ..ObjectMeta::default()
        };
        let looked_at = meta(1, &[]);
        assert!(asks_the_same(&looked_at, &meta(1, &[])));
        assert!(asks_the_same(&looked_at, &meta(1, &[("theirs", "x")])));
        assert!(asks_the_same(
            &looked_at,
            &ObjectMeta {
                generation: Some(1),
                ..ObjectMeta::default()
            }
        ));
        assert!(!asks_the_same(&looked_at, &meta(2, &[])));
        let rotate = [("flightgate.dev/rotate", "now")];
        assert!(!asks_the_same(&looked_at, &meta(1, &rotate)));
    }

    #[test]
    fn uses_are_told_at_first_and_then_at_most_every_ten_minutes() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut secrets = [SecretStatus {
            id: "s-1".into(),
            created_at: at(0),
            expires_at: None,
            last_used_at: None,
        }];
        for (used, told) in [
            (None, None),
            (Some(5), Some(5)),
            (Some(604), Some(5)),
            (Some(605), Some(605)),
            (Some(7), Some(605)),
            (None, Some(605)),
        ] {
            refresh(&mut secrets, |_| used.map(at));
            assert_eq!(secrets[0].last_used_at, told.map(at));
        }
    }

    #[test]
    fn events_tell_of_changes_alone() {
        let ready = condition(&Verdict::Served);
        let gone = condition(&Verdict::NoReplica);
        assert_eq!(transition(None, Some(&ready)).unwrap().reason, "Served");
        assert_eq!(transition(Some(&ready), Some(&ready)), None);
        let event = transition(Some(&ready), Some(&gone)).unwrap();
        assert_eq!(event.reason, "GatewayUnreachable");
        assert_eq!(transition(Some(&gone), Some(&gone)), None);
    }

    #[test]
    fn what_is_due_is_looked_at_then_and_the_rest_in_its_turn() {
        let now = Timestamp::UNIX_EPOCH;
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        assert_eq!(next(at(60), now), Action::requeue(Duration::from_mins(1)));
        assert_eq!(next(at(-60), now), Action::requeue(Duration::ZERO));
        assert_eq!(next(at(3600 * 24 * 90), now), Action::await_change());
        assert_eq!(next(None, now), Action::await_change());
    }
}
