//! What a plan is made of, whichever the kind of resource.

use crds::{
    condition::{self, ACCEPTED, CREDENTIALS_READY, Condition, READY, Status},
    contract::Document,
    secret::Secret,
};
use jiff::Timestamp;

/// Stands with credentials: whose they are.
pub const OWNER_ANNOTATION: &str = "flightgate.dev/owner";
/// Stands with credentials: the value of the rotate annotation that was last
/// acted on.
pub const ROTATED_FOR_ANNOTATION: &str = "flightgate.dev/rotated-for";

/// What ought to be there for one resource. `S` is its status.
#[derive(Clone, Debug)]
pub struct Plan<S> {
    /// What the gateway must know; none: the resource is not accepted, and the
    /// last good document keeps serving.
    pub document: Option<Document>,
    /// The credentials that their reader must find; none: leave them as they
    /// are.
    pub credentials: Option<Credentials>,
    /// The status to report.
    pub status: S,
    /// What happened, for whoever watches.
    pub events: Vec<Event>,
    /// Why the resource is not accepted; empty: it is.
    pub refusals: Vec<Refusal>,
    /// When to plan again though nothing changed: a rotation is due or an
    /// overlap ends.
    pub due: Option<Timestamp>,
}

/// The content of a credentials Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The Secret's name, in the namespace of the resource.
    pub secret_name: String,
    /// Whose they are, such as `OAuthApplication partners/acme`: it stands with
    /// them, so that no other resource takes them for its own.
    pub owner: String,
    /// Key and value, in the order in which a file shows them.
    pub entries: Vec<(&'static str, Secret<String>)>,
    /// The value of the rotate annotation that was last acted on. It is kept
    /// with the credentials, so that a rotation and its memory are one write.
    pub rotated_for: Option<String>,
}

/// Something that happened to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Normal or Warning.
    pub kind: EventKind,
    /// One word, for tools.
    pub reason: &'static str,
    /// A sentence for people. Never holds a secret.
    pub message: String,
}

/// How an [`Event`] is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// As it should be.
    Normal,
    /// Somebody ought to look.
    Warning,
}

/// Something in a resource that only its surroundings can refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which field, such as `spec.scopes[1]`.
    pub path: String,
    /// One word, for tools.
    pub reason: &'static str,
    /// What was expected.
    pub message: String,
}

impl Event {
    /// An event that is as it should be.
    pub fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind: EventKind::Normal,
            reason,
            message: message.into(),
        }
    }

    /// An event that somebody ought to look at.
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind: EventKind::Warning,
            reason,
            message: message.into(),
        }
    }
}

impl Refusal {
    /// A refusal of the field at `path`.
    pub fn new(path: impl Into<String>, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            reason,
            message: message.into(),
        }
    }
}

/// The state of a resource's credentials, as its conditions tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CredentialsState {
    /// They can be used.
    Usable,
    /// The newest has ended.
    Expired,
}

/// The conditions after planning. Ready is not the plan's to give: it turns
/// true when the gateways have said that they serve the document.
pub(crate) fn conditions(
    observed: &[Condition],
    generation: i64,
    outcome: Result<CredentialsState, &[Refusal]>,
    now: Timestamp,
) -> Vec<Condition> {
    let mut conditions = observed.to_vec();
    let mut put = |kind: &str, status, reason: &str, message: String| {
        condition::set(
            &mut conditions,
            Condition {
                kind: kind.into(),
                status,
                observed_generation: generation,
                last_transition_time: now,
                reason: reason.into(),
                message,
            },
        );
    };
    match outcome {
        Ok(state) => {
            put(
                ACCEPTED,
                Status::True,
                "Accepted",
                "Nothing in the resource is refused.".into(),
            );
            match state {
                CredentialsState::Usable => put(
                    CREDENTIALS_READY,
                    Status::True,
                    "Usable",
                    "The credentials exist and can be used.".into(),
                ),
                CredentialsState::Expired => put(
                    CREDENTIALS_READY,
                    Status::False,
                    "Expired",
                    format!(
                        "The credentials have ended. Set the annotation {} to a new value to have new ones made.",
                        crds::ROTATE_ANNOTATION
                    ),
                ),
            }
        }
        Err(refusals) => {
            let reason = refusals.first().map_or("Refused", |refusal| refusal.reason);
            let message: Vec<_> = refusals
                .iter()
                .map(|refusal| format!("{}: {}", refusal.path, refusal.message))
                .collect();
            let message: String = message.join("; ").chars().take(4096).collect();
            put(ACCEPTED, Status::False, reason, message.clone());
            put(READY, Status::False, reason, message);
        }
    }
    conditions
}

/// Whose credentials were found where a resource wants to write its own.
///
/// Others' are neither overwritten nor adopted. Ones that name no owner are its
/// own if it has been served before: then somebody edited them.
pub(crate) fn check_owner(
    secret_name: &str,
    found: Option<&str>,
    owner: &str,
    was_served: bool,
    refusals: &mut Vec<Refusal>,
) {
    let whose = match found {
        Some(other) if other == owner => return,
        None if was_served => return,
        Some(other) => format!("is that of {other}"),
        None => "was not made by Flightgate".into(),
    };
    refusals.push(Refusal::new(
        "spec",
        "SecretNotOwned",
        format!(
            "the Secret `{secret_name}` is there already and {whose}: name another one, or delete it"
        ),
    ));
}

/// The owner of credentials, in words.
pub(crate) fn owner<K: kube::Resource<DynamicType = ()>>(resource: &K) -> String {
    let metadata = resource.meta();
    format!(
        "{} {}/{}",
        K::kind(&()),
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default()
    )
}

/// What refusals look like as events.
pub(crate) fn refusal_events(refusals: &[Refusal]) -> Vec<Event> {
    refusals
        .iter()
        .map(|refusal| {
            Event::warning(
                refusal.reason,
                format!("{}: {}", refusal.path, refusal.message),
            )
        })
        .collect()
}
