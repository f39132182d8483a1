//! What third parties cannot reach, and who ends what (FT-3, FT-4, FT-18,
//! FT-20).

use super::*;
use crate::harness::eventually;

/// FT-3: a token opens nothing of what needs the user in person.
#[tokio::test]
async fn a_token_is_no_sign_in() {
    let tracker = Tracker::running().await;
    let client = &tracker.wattboard;
    let tokens = tracker.tokens(client, "anna", "workouts:read").await;
    for (method, path) in [
        ("POST", "/api/auth/login"),
        ("POST", "/api/auth/register"),
        ("POST", "/api/auth/password/update"),
        ("GET", "/api/oauth/apps"),
        ("POST", "/api/oauth/apps"),
        ("GET", "/api/oauth/apps/1"),
        ("DELETE", "/api/oauth/apps/1"),
        ("POST", "/api/oauth/apps/1/revoke"),
    ] {
        let status = tracker.status(method, path, &tokens.access).await;
        assert_eq!(status, 404, "{method} {path}");
    }
    // The pages ask for a sign-in, whatever token comes along.
    for path in ["/account", &tracker.link(client, &[])] {
        let call = Call::get(path).bearer(&tokens.access);
        let answer = tracker.gateway.answer(call).await;
        assert_eq!(answer.status, 303, "{path}");
        let location = answer.header("location").unwrap();
        assert!(location.starts_with("/sign-in?"), "{location}");
    }
    let form = [("action", "disconnect"), ("client", client.id.as_str())];
    let call = Call::form("/account", &form).bearer(&tokens.access);
    assert_eq!(tracker.gateway.answer(call).await.status, 303);
    assert_eq!(tracker.status("GET", WORKOUTS, &tokens.access).await, 200);
    assert_eq!(tracker.upstream.requests().len(), 1);
}

/// FT-4, FT-18, FT-20: a user in person sees and ends what she connected, and
/// nobody else's.
#[tokio::test]
async fn a_user_ends_her_own_connection_and_no_other() {
    let tracker = Tracker::running().await;
    let client = &tracker.wattboard;
    let anna = tracker.tokens(client, "anna", "workouts:read").await;
    let berta = tracker.tokens(client, "berta", "workouts:read").await;
    let steward = tracker.tokens(&tracker.steward, "anna", "users:read").await;

    let browser = Browser::new(&tracker.gateway);
    let account = browser.open_as("/account", "anna").await;
    assert!(account.has("Wattboard") && account.has("Steward"));
    let end = account.form("client").with("client", &client.id);
    let account = browser.send(&end).await;
    assert_eq!(account.answer.status, 200, "{account:?}");
    assert_eq!(tracker.status("GET", WORKOUTS, &anna.access).await, 401);
    let refused = tracker.refresh(client, &anna.refresh, "").await;
    assert_eq!(refused.status, 400);
    for (path, token) in [(WORKOUTS, &berta.access), ("/api/users", &steward.access)] {
        assert_eq!(tracker.status("GET", path, token).await, 200);
    }

    // Once more, of what she has no longer: still nobody else's.
    let again = browser.open("/account").await;
    let end = again.form("client").with("client", &client.id);
    browser.send(&end).await;
    assert_eq!(tracker.status("GET", WORKOUTS, &berta.access).await, 200);
    Tokens::of(&tracker.refresh(client, &berta.refresh, "").await);
}

/// FT-18, FT-20: an application revokes its own tokens, authenticated, and no
/// other's.
#[tokio::test]
async fn an_application_revokes_its_own_tokens_alone() {
    let tracker = Tracker::running().await;
    let (client, steward) = (&tracker.wattboard, &tracker.steward);
    let anna = tracker.tokens(client, "anna", "workouts:read").await;
    let berta = tracker.tokens(client, "berta", "workouts:read").await;
    for token in [&anna.access, &anna.refresh] {
        let form = [("token", token.as_str())];
        let theirs = tracker.ask(steward, REVOKE, &form).await;
        assert_eq!(
            (theirs.status, &*theirs.oauth_error()),
            (400, "unauthorized_client")
        );
        let nobody = tracker.gateway.answer(Call::form(REVOKE, &form)).await;
        assert_eq!(nobody.status, 401);
    }
    assert_eq!(tracker.status("GET", WORKOUTS, &anna.access).await, 200);
    let form = [("token", anna.refresh.as_str())];
    assert_eq!(tracker.ask(client, REVOKE, &form).await.status, 200);
    assert_eq!(tracker.status("GET", WORKOUTS, &anna.access).await, 401);
    assert_eq!(tracker.status("GET", WORKOUTS, &berta.access).await, 200);
}

/// FT-18, "Delete": an application that is taken away takes its tokens along,
/// and nobody else's.
#[tokio::test]
async fn a_deleted_application_is_gone_with_its_tokens() {
    let tracker = Tracker::running().await;
    let anna = tracker
        .tokens(&tracker.wattboard, "anna", "workouts:read")
        .await;
    let steward = tracker.tokens(&tracker.steward, "anna", "users:read").await;
    tracker.site.without_manifest("wattboard");
    tracker.site.compile();
    eventually("the application is gone", async || {
        tracker.status("GET", WORKOUTS, &anna.access).await == 401
    })
    .await;
    let refused = tracker.refresh(&tracker.wattboard, &anna.refresh, "").await;
    assert_eq!(
        (refused.status, &*refused.oauth_error()),
        (401, "invalid_client")
    );
    let status = tracker.status("GET", "/api/users", &steward.access).await;
    assert_eq!(status, 200);
}
