//! One look at one resource: gather, plan, apply, report.

use std::{sync::Arc, time::Duration};

use crds::condition::{ACCEPTED, CREDENTIALS_READY, Condition, READY, Status};
use kube::runtime::controller::Action;
use tokio::time::{Instant, timeout};
use tracing::field;

use super::{
    Context,
    apply::{self, Failed, Half, Planned, Secrets},
    blame::blame,
    fault::{Class, Fault},
    finalizer::{self, has_finalizer},
    gather,
    kind::{Kind, Observed, refuse, unconfigured},
    manifests,
    memory::{Settled, Version, Watched},
    report,
    secret::{Found, Written},
};
use crate::{
    backoff::exponential,
    gateways::{Gateway, ResourceId},
    mint::System,
    plan::{Event, Plan, Refusal},
    traces,
    webhook::Referent,
};

/// A look that takes longer has lost its answer.
const LONGEST: Duration = Duration::from_secs(30);
/// So often in a row a look may fail before that is worth a word.
const PATIENCE: u32 = 2;

/// What a look came to.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// Nothing had happened.
    Unchanged,
    /// Everything is as it ought to be.
    Done,
    /// The resource is not accepted.
    Refused,
    /// The resource is going.
    Finalized,
}

/// Looks at one resource, and counts and logs what came of it.
pub(super) async fn reconcile<K: Kind>(
    resource: Arc<K>,
    context: Arc<Context<K>>,
) -> Result<Action, Fault> {
    let id = context.memory.known(resource.id());
    // It is closed never.
    let _slot = context.slots.acquire().await;
    let begun = Instant::now();
    let span = tracing::info_span!(
        target: traces::TARGET,
        "reconcile",
        otel.name = format!("reconcile {}", K::KIND),
        kind = K::KIND,
        namespace = &*id.namespace,
        name = &*id.name,
        generation = resource.meta().generation,
        outcome = field::Empty,
    );
    let look = traces::within(span.clone(), async {
        let look = timeout(LONGEST, look(&*resource, &id, &context)).await;
        let result = look.unwrap_or(Err(Fault::Timeout));
        if let Err(fault) = &result {
            log(&id, fault, context.memory.failures(&id));
        }
        result
    });
    let result = look.await;
    let label = match &result {
        Ok((Outcome::Unchanged, _)) => "unchanged",
        Ok((Outcome::Done, _)) => "done",
        Ok((Outcome::Refused, _)) => "refused",
        Ok((Outcome::Finalized, _)) => "finalized",
        Err(_) => "error",
    };
    span.record("outcome", label);
    context.count(label, begun.elapsed());
    result.map(|(_, action)| action)
}

fn log(id: &ResourceId, fault: &Fault, attempt: u32) {
    if fault.class() == Class::Conflict && attempt <= PATIENCE {
        tracing::debug!(resource = %id, %fault, "looking again");
    } else {
        tracing::warn!(resource = %id, %fault, attempt, "reconcile failed");
    }
}

/// When to try again.
pub(super) fn retry<K: Kind>(resource: &K, fault: &Fault, context: &Context<K>) -> Action {
    let attempt = context.memory.failures(&resource.id());
    let class = fault.class();
    let (first, longest) = match &class {
        Class::Conflict => (Duration::from_millis(25), Duration::from_secs(5)),
        Class::Transient(_) => (Duration::from_millis(250), Duration::from_secs(30)),
        Class::Terminating => (Duration::from_secs(1), Duration::from_mins(1)),
        Class::Permanent { .. } => (Duration::from_millis(500), Duration::from_mins(1)),
    };
    let wait = exponential(first, longest, attempt);
    match class {
        Class::Transient(Some(asked)) => Action::requeue(wait.max(asked)),
        _ => Action::requeue(wait),
    }
}

async fn look<K: Kind>(
    resource: &K,
    id: &ResourceId,
    context: &Context<K>,
) -> Result<(Outcome, Action), Fault> {
    if resource.meta().deletion_timestamp.is_some() {
        let finalize = finalizer::finalize(resource, context);
        let done = traces::within(traces::step("finalize"), finalize).await;
        let action = done.inspect_err(|fault| {
            if context.memory.fail(id) == PATIENCE
                && let Class::Permanent { message, .. } = fault.class()
            {
                let event = Event::warning("DeletionBlocked", message);
                context.events.tell(resource.about(), event);
            }
        })?;
        return Ok((Outcome::Finalized, action));
    }
    let gateway = context.gateways.get(resource.gateway());
    let loaded = gateway.map(|it| it.loaded()).unwrap_or_default();
    let version = resource.meta().resource_version.clone().unwrap_or_default();
    if let Some(settled) = context.memory.settled(id, &version, loaded.epoch)
        && settled.due.is_none_or(|due| due > context.now())
    {
        let report = report::report(resource, id, &settled, context);
        let action = traces::within(traces::step("report"), report).await?;
        return Ok((Outcome::Unchanged, action));
    }
    let mut status = context.memory.newer_status(id, &version);
    let status = status
        .take()
        .or_else(|| resource.status().cloned())
        .unwrap_or_default();
    context.memory.begin(id, depends_on(resource, gateway));

    if let Some(application) = resource.application()
        && context.applications.is_new(&id.namespace, application)
    {
        // It is told of at once when that changes.
        return Ok((Outcome::Unchanged, Action::requeue(Duration::from_secs(2))));
    }
    let mut versions = vec![version];
    let attempt = async {
        versions.extend(match gateway {
            Some(_) => finalizer::ensure(resource, context).await?,
            None => None,
        });
        Attempt::of(resource, gateway, status.clone(), context).await
    };
    let attempt = match attempt.await {
        Ok(attempt) => attempt,
        // It went a moment ago.
        Err(fault) if fault.is_about_nothing() => {
            return Ok((Outcome::Unchanged, Action::await_change()));
        }
        Err(fault) => {
            blame(resource, id, None, status, &[READY], &fault, context).await;
            return Err(fault);
        }
    };
    finish(
        resource,
        id,
        versions,
        loaded.epoch,
        attempt,
        status,
        context,
    )
    .await
}

/// What to write, and what it was decided on.
struct Attempt<K: Kind> {
    plan: Plan<K::Status>,
    secrets: Secrets<Planned>,
    credentials: Option<Found>,
    config: Option<Found>,
    referent: Version,
}

impl<K: Kind> Attempt<K> {
    /// Gathers and plans.
    async fn of(
        resource: &K,
        gateway: Option<&Arc<Gateway>>,
        status: K::Status,
        context: &Context<K>,
    ) -> Result<Self, Fault> {
        let now = context.now();
        let nothing = |plan| Self {
            plan,
            secrets: Secrets {
                credentials: None,
                config: None,
            },
            credentials: None,
            config: None,
            referent: None,
        };
        let Some(gateway) = gateway else {
            let message = format!(
                "there is no gateway `{}`; there are {}",
                resource.gateway(),
                context.gateways.names()
            );
            let refusal = Refusal::new("spec.gateway", "UnknownGateway", message);
            return Ok(nothing(refuse(resource, &status, vec![refusal], now)));
        };
        let loaded = gateway.loaded();
        let Some(catalogue) = loaded.catalogue else {
            let problem = loaded.problem.unwrap_or_default();
            let plan = unconfigured(resource, status, gateway.name(), &problem, now);
            return Ok(nothing(plan));
        };
        let namespace = &gateway.config.namespace;
        let gathered = gather::gather(resource, status, namespace, context);
        let gathered = traces::within(traces::step("gather"), gathered).await?;
        let observed = gathered.observed;
        let planning = traces::step("plan");
        let planned = planning.in_scope(|| resource.plan(&observed, &catalogue, now, &System));
        traces::failed(&planning, planned.as_ref().err());
        let mut plan = planned?;
        drop(planning);
        if plan.document.is_some() && is_forgotten(resource, &observed, context) {
            plan.events.insert(0, identity_lost());
        }
        let public_id = plan.document.as_ref().and_then(K::public_id);
        let config_name = manifests::config_name(&resource.id());
        if let Some(id) = public_id
            && !context.claims.claim(namespace, id, &config_name)
        {
            let message = format!(
                "the identifier `{id}` is already that of another resource of this gateway"
            );
            let refusal = Refusal::new("spec.secret", "IdentifierTaken", message);
            plan = refuse(resource, &observed.status, vec![refusal], now);
        }
        let config = plan.document.as_ref().map(|document| {
            let public_id = K::public_id(document);
            manifests::config(resource, namespace, public_id, document.to_json())
        });
        let credentials = plan.credentials.take();
        Ok(Self {
            plan,
            secrets: Secrets {
                credentials: credentials.map(|it| manifests::credentials(resource, it)),
                config,
            },
            credentials: observed.credentials,
            config: gathered.config,
            referent: version_of(&observed.referent),
        })
    }
}

/// Whether a resource was looked after before, and nothing is left that knows of
/// it: neither Secret, nor document, nor status.
fn is_forgotten<K: Kind>(
    resource: &K,
    observed: &Observed<K::Status>,
    context: &Context<K>,
) -> bool {
    let mut status = observed.status.clone();
    has_finalizer(resource)
        && !resource.is_brought()
        && observed.document.is_none()
        && observed.credentials.is_none()
        && K::conditions(&mut status).is_empty()
        && context.memory.failures(&resource.id()) == 0
}

fn identity_lost() -> Event {
    Event::warning(
        "IdentityLost",
        "Neither Secret, status nor gateway document remembers earlier credentials: these are new ones. To have earlier ones back, delete this resource, restore its Secret from a backup, and apply it again.",
    )
}

/// Applies and reports.
async fn finish<K: Kind>(
    resource: &K,
    id: &ResourceId,
    resource_versions: Vec<String>,
    epoch: u64,
    attempt: Attempt<K>,
    mut status: K::Status,
    context: &Context<K>,
) -> Result<(Outcome, Action), Fault> {
    let Attempt {
        plan,
        secrets,
        credentials,
        config,
        referent,
    } = attempt;
    let applied = apply::apply(
        &context.client,
        secrets,
        credentials.as_ref(),
        config.as_ref(),
    );
    let applied = match traces::within(traces::step("apply"), applied).await {
        Ok(applied) => applied,
        Err(half) => {
            if half.credentials.is_some() {
                tell(plan.events, resource, context);
            }
            let Half { failed, fault, .. } = half;
            let kinds: &[&str] = match failed {
                Failed::Credentials => &[CREDENTIALS_READY, READY],
                Failed::Config => &[READY],
            };
            let planned = Some(plan.status);
            blame(resource, id, planned, status, kinds, &fault, context).await;
            return Err(fault);
        }
    };

    let mut planned = plan.status;
    let is_refused = !plan.refusals.is_empty();
    let verdict = accepted(K::conditions(&mut planned));
    let is_news = accepted(K::conditions(&mut status)) != verdict;
    let is_accepted = verdict.is_some_and(|(status, ..)| status == Status::True);
    let has_events = !plan.events.is_empty();
    // Who is told of new credentials need not be told that they were granted.
    let is_made = plan
        .events
        .iter()
        .any(|it| it.reason == "CredentialsCreated");
    if is_news && is_accepted && !is_made {
        let message = "Nothing in the resource is refused.";
        tell(vec![Event::normal("Accepted", message)], resource, context);
    }
    if !is_refused || is_news {
        tell(plan.events, resource, context);
    }
    let config_written = applied.config.as_ref().map(|it| &it.written);
    let was_reported = *K::observed_generation(&mut status) == resource.meta().generation;
    if was_reported && !has_events && !is_refused {
        let credentials = applied.credentials.as_ref();
        tell_of_repairs(resource, credentials, config_written, context);
    }

    let version = |written: Option<&Written>, found: Option<&Found>| match written {
        Some(written) => written.version().cloned(),
        None => found.and_then(|found| found.version.clone()),
    };
    let versions = depends_on(resource, context.gateways.get(resource.gateway()));
    let versions = versions.into_iter().map(|watched| {
        let version = match &watched {
            Watched::Application(..) => referent.clone(),
            Watched::Secret(namespace, name)
                if *namespace == id.namespace && **name == *resource.secret_name() =>
            {
                version(applied.credentials.as_ref(), credentials.as_ref())
            }
            Watched::Secret(..) => version(config_written, config.as_ref()),
        };
        (watched, version)
    });
    let settled = Settled {
        versions: resource_versions,
        epoch,
        planned: Some(Arc::new(planned)),
        written: (resource.status() != Some(&status)).then(|| Arc::new(status)),
        document: applied
            .config
            .as_ref()
            .map(|it| (it.name.as_str().into(), it.sha256)),
        due: plan.due,
        since: Instant::now(),
    };
    let settled = context.memory.settle(id, settled, versions.collect());
    if applied.config.is_none() {
        context.forget_interest(resource);
    }
    let report = report::report(resource, id, &settled, context);
    let action = traces::within(traces::step("report"), report).await?;
    let outcome = if is_refused {
        Outcome::Refused
    } else {
        Outcome::Done
    };
    Ok((outcome, action))
}

/// Says which Secrets were put right, though nobody had asked for anything new.
fn tell_of_repairs<K: Kind>(
    resource: &K,
    credentials: Option<&Written>,
    config: Option<&Written>,
    context: &Context<K>,
) {
    if resource.is_brought() {
        // What is brought may change at any time, and the document with it.
        return;
    }
    let id = resource.id();
    let gateway = context.gateways.get(resource.gateway());
    let gateway = gateway.map_or("", |it| it.config.namespace.as_str());
    let places = [
        (credentials, &id.namespace[..], resource.secret_name()),
        (config, gateway, manifests::config_name(&id)),
    ];
    for (written, namespace, name) in places {
        if let Some(Written::Created(_) | Written::Changed(_)) = written {
            let message = format!(
                "The Secret {namespace}/{name} was not as it ought to be, and was written again."
            );
            let event = Event::warning("Repaired", message);
            tell(vec![event], resource, context);
        }
    }
}

/// What a resource must be looked at again for.
fn depends_on<K: Kind>(resource: &K, gateway: Option<&Arc<Gateway>>) -> Vec<Watched> {
    let id = resource.id();
    let mut depends_on = vec![Watched::Secret(
        id.namespace.clone(),
        resource.secret_name().into(),
    )];
    if let Some(gateway) = gateway {
        depends_on.push(Watched::Secret(
            gateway.namespace.clone(),
            manifests::config_name(&id).into(),
        ));
    }
    if let Some(application) = resource.application() {
        depends_on.push(Watched::Application(id.namespace, application.into()));
    }
    depends_on
}

/// An application's version, as [`Watched::Application`] has it.
pub(super) fn version_of(referent: &Referent) -> Version {
    match referent {
        Referent::Missing => None,
        Referent::Pending => Some(String::new()),
        Referent::Client(id) => Some(id.clone()),
    }
}

fn accepted(conditions: &[Condition]) -> Option<(Status, &str, &str)> {
    let accepted = conditions.iter().find(|it| it.kind == ACCEPTED)?;
    Some((accepted.status, &accepted.reason, &accepted.message))
}

fn tell<K: Kind>(events: Vec<Event>, resource: &K, context: &Context<K>) {
    for event in events {
        context.events.tell(resource.about(), event);
    }
}
