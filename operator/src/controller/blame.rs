//! What is said in a resource's status when a look at it has failed.

use crds::condition::{self, ACCEPTED, Condition, Status};

use super::{
    Context,
    fault::{Class, Fault},
    kind::Kind,
    report,
};
use crate::{gateways::ResourceId, plan::Event};

/// So often in a row a look may fail before its resource says so, unless it was
/// refused.
const PATIENCE: u32 = 2;

/// Says in the status that a write failed, if it was refused or fails again and
/// again: whatever was Ready is not Ready in the form that was asked for.
pub(super) async fn blame<K: Kind>(
    resource: &K,
    id: &ResourceId,
    mut planned: Option<K::Status>,
    observed: K::Status,
    kinds: &[&str],
    fault: &Fault,
    context: &Context<K>,
) {
    let failures = context.memory.fail(id);
    let (reason, message) = match fault.class() {
        Class::Permanent { reason, message } => (reason, message),
        Class::Transient(_) if failures > PATIENCE => ("WriteFailed", fault.to_string()),
        // Somebody else wrote first, which is nobody's fault until it never ends.
        Class::Conflict if failures > PATIENCE * 20 => ("WriteFailed", fault.to_string()),
        _ => return,
    };
    let generation = resource.meta().generation.unwrap_or(1);
    // What was planned and not written is not reported.
    let mut status = observed.clone();
    *K::observed_generation(&mut status) = Some(generation);
    let planned = planned.iter_mut().flat_map(|it| K::conditions(it).iter());
    let accepted = planned.into_iter().find(|it| it.kind == ACCEPTED);
    let conditions = K::conditions(&mut status);
    if let Some(accepted) = accepted {
        condition::set(conditions, accepted.clone());
    }
    for kind in kinds {
        condition::set(
            conditions,
            Condition {
                kind: (*kind).into(),
                status: Status::False,
                observed_generation: generation,
                last_transition_time: context.now(),
                reason: reason.into(),
                message: message.chars().take(4096).collect(),
            },
        );
    }
    if status == observed && resource.status() == Some(&observed) {
        return;
    }
    let event = Event::warning(reason, message);
    context.events.tell(resource.about(), event);
    if let Err(fault) = report::write(resource, &status, context).await {
        tracing::warn!(resource = %id, %fault, "nor could that be reported");
    }
}
