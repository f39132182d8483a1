//! Does an operator run?

use std::time::Duration;

use jiff::Timestamp;

use super::{Facts, Finding, gather::Leadership};
use crate::plugin::{period, resource::Resource, screen::harmless};

/// So late a renewal may be beyond the lease's own duration: clocks differ.
const LENIENCE: Duration = Duration::from_secs(5);

/// What is wrong with whoever leads.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let leases = match &facts.leases {
        Ok(leases) => leases,
        Err(error) => {
            return vec![Finding::note(
                format!("Whether an operator runs cannot be seen: {error}"),
                "name the namespace that it runs in with --operator-namespace, or ask somebody who may",
            )];
        }
    };
    if leases.is_empty() {
        let is_looked_after =
            !facts.resources.is_empty() && facts.resources.iter().all(Resource::is_observed);
        return vec![if is_looked_after {
            Finding::note(
                "There is no Lease of an operator, though every resource was looked at.",
                "nothing, if its leaderElection.mode is off; else see that it runs: kubectl get pods -A -l app.kubernetes.io/name=flightgate-operator",
            )
        } else {
            Finding::wrong(
                "No operator runs: there is no Lease of one.",
                "install it: helm install flightgate charts/flightgate (with leaderElection.mode off there is a process and no Lease)",
            )
        }];
    }
    let is_any_alive = leases.iter().any(|it| is_alive(it, facts.now));
    let dead = leases.iter().filter(|it| !is_alive(it, facts.now));
    dead.map(|lease| {
        let Leadership {
            namespace, name, ..
        } = lease;
        let held = match (&lease.holder, lease.renewed_at) {
            (Some(holder), Some(at)) => format!(
                "it is held by {}, who last renewed it {} ago",
                harmless(holder),
                period::age(at, facts.now)
            ),
            (None, Some(at)) => format!("nobody holds it for {}", period::age(at, facts.now)),
            _ => "nobody ever held it".into(),
        };
        let what = format!("The operator of the Lease {namespace}/{name} does not run: {held}.");
        if is_any_alive {
            let step = format!(
                "if it was uninstalled, kubectl delete lease {name} -n {namespace}; else see to its pods there"
            );
            return Finding::note(what, step);
        }
        let step = format!(
            "kubectl get pods -n {namespace} -l app.kubernetes.io/name=flightgate-operator, and kubectl logs of those"
        );
        Finding::wrong(what, step)
    })
    .collect()
}

fn is_alive(lease: &Leadership, now: Timestamp) -> bool {
    let end = lease
        .renewed_at
        .and_then(|at| at.checked_add(lease.duration + LENIENCE).ok());
    lease.holder.is_some() && end.is_some_and(|end| end >= now)
}

/// Whether it can be said that an operator runs.
pub(super) fn is_any_alive(facts: &Facts) -> bool {
    let leases = facts.leases.as_deref().unwrap_or_default();
    leases.iter().any(|it| is_alive(it, facts.now))
}

/// Who leads, as the end of a sentence.
pub(super) fn summary(facts: &Facts) -> String {
    let leases = facts.leases.as_deref().unwrap_or_default();
    let alive = leases.iter().filter(|it| is_alive(it, facts.now));
    let alive = alive.map(|it| {
        let holder = harmless(it.holder.as_deref().unwrap_or_default());
        let since = it.acquired_at.map(|at| period::age(at, facts.now));
        let since = since.map(|it| format!(" for {it}")).unwrap_or_default();
        format!(
            ", operator {}/{} led by {holder}{since}",
            it.namespace, it.name
        )
    });
    alive.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{
        api::{ApiError, Request},
        doctor::{Severity, gather::tests::healthy},
        resource::tests::{at, served},
    };

    fn with(lease: impl Fn(&mut Leadership)) -> Vec<Finding> {
        let mut facts = healthy();
        facts.leases.as_mut().unwrap().iter_mut().for_each(lease);
        judge(&facts)
    }

    #[test]
    fn a_lease_that_nobody_renews_is_an_operator_that_does_not_run() {
        assert_eq!(with(|_| {}), []);
        assert_eq!(
            with(|it| it.renewed_at = Some(at(-16))),
            [],
            "clocks differ"
        );
        let findings = with(|it| it.renewed_at = Some(at(-600)));
        assert_eq!(
            findings[0].what,
            "The operator of the Lease flightgate/fg-operator does not run: it is held by pod-1, who last renewed it 10m ago."
        );
        let findings = with(|it| it.holder = None);
        assert!(findings[0].what.contains("nobody holds it"), "{findings:?}");
    }

    #[test]
    fn beside_one_that_runs_a_dead_one_is_a_note() {
        let mut facts = healthy();
        let leases = facts.leases.as_mut().unwrap();
        let mut other = leases[0].clone();
        other.renewed_at = Some(at(-600));
        leases.push(other);
        assert_eq!(judge(&facts)[0].severity, Severity::Note);
    }

    #[test]
    fn without_any_lease_it_matters_whether_resources_are_looked_after() {
        let mut facts = healthy();
        facts.leases = Ok(Vec::new());
        assert_eq!(judge(&facts)[0].severity, Severity::Wrong);
        facts.resources = vec![served(&[])];
        assert_eq!(judge(&facts)[0].severity, Severity::Note);
        let request = Request::core("list", "leases", None);
        facts.leases = Err(ApiError::Forbidden(request));
        let findings = judge(&facts);
        assert_eq!(findings[0].severity, Severity::Note);
        assert!(findings[0].what.contains("the verb `list` on `leases`"));
    }
}
