//! What is over after its time.

use serde_json::json;

use crate::{
    client::{Call, Protocol},
    harness::{Site, eventually},
    oauth::{FLIGHTS, REVOKE, token_about},
    upstream::Upstream,
};

/// WF-54, RFC 6750 section 3.1: also where a thread remembers the token.
#[tokio::test]
async fn an_expired_token_is_refused_where_it_worked_before() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        site.config["profiles"]["default"]["accessTtl"] = json!("2s");
    })
    .await;
    let acme = site.credentials("acme");
    let mut connection = gateway.connect(Protocol::H1).await;
    // A machine that sleeps for the two seconds between these would fail here.
    let mut statuses = Vec::new();
    while !statuses.contains(&200) {
        assert!(statuses.len() < 10, "no token ever worked: {statuses:?}");
        let token = gateway.token(&acme).await;
        let list = || Call::get(FLIGHTS).bearer(&token);
        statuses.push(connection.answer(list()).await.status);
        if statuses.last() != Some(&200) {
            continue;
        }
        let mut refusal = None;
        eventually("the token expires", async || {
            let answer = connection.answer(list()).await;
            let expired = answer.status == 401;
            refusal = Some(answer);
            expired
        })
        .await;
        let answer = refusal.unwrap();
        assert_eq!(answer.problem(), "invalid-token");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert_eq!(
            gateway.list_status(&token).await,
            401,
            "on another connection too"
        );
        assert_eq!(
            gateway.introspect(&acme, &token).await,
            json!({"active": false})
        );
        let revoked = gateway.answer(token_about(REVOKE, &acme, &token)).await;
        assert_eq!(revoked.status, 200);
    }
}
