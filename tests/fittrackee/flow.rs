//! The authorization code flow, and no other (FT-5 to FT-8, FT-18).

use serde_json::json;

use super::*;

/// FT-6 to FT-8, FT-18: with PKCE and, by a client that keeps a secret,
/// without.
#[tokio::test]
async fn a_code_is_exchanged_with_pkce_and_without() {
    let tracker = Tracker::running().await;
    let client = &tracker.wattboard;
    let challenge = challenge();
    let pkce = [
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    for (link, form) in [(&[][..], &[][..]), (&pkce, &[("code_verifier", VERIFIER)])] {
        let code = tracker.code(client, "anna", link).await;
        let answer = tracker.exchange(client, &code, form).await;
        assert_eq!(answer.json()["token_type"], "Bearer");
        assert_eq!(answer.json()["expires_in"], 864_000);
        let tokens = Tokens::of(&answer);
        assert!(tokens.access.starts_with("ft_at_"));
        assert_eq!(tracker.status("GET", WORKOUTS, &tokens.access).await, 200);
    }

    // Who began with a challenge needs its verifier, and `plain` is none.
    let code = tracker.code(client, "anna", &pkce).await;
    for form in [
        &[][..],
        &[(
            "code_verifier",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXX",
        )],
    ] {
        let refused = tracker.exchange(client, &code, form).await;
        assert_eq!(
            (refused.status, &*refused.oauth_error()),
            (400, "invalid_grant")
        );
    }
    let plain = [
        ("code_challenge", VERIFIER),
        ("code_challenge_method", "plain"),
    ];
    let browser = Browser::new(&tracker.gateway);
    let back = browser.open(&tracker.link(client, &plain)).await;
    assert_eq!(back.parameters()["error"], "invalid_request");
}

/// FT-5: `client_credentials`, password, implicit, device and whatever else.
#[tokio::test]
async fn no_other_flow_gives_tokens() {
    let tracker = Tracker::running().await;
    let client = &tracker.wattboard;
    for (form, error) in [
        (
            &[("grant_type", "client_credentials")][..],
            "unauthorized_client",
        ),
        (
            &[
                ("grant_type", "password"),
                ("username", "anna"),
                ("password", crate::browser::PASSWORD),
            ],
            "unsupported_grant_type",
        ),
        (&[("grant_type", "implicit")], "unsupported_grant_type"),
        (
            &[
                ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
                ("device_code", "x"),
            ],
            "unauthorized_client",
        ),
        (
            &[
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion", "x"),
            ],
            "unsupported_grant_type",
        ),
    ] {
        let answer = tracker.ask(client, TOKEN, form).await;
        assert_eq!((answer.status, &*answer.oauth_error()), (400, error));
    }
    let device = tracker
        .ask(client, "/api/oauth/device_authorization", &[])
        .await;
    assert_eq!(
        (device.status, &*device.oauth_error()),
        (400, "unauthorized_client")
    );
    for kind in ["token", "id_token", "code token", "none"] {
        let browser = Browser::new(&tracker.gateway);
        let link = tracker.link(client, &[("response_type", kind)]);
        let back = browser.open(&link).await.parameters();
        assert_eq!(back["error"], "unsupported_response_type", "{kind}");
        assert!(!back.contains_key("access_token") && !back.contains_key("code"));
    }
}

/// FT-18: `client_secret_post` and nothing else, which the metadata says, too.
#[tokio::test]
async fn applications_authenticate_in_the_body_alone() {
    let tracker = Tracker::running().await;
    let client = &tracker.wattboard;
    let code = tracker.code(client, "anna", &[]).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
    ];
    let basic = Call::form(TOKEN, &form).basic(&client.id, &client.secret);
    let refused = tracker.gateway.answer(basic).await;
    assert_eq!(
        (refused.status, &*refused.oauth_error()),
        (401, "invalid_client")
    );
    let mut bare = form.to_vec();
    bare.push(("client_id", &client.id));
    let refused = tracker.gateway.answer(Call::form(TOKEN, &bare)).await;
    assert_eq!(
        (refused.status, &*refused.oauth_error()),
        (401, "invalid_client")
    );
    Tokens::of(&tracker.ask(client, TOKEN, &form).await);

    let metadata = Call::get("/.well-known/oauth-authorization-server");
    let metadata = tracker.gateway.answer(metadata).await.json();
    let methods = metadata["token_endpoint_auth_methods_supported"].clone();
    assert!(!methods.to_string().contains("basic"), "{methods}");
}

/// FT-18: ten days, twenty days, and a new pair each time. A used refresh token
/// ends the permission.
#[tokio::test]
async fn refreshing_gives_a_new_pair_once() {
    let tracker = Tracker::running().await;
    let client = &tracker.wattboard;
    let first = tracker.tokens(client, "anna", "workouts:read").await;
    let life = async |token: &str| {
        let form = [("token", token)];
        let answer = tracker.ask(client, "/api/oauth/introspect", &form).await;
        let document = answer.json();
        document["exp"].as_u64().unwrap() - document["iat"].as_u64().unwrap()
    };
    assert_eq!(life(&first.access).await, 10 * 86_400);
    assert_eq!(life(&first.refresh).await, 20 * 86_400);

    let second = Tokens::of(&tracker.refresh(client, &first.refresh, "").await);
    assert_eq!(life(&second.refresh).await, 20 * 86_400);
    assert_ne!(first.access, second.access);
    assert_ne!(first.refresh, second.refresh);
    assert_eq!(tracker.status("GET", WORKOUTS, &second.access).await, 200);

    let replayed = tracker.refresh(client, &first.refresh, "").await;
    assert_eq!(
        (replayed.status, &*replayed.oauth_error()),
        (400, "invalid_grant")
    );
    assert_eq!(tracker.status("GET", WORKOUTS, &second.access).await, 401);
}

/// FT-18: codes have 300 s and work once.
#[tokio::test]
async fn a_code_has_its_time_and_works_once() {
    let tracker = Tracker::running().await;
    assert_eq!(
        tracker.site.config["profiles"]["default"]["codeTtl"],
        "300s"
    );
    let client = &tracker.wattboard;
    let code = tracker.code(client, "anna", &[]).await;
    Tokens::of(&tracker.exchange(client, &code, &[]).await);
    let again = tracker.exchange(client, &code, &[]).await;
    assert_eq!(
        (again.status, &*again.oauth_error()),
        (400, "invalid_grant")
    );

    let hasty = Tracker::running_with(|site| {
        site.config["profiles"]["default"]["codeTtl"] = json!("1s");
    })
    .await;
    let code = hasty.code(&hasty.wattboard, "anna", &[]).await;
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    let late = hasty.exchange(&hasty.wattboard, &code, &[]).await;
    assert_eq!((late.status, &*late.oauth_error()), (400, "invalid_grant"));
}
