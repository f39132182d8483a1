//! What depends on the user: who is told, and who is never sent anywhere.

use super::{is_page, place};
use crate::{
    authorization::{allow, exchange, request},
    client::Call,
    grants::{AUTHORIZE, CALLBACK, annas},
    harness::eventually,
};

/// RFC 6749 section 4.1.2.1, RFC 9700 section 4.1: who is not known is sent
/// nowhere, signed in or not.
#[tokio::test]
async fn an_unknown_client_or_redirect_uri_never_redirects() {
    let place = place().await;
    let browser = annas(&place.gateway).await;
    let two = place.site.credentials("two");
    let long = "s".repeat(4_097);
    let mut paths = vec![
        AUTHORIZE.to_owned(),
        request(&place.web, &[("client_id", "")]),
        request(&place.web, &[("client_id", "wf_app_nobody")]),
        request(&place.web, &[("client_id", &place.web.id.to_uppercase())]),
        request(&place.web, &[("state", &long)]),
        request(&place.web, &[("state", "a\0b")]),
        request(&place.web, &[("scope", "flights:read\0")]),
        format!("{}&x=%ff%fe", request(&place.web, &[])),
        format!("{}&state=%c3%28", request(&place.web, &[("state", "")])),
        // It has none, and cannot be sent anywhere.
        request(&place.machine, &[]),
        request(&place.machine, &[("redirect_uri", "")]),
        // Which one?
        request(&two, &[("redirect_uri", "")]),
    ];
    for uri in [
        "https://evil.example/cb",
        "https://logbook.example.evil.example/cb",
        "https://logbook.example@evil.example/cb",
        "https://evil.example/?https://logbook.example/cb",
        "https://logbook.example/cb/",
        "https://logbook.example/cb?evil=1",
        "https://logbook.example/cb#evil",
        "https://logbook.example/cb/../evil",
        "https://logbook.example/CB",
        "https://logbook.example:443/cb",
        "https://logbook.example./cb",
        "https://LOGBOOK.example/cb",
        "http://logbook.example/cb",
        "//logbook.example/cb",
        "/cb",
        "https://logbook.example/c%62",
        " https://logbook.example/cb",
        "https://logbook.example/cb\r\nSet-Cookie: evil=1",
        "javascript:alert('evil')",
        "data:text/html,evil",
    ] {
        paths.push(request(&place.web, &[("redirect_uri", uri)]));
    }
    for uri in [
        "http://127.0.0.1:1@evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.1:99999/cb",
        "http://localhost:4711/cb",
        "http://127.0.0.1:4711/cb/evil",
        "https://127.0.0.1:4711/cb",
    ] {
        paths.push(request(&place.native, &[("redirect_uri", uri)]));
    }
    for path in paths {
        is_page(&path, &place.gateway.answer(Call::get(&path)).await);
        let page = browser.open(&path).await;
        is_page(&path, &page.answer);
        let form = Call::form(&path, &[("decision", "allow")]);
        is_page(&path, &place.gateway.answer(browser.prepare(form)).await);
    }
}

/// What the user, or what they may do, decides.
#[tokio::test]
async fn consent_that_is_not_given_is_told() {
    let place = place().await;
    let browser = annas(&place.gateway).await;
    let state = Some("a&b c");
    let none = [("prompt", "none")];
    let told = browser.open(&request(&place.web, &none)).await.answer;
    place.is_told("not asked yet", &told, CALLBACK, "consent_required", state);

    let page = browser.open(&request(&place.web, &[])).await;
    let form = page.form("scope");
    for (decision, what) in [("deny", "denied"), ("", "neither"), ("ALLOW", "shouted")] {
        let told = browser.send(&form.clone().with("decision", decision)).await;
        place.is_told(what, &told.answer, CALLBACK, "access_denied", state);
    }
    // Nothing ticked is asked again, and granted is nothing.
    let nothing = form.without("scope", "flights:read");
    let nothing = nothing.without("scope", "flights:write");
    let page = browser.send(&nothing.with("decision", "allow")).await;
    assert!(page.left_for.is_none() && page.has("Acme web"), "{page:?}");
    let told = browser.open(&request(&place.web, &none)).await.answer;
    place.is_told("still not", &told, CALLBACK, "consent_required", state);

    let ruler = place.site.credentials("ruler");
    let told = browser.open(&request(&ruler, &[])).await.answer;
    place.is_told("no right to give", &told, CALLBACK, "access_denied", state);

    allow(&browser, &browser.open(&request(&place.web, &[])).await).await;
    let granted = browser.open(&request(&place.web, &none)).await;
    assert!(granted.parameters().contains_key("code"), "{granted:?}");
    // An old sign-in is none.
    let told = [("prompt", "none"), ("max_age", "0")];
    eventually("the sign-in is a second old", async || {
        let page = Box::pin(browser.open(&request(&place.web, &told))).await;
        let old = page.parameters().contains_key("error");
        if old {
            place.is_told("old", &page.answer, CALLBACK, "login_required", state);
        }
        old
    })
    .await;
}

/// Whoever wants to see the user sign in again gets that, and the request
/// goes on afterwards.
#[tokio::test]
async fn a_user_who_is_signed_in_can_sign_in_again() {
    let place = place().await;
    let browser = annas(&place.gateway).await;
    let page = browser
        .open_as(&request(&place.web, &[("prompt", "login")]), "anna")
        .await;
    assert!(page.has("Acme web"), "{page:?}");
    let back = allow(&browser, &page).await;
    exchange(&place.gateway, &place.web, &back.parameters()["code"])
        .await
        .json();
}
