//! What somebody tries who wants another's account: through the browser of
//! its owner, with an application of their own, or by guessing.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use crate::{
    authorization::{allow, exchange, request},
    browser::{Browser, PASSWORD, Page, add_user},
    client::{Answer, Call, Protocol},
    gateway::Gateway,
    grants::{
        AUTHORIZE, CALLBACK, DEVICE_AUTHORIZATION, Pair, annas, application, code, code_call,
        code_for, decide, device_begins, device_call, device_codes, passkey, refresh_call,
    },
    harness::{Credentials, Site},
    oauth::{FLIGHTS, INTROSPECT, REVOKE, TOKEN, made_up, token_about},
    raw::Raw,
    upstream::Upstream,
};

const SESSION: &str = "__Host-flightgate-session";
const VISITOR: &str = "__Host-flightgate-visitor";
const LOGBOOK: &str = "/logbook/logbookuserauth/";
const WEB: &str = "authorization_code, refresh_token, device_code";

/// A gateway with two applications, `good` and `evil`, one for passkeys, and
/// Anna, to whom it says all that it can at level `debug`.
async fn running() -> (Upstream, Site, Gateway) {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        site.config["profiles"]["logbook"] = json!({"pkce": "optional"});
        let surfaces = site.config["surfaces"].as_array_mut().unwrap();
        surfaces.push(json!({"logbook": {"base": "/logbook"}}));
        site.config["log"] = json!({"level": "debug,flightgate_gateway=trace"});
        let evil = "  redirectUris: [\"https://evil.example/cb\"]\n";
        for (name, grants, more) in [
            ("good", WEB, ""),
            ("evil", WEB, evil),
            ("log", "passkey", "  profile: logbook\n"),
        ] {
            site.manifest(name, &application(name, grants, more));
        }
    })
    .await;
    add_user(&site, "anna", &["--subject", "pilot:anna"]).await;
    (upstream, site, gateway)
}

fn sign_in_from(place: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("continue", place)
        .finish();
    format!("/sign-in?{query}")
}

fn logbook_request(client: &Credentials) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", &client.id)
        .append_pair("redirect_uri", CALLBACK)
        .finish();
    format!("{LOGBOOK}?{query}")
}

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

    // Nobody can sign a browser in as somebody else.
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

/// RFC 9700 sections 2.1 and 4.4, RFC 9207: a code is of no use to whoever
/// else gets hold of it, and each answer says from whom it is.
#[tokio::test]
async fn a_stolen_code_is_worth_nothing() {
    let (_upstream, site, gateway) = running().await;
    let (good, evil) = (site.credentials("good"), site.credentials("evil"));
    let anna = annas(&gateway).await;
    let page = anna.open(&request(&good, &[])).await;
    let back = allow(&anna, &page).await.parameters();
    assert_eq!(back["iss"], gateway.origin());
    let stolen = &back["code"];
    // At the thief's own application, with all that it has.
    for uri in [CALLBACK, "https://evil.example/cb"] {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &**stolen),
            ("redirect_uri", uri),
            ("code_verifier", crate::grants::VERIFIER),
        ];
        let call = Call::form(TOKEN, &form).basic(&evil.id, &evil.secret);
        assert_eq!(gateway.answer(call).await.oauth_error(), "invalid_grant");
    }
    // Injected into the thief's session at the good application: the verifier
    // is that of another request.
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &**stolen),
        ("redirect_uri", CALLBACK),
        ("code_verifier", &"v".repeat(43)),
    ];
    let call = || Call::form(TOKEN, &form).basic(&good.id, &good.secret);
    for _ in 0..3 {
        assert_eq!(gateway.answer(call()).await.oauth_error(), "invalid_grant");
    }
    // Anna's own exchange still works.
    Pair::of(&exchange(&gateway, &good, stolen).await);
    // What one application was granted, another was not.
    let page = anna
        .open(&request(
            &evil,
            &[("redirect_uri", "https://evil.example/cb")],
        ))
        .await;
    assert!(page.has("Acme evil"), "{page:?}");
    let none = [
        ("redirect_uri", "https://evil.example/cb"),
        ("prompt", "none"),
    ];
    let refused = anna.open(&request(&evil, &none)).await.parameters();
    assert_eq!(refused["error"], "consent_required");
    assert_eq!(refused["iss"], gateway.origin());
}

/// RFC 8628 sections 5.1 and 5.4: who guesses user codes waits, and a code that
/// somebody else sent is shown before anything is granted.
#[tokio::test]
async fn user_codes_cannot_be_guessed() {
    let (_upstream, site, gateway) = running().await;
    let good = site.credentials("good");
    let anna = annas(&gateway).await;
    let (device, user) = device_codes(&gateway.answer(device_begins(&good)).await);
    let page = anna.open(&format!("/device?user_code={user}")).await;
    assert!(page.has(&user) && page.has("Acme good"), "{page:?}");
    let answer = gateway.answer(device_call(&good, &device)).await;
    assert_eq!(
        answer.oauth_error(),
        "authorization_pending",
        "shown is not approved"
    );

    let form = anna.open("/device").await.form("user_code");
    let mut refused = None;
    for guess in 0..20 {
        let code = format!("BBBB-BB{}", ["BB", "BC", "CB", "CC"][guess % 4]);
        let page = anna.send(&form.clone().with("user_code", &code)).await;
        if page.answer.status == 429 {
            refused = Some((guess, page));
            break;
        }
        assert_eq!(page.answer.status, 400, "{page:?}");
    }
    let (guess, page) = refused.expect("somebody who guesses waits");
    assert_eq!(guess, 10);
    let wait: u64 = page.answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=300).contains(&wait), "{wait}");
    // Nor is a right one looked at, by link or by form.
    for page in [
        anna.open(&format!("/device?user_code={user}")).await,
        anna.send(&form.with("user_code", &user)).await,
    ] {
        assert_eq!(page.answer.status, 429, "{page:?}");
        assert!(!page.has("Acme good"), "{page:?}");
    }
}

/// FCV-25: passkeys are guessed no better.
#[tokio::test]
async fn passkeys_cannot_be_guessed() {
    let (_upstream, site, gateway) = running().await;
    let log = site.credentials("log");
    let anna = annas(&gateway).await;
    let right = passkey(&anna).await.unwrap();
    let stranger = Browser::new(&gateway);
    let form = stranger.open(&logbook_request(&log)).await.form("passkey");
    let statuses = async |typed: &str, times: usize| {
        let mut statuses = Vec::new();
        for _ in 0..times {
            let page = stranger.send(&form.clone().with("passkey", typed)).await;
            assert_eq!(page.left_for, None);
            if page.answer.status == 429 {
                page.answer
                    .header("retry-after")
                    .unwrap()
                    .parse::<u64>()
                    .unwrap();
            }
            statuses.push(page.answer.status);
        }
        statuses
    };
    assert_eq!(statuses("ABCD2345", 10).await, [401; 10]);
    assert_eq!(statuses("ABCD2345", 2).await, [429; 2]);
    assert_eq!(statuses(&right, 1).await, [429]);
}

/// CWE-204, CWE-307: who guesses learns neither names nor passwords.
#[tokio::test]
async fn a_sign_in_tells_no_stranger_who_exists() {
    let (_upstream, site, gateway) = running().await;
    add_user(&site, "berta", &[]).await;
    let mut connection = gateway.connect(Protocol::H1).await;
    let mut seen: Vec<Vec<(u16, String)>> = Vec::new();
    // An unknown name, and one that exists: the same all along.
    for name in ["nobody", "berta"] {
        let stranger = Browser::new(&gateway);
        let form = stranger.open("/sign-in").await.form("password");
        let form = form.with("username", name).with("password", "a wrong one");
        let mut answers = Vec::new();
        for _ in 0..8 {
            let answer: Answer = connection.answer(stranger.prepare(form.call())).await;
            if answer.status == 429 {
                let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=10).contains(&wait), "{wait}");
            }
            answers.push((answer.status, neutral(&answer, name)));
        }
        let statuses: Vec<_> = answers.iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429, 429]);
        answers.truncate(5);
        seen.push(answers);
    }
    assert_eq!(seen[0], seen[1]);
    // Ten failures are noted of this address; ten more, and it waits with
    // whatever name.
    let stranger = Browser::new(&gateway);
    let form = stranger.open("/sign-in").await.form("password");
    let mut statuses = Vec::new();
    for number in 0..11 {
        let form = form.clone().with("username", &format!("somebody{number}"));
        let page = stranger.send(&form.with("password", "a wrong one")).await;
        statuses.push(page.answer.status);
    }
    assert_eq!(statuses, [vec![401; 10], vec![429]].concat());
    let page = stranger
        .send(&form.with("username", "anna").with("password", PASSWORD))
        .await;
    assert_eq!(page.answer.status, 429);
    assert_eq!(stranger.cookie(SESSION), None);
}

/// A page without what must differ: the name, and the token of its form.
fn neutral(answer: &Answer, name: &str) -> String {
    let text = answer.text();
    let (before, rest) = text.split_once("name=\"csrf\" value=\"").unwrap();
    let after = rest.split_once('"').unwrap().1;
    format!("{before}{after}").replace(&format!("value=\"{name}\""), "")
}

/// Whatever is sent, the gateway answers, and never that it is to blame.
#[tokio::test]
async fn hostile_parameters_are_refused_and_never_fail() {
    let (_upstream, site, gateway) = running().await;
    let (good, log) = (site.credentials("good"), site.credentials("log"));
    let anna = annas(&gateway).await;
    let scopes = "flights:read ".repeat(10_000);
    let many: String = (0..10_000).map(|number| format!("&p{number}=")).collect();
    let long = "a".repeat(1 << 20);
    let odd = [
        "%00",
        "%ff%fe",
        "%c3%28",
        "%F0%9F%92%A9",
        "%E2%80%AE",
        "%",
        "%zz",
        "%0d%0aX:1",
        "%27%22%3E%3Cscript%3E",
        "../../etc/passwd",
        "%25%30%30",
        "18446744073709551616",
        "-1",
        "%00%00%00",
    ];
    let mut bodies = vec![
        many.clone(),
        long.clone(),
        format!("scope={scopes}"),
        String::new(),
        "&&&===&".to_owned(),
    ];
    for value in odd {
        for name in [
            "grant_type",
            "scope",
            "code",
            "refresh_token",
            "device_code",
            "token",
            "user_code",
            "passkey",
            "username",
            "password",
            "csrf",
            "continue",
            "decision",
            "client_id",
            "action",
            "client",
        ] {
            bodies.push(format!("{name}={value}"));
        }
    }
    let mut connection = None;
    for path in [
        TOKEN,
        REVOKE,
        INTROSPECT,
        DEVICE_AUTHORIZATION,
        "/sign-in",
        "/sign-out",
        "/device",
        "/account",
        AUTHORIZE,
        LOGBOOK,
        "/logbook/api/token/",
        "/logbook/api/revokeToken/",
    ] {
        for body in &bodies {
            for signed_in in [true, false] {
                let mut call = Call::raw_form(path, body.clone());
                if signed_in {
                    call = anna.prepare(call).basic(&good.id, &good.secret);
                }
                let mut open = match connection.take() {
                    Some(open) => open,
                    None => gateway.connect(Protocol::H1).await,
                };
                let answer = open.answer(call).await;
                assert!(
                    answer.status < 500,
                    "{path} {}: {answer:?}",
                    &body[..body.len().min(60)]
                );
                // Whoever sent too much is not listened to any more.
                if answer.header("connection") != Some("close") {
                    connection = Some(open);
                }
            }
        }
    }
    let authorize = request(&good, &[]);
    let mut paths = vec![
        format!("{authorize}&scope={}", "flights:read+".repeat(2_000)),
        format!("{authorize}{}", &many[..20_000]),
        format!("{authorize}&login_hint={}", "x".repeat(20_000)),
        sign_in_from(&authorize.repeat(50)),
        sign_in_from(&sign_in_from(&sign_in_from(&authorize))),
    ];
    for value in odd {
        for name in [
            "scope",
            "prompt",
            "max_age",
            "login_hint",
            "x",
            "response_mode",
            "nonce",
            "ui_locales",
        ] {
            paths.push(format!("{authorize}&{name}={value}"));
        }
        paths.push(format!("/device?user_code={value}"));
        paths.push(format!("/sign-in?continue={value}"));
        paths.push(format!("/sign-in/nobody/return?code={value}&state={value}"));
        paths.push(format!("{}&state={value}", logbook_request(&log)));
    }
    for path in paths {
        for call in [Call::get(&path), anna.prepare(Call::get(&path))] {
            let answer = gateway.answer(call).await;
            assert!(
                answer.status < 500,
                "{}: {answer:?}",
                &path[..path.len().min(300)]
            );
            assert!(!answer.text().contains("<script"), "{path}");
        }
    }
    // A megabyte in the query is not even read to its end.
    for path in [AUTHORIZE, "/device", "/sign-in", TOKEN] {
        let mut raw = Raw::new(gateway.tls("http/1.1").await);
        let head = format!("GET {path}?a={long} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        raw.send(head).await;
        let said = String::from_utf8_lossy(&raw.rest().await).into_owned();
        let refused = ["HTTP/1.1 414 ", "HTTP/1.1 431 "];
        let refused = refused.iter().any(|line| said.starts_with(line));
        assert!(refused || said.is_empty(), "{said}");
    }
    // Nor has it done any harm.
    code(&anna, &good).await;
}

/// Nothing that opens anything stands in the log, at any level.
#[tokio::test]
async fn nothing_that_was_issued_stands_in_the_log() {
    let (_upstream, site, gateway) = running().await;
    let (good, log) = (site.credentials("good"), site.credentials("log"));
    let anna = annas(&gateway).await;
    let mut secrets = vec![PASSWORD.to_owned(), good.secret.clone(), log.secret.clone()];
    let guesser = Browser::new(&gateway);
    let wrong = guesser.open("/sign-in").await.form("password");
    let wrong = wrong.with("username", "typed-where-the-name-goes");
    guesser
        .send(&wrong.with("password", "nobody's password"))
        .await;
    secrets.extend(["typed-where-the-name-goes", "nobody's password"].map(str::to_owned));

    let state = ("state", "a-state-of-the-clients-own");
    let code = code_for(&anna, &good, &[state]).await;
    let first = Pair::of(&gateway.answer(code_call(&good, &code)).await);
    let second = Pair::of(&gateway.answer(refresh_call(&good, &first.refresh)).await);
    gateway.introspect(&good, &second.access).await;
    assert_eq!(gateway.list_status(&second.access).await, 200);
    let in_query = format!("{FLIGHTS}?access_token={}", second.access);
    gateway.answer(Call::get(&in_query)).await;
    // A replay, and what it ends.
    gateway.answer(refresh_call(&good, &first.refresh)).await;
    gateway.answer(code_call(&good, &code)).await;
    let (device, user) = device_codes(&gateway.answer(device_begins(&good)).await);
    decide(&anna, &user, "allow").await.unwrap();
    let third = Pair::of(&gateway.answer(device_call(&good, &device)).await);
    gateway
        .answer(token_about(REVOKE, &good, &third.refresh))
        .await;
    gateway.answer(device_call(&good, &device)).await;
    let typed = passkey(&anna).await.unwrap();
    let stranger = Browser::new(&gateway);
    let form = stranger.open(&logbook_request(&log)).await.form("passkey");
    let back = stranger.send(&form.with("passkey", &typed)).await;
    secrets.push(back.parameters()["code"].clone());
    for junk in [made_up("wf_at_"), made_up("wf_rt_")] {
        gateway.answer(refresh_call(&good, &junk)).await;
        gateway.list_status(&junk).await;
        secrets.push(junk);
    }
    let account = anna.open("/account").await.form("csrf");
    secrets.push(account.values("csrf")[0].to_owned());
    secrets.push(anna.cookie(SESSION).unwrap());
    secrets.push(stranger.cookie(VISITOR).unwrap());
    secrets.extend([
        code,
        device,
        user.clone(),
        user.replace('-', ""),
        typed,
        state.1.into(),
    ]);
    for pair in [first, second, third] {
        secrets.extend([pair.access, pair.refresh]);
    }
    gateway.terminate();
    assert!(gateway.ended().await.success());
    let log = site.log();
    for event in [
        "signed_in",
        "code_replayed",
        "device_code_replayed",
        "passkey_created",
    ] {
        assert!(log.contains(event), "{event} is in the log: {log}");
    }
    for secret in secrets {
        let at = log.find(&secret);
        let line = at.map(|at| log[..at].rsplit('\n').next().unwrap_or_default());
        assert_eq!(line, None, "{secret} is in the log");
    }
}
