//! From nothing to ready.

use std::{fs, net::SocketAddr};

use serde_json::Value;

use crate::{
    client::Call,
    harness::Site,
    oauth::{INTROSPECT, token_call},
    upstream::Upstream,
};

/// The ready file comes last: whoever reads it finds everything listening.
#[tokio::test]
async fn the_ready_file_names_three_addresses_that_answer() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let addresses: Value =
        serde_json::from_slice(&fs::read(site.path("ready.json")).unwrap()).unwrap();
    assert_eq!(addresses.as_object().unwrap().len(), 3);
    for name in ["public", "admin", "internal"] {
        let address: SocketAddr = addresses[name].as_str().unwrap().parse().unwrap();
        assert_ne!(address.port(), 0);
    }
    assert_eq!(gateway.ask_admin("/readyz").await.status, 200);
    assert_eq!(gateway.answer(Call::get("/nowhere")).await.status, 404);
}

/// Whoever learns that it is ready may end it: it is not killed by that.
#[tokio::test]
async fn sigterm_ends_a_gateway_in_order_from_its_first_moment_on() {
    let upstream = Upstream::ok().await;
    let site = Site::new(upstream.address);
    site.compile();
    for _ in 0..5 {
        let gateway = site.start().await;
        gateway.terminate();
        assert_eq!(gateway.ended().await.code(), Some(0), "{}", site.log());
        assert!(!site.path("ready.json").exists(), "it would tell of nobody");
    }
}

/// Only the gateway's own user reads its keys.
#[tokio::test]
async fn keys_are_made_for_nobody_else_to_read() {
    use std::os::unix::fs::PermissionsExt;
    let upstream = Upstream::ok().await;
    let (site, _gateway) = Site::running(upstream.address).await;
    let mode = |path: &str| fs::metadata(site.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("keys"), 0o700);
    for name in ["keys/pepper", "keys/identity.seed", "keys/tls.key"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
}

/// DESIGN section 10 counts in ten thousands; a thousand are served at least.
#[tokio::test]
async fn a_thousand_documents_are_served_from_the_start() {
    let upstream = Upstream::ok().await;
    let site = Site::new(upstream.address);
    site.compile();
    let acme = site.credentials("acme");
    let document = fs::read_to_string(site.document("acme")).unwrap();
    for number in 0..1_000 {
        let other = document.replace(&acme.id, &format!("wf_app_{number:024}"));
        assert_ne!(other, document);
        fs::write(site.document(&format!("copy-{number}")), other).unwrap();
    }
    let gateway = site.start().await;
    assert_eq!(gateway.metric("flightgate_registry_documents").await, 1_003);
    for number in [0, 1, 500, 999] {
        let mut client = acme.clone();
        client.id = format!("wf_app_{number:024}");
        let token = gateway.token(&client).await;
        assert_eq!(gateway.list_status(&token).await, 200);
        let answer = gateway
            .answer(crate::oauth::token_about(INTROSPECT, &acme, &token))
            .await;
        assert_eq!(answer.text(), r#"{"active":false}"#, "it is another's");
    }
    let mut unknown = acme;
    unknown.id = format!("wf_app_{:024}", 1_000);
    assert_eq!(gateway.answer(token_call(&unknown, &[])).await.status, 401);
}
