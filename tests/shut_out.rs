//! Users who are shut out, and what they left behind.

use std::process::Stdio;

use tokio::process::Command;

use crate::{browser::Browser, clients::Programme, harness::program};

async fn disable(programme: &Programme, name: &str) {
    let mut command = Command::new(program("flightgate-gateway"));
    command
        .args(["user", "disable", name, "--config"])
        .arg(programme.site.path("gateway.yaml"))
        .stdin(Stdio::null());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// FCV-18: a passkey stands in the place of a sign-in, so it is worth no more
/// than one.
#[tokio::test]
async fn a_passkey_dies_with_the_user_who_made_it() {
    let programme = Programme::start().await;
    let diary = programme.site.credentials("diary");
    let browser = Browser::new(&programme.gateway);
    let page = browser.open_as("/account", "anna").await;
    let mut passkeys = Vec::new();
    for _ in 0..2 {
        let form = page.form("action").with("action", "passkey");
        let made = browser.send(&form).await.answer.text();
        let (_, rest) = made.split_once("<p class=\"compare code\">").unwrap();
        passkeys.push(rest[..8].to_owned());
    }
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", &diary.id)
        .append_pair("redirect_uri", &programme.redirect())
        .append_pair("state", "s")
        .finish();
    let path = format!("/logbook/logbookuserauth/?{query}");
    let type_in = async |passkey: &str| {
        let stranger = Browser::new(&programme.gateway);
        let form = stranger.open(&path).await.form("passkey");
        let form = form.with("passkey", passkey).with("decision", "allow");
        stranger.send(&form).await
    };
    assert!(
        type_in(&passkeys[0])
            .await
            .parameters()
            .contains_key("code")
    );
    disable(&programme, "anna").await;
    let refused = type_in(&passkeys[1]).await;
    assert_eq!(refused.answer.status, 401, "{refused:?}");
}
