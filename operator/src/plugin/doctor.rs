//! `doctor`: what is wrong, and what to do about it.
//!
//! Everything is gathered first ([`Facts`]); what is wrong with it is decided by
//! pure functions, a file for each matter.

mod advice;
mod brought;
mod definitions;
mod gather;
mod operator;
mod resources;
mod rights;

use std::process::ExitCode;

pub(super) use self::gather::Facts;
use self::gather::gather;
use super::{
    PluginError,
    access::Access,
    arguments::DoctorOptions,
    screen::{Screen, print},
};

/// Something that somebody ought to know.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    severity: Severity,
    /// What is so, on one line.
    what: String,
    /// What to do, on one line.
    step: String,
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    /// It does not work, or soon will not.
    Wrong,
    /// It could not be looked at, or may be meant.
    Note,
}

impl Finding {
    fn wrong(what: impl Into<String>, step: impl Into<String>) -> Self {
        Self {
            severity: Severity::Wrong,
            what: what.into(),
            step: step.into(),
        }
    }

    fn note(what: impl Into<String>, step: impl Into<String>) -> Self {
        Self {
            severity: Severity::Note,
            ..Self::wrong(what, step)
        }
    }
}

/// Looks, and says what it found.
pub(super) async fn run(
    access: &Access,
    options: &DoctorOptions,
    screen: &Screen,
) -> Result<ExitCode, PluginError> {
    let facts = gather(access, options).await?;
    let findings = diagnose(&facts);
    print(&report(&facts, &findings, screen));
    let is_wrong = findings.iter().any(|it| it.severity == Severity::Wrong);
    Ok(if is_wrong {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Everything that there is to say, what is wrong first.
fn diagnose(facts: &Facts) -> Vec<Finding> {
    let mut findings = definitions::judge(&facts.definitions);
    findings.extend(operator::judge(facts));
    findings.extend(rights::judge(facts));
    for resource in &facts.resources {
        findings.extend(resources::judge(resource, facts));
    }
    findings.sort_by_key(|it| it.severity);
    findings
}

fn report(facts: &Facts, findings: &[Finding], screen: &Screen) -> String {
    let mut lines = Vec::new();
    for finding in findings {
        let mark = match finding.severity {
            Severity::Wrong => screen.red("✗"),
            Severity::Note => screen.yellow("!"),
        };
        lines.push(format!("{mark} {}", finding.what));
        lines.push(format!("  → {}", finding.step));
    }
    let looked = format!(
        "{} looked at in {}{}",
        match facts.resources.len() {
            0 => "no resources".into(),
            1 => "1 resource".into(),
            many => format!("{many} resources"),
        },
        match &facts.namespace {
            Some(namespace) => format!("the namespace `{namespace}`"),
            None => "all namespaces".into(),
        },
        operator::summary(facts)
    );
    let wrong = findings
        .iter()
        .filter(|it| it.severity == Severity::Wrong)
        .count();
    lines.push(match (wrong, findings.len()) {
        (0, 0) => screen.green(&format!("✓ All is well: {looked}.")),
        (0, _) => screen.green(&format!(
            "✓ Nothing is wrong with what could be looked at: {looked}."
        )),
        (1, _) => format!("1 thing is wrong: {looked}."),
        (many, _) => format!("{many} things are wrong: {looked}."),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::resource::tests::served;

    #[test]
    fn all_is_well_is_one_line() {
        let facts = Facts {
            resources: vec![served(&[])],
            ..gather::tests::healthy()
        };
        let findings = diagnose(&facts);
        assert_eq!(findings, []);
        let text = report(&facts, &findings, &Screen::plain());
        assert_eq!(
            text,
            "✓ All is well: 1 resource looked at in the namespace `partners`, operator flightgate/fg-operator led by pod-1 for 24h."
        );
    }

    #[test]
    fn what_is_wrong_comes_first_and_each_with_what_to_do() {
        let findings = vec![Finding::wrong("a", "b"), Finding::note("c", "d")];
        let text = report(&gather::tests::healthy(), &findings, &Screen::plain());
        assert!(text.starts_with("✗ a\n  → b\n! c\n  → d\n1 thing is wrong: "));
    }
}
