//! Through the browser of the account's owner.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{SESSION, VISITOR, logbook_request, running, sign_in_from};
use crate::{
    authorization::request,
    browser::{Browser, PASSWORD, Page, add_user},
    client::Call,
    gateway::Gateway,
    grants::{AUTHORIZE, annas, device_begins, device_call, device_codes},
    harness::Site,
};

/// CWE-601: after a sign-in or sign-out nobody leaves this host.
#[tokio::test]
async fn the_sign_in_is_no_open_redirector() {
    let (_upstream, _site, gateway) = running().await;
    let browser = annas(&gateway).await;
    for place in [
        "https://evil.example/",
        "HTTPS://evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\\/evil.example",
        "\\/evil.example",
        "@evil.example",
        "https:evil.example",
        "https:/evil.example",
        "/%2Fevil.example",
        "/%2f%2fevil.example",
        "%2F%2Fevil.example",
        "/%5Cevil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " //evil.example",
        "\u{0}//evil.example",
        "/.evil.example",
        "/account//evil.example",
        "/account/../../evil.example",
        "/account/%2e%2e//evil.example",
        "/account@evil.example",
        ".evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "/account\r\nLocation: https://evil.example",
        "/account\u{2028}",
        "/api/v1/flights",
        "/sign-out",
        "/sign-in?continue=//evil.example",
        "/.well-known/jwks.json",
        "",
    ] {
        let page = browser.open(&sign_in_from(place)).await;
        let form = page.form("password");
        assert_eq!(form.values("continue"), ["/account"], "{place:?}");
        // And if somebody writes it into the form.
        let form = form.with("continue", place);
        let form = form.with("username", "anna").with("password", PASSWORD);
        let page = browser.send(&form).await;
        assert_eq!(page.left_for, None, "{place:?}");
        assert_eq!(page.at, "/account", "{place:?}");
        let leaving = page
            .form_with("action=\"/sign-out\"")
            .with("continue", place);
        let left = browser.send(&leaving).await;
        assert_eq!(left.left_for, None, "{place:?}");
        assert!(left.at.starts_with("/sign-"), "{place:?}: {}", left.at);
    }
}

/// Every page that a browser is shown, by its name.
async fn every_page(site: &Site, gateway: &Gateway) -> Vec<(&'static str, Page)> {
    let (good, log) = (site.credentials("good"), site.credentials("log"));
    let stranger = Browser::new(gateway);
    let anna = annas(gateway).await;
    let (_, user) = device_codes(&gateway.answer(device_begins(&good)).await);
    let wrong = stranger.open("/sign-in").await.form("password");
    let wrong = wrong.with("username", "anna").with("password", "no");
    let confirm = anna.open(&format!("/device?user_code={user}")).await;
    let consent = anna.open(&request(&good, &[])).await;
    let account = anna.open("/account").await;
    let make = account.form_with("value=\"passkey\"");
    let leave = account.form_with("action=\"/sign-out\"");
    let broken = account.form_with("value=\"passkey\"").with("csrf", "x");
    vec![
        ("sign-in", stranger.open("/sign-in").await),
        (
            "sign-in for an application",
            stranger.open(&request(&good, &[])).await,
        ),
        ("refused sign-in", stranger.send(&wrong).await),
        ("consent", consent),
        ("device entry", anna.open("/device").await),
        (
            "device confirmation",
            anna.send(&confirm.form("scope").with("decision", "deny"))
                .await,
        ),
        ("device", confirm),
        ("passkey entry", stranger.open(&logbook_request(&log)).await),
        ("passkey", anna.send(&make).await),
        ("a strange form", anna.send(&broken).await),
        ("a strange link", stranger.open(AUTHORIZE).await),
        ("account", account),
        ("signed out", anna.send(&leave).await),
    ]
}

/// RFC 6749 section 10.13, RFC 9700 section 4.16: in no frame, with no script,
/// with no trace for the next site or the next person at this machine.
#[tokio::test]
async fn no_page_can_be_framed_scripted_or_kept() {
    let (_upstream, site, gateway) = running().await;
    for (name, page) in every_page(&site, &gateway).await {
        let header = |header: &str| page.answer.header(header).unwrap_or_default();
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{name}: {policy}");
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{name}"
        );
        assert!(!policy.contains("script-src"), "{name}: {policy}");
        assert_eq!(header("x-frame-options"), "DENY", "{name}");
        assert_eq!(header("cache-control"), "no-store", "{name}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{name}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{name}");
        assert!(!page.has("<script") && !page.has("<iframe"), "{name}");
        let html = page.answer.text();
        assert!(
            !html.contains(" onclick=") && !html.contains(" style="),
            "{name}"
        );
        assert_eq!(page.answer.header("access-control-allow-origin"), None);
    }
}

/// RFC 6749 section 10.12: no form works from elsewhere, with another's token,
/// or with a token for something else.
#[tokio::test]
async fn no_form_can_be_sent_by_another_site() {
    let (_upstream, site, gateway) = running().await;
    add_user(&site, "mallory", &[]).await;
    let good = site.credentials("good");
    let anna = annas(&gateway).await;
    let mallory = Browser::new(&gateway);
    mallory.open_as("/account", "mallory").await;
    let (device, user) = device_codes(&gateway.answer(device_begins(&good)).await);
    let consent = request(&good, &[]);
    let confirm = format!("/device?user_code={user}");
    for (path, marked, decides) in [
        (&*consent, "name=\"scope\"", true),
        (&*confirm, "name=\"scope\"", true),
        ("/account", "value=\"passkey\"", false),
        ("/account", "value=\"sign-out-everywhere\"", false),
        ("/account", "action=\"/sign-out\"", false),
    ] {
        let decided = |page: &Page| {
            let form = page.form_with(marked);
            if decides {
                form.with("decision", "allow")
            } else {
                form
            }
        };
        let form = decided(&anna.open(path).await);
        let own = decided(&mallory.open(path).await).values("csrf")[0].to_owned();
        let other = if path == "/account" {
            "/device"
        } else {
            "/account"
        };
        let purpose = anna.open(other).await.form("csrf");
        let purpose = purpose.values("csrf")[0].to_owned();
        let visitor = Browser::new(&gateway).open("/sign-in").await;
        let visitor = visitor.form("csrf").values("csrf")[0].to_owned();
        for (what, call) in [
            ("no token", form.clone().with("csrf", "").call()),
            (
                "no field",
                form.clone().without("csrf", form.values("csrf")[0]).call(),
            ),
            ("another's token", form.clone().with("csrf", &own).call()),
            (
                "a visitor's token",
                form.clone().with("csrf", &visitor).call(),
            ),
            (
                "of another form",
                form.clone().with("csrf", &purpose).call(),
            ),
            (
                "cross-site",
                form.call().header("sec-fetch-site", "cross-site"),
            ),
            (
                "same-site",
                form.call().header("sec-fetch-site", "same-site"),
            ),
            (
                "another origin",
                form.call().header("origin", "https://evil.example"),
            ),
            (
                "another port",
                form.call().header("origin", "https://localhost:1"),
            ),
        ] {
            let answer = gateway.answer(anna.prepare(call)).await;
            assert_eq!(answer.status, 403, "{what} at {path} {marked}: {answer:?}");
            assert_eq!(answer.header("location"), None, "{what}");
        }
        // As another type, which a page elsewhere may send without asking.
        let text = Call::post(path)
            .header("content-type", "text/plain")
            .body("a=b");
        assert_eq!(gateway.answer(anna.prepare(text)).await.status, 403);
        // By GET nothing is decided.
        let query = format!(
            "{path}{}decision=allow&action=passkey",
            if path.contains('?') { "&" } else { "?" }
        );
        let page = anna.open(&query).await;
        assert!(
            page.left_for.is_none() && page.answer.status < 500,
            "{page:?}"
        );
    }
    // None of it did anything: she is signed in, and nothing is granted.
    let page = anna.open("/account").await;
    assert!(page.has("No application has access"), "{page:?}");
    let answer = gateway.answer(device_call(&good, &device)).await;
    assert_eq!(answer.oauth_error(), "authorization_pending");
}

/// Nor does another site sign a browser in, as whomever it likes.
#[tokio::test]
async fn no_browser_is_signed_in_by_another_site() {
    let (_upstream, site, gateway) = running().await;
    add_user(&site, "mallory", &[]).await;
    let stranger = Browser::new(&gateway);
    let form = stranger.open("/sign-in").await.form("password");
    let form = form.with("username", "mallory").with("password", PASSWORD);
    let foreign = Browser::new(&gateway).open("/sign-in").await.form("csrf");
    for call in [
        form.clone().with("csrf", foreign.values("csrf")[0]).call(),
        form.call().header("sec-fetch-site", "cross-site"),
        form.call().header("origin", "https://evil.example"),
    ] {
        let answer = gateway.answer(stranger.prepare(call)).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        let cookies = answer.headers.get_all("set-cookie").iter();
        let session = cookies.filter(|cookie| cookie.to_str().unwrap().starts_with(SESSION));
        assert_eq!(session.count(), 0);
    }
}

/// CWE-384: what a browser held before is not what it is known by afterwards.
#[tokio::test]
async fn a_planted_session_is_not_signed_in() {
    let (_upstream, site, gateway) = running().await;
    add_user(&site, "mallory", &[]).await;
    let mallory = Browser::new(&gateway);
    mallory.open_as("/account", "mallory").await;
    let made_up = URL_SAFE_NO_PAD.encode([7; 32]);
    let mallorys = mallory.cookie(SESSION).unwrap();
    for planted in [&made_up, &mallorys] {
        let anna = Browser::new(&gateway);
        anna.plant(SESSION, planted);
        anna.plant(VISITOR, &made_up);
        let form = anna.open(&sign_in_from("/account")).await.form("password");
        let form = form.with("username", "anna").with("password", PASSWORD);
        let page = anna.send(&form).await;
        assert!(page.has("Your account") && page.has("anna"), "{page:?}");
        let session = anna.cookie(SESSION).unwrap();
        assert_ne!(&session, planted);
        // The planted one is nobody's, least of all Anna's.
        let attacker = Browser::new(&gateway);
        attacker.plant(SESSION, planted);
        let page = attacker.open("/account").await;
        assert!(page.has("name=\"password\""), "{page:?}");
        // A form that was shown before the sign-in is no form of the session.
        let before = Browser::new(&gateway);
        before.plant(VISITOR, &made_up);
        let token = before.open("/sign-in").await.form("csrf");
        let form = anna.open("/account").await.form_with("value=\"passkey\"");
        let form = form.with("csrf", token.values("csrf")[0]);
        assert_eq!(anna.send(&form).await.answer.status, 403);
        // Out is out, for whoever has a copy.
        let leave = anna
            .open("/account")
            .await
            .form_with("action=\"/sign-out\"");
        anna.send(&leave).await;
        assert_eq!(anna.cookie(SESSION), None);
        attacker.plant(SESSION, &session);
        let page = attacker.open("/account").await;
        assert!(page.has("name=\"password\""), "{page:?}");
    }
}
