//! What can go wrong between plan and cluster, and what follows from it.

use std::time::Duration;

use kube::core::Status;

use crate::mint::NoRandomness;

/// What is done first of all to a resource itself.
pub(super) const FINALIZING: &str = "add the finalizer";

/// A reconcile that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The API server refused or did not answer.
    #[error("{action}: {}", Reason(source))]
    Api {
        /// What was being done.
        action: &'static str,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// There is nothing to make secrets of.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// It took too long.
    #[error("no answer from the API server in time")]
    Timeout,
}

/// What a fault calls for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Somebody else wrote at the same time: look again at once.
    Conflict,
    /// It may work the next time, perhaps not before so long.
    Transient(Option<Duration>),
    /// The namespace is on its way out: nothing more can be made in it.
    Terminating,
    /// It will not work until somebody changes something.
    Permanent {
        /// One word, for tools.
        reason: &'static str,
        /// A sentence, for people.
        message: String,
    },
}

impl Fault {
    /// Says what was being done when the API server refused.
    pub(super) fn at(action: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Api {
            action,
            source: Box::new(source),
        }
    }

    /// Whether the resource itself, to be read or changed, was not there.
    pub(super) fn is_about_nothing(&self) -> bool {
        matches!(self, Self::Api { source, action: FINALIZING }
            if matches!(&**source, kube::Error::Api(status) if status.code == 404))
    }

    /// What it calls for.
    pub(super) fn class(&self) -> Class {
        match self {
            Self::Api { source, action } => match &**source {
                kube::Error::Api(status) => classify(action, status),
                _ => Class::Transient(None),
            },
            Self::NoRandomness(_) | Self::Timeout => Class::Transient(None),
        }
    }
}

fn classify(action: &str, status: &Status) -> Class {
    let permanent = |reason| Class::Permanent {
        reason,
        message: format!("{action}: {}", status.message),
    };
    let details = status.details.as_ref();
    let causes = details.map(|details| details.causes.as_slice());
    let is_terminating = causes
        .into_iter()
        .flatten()
        .any(|cause| cause.reason == "NamespaceTerminating");
    match status.code {
        409 => Class::Conflict,
        403 if is_terminating => Class::Terminating,
        403 if status.message.contains("exceeded quota") => permanent("QuotaExceeded"),
        403 if status.message.contains("is forbidden: User ") => permanent("Forbidden"),
        400 | 403 | 405 | 413 | 422 => permanent("Refused"),
        // The only thing that a write of ours can miss.
        404 => permanent("NamespaceNotFound"),
        _ => {
            let seconds = details.map_or(0, |details| details.retry_after_seconds);
            let wait = Duration::from_secs(seconds.into());
            Class::Transient(Some(wait).filter(|wait| !wait.is_zero()))
        }
    }
}

/// The innermost reason, without the structs around it.
struct Reason<'a>(&'a kube::Error);

impl std::fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let kube::Error::Api(status) = self.0 {
            return write!(f, "{} ({})", status.message, status.code);
        }
        write!(f, "{}", self.0)?;
        let mut source = std::error::Error::source(self.0);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn class(status: serde_json::Value) -> Class {
        let status: Status = serde_json::from_value(status).unwrap();
        let source = Box::new(kube::Error::Api(Box::new(status)));
        let action = "write the credentials";
        Fault::Api { action, source }.class()
    }

    #[test]
    fn a_refusal_is_told_from_what_may_work_next_time() {
        assert_eq!(
            class(json!({"code": 409, "reason": "Conflict"})),
            Class::Conflict
        );
        for code in [500, 502, 503, 504, 429, 401] {
            let transient = Class::Transient(None);
            assert_eq!(class(json!({"code": code})), transient, "{code}");
        }
        assert_eq!(
            class(json!({"code": 429, "details": {"retryAfterSeconds": 7}})),
            Class::Transient(Some(Duration::from_secs(7)))
        );
        for (code, message, expected) in [
            (
                403,
                "secrets \"x\" is forbidden: exceeded quota: q, requested: secrets=1",
                "QuotaExceeded",
            ),
            (
                403,
                "secrets \"x\" is forbidden: User \"u\" cannot patch resource",
                "Forbidden",
            ),
            (403, "admission webhook \"w\" denied the request", "Refused"),
            (422, "Secret \"x\" is invalid", "Refused"),
            (404, "namespaces \"x\" not found", "NamespaceNotFound"),
        ] {
            let class = class(json!({"code": code, "message": message}));
            let Class::Permanent {
                reason,
                message: told,
            } = class
            else {
                panic!("{code}: {class:?}");
            };
            assert_eq!(reason, expected);
            assert!(told.contains(message), "{told}");
        }
        let causes = json!([{"reason": "NamespaceTerminating", "message": ""}]);
        assert_eq!(
            class(json!({"code": 403, "details": {"causes": causes}})),
            Class::Terminating
        );
    }
}
