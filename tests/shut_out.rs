//! Users who are shut out and applications that lose rights, between a consent
//! and what comes of it.

use std::{fs, process::Stdio};

use tokio::process::Command;

use crate::{
    authorization::{allow, ask, exchange, request, site},
    browser::Browser,
    clients::Programme,
    harness::{Site, eventually, program},
};

async fn disable(site: &Site, name: &str) {
    let mut command = Command::new(program("flightgate-gateway"));
    command
        .args(["user", "disable", name, "--config"])
        .arg(site.path("gateway.yaml"))
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
    disable(&programme.site, "anna").await;
    let refused = type_in(&passkeys[1]).await;
    assert_eq!(refused.answer.status, 401, "{refused:?}");
}

#[tokio::test]
async fn nothing_that_a_user_allowed_outlives_their_being_shut_out() {
    let (_upstream, site, gateway, logbook) = site().await;
    let browser = Browser::new(&gateway);
    let page = browser.open_as(&request(&logbook, &[]), "anna").await;
    let back = allow(&browser, &page).await;
    let tokens = exchange(&gateway, &logbook, &back.parameters()["code"]).await;
    let tokens = tokens.json();
    let open = browser.open(&request(&logbook, &[])).await.parameters();
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
    assert_eq!(gateway.list_status(&text("access_token")).await, 200);

    disable(&site, "anna").await;
    assert_eq!(gateway.list_status(&text("access_token")).await, 401);
    let refresh = text("refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", &refresh)];
    let refused = ask(&gateway, &logbook, &form).await;
    assert_eq!(refused.oauth_error(), "invalid_grant");
    let refused = exchange(&gateway, &logbook, &open["code"]).await;
    assert_eq!(refused.oauth_error(), "invalid_grant");
    let page = browser.open(&request(&logbook, &[])).await;
    assert!(page.has("name=\"password\""), "{page:?}");
}

/// A code stands for what the application may have when it is exchanged, and
/// not for what it could have when the user was asked.
#[tokio::test]
async fn what_an_application_lost_is_in_no_code_and_no_refresh_token() {
    let (_upstream, site, gateway, logbook) = site().await;
    let browser = Browser::new(&gateway);
    let page = browser.open_as(&request(&logbook, &[]), "anna").await;
    let back = allow(&browser, &page).await;
    let tokens = exchange(&gateway, &logbook, &back.parameters()["code"]).await;
    let refresh = tokens.json()["refresh_token"].as_str().unwrap().to_owned();
    let open = browser.open(&request(&logbook, &[])).await.parameters();

    let manifest = fs::read_to_string(site.path("manifests/logbook.yaml")).unwrap();
    let less = manifest.replace(", \"flights:write\"", "");
    assert_ne!(manifest, less);
    site.manifest("logbook", &less);
    site.compile();
    let wish = request(&logbook, &[("scope", "flights:write")]);
    eventually("the gateway hears of it", async || {
        let answer = browser.open(&wish).await;
        answer.left_for.is_some() && answer.parameters().contains_key("error")
    })
    .await;
    let late = exchange(&gateway, &logbook, &open["code"]).await.json();
    assert_eq!(late["scope"], "flights:read");
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*refresh),
    ];
    let fresh = ask(&gateway, &logbook, &form).await.json();
    assert_eq!(fresh["scope"], "flights:read");

    // Not even asked for, and with its tokens gone when it is gone itself.
    site.without_manifest("logbook");
    site.compile();
    let access = fresh["access_token"].as_str().unwrap();
    eventually("the gateway hears of that", async || {
        gateway.list_status(access).await == 401
    })
    .await;
    let refused = ask(&gateway, &logbook, &form).await;
    assert_eq!(refused.oauth_error(), "invalid_client");
    assert_eq!(browser.open(&wish).await.answer.status, 400);
}
