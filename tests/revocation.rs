//! Revocation: RFC 7009 (WF-35, WF-57).

use crate::{
    client::{Call, Protocol},
    harness::Site,
    oauth::{FLIGHTS, REVOKE, made_up, token_about},
    upstream::Upstream,
};

/// RFC 7009 section 2: "at once" means for the next request of anyone, on
/// whichever thread it lands.
#[tokio::test]
async fn a_revoked_token_is_dead_at_once_on_every_connection() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        site.config["workers"] = 4.into();
    })
    .await;
    let acme = site.credentials("acme");
    let mut connections = Vec::new();
    for index in 0..32 {
        connections.push(gateway.connect(Protocol::BOTH[index % 2]).await);
    }
    for _ in 0..5 {
        let (token, other) = (gateway.token(&acme).await, gateway.token(&acme).await);
        for connection in &mut connections {
            let answer = connection.answer(Call::get(FLIGHTS).bearer(&token)).await;
            assert_eq!(answer.status, 200);
        }
        gateway.revoke(&acme, &token).await;
        for connection in &mut connections {
            let answer = connection.answer(Call::get(FLIGHTS).bearer(&token)).await;
            assert_eq!((answer.status, &*answer.problem()), (401, "invalid-token"));
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        }
        let answer = connections[0]
            .answer(Call::get(FLIGHTS).bearer(&other))
            .await;
        assert_eq!(answer.status, 200, "the client's other token lives on");
    }
}

/// WF-57: and the answer does not tell whether the token ever was.
#[tokio::test]
async fn a_revocation_can_be_repeated_and_tells_nothing() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let acme = site.credentials("acme");
    let token = gateway.token(&acme).await;
    let mut answers = Vec::new();
    for token in [&token, &token, &made_up("wf_at_"), "garbage"] {
        let answer = gateway.answer(token_about(REVOKE, &acme, token)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answers.push(answer.text());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(gateway.metric("flightgate_tokens_revoked_total").await, 1);
}

/// RFC 7009 section 2.1.
#[tokio::test]
async fn nobody_revokes_the_token_of_another_client() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let (acme, globex) = (site.credentials("acme"), site.credentials("globex"));
    let token = gateway.token(&acme).await;
    let answer = gateway.answer(token_about(REVOKE, &globex, &token)).await;
    assert_eq!(
        (answer.status, &*answer.oauth_error()),
        (400, "unauthorized_client")
    );
    assert_eq!(gateway.list_status(&token).await, 200);

    let nobody = Call::form(REVOKE, &[("token", &token)]);
    let wrong = Call::form(REVOKE, &[("token", &token)]).basic(&acme.id, "wrong");
    for call in [nobody, wrong] {
        let answer = gateway.answer(call).await;
        assert_eq!(
            (answer.status, &*answer.oauth_error()),
            (401, "invalid_client")
        );
    }
    assert_eq!(gateway.list_status(&token).await, 200);
}

/// RFC 7009 section 2.2.1: an API key is a resource, and ends with it.
#[tokio::test]
async fn an_api_key_is_no_token_that_can_be_revoked() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let (acme, key) = (site.credentials("acme"), site.api_key("anna"));
    let answer = gateway.answer(token_about(REVOKE, &acme, &key)).await;
    assert_eq!(
        (answer.status, &*answer.oauth_error()),
        (400, "unsupported_token_type")
    );
    assert_eq!(gateway.list_status(&key).await, 200);
}
