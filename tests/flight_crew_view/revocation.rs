//! The end of a connection, by the pilot or by the partner (FCV-101 to
//! FCV-110, FCV-115).

use super::*;

/// What revokeToken says to this refresh token.
async fn revoke(programme: &Programme, client: &Credentials, token: &str) -> Answer {
    programme
        .ask(client, REVOKE, &[("refreshToken", token)])
        .await
}

/// The answer that partners were told of.
fn check_revoked(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json(), json!({"success": "token_revoked"}));
}

/// Everything of these has ended.
async fn check_dead(programme: &Programme, client: &Credentials, all: &[Tokens]) {
    for tokens in all {
        assert_eq!(programme.flights(&tokens.access).await, 401);
        let refused = programme.refresh(client, &tokens.refresh).await;
        assert_eq!(
            (refused.status, &*refused.oauth_error()),
            (401, "invalid_grant")
        );
    }
}

/// FCV-101, FCV-102, FCV-109: the pilot sees each connection, and ends it.
#[tokio::test]
async fn a_pilot_ends_a_connection_and_nothing_of_it_lives_on() {
    let programme = Programme::running().await;
    let (bridge, skylog) = (&programme.bridge, &programme.skylog);
    let anna = programme.pilot("anna").await;
    let mut mine = vec![programme.tokens(bridge, &make_passkey(&anna).await).await];
    mine.push(Tokens::of(
        &programme.refresh(bridge, &mine[0].refresh).await,
    ));
    let pending = programme.code(bridge, &make_passkey(&anna).await).await;
    let other = programme.tokens(skylog, &make_passkey(&anna).await).await;

    let account = anna.open("/account").await;
    assert!(account.has("FlightBridge") && account.has("Skylog"));
    let end = account.form("client").with("client", &bridge.id);
    let account = anna.send(&end).await;
    assert_eq!(account.answer.status, 200, "{account:?}");
    check_dead(&programme, bridge, &mine).await;
    // A code that was not exchanged yet goes with the rest.
    assert_eq!(programme.exchange(bridge, &pending).await.status, 401);
    let account = anna.open("/account").await;
    assert!(!account.has("FlightBridge") && account.has("Skylog"));
    assert_eq!(programme.flights(&other.access).await, 200);

    let again = programme.tokens(bridge, &make_passkey(&anna).await).await;
    assert_eq!(programme.flights(&again.access).await, 200);
    check_dead(&programme, bridge, &mine).await;
}

/// FCV-103 to FCV-109: one call of the partner ends all tokens of that pilot
/// there, and the connection is gone from the pilot's list. Other pilots and
/// other partners notice nothing.
#[tokio::test]
async fn a_partner_revokes_one_token_and_all_of_that_pilot_end() {
    let programme = Programme::running().await;
    let (bridge, skylog) = (&programme.bridge, &programme.skylog);
    let anna = programme.pilot("anna").await;
    let berta = programme.pilot("berta").await;
    for in_body in [false, true] {
        let mut mine = Vec::new();
        for _ in 0..2 {
            let passkey = make_passkey(&anna).await;
            mine.push(programme.tokens(bridge, &passkey).await);
        }
        mine.push(Tokens::of(
            &programme.refresh(bridge, &mine[0].refresh).await,
        ));
        let hers = programme.tokens(bridge, &make_passkey(&berta).await).await;
        let other = programme.tokens(skylog, &make_passkey(&anna).await).await;

        let form = [("refreshToken", mine[1].refresh.as_str())];
        let answer = if in_body {
            programme.ask_in_body(bridge, REVOKE, &form).await
        } else {
            programme.ask(bridge, REVOKE, &form).await
        };
        check_revoked(&answer);
        check_dead(&programme, bridge, &mine).await;
        let account = anna.open("/account").await;
        assert!(!account.has("FlightBridge") && account.has("Skylog"));
        assert!(berta.open("/account").await.has("FlightBridge"));
        for tokens in [&hers, &other] {
            assert_eq!(programme.flights(&tokens.access).await, 200);
        }
    }
}

/// FCV-106: a used refresh token is as good for that as the newest.
#[tokio::test]
async fn a_used_refresh_token_can_be_revoked() {
    let programme = Programme::running().await;
    let bridge = &programme.bridge;
    let first = programme.tokens(bridge, TEST_PASSKEY).await;
    let second = Tokens::of(&programme.refresh(bridge, &first.refresh).await);
    check_revoked(&revoke(&programme, bridge, &first.refresh).await);
    check_dead(&programme, bridge, &[first, second]).await;
}

/// FCV-110: all who test as that user share their end, at this partner; and
/// the test passkey works on.
#[tokio::test]
async fn all_tokens_of_the_test_passkey_end_together() {
    let programme = Programme::running().await;
    let (bridge, skylog) = (&programme.bridge, &programme.skylog);
    let accounts = [
        programme.tokens(bridge, TEST_PASSKEY).await,
        programme.tokens(bridge, TEST_PASSKEY).await,
    ];
    let elsewhere = programme.tokens(skylog, TEST_PASSKEY).await;
    check_revoked(&revoke(&programme, bridge, &accounts[0].refresh).await);
    check_dead(&programme, bridge, &accounts).await;
    assert_eq!(programme.flights(&elsewhere.access).await, 200);
    let again = programme.tokens(bridge, TEST_PASSKEY).await;
    assert_eq!(programme.flights(&again.access).await, 200);
}

/// FCV-115: what is dead is revoked for all that a partner needs to know; an
/// access token ends nothing here.
#[tokio::test]
async fn a_token_that_is_none_is_revoked_already() {
    let programme = Programme::running().await;
    let bridge = &programme.bridge;
    let tokens = programme.tokens(bridge, TEST_PASSKEY).await;
    let made_up = crate::oauth::made_up("fcv_logbook_rt_");
    for token in ["x", &made_up, &tokens.access] {
        check_revoked(&revoke(&programme, bridge, token).await);
    }
    assert_eq!(programme.flights(&tokens.access).await, 200);
    for _ in 0..2 {
        check_revoked(&revoke(&programme, bridge, &tokens.refresh).await);
    }
}

/// FCV-103, FCV-104, FCV-111, FCV-112: whoever may not, ends nothing.
#[tokio::test]
async fn only_its_own_partner_revokes_a_token() {
    let programme = Programme::running().await;
    let (bridge, skylog) = (&programme.bridge, &programme.skylog);
    let tokens = programme.tokens(bridge, TEST_PASSKEY).await;
    let form = [("refreshToken", tokens.refresh.as_str())];
    let nobody = programme.gateway.answer(Call::form(REVOKE, &form)).await;
    assert_eq!(
        (nobody.status, &*nobody.oauth_error()),
        (401, "invalid_client")
    );
    let wrong = Credentials {
        secret: skylog.secret.clone(),
        ..bridge.clone()
    };
    let wrong = programme.ask(&wrong, REVOKE, &form).await;
    assert_eq!(
        (wrong.status, &*wrong.oauth_error()),
        (401, "invalid_client")
    );
    let theirs = programme.ask(skylog, REVOKE, &form).await;
    assert_eq!(
        (theirs.status, &*theirs.oauth_error()),
        (400, "unauthorized_client")
    );
    for form in [
        &[][..],
        &[("refresh_token", tokens.refresh.as_str())],
        &[("token", tokens.refresh.as_str())],
    ] {
        let answer = programme.ask(bridge, REVOKE, form).await;
        assert_eq!(
            (answer.status, &*answer.oauth_error()),
            (400, "invalid_request")
        );
    }
    assert_eq!(programme.flights(&tokens.access).await, 200);
    Tokens::of(&programme.refresh(bridge, &tokens.refresh).await);
}
