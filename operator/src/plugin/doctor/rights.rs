//! What may the user not do that the plugin needs?

use std::collections::BTreeSet;

use super::{Facts, Finding};
use crate::plugin::api::{ApiError, Request};

/// What cannot be looked at is wrong; what cannot be done is said.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<_> = facts
        .unreadable
        .iter()
        .map(|error| match error {
            ApiError::Forbidden(request) => Finding::wrong(
                format!("You may not {request}, so that these were not looked at."),
                ask_for(request),
            ),
            error => Finding::wrong(
                format!("Not everything could be looked at: {error}"),
                "see to that, and look again",
            ),
        })
        .collect();
    for (request, is_allowed) in &facts.rights {
        if !is_allowed {
            let purpose = match (request.verb, request.plural) {
                ("get", "secrets") => "`credentials`, and looking for missing Secrets",
                ("list", "events") => "the events of `status NAME`",
                ("patch", _) => "`rotate`",
                _ => "`status NAME`, `rotate` and `credentials`",
            };
            findings.push(Finding::note(
                format!("You may not {request}: {purpose} will not work."),
                ask_for(request),
            ));
        }
    }
    // What failed though it is allowed, each failure once.
    let failures = facts.secrets.values().filter_map(|it| it.as_ref().err());
    let failures = failures.filter(|it| !matches!(it, ApiError::Forbidden(_)));
    let failures: BTreeSet<_> = failures.map(ApiError::to_string).collect();
    findings.extend(failures.into_iter().map(|error| {
        let what = format!("A Secret could not be looked at: {error}");
        Finding::wrong(what, "see to that, and look again")
    }));
    findings
}

fn ask_for(request: &Request) -> String {
    let group = match request.group {
        "" => "the core API group".into(),
        group => format!("the API group {group}"),
    };
    format!(
        "if you need it, ask for a role with the verb `{}` on `{}` of {group}",
        request.verb, request.plural
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{
        doctor::{Severity, gather::tests::healthy},
        kind::Kind,
    };

    #[test]
    fn what_was_not_looked_at_is_never_well() {
        let mut facts = healthy();
        let list = Request::ours("list", Kind::ApiKey, Some("partners"));
        facts.unreadable = vec![ApiError::Forbidden(list)];
        facts.rights = vec![
            (Request::core("get", "secrets", Some("partners")), false),
            (Request::ours("patch", Kind::ApiKey, Some("partners")), true),
        ];
        let findings = judge(&facts);
        assert_eq!(findings.len(), 2);
        assert_eq!(findings[0].severity, Severity::Wrong);
        assert!(
            findings[0]
                .what
                .contains("list apikeys in the namespace `partners`")
        );
        assert_eq!(findings[1].severity, Severity::Note);
        assert!(
            findings[1]
                .step
                .ends_with("the verb `get` on `secrets` of the core API group")
        );
    }
}
