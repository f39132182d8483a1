//! Introspection: RFC 7662 (WF-37, WF-59).

use serde_json::json;

use crate::{
    client::{Call, Protocol},
    harness::Site,
    oauth::{INTROSPECT, made_up, token_about},
    upstream::Upstream,
};

/// RFC 7662 section 2.2.
#[tokio::test]
async fn a_client_sees_everything_of_its_own_live_token() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let acme = site.credentials("acme");
    let token = gateway.token_for(&acme, "flights:read").await;
    for protocol in Protocol::BOTH {
        let call = token_about(INTROSPECT, &acme, &token);
        let answer = gateway.connect(protocol).await.answer(call).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let mut document = answer.json();
        let seconds = |name: &str| document[name].as_u64().unwrap();
        assert_eq!(seconds("exp") - seconds("iat"), 3600);
        let now = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs();
        assert!(seconds("iat") <= now && seconds("exp") > now, "{document}");
        for name in ["iat", "exp"] {
            document.as_object_mut().unwrap().remove(name);
        }
        let expected = json!({
            "active": true, "scope": "flights:read", "client_id": acme.id, "sub": acme.id,
            "token_type": "Bearer", "iss": gateway.origin(),
        });
        assert_eq!(document, expected);
    }
}

/// WF-59: whatever is not the client's own live token looks the same.
#[tokio::test]
async fn any_other_token_is_inactive_and_nothing_more() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let (acme, globex) = (site.credentials("acme"), site.credentials("globex"));
    let of_another = gateway.token(&globex).await;
    let dead = gateway.token(&acme).await;
    gateway.revoke(&acme, &dead).await;
    let mistyped = format!("{}x", &of_another[..of_another.len() - 1]);
    for token in [
        &of_another,
        &dead,
        &mistyped,
        &made_up("wf_at_"),
        &made_up("wf_rt_"),
        &site.api_key("anna"),
        "garbage",
        "☃",
        &"x".repeat(10_000),
    ] {
        let answer = gateway.answer(token_about(INTROSPECT, &acme, token)).await;
        assert_eq!(
            (answer.status, &*answer.text()),
            (200, r#"{"active":false}"#),
            "{token}"
        );
    }
    assert_eq!(
        gateway.introspect(&globex, &of_another).await["active"],
        true
    );
}

/// RFC 7662 section 2.1: or tokens could be fished for.
#[tokio::test]
async fn introspection_needs_an_authenticated_client_and_a_token() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let acme = site.credentials("acme");
    let token = gateway.token(&acme).await;
    let unauthenticated = Call::form(INTROSPECT, &[("token", &token)]);
    let bearer = Call::form(INTROSPECT, &[("token", &token)]).bearer(&token);
    let wrong = Call::form(INTROSPECT, &[("token", &token)]).basic(&acme.id, "wrong");
    for call in [unauthenticated, bearer, wrong] {
        let answer = gateway.answer(call).await;
        assert_eq!(
            (answer.status, &*answer.oauth_error()),
            (401, "invalid_client")
        );
        assert!(answer.header("www-authenticate").is_some());
    }
    let nothing = Call::form(INTROSPECT, &[("x", "y")]).basic(&acme.id, &acme.secret);
    let answer = gateway.answer(nothing).await;
    assert_eq!(
        (answer.status, &*answer.oauth_error()),
        (400, "invalid_request")
    );
    let get = Call::get(&format!("{INTROSPECT}?token={token}")).basic(&acme.id, &acme.secret);
    assert_eq!(gateway.answer(get).await.status, 405);
}
