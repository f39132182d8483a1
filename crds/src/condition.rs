//! Conditions: what a person or a tool asks a resource first.

#![allow(
    clippy::doc_markdown,
    reason = "kubectl explain prints the comments of fields as they are"
)]

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The resource was understood and nothing in it is refused.
pub const ACCEPTED: &str = "Accepted";
/// The credentials exist and can be used.
pub const CREDENTIALS_READY: &str = "CredentialsReady";
/// Every ready gateway replica serves this generation.
pub const READY: &str = "Ready";

/// One aspect of a resource's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Condition {
    /// Which aspect: Accepted (nothing in the resource is refused),
    /// CredentialsReady (the credentials exist and can be used) or Ready (every
    /// ready gateway replica serves this generation).
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 64))]
    pub kind: String,
    /// True, False, or Unknown.
    pub status: Status,
    /// The metadata.generation that the condition is about; if it is smaller
    /// than the present one, the condition is out of date.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub observed_generation: i64,
    /// When status last changed.
    pub last_transition_time: Timestamp,
    /// Why, in one word for tools.
    #[schemars(length(min = 1, max = 128))]
    pub reason: String,
    /// Why and what to do, in a sentence for people.
    #[schemars(length(max = 4096))]
    pub message: String,
}

/// The status of a [`Condition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Status {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody can say.
    Unknown,
}

/// Sets a condition; its transition time moves only if its status does.
pub fn set(conditions: &mut Vec<Condition>, mut new: Condition) {
    match conditions.iter_mut().find(|old| old.kind == new.kind) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time;
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(status: Status, reason: &str, at: i64) -> Condition {
        Condition {
            kind: READY.into(),
            status,
            observed_generation: 1,
            last_transition_time: Timestamp::from_second(at).unwrap(),
            reason: reason.into(),
            message: String::new(),
        }
    }

    #[test]
    fn the_transition_time_moves_on_transition_alone() {
        let mut conditions = Vec::new();
        set(&mut conditions, condition(Status::False, "Pending", 1));
        set(&mut conditions, condition(Status::False, "Waiting", 2));
        assert_eq!(conditions, [condition(Status::False, "Waiting", 1)]);
        set(&mut conditions, condition(Status::True, "Served", 3));
        assert_eq!(conditions, [condition(Status::True, "Served", 3)]);
    }
}
