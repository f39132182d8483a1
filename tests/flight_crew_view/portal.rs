//! Client id, secret, redirect URIs and name (FCV-1 to FCV-11). Here they are
//! a manifest; the pages where partners edit them themselves do the same.

use std::fs;

use super::*;
use crate::harness::said;

/// What the example's manifest says, with another line.
fn change(site: &Site, from: &str, to: &str) {
    let path = site.path("manifests/flightbridge.yaml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

/// FCV-1 to FCV-5: a new secret ends the old one at once, and nothing else.
#[tokio::test]
async fn a_regenerated_secret_replaces_the_old_one_and_tokens_live_on() {
    let programme = Programme::running().await;
    let Programme { site, bridge, .. } = &programme;
    let tokens = programme.tokens(bridge, TEST_PASSKEY).await;

    let credentials = "out/credentials/partners.flightbridge-credentials.env";
    fs::remove_file(site.path(credentials)).unwrap();
    site.compile();
    let fresh = site.credentials("flightbridge");
    assert_eq!((&fresh.id, &fresh.previous), (&bridge.id, &None));
    assert_ne!(fresh.secret, bridge.secret);
    // Asked with what is wrong in any case, so that it costs nothing.
    eventually("the new secret works", async || {
        let answer = programme.exchange(&fresh, "x").await;
        answer.oauth_error() == "invalid_grant"
    })
    .await;

    let old = programme.refresh(bridge, &tokens.refresh).await;
    assert_eq!((old.status, &*old.oauth_error()), (401, "invalid_client"));
    let old = programme
        .ask_in_body(bridge, TOKEN, &refresh(&tokens.refresh))
        .await;
    assert_eq!((old.status, &*old.oauth_error()), (401, "invalid_client"));
    assert_eq!(programme.flights(&tokens.access).await, 200);
    let next = Tokens::of(&programme.refresh(&fresh, &tokens.refresh).await);
    assert_eq!(programme.flights(&next.access).await, 200);
}

/// FCV-6, FCV-14: each of several redirect URIs.
#[tokio::test]
async fn each_registered_redirect_uri_works() {
    let programme = Programme::running().await;
    for uri in [CALLBACK, STAGING] {
        let browser = Browser::new(&programme.gateway);
        let query = [
            ("client_id", programme.bridge.id.as_str()),
            ("redirect_uri", uri),
        ];
        let page = browser.open(&link(&query)).await;
        let back = browser.send(&filled(&page, TEST_PASSKEY)).await;
        let place = back.left_for.unwrap();
        assert!(place.as_str().starts_with(&format!("{uri}?code=")));
    }
}

/// FCV-7, FCV-56: none at all, or one without TLS, is refused with what to
/// write instead.
#[tokio::test]
async fn a_client_needs_an_https_redirect_uri() {
    let upstream = Upstream::ok().await;
    for (from, to, expected) in [
        (
            "  redirectUris:\n    - https://flightbridge.example/callback\n    - https://staging.flightbridge.example/callback\n",
            "",
            "write at least one redirect URI",
        ),
        (
            "https://staging.",
            "http://staging.",
            "write https://; http:// is for localhost",
        ),
    ] {
        let site = Site::of_example("flight-crew-view", upstream.address);
        change(&site, from, to);
        let output = site.try_compile();
        assert!(!output.status.success());
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
}

/// FCV-9, FCV-10: what the page shows follows the client's settings, and so
/// does what it takes.
#[tokio::test]
async fn name_and_redirect_uri_can_be_changed_later() {
    let programme = Programme::running().await;
    let browser = Browser::new(&programme.gateway);
    let page = programme.follow(&browser, &programme.bridge).await;
    assert!(page.has("FlightBridge"), "{page:?}");
    assert!(page.has("If you do not recognise this application, do not authorize it."));

    let site = &programme.site;
    change(site, "displayName: FlightBridge", "displayName: Skyways");
    change(site, CALLBACK, "https://skyways.example/back");
    site.compile();
    let query = [
        ("client_id", programme.bridge.id.as_str()),
        ("redirect_uri", "https://skyways.example/back"),
    ];
    eventually("the new settings count", async || {
        let page = browser.open(&link(&query)).await;
        page.answer.status == 200 && page.has("Skyways") && !page.has("FlightBridge")
    })
    .await;
    let old = programme.follow(&browser, &programme.bridge).await;
    assert_eq!(old.answer.status, 400, "{old:?}");
}
