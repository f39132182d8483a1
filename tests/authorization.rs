//! Authorization code with PKCE and refresh tokens, from the link to the API.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    browser::{Browser, Page, add_user},
    client::{Answer, Call},
    gateway::Gateway,
    harness::{Credentials, Site},
    oauth::{FLIGHTS, TOKEN},
    upstream::Upstream,
};

/// A web application whose users consent.
const LOGBOOK: &str = "\
apiVersion: flightgate.dev/v1alpha1
kind: OAuthApplication
metadata: {name: logbook, namespace: partners}
spec:
  displayName: Acme Logbook
  description: Keeps all of your flights in one place.
  grantTypes: [authorization_code, refresh_token]
  redirectUris: [\"https://logbook.example/cb\"]
  scopes: [\"flights:read\", \"flights:write\"]
";
const CALLBACK: &str = "https://logbook.example/cb";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A gateway with that application and one pilot, Anna.
pub(crate) async fn site() -> (Upstream, Site, Gateway, Credentials) {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        site.manifest("logbook", LOGBOOK);
    })
    .await;
    add_user(&site, "anna", &["--subject", "pilot:anna"]).await;
    let logbook = site.credentials("logbook");
    (upstream, site, gateway, logbook)
}

/// The path of an authorization request.
pub(crate) fn request(client: &Credentials, more: &[(&str, &str)]) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", client.id.as_str()),
        ("redirect_uri", CALLBACK),
        ("state", "a&b c"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    parameters.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    parameters.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish();
    format!("/api/oauth/authorize?{query}")
}

/// Presses "Allow".
pub(crate) async fn allow(browser: &Browser<'_>, page: &Page) -> Page {
    browser
        .send(&page.form("scope").with("decision", "allow"))
        .await
}

/// A token request of this client.
pub(crate) async fn ask(gateway: &Gateway, client: &Credentials, form: &[(&str, &str)]) -> Answer {
    gateway
        .answer(Call::form(TOKEN, form).basic(&client.id, &client.secret))
        .await
}

/// Exchanges a code.
pub(crate) async fn exchange(gateway: &Gateway, client: &Credentials, code: &str) -> Answer {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    ask(gateway, client, &form).await
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {value}"))
}

#[tokio::test]
async fn a_user_allows_an_application_to_act_and_it_does() {
    let (upstream, _site, gateway, logbook) = site().await;
    let browser = Browser::new(&gateway);
    let page = browser
        .open_as(
            &request(&logbook, &[("scope", "flights:read flights:write")]),
            "anna",
        )
        .await;
    assert!(
        page.has("Acme Logbook") && page.has("Keeps all of your flights"),
        "{page:?}"
    );
    let form = page.form("scope");
    assert_eq!(form.values("scope"), ["flights:read", "flights:write"]);

    let back = allow(&browser, &page).await;
    let parameters = back.parameters();
    assert!(
        back.left_for
            .as_ref()
            .unwrap()
            .as_str()
            .starts_with(CALLBACK)
    );
    assert_eq!(
        (&*parameters["state"], &*parameters["iss"]),
        ("a&b c", &*gateway.origin())
    );

    let answer = exchange(&gateway, &logbook, &parameters["code"]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let tokens = answer.json();
    assert_eq!(text(&tokens, "token_type"), "Bearer");
    assert_eq!(text(&tokens, "scope"), "flights:read flights:write");
    let listed = gateway
        .answer(Call::get(FLIGHTS).bearer(text(&tokens, "access_token")))
        .await;
    assert_eq!(listed.status, 200, "{listed:?}");
    drop(upstream);

    // Asked once, remembered: the same again asks nothing.
    let again = browser
        .open(&request(&logbook, &[("scope", "flights:read")]))
        .await;
    assert!(again.parameters().contains_key("code"), "{again:?}");
}

#[tokio::test]
async fn a_user_can_allow_less_than_was_asked_for_and_deny() {
    let (_upstream, _site, gateway, logbook) = site().await;
    let browser = Browser::new(&gateway);
    let page = browser.open_as(&request(&logbook, &[]), "anna").await;
    let less = page
        .form("scope")
        .without("scope", "flights:write")
        .with("decision", "allow");
    let back = browser.send(&less).await;
    let tokens = exchange(&gateway, &logbook, &back.parameters()["code"])
        .await
        .json();
    assert_eq!(text(&tokens, "scope"), "flights:read");

    // The rest is asked for again, and denied.
    let page = browser.open(&request(&logbook, &[])).await;
    let back = browser
        .send(&page.form("scope").with("decision", "deny"))
        .await;
    let parameters = back.parameters();
    assert_eq!(parameters["error"], "access_denied");
    assert_eq!(parameters["state"], "a&b c");
    assert!(!parameters.contains_key("code"));
}

#[tokio::test]
async fn a_used_refresh_token_ends_the_grant() {
    let (_upstream, _site, gateway, logbook) = site().await;
    let browser = Browser::new(&gateway);
    let page = browser.open_as(&request(&logbook, &[]), "anna").await;
    let back = allow(&browser, &page).await;
    let first = exchange(&gateway, &logbook, &back.parameters()["code"])
        .await
        .json();
    let refresh = async |token: &str| {
        ask(
            &gateway,
            &logbook,
            &[("grant_type", "refresh_token"), ("refresh_token", token)],
        )
        .await
    };
    let second = refresh(text(&first, "refresh_token")).await.json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(
        gateway.list_status(text(&second, "access_token")).await,
        200
    );

    let replayed = refresh(text(&first, "refresh_token")).await;
    assert_eq!(
        (replayed.status, &*replayed.oauth_error()),
        (400, "invalid_grant")
    );
    for tokens in [&first, &second] {
        assert_eq!(gateway.list_status(text(tokens, "access_token")).await, 401);
    }
    assert_eq!(refresh(text(&second, "refresh_token")).await.status, 400);
}
