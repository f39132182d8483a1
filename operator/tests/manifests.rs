//! Which manifests are accepted and which are refused, and with which words:
//! `manifests/accepted`, `manifests/refused` (by the schema, so by an API server
//! too) and `manifests/refused-by-catalogue`. Every document is a case of its
//! own; a refused one says in `# expect:` lines what must be said of it, and
//! nothing else may be.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

struct Case {
    file: String,
    text: String,
}

impl Case {
    fn expected(&self) -> Vec<&str> {
        self.text
            .lines()
            .filter_map(|line| line.strip_prefix("# expect: "))
            .collect()
    }

    fn name(&self) -> &str {
        let line = self
            .text
            .lines()
            .find(|line| line.starts_with("metadata:"))
            .unwrap_or_default();
        line.split(['{', ',']).nth(1).unwrap_or_default()
    }
}

fn table() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests")
}

fn cases(folder: &str) -> Vec<Case> {
    let mut files: Vec<_> = fs::read_dir(table().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let of = |path: &PathBuf| {
        let file = path.strip_prefix(table()).unwrap().display().to_string();
        let text = fs::read_to_string(path).unwrap();
        text.split("\n---\n")
            .map(|text| Case {
                file: file.clone(),
                text: text.to_owned(),
            })
            .collect::<Vec<_>>()
    };
    files.iter().flat_map(of).collect()
}

/// Compiles one document beside what it refers to.
fn compile(case: &Case, folder: &TempDir) -> Output {
    let manifests = folder.path().join("manifests");
    fs::create_dir_all(&manifests).unwrap();
    fs::copy(table().join("support.yaml"), manifests.join("a.yaml")).unwrap();
    fs::write(manifests.join("case.yaml"), &case.text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_flightgate-operator"))
        .arg("compile")
        .arg("--manifests")
        .arg(manifests)
        .arg("--config")
        .arg(table().join("gateway.yaml"))
        .arg("--out")
        .arg(folder.path().join("out"))
        .output()
        .unwrap()
}

fn refusals_of(folder: &str) {
    let mut failures = Vec::new();
    let cases = cases(folder);
    for case in &cases {
        let temporary = tempfile::tempdir().unwrap();
        let output = compile(case, &temporary);
        let said = String::from_utf8(output.stderr).unwrap();
        let mut lines: Vec<_> = said.lines().collect();
        let summary = lines.pop().unwrap_or_default();
        let expected = case.expected();
        let missing: Vec<_> = expected
            .iter()
            .filter(|words| !lines.iter().any(|line| line.contains(**words)))
            .collect();
        let is_clean = !temporary.path().join("out").exists();
        let is_right = output.status.code() == Some(1)
            && !expected.is_empty()
            && missing.is_empty()
            && lines.len() == expected.len()
            && summary.ends_with("nothing was written")
            && is_clean;
        if !is_right {
            failures.push(format!(
                "{} {}: missing {missing:#?}, said:\n{said}",
                case.file,
                case.name()
            ));
        }
    }
    assert!(!cases.is_empty());
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

#[test]
fn what_the_schema_refuses_is_refused_with_these_words() {
    assert!(cases("refused").len() >= 60);
    refusals_of("refused");
}

#[test]
fn what_the_catalogue_refuses_is_refused_with_these_words() {
    refusals_of("refused-by-catalogue");
}

#[test]
fn what_is_right_is_accepted_and_stable() {
    let cases = cases("accepted");
    assert!(cases.len() >= 60);
    for case in &cases {
        let temporary = tempfile::tempdir().unwrap();
        for expected in [
            "2 created, 0 changed, 0 unchanged",
            "0 created, 0 changed, 2 unchanged",
        ] {
            let output = compile(case, &temporary);
            let said = String::from_utf8(output.stderr).unwrap();
            let name = format!("{} {}", case.file, case.name());
            assert!(output.status.success(), "{name}:\n{said}");
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(said.contains(expected), "{name}:\n{said}");
        }
    }
}
