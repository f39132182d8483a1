//! `examples/we-fly`: the partner programme of we-fly, with the partners of the
//! example (WF-1 to WF-11, WF-25 to WF-62).

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    browser::{Browser, add_user},
    client::{Answer, Call},
    flow::{App, STATE, VERIFIER, challenge, text},
    gateway::Gateway,
    harness::{Site, eventually, said},
    oauth::{FLIGHTS, INTROSPECT, REVOKE, issued, made_up},
    upstream::Upstream,
};

const BASE: &str = "/api/oauth";
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The example, with two pilots, Anna and Berta.
async fn running() -> (Upstream, Site, Gateway) {
    running_with(|_| {}).await
}

async fn running_with(change: impl FnOnce(&mut Value)) -> (Upstream, Site, Gateway) {
    let upstream = Upstream::ok().await;
    let mut site = Site::of_example("we-fly", upstream.address);
    change(&mut site.config);
    site.compile();
    let gateway = site.start().await;
    add_user(&site, "anna", &["--subject", "pilot:anna"]).await;
    add_user(&site, "berta", &["--subject", "pilot:berta"]).await;
    (upstream, site, gateway)
}

fn logbook<'a>(site: &Site, gateway: &'a Gateway) -> App<'a> {
    let callback = "https://logbook.example/oauth/callback";
    App::confidential((site, gateway), "logbook", BASE, callback)
}

fn pocket<'a>(site: &Site, gateway: &'a Gateway) -> App<'a> {
    let callback = "https://pocket.example/callback";
    App::public((site, gateway), "pocket", BASE, callback)
}

fn computer<'a>(site: &Site, gateway: &'a Gateway) -> App<'a> {
    App::public((site, gateway), "flight-computer", BASE, "")
}

fn acme<'a>(site: &Site, gateway: &'a Gateway) -> App<'a> {
    App::confidential((site, gateway), "acme", BASE, "")
}

/// What a device is told when it begins.
async fn begin(app: &App<'_>, gateway: &Gateway) -> Value {
    let answer = gateway.answer(app.call("device_authorization", &[])).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json()
}

/// A device asks whether it may.
async fn poll(app: &App<'_>, device: &Value) -> Answer {
    let code = text(device, "device_code");
    app.ask(&[("grant_type", DEVICE_GRANT), ("device_code", code)])
        .await
}

/// A user decides about a device, where its link leads.
async fn decide(gateway: &Gateway, user: &str, device: &Value, decision: &str) {
    let browser = Browser::new(gateway);
    let link = text(device, "verification_uri_complete");
    let path = link.strip_prefix(&gateway.origin()).unwrap();
    let page = browser.open_as(path, user).await;
    assert!(page.has(text(device, "user_code")), "{page:?}");
    let form = page.form("scope").with("decision", decision);
    let page = browser.send(&form).await;
    assert_eq!(page.answer.status, 200, "{page:?}");
}

/// Whom the API was told of, with the last request.
fn subject(upstream: &Upstream) -> String {
    let requests = upstream.requests();
    let identity = requests.last().unwrap().values("flightgate-identity")[0];
    let payload = identity.split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(payload).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    text(&claims, "sub").to_owned()
}

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.oauth_error())
}

/// WF-1, WF-5, WF-6, WF-7, WF-8, WF-9, WF-11, WF-39: whichever way it was had,
/// what is presented below `/api/v1` is a bearer token, and the API hears whose.
#[tokio::test]
async fn every_flow_ends_in_a_bearer_token_of_whom_it_acts_for() {
    let (upstream, site, gateway) = running().await;
    let acme = acme(&site, &gateway);
    let own = issued(&acme.ask(&[("grant_type", "client_credentials")]).await);
    let tokens = logbook(&site, &gateway)
        .tokens_of("anna", "flights:read")
        .await;
    let refreshed = logbook(&site, &gateway)
        .refresh(text(&tokens, "refresh_token"))
        .await;
    let app = pocket(&site, &gateway)
        .tokens_of("berta", "flights:read")
        .await;
    for (token, expected) in [
        (&*own, &*acme.id),
        (text(&tokens, "access_token"), "pilot:anna"),
        (&issued(&refreshed), "pilot:anna"),
        (text(&app, "access_token"), "pilot:berta"),
        (&site.api_key("anna"), "pilot:anna"),
    ] {
        assert_eq!(gateway.list_status(token).await, 200, "{expected}");
        assert_eq!(subject(&upstream), expected);
    }
    let computer = computer(&site, &gateway);
    let device = begin(&computer, &gateway).await;
    decide(&gateway, "berta", &device, "allow").await;
    let token = issued(&poll(&computer, &device).await);
    let upload = Call::post(FLIGHTS).bearer(&token).body("IGC");
    assert_eq!(gateway.answer(upload).await.status, 200);
    assert_eq!(subject(&upstream), "pilot:berta");
    assert!(upstream.requests().iter().all(|request| {
        request.line().contains(" /api/v1/") && request.values("authorization").is_empty()
    }));
}

/// WF-3, WF-4, WF-7: for each user who says so, and for nobody else; and no more
/// than they say.
#[tokio::test]
async fn an_application_acts_for_who_consents_and_nobody_else() {
    let (_upstream, site, gateway) = running().await;
    let app = logbook(&site, &gateway);
    let browser = Browser::new(&gateway);
    let request = app.request(&[("scope", "flights:read pilots:read")]);
    let page = browser.open_as(&request, "anna").await;
    assert!(page.has("Cloud Logbook") && page.has("See your flights"));
    // To be signed in is not to have agreed.
    let silent = format!("{request}&prompt=none");
    let silent = browser.open(&silent).await.parameters();
    assert_eq!(silent["error"], "consent_required");
    let denied = browser
        .send(&page.form("scope").with("decision", "deny"))
        .await
        .parameters();
    assert_eq!(denied["error"], "access_denied");
    assert_eq!((&*denied["state"], denied.get("code")), (STATE, None));

    let page = browser.open(&request).await;
    let less = page.form("scope").without("scope", "flights:read");
    let back = browser.send(&less.with("decision", "allow")).await;
    let code = back.parameters().remove("code").unwrap();
    let tokens = app.exchange(&code, &[]).await.json();
    assert_eq!(text(&tokens, "scope"), "pilots:read");
    let token = text(&tokens, "access_token");
    assert_eq!(gateway.list_status(token).await, 403);
    let pilot = Call::get("/api/oauth/userinfo").bearer(token);
    let pilot = gateway.answer(pilot).await.json();
    assert_eq!(
        pilot,
        json!({"sub": "pilot:anna", "id": pilot["id"], "username": "anna"})
    );
    // Nothing of it is Berta's.
    let page = Browser::new(&gateway).open_as(&request, "berta").await;
    assert_eq!(page.form("scope").values("scope").len(), 2);
}

/// WF-25 to WF-32, WF-33, WF-34, WF-49, WF-55, WF-56: the sixty seconds of
/// we-fly's own page.
#[tokio::test]
async fn the_sixty_second_example_works_as_it_stands_there() {
    let (upstream, site, gateway) = running().await;
    let acme = site.credentials("acme");
    assert!(acme.id.starts_with("wf_app_") && acme.secret.starts_with("wf_secret_"));
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "flights:read"),
    ];
    let call = Call::form("/api/oauth/token", &form).basic(&acme.id, &acme.secret);
    let answer = gateway.answer(call).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(text(&answer.json(), "scope"), "flights:read");
    let token = issued(&answer);
    assert_eq!(gateway.list_status(&token).await, 200);
    for (method, path, scope) in [
        ("POST", FLIGHTS, "flights:write"),
        ("DELETE", "/api/v1/flights/7", "flights:delete"),
    ] {
        let answer = gateway.answer(Call::new(method, path).bearer(&token)).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (403, "insufficient-scope")
        );
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"insufficient_scope\"") && challenge.contains(scope));
    }
    let answer = gateway.answer(Call::get(FLIGHTS)).await;
    assert_eq!(
        (answer.status, answer.header("www-authenticate")),
        (401, Some("Bearer realm=\"api\""))
    );
    assert_eq!(upstream.requests().len(), 1);
}

/// WF-10, with the example's own key.
#[tokio::test]
async fn a_key_that_could_delete_is_not_made() {
    let upstream = Upstream::ok().await;
    let site = Site::of_example("we-fly", upstream.address);
    let path = site.path("manifests/anna.yaml");
    let key = std::fs::read_to_string(path).unwrap();
    let greedy = key.replace("[\"flights:read\"]", "[\"flights:delete\"]");
    assert_ne!(greedy, key);
    site.manifest("anna", &greedy);
    let output = site.try_compile();
    assert!(!output.status.success());
    let said = said(&output);
    assert!(said.contains("`flights:delete` is destructive"), "{said}");
}

/// WF-36, WF-40, WF-58.
#[tokio::test]
async fn no_public_client_goes_without_pkce() {
    let (_upstream, site, gateway) = running().await;
    let app = pocket(&site, &gateway);
    for more in [
        &[("code_challenge", ""), ("code_challenge_method", "")][..],
        &[("code_challenge_method", "plain")],
    ] {
        let page = Browser::new(&gateway).open(&app.request(more)).await;
        assert_eq!(page.parameters()["error"], "invalid_request", "{more:?}");
    }
    let wrong = "x".repeat(43);
    for (verifier, fits) in [
        ("", false),
        (&wrong, false),
        (&challenge(VERIFIER), false),
        (VERIFIER, true),
    ] {
        let code = app.code_of("anna", "flights:read").await;
        let answer = app.exchange(&code, &[("code_verifier", verifier)]).await;
        if fits {
            assert_eq!(answer.status, 200, "{answer:?}");
        } else {
            assert_eq!(
                refused(&answer),
                (400, "invalid_grant".into()),
                "{verifier}"
            );
        }
    }
    for (length, fits) in [(42, false), (43, true), (128, true), (129, false)] {
        let verifier = "~".repeat(length);
        let browser = Browser::new(&gateway);
        let request = app.request(&[("code_challenge", &challenge(&verifier))]);
        let page = browser.open_as(&request, "anna").await;
        let code = app.code(&browser, page).await;
        let answer = app.exchange(&code, &[("code_verifier", &verifier)]).await;
        assert_eq!(answer.status, if fits { 200 } else { 400 }, "{length}");
    }
}

/// WF-40: whatever the profile leaves to clients that have a secret.
#[tokio::test]
async fn an_optional_pkce_is_optional_for_confidential_clients_alone() {
    let (_upstream, site, gateway) = running_with(|config| {
        config["profiles"]["default"]["pkce"] = json!("optional");
    })
    .await;
    let without = [("code_challenge", ""), ("code_challenge_method", "")];
    let request = pocket(&site, &gateway).request(&without);
    let page = Browser::new(&gateway).open(&request).await;
    assert_eq!(page.parameters()["error"], "invalid_request");
    let app = logbook(&site, &gateway);
    let browser = Browser::new(&gateway);
    let page = browser.open_as(&app.request(&without), "anna").await;
    let code = app.code(&browser, page).await;
    let answer = app.exchange(&code, &[("code_verifier", "")]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// WF-43, WF-44, WF-45, RFC 6819 section 5.2.2.3.
#[tokio::test]
async fn a_replayed_refresh_token_ends_all_of_that_user_and_application_and_no_other() {
    let (_upstream, site, gateway) = running().await;
    let (logbook, pocket) = (logbook(&site, &gateway), pocket(&site, &gateway));
    let scope = "flights:read";
    let first = logbook.tokens_of("anna", scope).await;
    let beside = logbook.tokens_of("anna", scope).await;
    let others = [
        (&logbook, logbook.tokens_of("berta", scope).await),
        (&pocket, pocket.tokens_of("anna", scope).await),
    ];
    let second = logbook.refresh(text(&first, "refresh_token")).await.json();
    let third = logbook.refresh(text(&second, "refresh_token")).await.json();
    let all = [&first, &second, &third, &beside];
    for tokens in &all {
        assert!(text(tokens, "access_token").starts_with("wf_at_"));
        assert!(text(tokens, "refresh_token").starts_with("wf_rt_"));
        let status = gateway.list_status(text(tokens, "access_token")).await;
        assert_eq!(status, 200);
    }

    let replayed = logbook.refresh(text(&first, "refresh_token")).await;
    assert_eq!(refused(&replayed), (400, "invalid_grant".into()));
    for tokens in &all {
        let status = gateway.list_status(text(tokens, "access_token")).await;
        assert_eq!(status, 401);
        let answer = logbook.refresh(text(tokens, "refresh_token")).await;
        assert_eq!(refused(&answer), (400, "invalid_grant".into()));
    }
    for (app, tokens) in others {
        let status = gateway.list_status(text(&tokens, "access_token")).await;
        assert_eq!(status, 200);
        let answer = app.refresh(text(&tokens, "refresh_token")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    // Anna may begin anew; the old tokens stay dead.
    let anew = logbook.tokens_of("anna", scope).await;
    let status = gateway.list_status(text(&anew, "access_token")).await;
    assert_eq!(status, 200);
    let answer = logbook.refresh(text(&third, "refresh_token")).await;
    assert_eq!(refused(&answer), (400, "invalid_grant".into()));
    let status = gateway.list_status(text(&anew, "access_token")).await;
    assert_eq!(status, 200, "what was over before ends nothing new");
}

/// WF-44: whoever is not its client replays nothing.
#[tokio::test]
async fn a_refresh_token_in_other_hands_is_nothing() {
    let (_upstream, site, gateway) = running().await;
    let (logbook, pocket) = (logbook(&site, &gateway), pocket(&site, &gateway));
    let tokens = logbook.tokens_of("anna", "flights:read").await;
    let token = text(&tokens, "refresh_token");
    let answer = pocket.refresh(token).await;
    assert_eq!(refused(&answer), (400, "invalid_grant".into()));
    assert_eq!(logbook.refresh(token).await.status, 200);
    let answer = pocket.refresh(token).await;
    assert_eq!(refused(&answer), (400, "invalid_grant".into()));
    let status = gateway.list_status(text(&tokens, "access_token")).await;
    assert_eq!(status, 200);
}

/// WF-51, WF-53, RFC 6749 section 4.1.2.
#[tokio::test]
async fn a_code_is_good_once_and_its_second_use_ends_what_the_first_gave() {
    let (_upstream, site, gateway) = running().await;
    let (logbook, pocket) = (logbook(&site, &gateway), pocket(&site, &gateway));
    let code = logbook.code_of("anna", "flights:read").await;
    // Another client's attempt is not a use.
    let answer = pocket.exchange(&code, &[]).await;
    assert_eq!(refused(&answer), (400, "invalid_grant".into()));
    let tokens = logbook.exchange(&code, &[]).await.json();
    let token = text(&tokens, "access_token");
    assert_eq!(gateway.list_status(token).await, 200);
    let again = logbook.exchange(&code, &[]).await;
    assert_eq!(refused(&again), (400, "invalid_grant".into()));
    assert_eq!(gateway.list_status(token).await, 401);
    let answer = logbook.refresh(text(&tokens, "refresh_token")).await;
    assert_eq!(refused(&answer), (400, "invalid_grant".into()));
}

/// WF-49, WF-50, WF-51, WF-52.
#[tokio::test]
async fn each_mistake_at_the_token_endpoint_has_its_name() {
    let (_upstream, site, gateway) = running().await;
    let (logbook, pocket) = (logbook(&site, &gateway), pocket(&site, &gateway));
    let (acme, computer) = (acme(&site, &gateway), computer(&site, &gateway));
    let made_up_token = made_up("wf_rt_");
    for (app, form, status, error) in [
        (
            &logbook,
            vec![("grant_type", "password")],
            400,
            "unsupported_grant_type",
        ),
        (
            &logbook,
            vec![("grant_type", "authorization_code"), ("code", "x")],
            400,
            "invalid_grant",
        ),
        (
            &logbook,
            vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", &made_up_token),
            ],
            400,
            "invalid_grant",
        ),
        (
            &logbook,
            vec![("grant_type", "client_credentials")],
            400,
            "unauthorized_client",
        ),
        (
            &pocket,
            vec![("grant_type", "client_credentials")],
            400,
            "unauthorized_client",
        ),
        (
            &computer,
            vec![("grant_type", "authorization_code"), ("code", "x")],
            400,
            "unauthorized_client",
        ),
        (
            &acme,
            vec![("grant_type", "refresh_token"), ("refresh_token", "x")],
            400,
            "unauthorized_client",
        ),
        (
            &acme,
            vec![("grant_type", DEVICE_GRANT), ("device_code", "x")],
            400,
            "unauthorized_client",
        ),
        (
            &acme,
            vec![
                ("grant_type", "client_credentials"),
                ("scope", "flights:delete"),
            ],
            400,
            "invalid_scope",
        ),
        (
            &acme,
            vec![
                ("grant_type", "client_credentials"),
                ("scope", "gliders:fly"),
            ],
            400,
            "invalid_scope",
        ),
        (
            &logbook,
            vec![("grant_type", "authorization_code")],
            400,
            "invalid_request",
        ),
        (&logbook, vec![], 400, "invalid_request"),
    ] {
        let answer = app.ask(&form).await;
        assert_eq!(refused(&answer), (status, error.into()), "{form:?}");
    }
}

/// WF-50.
#[tokio::test]
async fn a_wrong_secret_is_no_client() {
    let (_upstream, site, gateway) = running().await;
    let acme = acme(&site, &gateway);
    let form = [("grant_type", "client_credentials")];
    let call = Call::form("/api/oauth/token", &form).basic(&acme.id, "wf_secret_wrong");
    let answer = gateway.answer(call).await;
    assert_eq!(refused(&answer), (401, "invalid_client".into()));
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Basic "), "{challenge}");
}

/// WF-52: a refresh narrows, and never widens.
#[tokio::test]
async fn a_refresh_asks_for_no_more_than_was_granted() {
    let (_upstream, site, gateway) = running().await;
    let logbook = logbook(&site, &gateway);
    let tokens = logbook.tokens_of("anna", "flights:read").await;
    let wider = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&tokens, "refresh_token")),
        ("scope", "flights:read pilots:read"),
    ];
    let answer = logbook.ask(&wider).await;
    assert_eq!(refused(&answer), (400, "invalid_scope".into()));
    let answer = logbook.refresh(text(&tokens, "refresh_token")).await;
    assert_eq!(answer.status, 200, "a refused request used nothing up");
}

/// WF-54: a token that acts for a pilot, too.
#[tokio::test]
async fn an_expired_bearer_is_told_so_and_refreshed() {
    let (_upstream, site, gateway) = running_with(|config| {
        config["profiles"]["default"]["accessTtl"] = json!("1s");
    })
    .await;
    let app = logbook(&site, &gateway);
    let tokens = app.tokens_of("anna", "flights:read").await;
    let mut last = None;
    eventually("the token expires", async || {
        let call = Call::get(FLIGHTS).bearer(text(&tokens, "access_token"));
        let answer = gateway.answer(call).await;
        let over = answer.status == 401;
        last = Some(answer);
        over
    })
    .await;
    let answer = last.unwrap();
    assert_eq!(answer.problem(), "invalid-token");
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    let answer = app.refresh(text(&tokens, "refresh_token")).await;
    assert_eq!(answer.status, 200);
}

/// WF-35, WF-37, WF-57, WF-59.
#[tokio::test]
async fn tokens_of_users_are_introspected_and_revoked_by_their_client() {
    let (_upstream, site, gateway) = running().await;
    let (logbook, acme) = (logbook(&site, &gateway), acme(&site, &gateway));
    let about = async |app: &App<'_>, endpoint: &str, token: &str| {
        gateway
            .answer(app.call(endpoint, &[("token", token)]))
            .await
    };
    let tokens = logbook.tokens_of("anna", "flights:read").await;
    let (access, refresh) = (
        text(&tokens, "access_token"),
        text(&tokens, "refresh_token"),
    );
    let seen = about(&logbook, "introspect", access).await.json();
    assert_eq!(
        (
            &seen["active"],
            &seen["sub"],
            &seen["client_id"],
            &seen["scope"]
        ),
        (
            &json!(true),
            &json!("pilot:anna"),
            &json!(logbook.id),
            &json!("flights:read")
        )
    );
    let dead = json!({"active": false});
    assert_eq!(about(&acme, "introspect", access).await.json(), dead);
    let nobody = gateway
        .answer(Call::form(INTROSPECT, &[("token", access)]))
        .await;
    assert_eq!(refused(&nobody), (401, "invalid_client".into()));
    let nobody = gateway
        .answer(Call::form(REVOKE, &[("token", access)]))
        .await;
    assert_eq!(refused(&nobody), (401, "invalid_client".into()));
    let foreign = about(&acme, "revoke", refresh).await;
    assert_eq!(refused(&foreign), (400, "unauthorized_client".into()));
    assert_eq!(gateway.list_status(access).await, 200);

    // The access token alone, and then everything.
    assert_eq!(about(&logbook, "revoke", access).await.status, 200);
    assert_eq!(gateway.list_status(access).await, 401);
    assert_eq!(about(&logbook, "introspect", access).await.json(), dead);
    let fresh = logbook.refresh(refresh).await.json();
    assert_eq!(gateway.list_status(text(&fresh, "access_token")).await, 200);
    let last = text(&fresh, "refresh_token");
    for token in [last, last, access, &made_up("wf_rt_"), "junk"] {
        assert_eq!(about(&logbook, "revoke", token).await.status, 200);
    }
    assert_eq!(gateway.list_status(text(&fresh, "access_token")).await, 401);
    assert_eq!(
        refused(&logbook.refresh(last).await),
        (400, "invalid_grant".into())
    );
}

/// WF-38, WF-41, WF-42, WF-60: and each endpoint is where it says.
#[tokio::test]
async fn metadata_names_endpoints_below_the_public_base() {
    let (_upstream, _site, gateway) = running().await;
    let path = "/.well-known/oauth-authorization-server";
    let metadata = gateway.answer(Call::get(path)).await.json();
    assert_eq!(metadata["issuer"], gateway.origin());
    for (name, path) in [
        ("authorization", "/api/oauth/authorize"),
        ("token", "/api/oauth/token"),
        ("device_authorization", "/api/oauth/device_authorization"),
        ("revocation", "/api/oauth/revoke"),
        ("introspection", "/api/oauth/introspect"),
        ("userinfo", "/api/oauth/userinfo"),
    ] {
        let url = text(&metadata, &format!("{name}_endpoint"));
        assert_eq!(url, format!("{}{path}", gateway.origin()));
        let answer = gateway.answer(Call::form(path, &[])).await;
        assert!(matches!(answer.status, 400 | 401), "{path}: {answer:?}");
    }
    for (name, expected) in [
        ("grant_types_supported", DEVICE_GRANT),
        ("grant_types_supported", "authorization_code"),
        ("grant_types_supported", "client_credentials"),
        ("grant_types_supported", "refresh_token"),
        ("code_challenge_methods_supported", "S256"),
        ("scopes_supported", "flights:read"),
    ] {
        let values = metadata[name].as_array().unwrap();
        assert!(values.contains(&json!(expected)), "{name}: {values:?}");
    }
}

/// WF-46, WF-47: below `/api/v1` and `/api/oauth` there is what the contract
/// names, and nothing that it does not name.
#[tokio::test]
async fn what_the_contract_does_not_name_is_not_there() {
    let (upstream, site, gateway) = running().await;
    let key = site.api_key("anna");
    for path in [
        "/api/v1",
        "/api/v1/pilots",
        "/api/v2/flights",
        "/api/oauth",
        "/api/oauth/clients",
        "/internal/flights",
        "/metrics",
        "/registry",
    ] {
        let answer = gateway.answer(Call::get(path).bearer(&key)).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (404, "not-found"),
            "{path}"
        );
    }
    assert!(upstream.requests().is_empty());
}

/// WF-2, WF-8, WF-39, WF-42, WF-61, WF-62: a device, from its code to its token,
/// and to an upload.
#[tokio::test]
async fn a_device_is_connected_by_the_code_that_it_shows() {
    let (_upstream, site, gateway) = running().await;
    let app = computer(&site, &gateway);
    let device = begin(&app, &gateway).await;
    let user_code = text(&device, "user_code");
    let uri = format!("{}/device", gateway.origin());
    assert_eq!(
        device,
        json!({
            "device_code": text(&device, "device_code"),
            "user_code": user_code,
            "verification_uri": uri,
            "verification_uri_complete": format!("{uri}?user_code={user_code}"),
            "expires_in": 600,
            "interval": 5,
        })
    );
    let answer = poll(&app, &device).await;
    assert_eq!(refused(&answer), (400, "authorization_pending".into()));

    // Typed, in small letters and without the hyphen.
    let browser = Browser::new(&gateway);
    let page = browser.open_as("/device", "anna").await;
    let typed = user_code.replace('-', "").to_lowercase();
    let page = browser
        .send(&page.form("user_code").with("user_code", &typed))
        .await;
    assert!(page.has("Flight Computer X1") && page.has(user_code));
    let form = page.form("scope").with("decision", "allow");
    let page = browser.send(&form).await;
    assert!(page.has("Your device is connected"), "{page:?}");

    let answer = poll(&app, &device).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let tokens = answer.json();
    assert_eq!(text(&tokens, "scope"), "flights:write");
    let refreshed = app.refresh(text(&tokens, "refresh_token")).await;
    let token = issued(&refreshed);
    let upload = || Call::post(FLIGHTS).bearer(&token).body("IGC");
    assert_eq!(gateway.answer(upload()).await.status, 200);
    // The code is good once, as an authorization code is.
    let again = poll(&app, &device).await;
    assert_eq!(refused(&again), (400, "invalid_grant".into()));
    assert_eq!(gateway.answer(upload()).await.status, 401);
}

/// WF-62: `access_denied`, and codes of nobody.
#[tokio::test]
async fn a_device_that_is_denied_or_unknown_is_told_so() {
    let (_upstream, site, gateway) = running().await;
    let app = computer(&site, &gateway);
    let device = begin(&app, &gateway).await;
    decide(&gateway, "anna", &device, "deny").await;
    for _ in 0..2 {
        let answer = poll(&app, &device).await;
        assert_eq!(refused(&answer), (400, "access_denied".into()));
    }
    let unknown = json!({"device_code": made_up("fg_device_")});
    let answer = poll(&app, &unknown).await;
    assert_eq!(refused(&answer), (400, "invalid_grant".into()));
    // What another client started is not this one's.
    let other = pocket(&site, &gateway);
    let answer = gateway
        .answer(other.call("device_authorization", &[]))
        .await;
    assert_eq!(refused(&answer), (400, "unauthorized_client".into()));
    let nobody = Call::form("/api/oauth/device_authorization", &[]);
    let answer = gateway.answer(nobody).await;
    assert_eq!(refused(&answer), (401, "invalid_client".into()));
}

/// WF-62: `expired_token`.
#[tokio::test]
async fn a_device_whose_time_is_over_begins_again() {
    let (_upstream, site, gateway) = running_with(|config| {
        config["profiles"]["default"]["deviceCodeTtl"] = json!("1s");
    })
    .await;
    let app = computer(&site, &gateway);
    let device = begin(&app, &gateway).await;
    assert_eq!(device["expires_in"], 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let answer = poll(&app, &device).await;
    assert_eq!(refused(&answer), (400, "expired_token".into()));
    let code = text(&device, "user_code");
    let browser = Browser::new(&gateway);
    let link = format!("/device?user_code={code}");
    let page = browser.open_as(&link, "anna").await;
    assert_eq!(page.answer.status, 400, "{page:?}");
}

/// WF-62: `slow_down`, which adds five seconds: who waits for the first interval
/// alone is still too fast.
#[tokio::test]
async fn a_device_that_asks_too_often_has_to_wait_longer() {
    let (_upstream, site, gateway) = running().await;
    let app = computer(&site, &gateway);
    loop {
        let device = begin(&app, &gateway).await;
        let began = Instant::now();
        let answers = [poll(&app, &device).await, poll(&app, &device).await];
        tokio::time::sleep(Duration::from_secs(6)).await;
        let last = poll(&app, &device).await;
        // On a machine that slept the test says nothing: once more.
        if began.elapsed() > Duration::from_secs(9) {
            continue;
        }
        let errors = [&answers[0], &answers[1], &last].map(|answer| refused(answer).1);
        assert_eq!(errors, ["authorization_pending", "slow_down", "slow_down"]);
        // Approved, it need not wait.
        decide(&gateway, "anna", &device, "allow").await;
        assert_eq!(poll(&app, &device).await.status, 200);
        return;
    }
}
