//! The table of `operator/tests/manifests`, which the operator's own tests run
//! through `compile`, on a real API server: both say yes and no to the same
//! manifests, and no with the same words.

use flightgate_e2e::Cluster;

use crate::verdict::{Case, Compiler, Complaint, Server, Verb};

async fn server(about: &str) -> (Server, impl Drop) {
    let cluster = Cluster::shared().await;
    let namespace = cluster.namespace(about).await;
    let server = Server {
        client: cluster.client().await,
        namespace: namespace.to_string(),
    };
    (server, namespace)
}

#[track_caller]
fn none(failures: &[String], of: usize) {
    assert!(
        failures.is_empty(),
        "{} of {of}:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[tokio::test]
async fn what_the_table_accepts_the_api_server_accepts() {
    let (server, _namespace) = server("accepted").await;
    let (cases, mut failures) = (Case::all("accepted"), Vec::new());
    for case in &cases {
        for verb in [Verb::Create, Verb::Apply] {
            if let Err(complaints) = server.verdict(verb, &case.object()).await {
                failures.push(format!("{case} {verb:?}: {complaints:#?}"));
            }
        }
    }
    none(&failures, cases.len());
}

#[tokio::test]
async fn what_the_table_refuses_the_api_server_refuses_with_the_same_words() {
    let (server, _namespace) = server("refused").await;
    let (cases, mut failures) = (Case::all("refused"), Vec::new());
    for case in &cases {
        match server.verdict(Verb::Create, &case.object()).await {
            Ok(_) => failures.push(format!("{case}: accepted")),
            Err(complaints) => {
                for expected in case.expected() {
                    if !complaints.iter().any(|it| it.says(expected)) {
                        failures.push(format!("{case}: missing {expected}\n{complaints:#?}"));
                    }
                }
            }
        }
        // Apply merges before it validates, and has words of its own for what
        // cannot be merged; but it lets nothing more in.
        if server.verdict(Verb::Apply, &case.object()).await.is_ok() {
            failures.push(format!("{case}: accepted when applied"));
        }
    }
    none(&failures, cases.len());
}

/// What only the catalogue knows is for the operator to say, in a condition.
#[tokio::test]
async fn what_the_catalogue_refuses_the_api_server_accepts() {
    let (server, _namespace) = server("catalogue").await;
    let (cases, mut failures) = (Case::all("refused-by-catalogue"), Vec::new());
    for case in &cases {
        if let Err(complaints) = server.verdict(Verb::Create, &case.object()).await {
            failures.push(format!("{case}: {complaints:#?}"));
        }
    }
    none(&failures, cases.len());
}

/// Whichever of the two a partner's manifest meets first, it says the same.
#[tokio::test]
async fn compile_and_the_api_server_complain_of_the_same_fields() {
    let (server, _namespace) = server("agreement").await;
    let (cases, mut failures) = (Case::all("refused"), Vec::new());
    for case in &cases {
        let theirs = server.verdict(Verb::Create, &case.object()).await;
        let ours = Compiler::new().verdict(&case.text);
        let (Err(theirs), Err(ours)) = (theirs, ours) else {
            failures.push(format!("{case}: one of them accepted it"));
            continue;
        };
        let said = |theirs: &Complaint| ours.iter().any(|ours| agree(ours, theirs));
        let heard = |ours: &Complaint| theirs.iter().any(|theirs| agree(ours, theirs));
        let all_said = theirs.iter().filter(|it| !is_remark(it)).all(said);
        if !all_said || !ours.iter().all(heard) {
            failures.push(format!(
                "{case}:\n  compile: {ours:#?}\n  API server: {theirs:#?}"
            ));
        }
    }
    none(&failures, cases.len());
}

/// What the API server adds where a field has not even the right type.
fn is_remark(complaint: &Complaint) -> bool {
    complaint
        .message
        .contains("some validation rules were not checked because the object was invalid")
}

/// The API server puts the value in front of a rule's message, and fields that
/// it does not know it mentions without saying which there are.
fn agree(ours: &Complaint, theirs: &Complaint) -> bool {
    let words = match ours.message.split_once("; the fields here are") {
        Some((words, _)) => words,
        None if theirs.field.is_empty() && ours.message.starts_with("unknown field") => {
            &ours.message
        }
        None if theirs.field.is_empty() => return theirs.message.contains(&ours.to_string()),
        None if theirs.field != ours.field => return false,
        None => &ours.message,
    };
    theirs.message.contains(words)
}

#[tokio::test]
async fn defaults_are_what_compile_writes() {
    let (server, _namespace) = server("defaults").await;
    let (cases, mut failures) = (Case::all("accepted"), Vec::new());
    for case in &cases {
        let theirs = server.verdict(Verb::Create, &case.object()).await;
        let ours = Compiler::new().verdict(&case.text);
        match (theirs, ours) {
            (Ok(theirs), Ok(ours)) if theirs["spec"] == ours["spec"] => {}
            (theirs, ours) => failures.push(format!("{case}:\n{theirs:#?}\n{ours:#?}")),
        }
    }
    none(&failures, cases.len());
}
