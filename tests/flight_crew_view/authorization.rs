//! The authorization page, passkeys and codes (FCV-11 to FCV-30).

use std::process::Command;

use super::*;
use crate::harness::program;

/// FCV-12, FCV-13, FCV-17, FCV-20, FCV-23, FCV-24, FCV-26: client id, redirect
/// URI and state are all that the link has, and code and state all that comes
/// back.
#[tokio::test]
async fn a_link_and_a_passkey_make_a_code() {
    let programme = Programme::running().await;
    for state in ["user-7", "a b+c&d=e/é%20\"<>", &"x".repeat(1_000)] {
        let browser = Browser::new(&programme.gateway);
        let query = [
            ("client_id", programme.bridge.id.as_str()),
            ("redirect_uri", CALLBACK),
            ("state", state),
        ];
        let page = browser.open(&link(&query)).await;
        assert_eq!(page.answer.status, 200, "{page:?}");
        let back = browser.send(&filled(&page, TEST_PASSKEY)).await;
        let place = back.left_for.clone().unwrap();
        let raw = place.query().unwrap().to_owned();
        assert!(raw.starts_with("code=") && raw.contains("&state="), "{raw}");
        let mut parameters = back.parameters();
        assert_eq!(parameters.remove("state").as_deref(), Some(state));
        let code = parameters.remove("code").unwrap();
        assert!(parameters.is_empty(), "{parameters:?}");
        assert!(place.as_str().starts_with(&format!("{CALLBACK}?")));
        let tokens = Tokens::of(&programme.exchange(&programme.bridge, &code).await);
        assert_eq!(programme.flights(&tokens.access).await, 200);
    }
}

/// FCV-25 is the client's duty: who sends no state gets none.
#[tokio::test]
async fn without_state_there_is_none() {
    let programme = Programme::running().await;
    let browser = Browser::new(&programme.gateway);
    let query = [
        ("client_id", programme.bridge.id.as_str()),
        ("redirect_uri", CALLBACK),
    ];
    let page = browser.open(&link(&query)).await;
    let back = browser.send(&filled(&page, TEST_PASSKEY)).await;
    let names: Vec<_> = back.parameters().into_keys().collect();
    assert_eq!(names, ["code"]);
}

/// FCV-7, FCV-11, FCV-14 to FCV-16: 400, before any passkey can be typed, and
/// nobody is sent anywhere.
#[tokio::test]
async fn a_wrong_client_id_or_redirect_uri_is_400_and_takes_no_passkey() {
    let programme = Programme::running().await;
    let id = programme.bridge.id.as_str();
    let other = format!("{id}x");
    let good = Browser::new(&programme.gateway);
    let form = filled(
        &programme.follow(&good, &programme.bridge).await,
        TEST_PASSKEY,
    );
    for (client_id, redirect_uri) in [
        (Some("f0cf9180d491f06e"), Some(CALLBACK)),
        (Some(other.as_str()), Some(CALLBACK)),
        (Some(""), Some(CALLBACK)),
        (None, Some(CALLBACK)),
        (Some(programme.skylog.id.as_str()), Some(STAGING)),
        (Some(id), None),
        (Some(id), Some("")),
        (Some(id), Some("flightbridge.example/callback")),
        (Some(id), Some("http://flightbridge.example/callback")),
        (Some(id), Some("https://flightbridge.example/callback/")),
        (Some(id), Some("https://flightbridge.example/callback?a=b")),
        (Some(id), Some("https://flightbridge.example/")),
        (Some(id), Some("https://FlightBridge.example/callback")),
        (
            Some(id),
            Some("https://flightbridge.example.evil.example/callback"),
        ),
        (Some(id), Some("javascript:alert(1)")),
    ] {
        let mut query = vec![("state", "s")];
        query.extend(client_id.map(|id| ("client_id", id)));
        query.extend(redirect_uri.map(|uri| ("redirect_uri", uri)));
        let browser = Browser::new(&programme.gateway);
        let page = browser.open(&link(&query)).await;
        assert_eq!(page.answer.status, 400, "{query:?}");
        assert!(page.left_for.is_none(), "{query:?}");
        assert!(!page.has("name=\"passkey\""), "{query:?}");
        // Nor does it help to post what another link's page would.
        let posted = good.send(&form.clone().at(&link(&query))).await;
        assert_eq!(posted.answer.status, 400, "{query:?}");
        assert!(posted.left_for.is_none(), "{query:?}");
    }
    let twice = [
        ("client_id", id),
        ("redirect_uri", CALLBACK),
        ("redirect_uri", "https://evil.example/"),
    ];
    let page = Browser::new(&programme.gateway).open(&link(&twice)).await;
    assert_eq!(page.answer.status, 400);
}

/// FCV-18 to FCV-21: made on the account page, typed on the authorization page,
/// seen nowhere else.
#[tokio::test]
async fn a_passkey_is_seen_by_its_user_and_by_nobody_else() {
    let programme = Programme::running().await;
    let anna = programme.pilot("anna").await;
    let passkey = make_passkey(&anna).await;
    assert_eq!(passkey.len(), 8);
    assert!(passkey.bytes().all(|byte| byte.is_ascii_alphanumeric()));

    // Small letters and a gap are the same passkey.
    let typed = format!(" {}-{} ", &passkey[..4], &passkey[4..]).to_lowercase();
    let back = programme.type_passkey(&programme.bridge, &typed).await;
    let place = back.left_for.clone().unwrap().to_string();
    let code = &back.parameters()["code"];
    let answer = programme.exchange(&programme.bridge, code).await;
    let log = programme.site.log();
    for (what, text) in [
        ("redirect", &place),
        ("tokens", &answer.text()),
        ("log", &log),
    ] {
        let text = text.to_uppercase();
        assert!(!text.contains(&passkey), "{what}: {text}");
    }
    assert_eq!(programme.flights(&Tokens::of(&answer).access).await, 200);

    // It is nothing but a passkey: no code, no token, no secret.
    let fresh = make_passkey(&anna).await;
    for form in [exchange(&fresh), refresh(&fresh)] {
        let refused = programme.ask(&programme.bridge, TOKEN, &form).await;
        assert_eq!(refused.status, 401, "{refused:?}");
        assert!(!refused.text().contains(&fresh), "{refused:?}");
    }
    assert_eq!(programme.flights(&fresh).await, 401);
}

/// FCV-22: a wrong, used or old passkey, all with one page, and the next one
/// may still be right.
#[tokio::test]
async fn wrong_used_and_old_passkeys_get_one_answer() {
    let programme = Programme::running_in_haste("/passkeyTtl", "1s").await;
    let anna = programme.pilot("anna").await;
    let old = make_passkey(&anna).await;
    a_second_and_more().await;
    for passkey in ["AAAA2222", "TEST123", "TEST12345", "", &old] {
        let browser = Browser::new(&programme.gateway);
        let page = programme.follow(&browser, &programme.bridge).await;
        let refused = browser.send(&filled(&page, passkey)).await;
        assert_eq!(refused.answer.status, 401, "{passkey}");
        assert!(refused.has("This passkey is wrong, too old, or already used."));
        assert!(refused.left_for.is_none());
        let back = browser.send(&filled(&refused, TEST_PASSKEY)).await;
        assert!(back.parameters().contains_key("code"), "{passkey}");
    }
}

/// FCV-22: of any number who bring a passkey at once, one gets its code.
#[tokio::test]
async fn a_passkey_works_once_even_for_many_at_once() {
    let programme = Programme::running().await;
    let anna = programme.pilot("anna").await;
    let passkey = make_passkey(&anna).await;
    let each = (0..6).map(|_| programme.type_passkey(&programme.bridge, &passkey));
    let pages = futures_util::future::join_all(each).await;
    let came_back = pages.iter().filter(|page| page.left_for.is_some());
    assert_eq!(came_back.count(), 1, "{pages:?}");
    let again = programme.type_passkey(&programme.bridge, &passkey).await;
    assert_eq!(again.answer.status, 401);
}

/// Whoever shuts a user out, or ends all sessions, ends the passkeys that may
/// have been made in one of them.
#[tokio::test]
async fn a_passkey_ends_with_the_sessions_of_its_user() {
    let programme = Programme::running().await;
    let anna = programme.pilot("anna").await;
    let passkey = make_passkey(&anna).await;
    let account = anna.open("/account").await;
    let leave = account.form("action").with("action", "sign-out-everywhere");
    anna.send(&leave).await;
    let page = programme.type_passkey(&programme.bridge, &passkey).await;
    assert_eq!(page.answer.status, 401, "{page:?}");

    let berta = programme.pilot("berta").await;
    let passkey = make_passkey(&berta).await;
    let mut disable = Command::new(program("flightgate-gateway"));
    let disable = disable.args(["user", "disable", "berta", "--config"]);
    let disable = disable.arg(programme.site.path("gateway.yaml"));
    assert!(disable.output().unwrap().status.success());
    let page = programme.type_passkey(&programme.bridge, &passkey).await;
    assert_eq!(page.answer.status, 401, "{page:?}");
}

/// Who does not want to goes back to the partner, who hears of it.
#[tokio::test]
async fn a_user_can_deny() {
    let programme = Programme::running().await;
    let browser = Browser::new(&programme.gateway);
    let page = programme.follow(&browser, &programme.bridge).await;
    let deny = page.form("csrf").with("decision", "deny");
    let back = browser.send(&deny).await;
    let parameters = back.parameters();
    assert_eq!(parameters["error"], "access_denied");
    assert_eq!(parameters["state"], "s-1");
    assert!(!parameters.contains_key("code"));
}

/// FCV-90, as far as guessing goes: whoever guesses has to wait, which is 429.
#[tokio::test]
async fn whoever_guesses_passkeys_has_to_wait() {
    let programme = Programme::running().await;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let page = programme.type_passkey(&programme.bridge, "AAAA2222").await;
        if page.answer.status == 429 {
            let wait: u64 = page.answer.header("retry-after").unwrap().parse().unwrap();
            assert!(wait > 0);
        }
        statuses.push(page.answer.status);
    }
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[10..], [429; 2]);
}

/// FCV-28, FCV-29, FCV-38: a code has its time, and one of the test passkey an
/// hour of its own.
#[tokio::test]
async fn codes_expire_and_those_of_the_test_passkey_later() {
    let upstream = Upstream::ok().await;
    let example = Site::of_example("flight-crew-view", upstream.address);
    assert_eq!(example.config["profiles"]["logbook"]["codeTtl"], "5m");
    let test = &example.config["surfaces"][0]["logbook"]["testPasskey"];
    assert_eq!(test["codeTtl"], "1h");

    let programme = Programme::running_in_haste("/codeTtl", "1s").await;
    let anna = programme.pilot("anna").await;
    let passkey = make_passkey(&anna).await;
    let short = programme.code(&programme.bridge, &passkey).await;
    let long = programme.code(&programme.bridge, TEST_PASSKEY).await;
    a_second_and_more().await;
    let expired = programme.exchange(&programme.bridge, &short).await;
    assert_eq!(
        (expired.status, &*expired.oauth_error()),
        (401, "invalid_grant")
    );
    Tokens::of(&programme.exchange(&programme.bridge, &long).await);
}

/// FCV-30, RFC 6749 section 4.1.2: once, and a copy ends what the code gave.
#[tokio::test]
async fn a_code_works_once() {
    let programme = Programme::running().await;
    let code = programme.code(&programme.bridge, TEST_PASSKEY).await;
    // Another partner's attempt does not count.
    let stolen = programme.exchange(&programme.skylog, &code).await;
    assert_eq!(stolen.status, 401);
    let tokens = Tokens::of(&programme.exchange(&programme.bridge, &code).await);
    assert_eq!(programme.flights(&tokens.access).await, 200);
    let again = programme.exchange(&programme.bridge, &code).await;
    assert_eq!(
        (again.status, &*again.oauth_error()),
        (401, "invalid_grant")
    );
    assert_eq!(programme.flights(&tokens.access).await, 401);
}
