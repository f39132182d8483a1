//! What each scope opens (FT-9 to FT-17).

use super::*;

/// What can be reached, and with which scope.
const ENDPOINTS: [(&str, &str, &str); 15] = [
    ("GET", "/api/auth/profile", "profile:read"),
    ("POST", "/api/auth/profile/edit", "profile:write"),
    (
        "POST",
        "/api/auth/profile/edit/preferences",
        "profile:write",
    ),
    ("DELETE", "/api/auth/picture", "profile:write"),
    ("GET", "/api/users", "users:read"),
    ("GET", "/api/users/berta", "users:read"),
    ("PATCH", "/api/users/berta", "users:write"),
    ("POST", "/api/users/berta/follow", "users:write"),
    ("GET", "/api/workouts", "workouts:read"),
    ("GET", "/api/workouts/x1", "workouts:read"),
    ("POST", "/api/workouts", "workouts:write"),
    ("POST", "/api/workouts/no_gpx", "workouts:write"),
    ("PATCH", "/api/workouts/x1", "workouts:write"),
    ("DELETE", "/api/workouts/x1", "workouts:write"),
    ("PATCH", "/api/config", "application:write"),
];

const SCOPES: [&str; 7] = [
    "application:write",
    "profile:read",
    "profile:write",
    "users:read",
    "users:write",
    "workouts:read",
    "workouts:write",
];

/// FT-9, FT-11 to FT-17: each scope opens its endpoints, and none of any other
/// family; read never writes, and write does not read.
#[tokio::test]
async fn each_scope_opens_its_own_endpoints_alone() {
    let tracker = Tracker::running_with(|site| {
        let path = site.path("manifests/steward.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        let more = text.replace(
            "\"users:write\"]",
            "\"users:write\", \"workouts:read\", \"workouts:write\"]",
        );
        assert_ne!(text, more);
        std::fs::write(path, more).unwrap();
    })
    .await;
    let steward = &tracker.steward;
    let mut tokens = tracker.tokens(steward, "root", &SCOPES.join(" ")).await;
    assert_eq!(tokens.scope, SCOPES.join(" "));
    for scope in SCOPES {
        tokens = Tokens::of(&tracker.refresh(steward, &tokens.refresh, scope).await);
        assert_eq!(tokens.scope, scope);
        for (method, path, needed) in ENDPOINTS {
            let call = Call::new(method, path).bearer(&tokens.access);
            let answer = tracker.gateway.answer(call).await;
            if needed == scope {
                assert_eq!(answer.status, 200, "{scope}: {method} {path}");
            } else {
                assert_eq!(answer.status, 403, "{scope}: {method} {path}");
                assert_eq!(answer.problem(), "insufficient-scope");
            }
        }
    }
    // What was refused did not reach the server.
    assert_eq!(tracker.upstream.requests().len(), ENDPOINTS.len());
}

/// FT-10: only an administrator can allow application:write. Nobody else is
/// even asked, and to tick the box all the same does not help.
#[tokio::test]
async fn application_write_is_for_administrators() {
    let tracker = Tracker::running().await;
    let steward = &tracker.steward;
    let both = tracker.link(steward, &[("scope", "application:write profile:read")]);
    let browser = Browser::new(&tracker.gateway);
    let page = browser.open_as(&both, "anna").await;
    assert!(!page.has("application:write"), "{page:?}");
    assert_eq!(page.form("scope").values("scope"), ["profile:read"]);
    let forged = page.form("scope").adding("scope", "application:write");
    let back = browser.send(&forged.with("decision", "allow")).await;
    let code = back.parameters().remove("code").unwrap();
    let tokens = Tokens::of(&tracker.exchange(steward, &code, &[]).await);
    assert_eq!(tokens.scope, "profile:read");
    let patch = tracker.status("PATCH", "/api/config", &tokens.access).await;
    assert_eq!(patch, 403);
    let wider = tracker.refresh(steward, &tokens.refresh, "application:write");
    let wider = wider.await;
    assert_eq!(
        (wider.status, &*wider.oauth_error()),
        (400, "invalid_scope")
    );

    // That alone is nothing that she can give.
    let alone = tracker.link(steward, &[("scope", "application:write")]);
    let back = browser.open(&alone).await;
    assert_eq!(back.parameters()["error"], "access_denied");

    let browser = Browser::new(&tracker.gateway);
    let page = browser.open_as(&both, "root").await;
    let asked = page.form("scope");
    assert_eq!(asked.values("scope"), ["application:write", "profile:read"]);
    let back = allow(&browser, &page).await;
    let code = back.parameters().remove("code").unwrap();
    let tokens = Tokens::of(&tracker.exchange(steward, &code, &[]).await);
    let patch = tracker.status("PATCH", "/api/config", &tokens.access).await;
    assert_eq!(patch, 200);
}

/// FT-17: there is no application:read, and an application cannot ask for more
/// than it was registered with.
#[tokio::test]
async fn scopes_that_are_not_there_cannot_be_asked_for() {
    let tracker = Tracker::running().await;
    for scope in [
        "application:read",
        "workouts",
        "workouts:*",
        "WORKOUTS:READ",
        "application:write",
        "users:read workouts:read",
    ] {
        let link = tracker.link(&tracker.wattboard, &[("scope", scope)]);
        let back = Browser::new(&tracker.gateway).open(&link).await;
        assert_eq!(back.parameters()["error"], "invalid_scope", "{scope}");
    }
}
