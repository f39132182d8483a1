//! `examples/airforce`: "sign in with", as Api.Airforce promises it (AF-1 to
//! AF-54).

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    browser::{Browser, add_user},
    client::{Answer, Call},
    flow::{App, STATE, VERIFIER, challenge, text},
    gateway::Gateway,
    harness::{Site, eventually, said},
    upstream::{Recorded, Upstream},
};

const CALLBACK: &str = "https://playground.example/oauth/callback";
const CHAT: [&str; 4] = [
    "/v1/chat/completions",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/responses",
];
const IMAGES: &str = "/v1/images/generations";
const USERINFO: &str = "/oauth/userinfo";

/// The example, with its one user, foo.
async fn running() -> (Upstream, Site, Gateway) {
    running_with(|_| {}).await
}

async fn running_with(change: impl FnOnce(&mut Value)) -> (Upstream, Site, Gateway) {
    let upstream = Upstream::ok().await;
    let mut site = Site::of_example("airforce", upstream.address);
    change(&mut site.config);
    site.compile();
    let gateway = site.start().await;
    add_user(&site, "foo", &["--subject", "user:foo", "--plan", "free"]).await;
    (upstream, site, gateway)
}

fn playground<'a>(site: &Site, gateway: &'a Gateway) -> App<'a> {
    App::confidential((site, gateway), "playground", "/oauth", CALLBACK)
}

fn sketch<'a>(site: &Site, gateway: &'a Gateway) -> App<'a> {
    App::public(
        (site, gateway),
        "sketch",
        "/oauth",
        "https://sketch.example/callback",
    )
}

async fn post(gateway: &Gateway, path: &str, token: &str) -> Answer {
    let call = Call::post(path).bearer(token).body("{}");
    gateway.answer(call).await
}

async fn revoke(gateway: &Gateway, token: &str) -> Answer {
    gateway
        .answer(Call::form("/oauth/revoke", &[("token", token)]))
        .await
}

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.problem())
}

/// AF-1, AF-2, AF-3, AF-5, AF-8, AF-9, AF-10, AF-11, AF-26, AF-27, AF-28, AF-29,
/// AF-32, AF-33, AF-34, AF-35, AF-36, AF-37.
#[tokio::test]
async fn a_user_signs_in_and_the_application_gets_one_opaque_token_for_a_day() {
    let (upstream, site, gateway) = running().await;
    let app = playground(&site, &gateway);
    assert!(app.id.starts_with("airforce_"), "{}", app.id);
    let browser = Browser::new(&gateway);
    let page = browser
        .open_as(&app.request(&[("scope", "profile chat")]), "foo")
        .await;
    for shown in [
        "Prompt Playground",
        "Compares the answers of many models to one prompt.",
        "https://playground.example",
        "https://playground.example/logo.png",
        "Chat on your account",
    ] {
        assert!(page.has(shown), "{shown} in {page:?}");
    }
    let back = browser
        .send(&page.form("scope").with("decision", "allow"))
        .await;
    let mut parameters = back.parameters();
    assert_eq!(parameters["state"], STATE);

    let code = parameters.remove("code").unwrap();
    let answer = app.exchange(&code, &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let tokens = answer.json();
    let token = text(&tokens, "access_token");
    assert_eq!(
        tokens,
        json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": 86_400,
            "scope": "profile chat",
        })
    );
    let opaque = token.strip_prefix("airf_oat_").unwrap();
    assert!(
        opaque.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{token}"
    );
    assert_eq!(post(&gateway, CHAT[0], token).await.status, 200);
    let who = gateway.answer(Call::get(USERINFO).bearer(token)).await;
    assert_eq!(who.status, 200);
    // AF-6: neither of them nor the API behind sees the user's own key.
    let key = site.api_key("foo");
    let heard = format!("{tokens} {} {:?}", who.text(), upstream.requests());
    assert!(!heard.contains(&key) && !heard.contains("airf_key_"));
    // AF-37: a token is not made longer either.
    let answer = app.refresh(token).await;
    assert_eq!(
        (answer.status, &*answer.oauth_error()),
        (400, "unauthorized_client")
    );
}

/// AF-4, AF-23: what was asked for, separated by spaces, and of that what the
/// user left ticked.
#[tokio::test]
async fn the_scope_is_what_was_asked_for_and_approved() {
    let (_upstream, site, gateway) = running().await;
    let app = playground(&site, &gateway);
    let browser = Browser::new(&gateway);
    let spaced = app.request(&[("scope", "profile chat images")]);
    assert!(spaced.contains("profile+chat+images"));
    let page = browser
        .open_as(&spaced.replace("profile+chat", "profile%20chat"), "foo")
        .await;
    let form = page.form("scope");
    assert_eq!(form.values("scope"), ["profile", "chat", "images"]);
    // What was not asked for cannot be approved.
    let form = form.without("scope", "chat").with("decision", "allow");
    let back = browser.send(&form).await;
    let code = back.parameters().remove("code").unwrap();
    let tokens = app.exchange(&code, &[]).await.json();
    assert_eq!(text(&tokens, "scope"), "profile images");
    let token = text(&tokens, "access_token");
    assert_eq!(post(&gateway, IMAGES, token).await.status, 200);
    assert_eq!(
        refused(&post(&gateway, CHAT[0], token).await),
        (403, "insufficient-scope".into())
    );

    let page = browser.open(&app.request(&[("scope", "chat")])).await;
    let more = page
        .form("scope")
        .with("scope", "profile")
        .with("decision", "allow");
    let page = browser.send(&more).await;
    assert!(
        page.left_for.is_none(),
        "nothing that was asked for is left"
    );
}

/// AF-31, AF-32.
#[tokio::test]
async fn who_denies_sends_back_an_error_and_the_state() {
    let (_upstream, site, gateway) = running().await;
    let app = playground(&site, &gateway);
    let browser = Browser::new(&gateway);
    let page = browser.open_as(&app.request(&[]), "foo").await;
    let back = browser
        .send(&page.form("scope").with("decision", "deny"))
        .await;
    let parameters = back.parameters();
    assert_eq!(parameters["error"], "access_denied");
    assert_eq!(parameters["state"], STATE);
    assert!(!parameters.contains_key("code"));
}

/// AF-7: applications come from the platform's manifests, and nobody registers
/// one over the network.
#[tokio::test]
async fn only_the_platform_registers_applications() {
    let (_upstream, site, gateway) = running().await;
    assert_eq!(site.config["registration"], "admin");
    for path in ["/oauth/register", "/oauth/apps", "/register", "/developer"] {
        let answer = gateway.answer(Call::post(path).body("{}")).await;
        assert_eq!(refused(&answer), (404, "not-found".into()), "{path}");
    }
    let metadata = Call::get("/.well-known/oauth-authorization-server");
    let metadata = gateway.answer(metadata).await.json();
    assert_eq!(metadata.get("registration_endpoint"), None);
}

/// AF-8 to AF-15, AF-47, AF-48: what a registration may say.
#[tokio::test]
async fn a_registration_is_refused_in_words_or_taken_as_it_stands() {
    let upstream = Upstream::ok().await;
    let site = Site::of_example("airforce", upstream.address);
    let example = fs::read_to_string(site.path("manifests/sketch.yaml")).unwrap();
    let uri = "https://sketch.example/callback";
    for (from, to, expected) in [
        (
            "displayName: Sketch",
            "displayName: ''",
            Some("displayName"),
        ),
        (
            uri,
            "http://sketch.example/callback",
            Some("write https://"),
        ),
        (
            uri,
            "http://localhost.evil.example/",
            Some("write https://"),
        ),
        (
            uri,
            "https://*.sketch.example/",
            Some("wildcards match nothing"),
        ),
        (
            "[profile, images]",
            "[profile, video]",
            Some("`video` is not in"),
        ),
        ("[profile, images]", "[\"keys:read\"]", Some("is reserved")),
        ("[profile, images]", "[\"keys:write\"]", Some("is reserved")),
        (
            "[authorization_code]",
            "[authorization_code, refresh_token]",
            Some("gives no refresh tokens"),
        ),
        (uri, "http://localhost:5173/callback", None),
        (uri, "http://localhost/callback", None),
        // One for each environment.
        (
            uri,
            "https://sketch.example/callback\", \"https://test.sketch.example/callback",
            None,
        ),
        // The homepage and the logo may be left out, and the sentence.
        ("  description: Draws what you describe.\n", "", None),
    ] {
        let changed = example.replace(from, to);
        assert_ne!(changed, example, "{from}");
        site.manifest("sketch", &changed);
        let output = site.try_compile();
        let said = said(&output);
        assert_eq!(output.status.success(), expected.is_none(), "{to}: {said}");
        assert!(said.contains(expected.unwrap_or_default()), "{to}: {said}");
    }
}

/// AF-16, AF-17: the secret exists once, where the partner is to get it.
#[tokio::test]
async fn a_secret_is_handed_out_once_and_a_public_application_has_none() {
    let (_upstream, site, gateway) = running().await;
    let credentials = site.credentials("playground");
    assert!(credentials.secret.starts_with("airforce_secret_"));
    let file = "out/credentials/partners.playground-credentials.env";
    let secret = credentials.secret.as_bytes();
    let holders = files_with(&site.path(""), secret);
    assert_eq!(holders, [site.path(file)], "nobody else keeps it");

    // Who lost it gets another one, for the same client.
    fs::remove_file(site.path(file)).unwrap();
    site.compile();
    let fresh = site.credentials("playground");
    assert_eq!(fresh.id, credentials.id);
    assert_ne!(fresh.secret, credentials.secret);
    assert_eq!(files_with(&site.path(""), secret), [""; 0].map(Path::new));
    let status = async |secret: &str| {
        let form = [("grant_type", "authorization_code"), ("code", "x")];
        let call = Call::form("/oauth/token", &form).basic(&fresh.id, secret);
        gateway.answer(call).await.oauth_error()
    };
    eventually("the new secret is known", async || {
        Box::pin(status(&fresh.secret)).await == "invalid_grant"
    })
    .await;
    assert_eq!(status(&credentials.secret).await, "invalid_client");

    let document = fs::read_to_string(site.document("sketch")).unwrap();
    assert!(!document.contains("sha256"), "{document}");
    let folder = fs::read_dir(site.path("out/credentials")).unwrap();
    for file in folder.map(|file| file.unwrap().path()) {
        let text = fs::read_to_string(&file).unwrap();
        let is_sketch = file.to_str().unwrap().contains("sketch");
        assert!(!is_sketch || !text.contains("SECRET"), "{text}");
    }
    let app = sketch(&site, &gateway);
    let tokens = app.tokens_of("foo", "images").await;
    let token = text(&tokens, "access_token");
    assert_eq!(post(&gateway, IMAGES, token).await.status, 200);
}

/// The files below a folder in which these bytes stand.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if kind.is_file() {
            let content = fs::read(&path).unwrap_or_default();
            if content.windows(bytes.len()).any(|part| part == bytes) {
                found.push(path);
            }
        }
    }
    found
}

/// AF-18, AF-19, AF-20, AF-38, AF-52, AF-54: each scope opens its endpoints and
/// no other.
#[tokio::test]
async fn a_scope_opens_what_it_names_and_nothing_else() {
    let (upstream, site, gateway) = running().await;
    let app = playground(&site, &gateway);
    for scope in ["profile", "chat", "images"] {
        let tokens = app.tokens_of("foo", scope).await;
        let token = text(&tokens, "access_token");
        for (path, needed) in CHAT
            .map(|path| (path, "chat"))
            .into_iter()
            .chain([(IMAGES, "images")])
        {
            let answer = post(&gateway, path, token).await;
            if scope == needed {
                assert_eq!(answer.status, 200, "{scope} {path}");
            } else {
                let refusal = refused(&answer);
                assert_eq!(
                    refusal,
                    (403, "insufficient-scope".into()),
                    "{scope} {path}"
                );
                let challenge = answer.header("www-authenticate").unwrap();
                assert!(challenge.contains(&format!("scope=\"{needed}\"")));
            }
        }
        let who = gateway.answer(Call::get(USERINFO).bearer(token)).await;
        let expected = if scope == "profile" { 200 } else { 403 };
        assert_eq!(who.status, expected, "{scope}");
    }
    let lines = upstream.requests();
    let lines: Vec<_> = lines.iter().map(Recorded::line).collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    let without = gateway.answer(Call::get(USERINFO)).await;
    assert_eq!(refused(&without), (401, "missing-token".into()));
}

/// AF-52, AF-53: everything else is for API keys alone.
#[tokio::test]
async fn other_endpoints_take_api_keys_and_no_access_token() {
    let (upstream, site, gateway) = running().await;
    let app = playground(&site, &gateway);
    let tokens = app.tokens_of("foo", "profile chat images").await;
    let (token, key) = (text(&tokens, "access_token"), site.api_key("foo"));
    assert!(key.starts_with("airf_key_"));
    let elsewhere = [
        "/v1/audio/speech",
        "/v1/videos",
        "/v1/chat/completions/7",
        "/v1/images/edits",
        "/v1/models",
    ];
    for path in elsewhere {
        let answer = post(&gateway, path, token).await;
        let refusal = refused(&answer);
        assert_eq!(refusal, (403, "credential-not-allowed".into()), "{path}");
        // A challenge would say that another token helps.
        assert_eq!(answer.header("www-authenticate"), None);
        assert!(text(&answer.json(), "detail").contains("API keys alone"));
    }
    assert!(upstream.requests().is_empty());
    assert_eq!(
        gateway
            .metric("flightgate_refused_total{reason=\"credential\"}")
            .await,
        u64::try_from(elsewhere.len()).unwrap()
    );
    for path in elsewhere.iter().chain(&CHAT).chain([&IMAGES]) {
        assert_eq!(post(&gateway, path, &key).await.status, 200, "{path}");
    }
    let read = gateway.answer(Call::get("/v1/models").bearer(&key)).await;
    assert_eq!(read.status, 200);
    let read = gateway.answer(Call::get(CHAT[0]).bearer(&key)).await;
    assert_eq!(refused(&read), (405, "method-not-allowed".into()));
    let nobody = gateway.answer(Call::get("/v1/models")).await;
    assert_eq!(refused(&nobody), (401, "missing-token".into()));
}

/// AF-21, AF-22: scopes that nobody gets yet.
#[tokio::test]
async fn reserved_scopes_are_nobodys() {
    let (_upstream, site, gateway) = running().await;
    let marks = |name: &str| {
        let scopes = site.config["scopes"].as_array().unwrap().iter();
        let scope = scopes.into_iter().find(|scope| scope["name"] == name);
        scope.cloned().unwrap()
    };
    assert_eq!(marks("keys:read")["reserved"], true);
    assert_eq!(marks("keys:write")["reserved"], true);
    assert_eq!(marks("keys:write")["sensitive"], true);
    let metadata = Call::get("/.well-known/oauth-authorization-server");
    let metadata = gateway.answer(metadata).await.json();
    assert_eq!(
        metadata["scopes_supported"],
        json!(["profile", "chat", "images"])
    );
    let app = playground(&site, &gateway);
    for scope in ["keys:read", "chat keys:write", "keys:delete"] {
        let page = Browser::new(&gateway)
            .open(&app.request(&[("scope", scope)]))
            .await;
        assert_eq!(page.parameters()["error"], "invalid_scope", "{scope}");
    }
}

/// AF-22: once it is given, whoever is asked for it sees what it is.
#[tokio::test]
async fn a_sensitive_scope_is_marked_where_the_user_decides() {
    let (_upstream, site, gateway) = running_with(|config| {
        let scopes = config["scopes"].as_array_mut().unwrap().iter_mut();
        for scope in scopes.filter(|scope| scope["name"] == "images") {
            scope["sensitive"] = json!(true);
        }
    })
    .await;
    let app = playground(&site, &gateway);
    let page = Browser::new(&gateway)
        .open_as(&app.request(&[]), "foo")
        .await;
    let html = page.answer.text();
    let (before, after) = html.split_once("<code>images</code>").unwrap();
    assert!(!before.contains("Sensitive"), "{before}");
    assert_eq!(after.matches("Sensitive").count(), 1, "{after}");
}

/// AF-24, AF-25, AF-44, AF-45.
#[tokio::test]
async fn pkce_is_s256_alone_and_no_application_goes_without() {
    let (_upstream, site, gateway) = running().await;
    for app in [playground(&site, &gateway), sketch(&site, &gateway)] {
        let padded = format!("{}=", challenge(VERIFIER));
        let standard = challenge(VERIFIER).replace(['-', '_'], "+");
        assert_ne!(standard, challenge(VERIFIER));
        for more in [
            &[("code_challenge", ""), ("code_challenge_method", "")][..],
            &[("code_challenge_method", "plain")],
            &[("code_challenge_method", "")],
            &[("code_challenge_method", "s256")],
            &[
                ("code_challenge", VERIFIER),
                ("code_challenge_method", "plain"),
            ],
            &[("code_challenge", &padded)],
            &[("code_challenge", &standard)],
            &[("code_challenge", "short")],
        ] {
            let page = Browser::new(&gateway).open(&app.request(more)).await;
            let parameters = page.parameters();
            assert_eq!(parameters["error"], "invalid_request", "{more:?}");
            assert_eq!(parameters["state"], STATE);
        }
        let wrong = "x".repeat(43);
        for verifier in ["", wrong.as_str(), &challenge(VERIFIER)] {
            let code = app.code_of("foo", "profile").await;
            let answer = app.exchange(&code, &[("code_verifier", verifier)]).await;
            assert_eq!(answer.oauth_error(), "invalid_grant", "{verifier}");
        }
        for (length, fits) in [(42, false), (43, true), (128, true), (129, false)] {
            let verifier: String = "aZ0-._~".chars().cycle().take(length).collect();
            let browser = Browser::new(&gateway);
            let challenge = challenge(&verifier);
            let request = app.request(&[("code_challenge", &challenge), ("scope", "profile")]);
            let page = browser.open_as(&request, "foo").await;
            let code = app.code(&browser, page).await;
            let answer = app.exchange(&code, &[("code_verifier", &verifier)]).await;
            assert_eq!(answer.status, if fits { 200 } else { 400 }, "{length}");
        }
    }
}

/// AF-12, AF-46, AF-47, AF-48: nobody is sent to an address that is not one of
/// the application's, character by character.
#[tokio::test]
async fn a_redirect_uri_is_one_of_the_registered_ones_exactly() {
    let (_upstream, site, gateway) = running().await;
    let app = playground(&site, &gateway);
    for uri in [
        "https://playground.example/oauth/callback/",
        "https://playground.example/oauth/callback/more",
        "https://playground.example/oauth/callback?x=1",
        "https://playground.example/oauth",
        "https://PLAYGROUND.example/oauth/callback",
        "https://playground.example:443/oauth/callback",
        "https://dev.playground.example/oauth/callback",
        "http://playground.example/oauth/callback",
        "http://localhost:3001/oauth/callback",
        "https://playground.example.evil.example/oauth/callback",
        "https://*.playground.example/oauth/callback",
        // Of several, none is meant when none is named.
        "",
    ] {
        let page = Browser::new(&gateway)
            .open(&app.request(&[("redirect_uri", uri)]))
            .await;
        assert_eq!((page.answer.status, page.left_for), (400, None), "{uri}");
    }
    for uri in [
        CALLBACK,
        "https://staging.playground.example/oauth/callback",
        "http://localhost:3000/oauth/callback",
    ] {
        let page = Browser::new(&gateway)
            .open(&app.request(&[("redirect_uri", uri), ("prompt", "none")]))
            .await;
        let left_for = page.left_for.as_ref().unwrap().as_str();
        assert!(left_for.starts_with(uri), "{left_for}");
    }
    let code = app.code_of("foo", "chat").await;
    let other = "https://staging.playground.example/oauth/callback";
    for uri in [other, ""] {
        let answer = app.exchange(&code, &[("redirect_uri", uri)]).await;
        assert_eq!(answer.oauth_error(), "invalid_grant", "{uri}");
    }
}

/// AF-30: a minute in the example, a second here.
#[tokio::test]
async fn a_code_does_not_live_long() {
    let (_upstream, site, gateway) = running_with(|config| {
        let profile = &mut config["profiles"]["default"];
        assert_eq!(profile["codeTtl"], "1m");
        profile["codeTtl"] = json!("1s");
    })
    .await;
    let app = playground(&site, &gateway);
    let code = app.code_of("foo", "chat").await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let answer = app.exchange(&code, &[]).await;
    assert_eq!(
        (answer.status, &*answer.oauth_error()),
        (400, "invalid_grant")
    );
}

/// AF-39, AF-40: each field is there when it is known, and not otherwise.
#[tokio::test]
async fn userinfo_tells_what_is_known_and_verified() {
    let (_upstream, site, gateway) = running().await;
    let linked = [
        ["--plan", "pro", "--admin"].as_slice(),
        &["--email", "bar@example.org", "--verified"],
        &["--github-email", "bar@code.example"],
        &["--discord-username", "bar#1234"],
    ]
    .concat();
    add_user(&site, "bar", &linked).await;
    add_user(&site, "baz", &["--email", "baz@example.org"]).await;
    let app = playground(&site, &gateway);
    let who = async |user: &str| {
        let tokens = app.tokens_of(user, "profile chat").await;
        let call = Call::get(USERINFO).bearer(text(&tokens, "access_token"));
        let answer = gateway.answer(call).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer.json()
    };
    let foo = who("foo").await;
    let id = text(&foo, "id").to_owned();
    let dashes: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!(dashes, [8, 4, 4, 4, 12], "a UUID: {id}");
    assert_eq!(
        foo,
        json!({
            "sub": "user:foo", "id": id, "username": "foo", "plan": "free",
            "is_admin": false, "email_verified": false,
        })
    );
    let bar = who("bar").await;
    assert_eq!(
        bar,
        json!({
            "sub": bar["id"], "id": bar["id"], "username": "bar", "plan": "pro",
            "is_admin": true, "email": "bar@example.org", "email_verified": true,
            "github_email": "bar@code.example", "discord_username": "bar#1234",
        })
    );
    // Written down, and not verified. Without a plan: the one for everybody.
    let baz = who("baz").await;
    assert_eq!(
        baz,
        json!({
            "sub": baz["id"], "id": baz["id"], "username": "baz", "plan": "default",
            "is_admin": false, "email_verified": false,
        })
    );
}

/// AF-41, AF-42, AF-43: whoever has a token ends it, and learns nothing.
#[tokio::test]
async fn a_revocation_needs_no_client_and_always_answers_the_same() {
    let (_upstream, site, gateway) = running().await;
    let app = playground(&site, &gateway);
    let tokens = app.tokens_of("foo", "chat").await;
    let other = app.tokens_of("foo", "chat").await;
    let token = text(&tokens, "access_token");
    assert_eq!(post(&gateway, CHAT[0], token).await.status, 200);
    let key = site.api_key("foo");
    let unknown = crate::oauth::made_up("airf_oat_");
    let mut bodies = Vec::new();
    for token in [token, token, &unknown, "airf_oat_x", "junk", &key] {
        let answer = revoke(&gateway, token).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    let answer = post(&gateway, CHAT[0], token).await;
    assert_eq!(refused(&answer), (401, "invalid-token".into()));
    let live = text(&other, "access_token");
    assert_eq!(post(&gateway, CHAT[0], live).await.status, 200);
    assert_eq!(post(&gateway, CHAT[0], &key).await.status, 200);
    let nothing = gateway.answer(Call::form("/oauth/revoke", &[])).await;
    assert_eq!(
        (nothing.status, &*nothing.oauth_error()),
        (400, "invalid_request")
    );
}

/// AF-49: a token that is over is had anew by the same link, without a question
/// that was answered before.
#[tokio::test]
async fn an_expired_token_is_had_anew_by_the_same_link() {
    let (_upstream, site, gateway) = running_with(|config| {
        config["profiles"]["default"]["accessTtl"] = json!("2s");
    })
    .await;
    let app = playground(&site, &gateway);
    let browser = Browser::new(&gateway);
    let request = app.request(&[("scope", "chat")]);
    let page = browser.open_as(&request, "foo").await;
    let code = app.code(&browser, page).await;
    let tokens = app.exchange(&code, &[]).await.json();
    let token = text(&tokens, "access_token");
    eventually("the token expires", async || {
        post(&gateway, CHAT[0], token).await.status == 401
    })
    .await;
    let page = browser.open(&request).await;
    let code = page.parameters().remove("code").unwrap();
    let tokens = app.exchange(&code, &[]).await.json();
    assert_ne!(text(&tokens, "access_token"), token);
}

/// AF-50, AF-51: in the account, at any time.
#[tokio::test]
async fn a_user_disconnects_an_application_and_its_tokens_are_dead() {
    let (_upstream, site, gateway) = running().await;
    let (app, other) = (playground(&site, &gateway), sketch(&site, &gateway));
    let browser = Browser::new(&gateway);
    let page = browser.open_as(&app.request(&[]), "foo").await;
    let code = app.code(&browser, page).await;
    let tokens = app.exchange(&code, &[]).await.json();
    let token = text(&tokens, "access_token");
    let kept = other.tokens_of("foo", "images").await;
    assert_eq!(post(&gateway, IMAGES, token).await.status, 200);

    let page = browser.open("/account").await;
    assert!(page.has("Prompt Playground") && page.has("Sketch"));
    let form = page.form("client").with("client", &app.id);
    let page = browser.send(&form).await;
    assert!(page.has("is disconnected"), "{page:?}");
    let answer = post(&gateway, IMAGES, token).await;
    assert_eq!(refused(&answer), (401, "invalid-token".into()));
    let answer = gateway.answer(Call::get(USERINFO).bearer(token)).await;
    assert_eq!(refused(&answer), (401, "invalid-token".into()));
    let kept = text(&kept, "access_token");
    assert_eq!(post(&gateway, IMAGES, kept).await.status, 200);
    // And the user is asked again.
    let page = browser.open(&app.request(&[])).await;
    assert_eq!(page.form("scope").values("scope").len(), 3);
}
