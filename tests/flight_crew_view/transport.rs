//! HTTPS, servers alone, and the token on the way to the flights (FCV-54 to
//! FCV-61, FCV-111 to FCV-115).

use super::*;
use crate::{gateway::plain, oauth::made_up};

/// FCV-54, FCV-55, FCV-58: plain HTTP gets an answer that says so, and nothing
/// else.
#[tokio::test]
async fn plain_http_is_refused_everywhere() {
    let programme = Programme::running().await;
    for path in [AUTHORIZE, TOKEN, REVOKE, FLIGHTS] {
        let answer = plain(programme.gateway.public, path).await;
        assert_eq!((answer.status, &*answer.problem()), (400, "plain-http"));
    }
}

/// FCV-57: no browser may read what these answer.
#[tokio::test]
async fn other_origins_are_told_nothing() {
    let programme = Programme::running().await;
    let bridge = &programme.bridge;
    let tokens = programme.tokens(bridge, TEST_PASSKEY).await;
    let from = |call: Call| call.header("origin", "https://app.flightbridge.example");
    let preflight = |path: &str| {
        from(Call::new("OPTIONS", path))
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization")
    };
    let calls = [
        from(Call::form(TOKEN, &refresh(&tokens.refresh)).basic(&bridge.id, &bridge.secret)),
        from(Call::get(FLIGHTS).bearer(&tokens.access)),
        from(
            Call::form(REVOKE, &[("refreshToken", &tokens.refresh)])
                .basic(&bridge.id, &bridge.secret),
        ),
        preflight(TOKEN),
        preflight(REVOKE),
        preflight(FLIGHTS),
    ];
    let mut statuses = Vec::new();
    for call in calls {
        let answer = programme.gateway.answer(call).await;
        let names = answer.headers.keys().map(http::HeaderName::as_str);
        let mut cors = names.filter(|name| name.starts_with("access-control-"));
        assert_eq!(cors.next(), None, "{answer:?}");
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 200, 200, 405, 405, 405]);
}

/// FCV-59 to FCV-61, FCV-112: with a token, or 401.
#[tokio::test]
async fn the_flights_need_an_access_token() {
    let programme = Programme::running().await;
    let bridge = &programme.bridge;
    let tokens = programme.tokens(bridge, TEST_PASSKEY).await;
    let query = format!("{FLIGHTS}?start_datetime_local=2024-05-01+12%3A34%3A56");
    let call = Call::get(&query).bearer(&tokens.access);
    assert_eq!(programme.gateway.answer(call).await.status, 200);

    let missing = programme.gateway.answer(Call::get(FLIGHTS)).await;
    assert_eq!(
        (missing.status, &*missing.problem()),
        (401, "missing-token")
    );
    assert!(
        missing
            .header("www-authenticate")
            .unwrap()
            .starts_with("Bearer")
    );
    let basic = Call::get(FLIGHTS).basic(&bridge.id, &bridge.secret);
    assert_eq!(programme.gateway.answer(basic).await.status, 401);
    let in_query = Call::get(&format!("{FLIGHTS}?access_token={}", tokens.access));
    assert_eq!(programme.gateway.answer(in_query).await.status, 401);
    let mut damaged = tokens.access.clone();
    damaged.pop();
    for token in [
        "x",
        &made_up("fcv_logbook_at_"),
        &damaged,
        &tokens.refresh,
        TEST_PASSKEY,
    ] {
        let answer = programme.gateway.answer(Call::get(FLIGHTS).bearer(token));
        let answer = answer.await;
        assert_eq!((answer.status, &*answer.problem()), (401, "invalid-token"));
    }
}

/// FCV-61: an hour that is over.
#[tokio::test]
async fn an_expired_access_token_is_401() {
    let programme = Programme::running_in_haste("/accessTtl", "1s").await;
    let tokens = programme.tokens(&programme.bridge, TEST_PASSKEY).await;
    a_second_and_more().await;
    assert_eq!(programme.flights(&tokens.access).await, 401);
    let next = programme.refresh(&programme.bridge, &tokens.refresh).await;
    assert_eq!(next.json()["expires_in"], 1);
}

/// FCV-113, FCV-115: a partner that may do something else.
#[tokio::test]
async fn a_partner_without_the_permission_is_403() {
    let programme = Programme::running_with(|site| {
        let scopes = site.config["scopes"].as_array_mut().unwrap();
        scopes.push(json!({"name": "roster:read", "title": "See your roster"}));
        site.manifest("skylog", &SKYLOG.replace("logbook:read", "roster:read"));
    })
    .await;
    let tokens = programme.tokens(&programme.skylog, TEST_PASSKEY).await;
    let call = Call::get(FLIGHTS).bearer(&tokens.access);
    let answer = programme.gateway.answer(call).await;
    assert_eq!(
        (answer.status, &*answer.problem()),
        (403, "insufficient-scope")
    );
    assert!(answer.header("x-request-id").is_some());
}
