//! Every error of the OAuth endpoints, provoked: status, body and headers.

use serde_json::json;

use crate::{
    authorization::{allow, ask, exchange, request},
    browser::add_user,
    client::{Answer, Call},
    gateway::Gateway,
    grants::{
        AUTHORIZE, CALLBACK, DEVICE_AUTHORIZATION, Pair, VERIFIER, annas, application, code,
        code_call, code_for, decide, device_begins, device_call, device_codes, pair, refresh_call,
    },
    harness::{Credentials, Site, eventually},
    oauth::{FLIGHTS, INTROSPECT, REVOKE, TOKEN, made_up, token_about, token_call},
    upstream::Upstream,
};

const USERINFO: &str = "/api/oauth/userinfo";
const TWO: &str = "  redirectUris: [\"https://a.example/cb\", \"https://b.example/cb\"]\n";
const NATIVE: &str = "  clientType: public\n  redirectUris: [\"http://127.0.0.1/cb\"]\n";

/// A gateway, and applications of every kind.
struct Place {
    _upstream: Upstream,
    site: Site,
    gateway: Gateway,
    /// With consent; PKCE is required.
    web: Credentials,
    /// PKCE is optional.
    lax: Credentials,
    /// As itself alone.
    machine: Credentials,
    /// By passkeys alone.
    pass: Credentials,
    /// On a device without a keyboard.
    tv: Credentials,
    /// Without a secret.
    native: Credentials,
    /// Everything that it gets lives for a second.
    brief: Credentials,
}

async fn place() -> Place {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        for scope in [
            json!({"name": "profile", "title": "See who you are", "claims": ["username"]}),
            json!({"name": "everything", "title": "Rule", "adminOnly": true}),
            json!({"name": "someday", "title": "Nothing yet", "reserved": true}),
        ] {
            site.config["scopes"].as_array_mut().unwrap().push(scope);
        }
        let profiles = &mut site.config["profiles"];
        profiles["lax"] = json!({"pkce": "optional", "invalidGrantStatus": 401});
        profiles["brief"] = json!({
            "accessTtl": "1s", "codeTtl": "1s", "deviceCodeTtl": "1s",
            "refresh": {"rotation": "singleUse", "ttl": "1s"},
        });
        let web = "authorization_code, refresh_token";
        let scopes = |scopes: &str| format!("  scopes: [{scopes}]\n");
        for (name, grants, more) in [
            ("web", web, String::new()),
            ("lax", web, "  profile: lax\n".to_owned()),
            ("pass", "passkey", String::new()),
            ("tv", "device_code, refresh_token", String::new()),
            (
                "brief",
                "authorization_code, refresh_token, device_code",
                "  profile: brief\n".to_owned(),
            ),
            ("two", web, TWO.to_owned()),
            ("native", web, NATIVE.to_owned()),
            ("ruler", web, scopes("everything")),
            ("knower", web, scopes("\"flights:read\", profile")),
        ] {
            site.manifest(name, &application(name, grants, &more));
        }
    })
    .await;
    add_user(&site, "anna", &["--subject", "pilot:anna"]).await;
    let of = |name: &str| site.credentials(name);
    let native = Credentials {
        id: site.client_id("native"),
        secret: String::new(),
        previous: None,
    };
    Place {
        web: of("web"),
        lax: of("lax"),
        machine: of("acme"),
        pass: of("pass"),
        tv: of("tv"),
        brief: of("brief"),
        native,
        _upstream: upstream,
        site,
        gateway,
    }
}

impl Place {
    /// The client is told of this error, at its own address and with all that
    /// belongs to it.
    fn is_told(&self, what: &str, answer: &Answer, to: &str, error: &str, state: Option<&str>) {
        assert_eq!(answer.status, 303, "{what}: {answer:?}");
        let location = answer.header("location").unwrap();
        assert!(
            location.starts_with(&format!("{to}?")),
            "{what}: {location}"
        );
        let url = url::Url::parse(location).unwrap();
        let all = |name: &str| {
            let pairs = url.query_pairs().filter(|(known, _)| known == name);
            pairs
                .map(|(_, value)| value.into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(all("error"), [error], "{what}: {location}");
        assert_eq!(all("iss"), [self.gateway.origin()], "{what}");
        assert_eq!(all("state"), Vec::from_iter(state), "{what}: {location}");
        assert_eq!(all("code"), [""; 0], "{what}");
        let [description] = &all("error_description")[..] else {
            panic!("{what}: {location}")
        };
        is_plain(what, description);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert!(answer.body.is_empty(), "{what}");
    }
}

/// The characters that a description may have (RFC 6749 sections 4.1.2.1, 5.2).
fn is_plain(what: &str, description: &str) {
    let may = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E);
    assert!(!description.is_empty(), "{what}");
    assert!(description.bytes().all(may), "{what}: {description}");
}

/// Nobody is sent anywhere, and the page neither links nor names the stranger.
fn is_page(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 400, "{what}: {answer:?}");
    assert_eq!(answer.header("location"), None, "{what}");
    assert_eq!(answer.header("refresh"), None, "{what}");
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{what}");
    assert!(!answer.text().contains("evil"), "{what}");
}

/// What a token endpoint answers.
fn is_refused(what: &str, answer: &Answer, status: u16, error: &str) {
    let found = (answer.status, &*answer.oauth_error());
    assert_eq!(found, (status, error), "{what}: {answer:?}");
    assert_eq!(answer.header("pragma"), Some("no-cache"), "{what}");
    let body = answer.json();
    is_plain(what, body["error_description"].as_str().unwrap());
    let names: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["error", "error_description"], "{what}");
    // RFC 9110 section 15.5.2; RFC 6749 section 5.2.
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    let expected = if status == 401 { "Basic realm=" } else { "" };
    assert!(challenge.starts_with(expected), "{what}: {challenge}");
    assert_eq!(challenge.is_empty(), status != 401, "{what}: {challenge}");
}

/// RFC 6749 section 4.1.2.1, RFC 7636 section 4.4.1, OpenID Connect Core
/// section 3.1.2.6, RFC 9207.
#[tokio::test]
async fn an_authorization_error_goes_to_the_client_with_state_and_iss() {
    let place = place().await;
    let web = &place.web;
    let state = Some("a&b c");
    for (what, client, more, error) in [
        (
            "no response type",
            web,
            &[("response_type", "")][..],
            "invalid_request",
        ),
        (
            "implicit",
            web,
            &[("response_type", "token")],
            "unsupported_response_type",
        ),
        (
            "hybrid",
            web,
            &[("response_type", "code token")],
            "unsupported_response_type",
        ),
        (
            "another case",
            web,
            &[("response_type", "CODE")],
            "unsupported_response_type",
        ),
        (
            "fragment",
            web,
            &[("response_mode", "fragment")],
            "invalid_request",
        ),
        (
            "form_post",
            web,
            &[("response_mode", "form_post")],
            "invalid_request",
        ),
        (
            "reserved scope",
            web,
            &[("scope", "flights:read someday")],
            "invalid_scope",
        ),
        (
            "unknown scope",
            web,
            &[("scope", "flights:read nonsense")],
            "invalid_scope",
        ),
        ("empty scope", web, &[("scope", " ")], "invalid_scope"),
        (
            "too wide",
            web,
            &[("scope", "flights:read flights:delete")],
            "invalid_scope",
        ),
        (
            "no challenge",
            web,
            &[("code_challenge", ""), ("code_challenge_method", "")],
            "invalid_request",
        ),
        (
            "method alone",
            web,
            &[("code_challenge", "")],
            "invalid_request",
        ),
        (
            "no method",
            web,
            &[("code_challenge_method", "")],
            "invalid_request",
        ),
        (
            "plain",
            web,
            &[
                ("code_challenge", VERIFIER),
                ("code_challenge_method", "plain"),
            ],
            "invalid_request",
        ),
        (
            "s256",
            web,
            &[("code_challenge_method", "s256")],
            "invalid_request",
        ),
        (
            "plain, though optional",
            &place.lax,
            &[("code_challenge_method", "plain")],
            "invalid_request",
        ),
        (
            "short challenge",
            web,
            &[("code_challenge", &"a".repeat(42))],
            "invalid_request",
        ),
        (
            "long challenge",
            web,
            &[("code_challenge", &"a".repeat(44))],
            "invalid_request",
        ),
        (
            "padded challenge",
            web,
            &[("code_challenge", &format!("{}=", "a".repeat(43)))],
            "invalid_request",
        ),
        (
            "challenge of base64",
            web,
            &[("code_challenge", &"+".repeat(43))],
            "invalid_request",
        ),
        (
            "nobody is signed in",
            web,
            &[("prompt", "none")],
            "login_required",
        ),
        (
            "none and login",
            web,
            &[("prompt", "none login")],
            "invalid_request",
        ),
        (
            "a strange prompt",
            web,
            &[("prompt", "dance")],
            "invalid_request",
        ),
        (
            "max_age in words",
            web,
            &[("max_age", "soon")],
            "invalid_request",
        ),
        (
            "max_age below zero",
            web,
            &[("max_age", "-1")],
            "invalid_request",
        ),
        (
            "max_age beyond all",
            web,
            &[("max_age", "99999999999999999999")],
            "invalid_request",
        ),
        (
            "request object",
            web,
            &[("request", "e30.e30.")],
            "request_not_supported",
        ),
        (
            "request by reference",
            web,
            &[("request_uri", "https://evil.example/r")],
            "request_uri_not_supported",
        ),
        (
            "registration",
            web,
            &[("registration", "{}")],
            "registration_not_supported",
        ),
        (
            "the grant of another",
            &place.pass,
            &[],
            "unauthorized_client",
        ),
    ] {
        let answer = place
            .gateway
            .answer(Call::get(&request(client, more)))
            .await;
        place.is_told(what, &answer, CALLBACK, error, state);
        // A form that was sent there says the same, whatever it holds.
        let form = Call::form(&request(client, more), &[("decision", "allow")]);
        let answer = place.gateway.answer(form).await;
        place.is_told(what, &answer, CALLBACK, error, state);
    }
    let native = [
        ("redirect_uri", "http://127.0.0.1:4711/cb"),
        ("code_challenge", ""),
        ("code_challenge_method", ""),
    ];
    let answer = request(&place.native, &native);
    let answer = place.gateway.answer(Call::get(&answer)).await;
    place.is_told(
        "public without PKCE",
        &answer,
        native[0].1,
        "invalid_request",
        state,
    );
}

/// RFC 6749 section 3.1: of what is repeated, nothing is taken.
#[tokio::test]
async fn a_repeated_parameter_is_told_where_that_is_safe() {
    let place = place().await;
    let path = request(&place.web, &[]);
    let stranger = form_urlencoded::byte_serialize(b"https://evil.example/cb").collect::<String>();
    let known = form_urlencoded::byte_serialize(CALLBACK.as_bytes()).collect::<String>();
    for (more, state) in [
        ("scope=a&scope=b", Some("a&b c")),
        ("response_type=code", Some("a&b c")),
        ("x=1&x=1", Some("a&b c")),
        ("code_challenge=x", Some("a&b c")),
        ("state=other", None),
        ("state=a%26b+c", None),
    ] {
        let answer = place
            .gateway
            .answer(Call::get(&format!("{path}&{more}")))
            .await;
        place.is_told(more, &answer, CALLBACK, "invalid_request", state);
    }
    for more in [
        format!("redirect_uri={stranger}"),
        format!("redirect_uri={known}"),
        "redirect_uri=".to_owned(),
        format!("client_id={}", place.web.id),
        format!("x=1&x=2&redirect_uri={stranger}"),
    ] {
        for path in [
            format!("{path}&{more}"),
            path.replacen('?', &format!("?{more}&"), 1),
        ] {
            let answer = place.gateway.answer(Call::get(&path)).await;
            is_page(&path, &answer);
        }
    }
}

/// RFC 6749 section 4.1.2.1, RFC 9700 section 4.1: who is not known is sent
/// nowhere, signed in or not.
#[tokio::test]
async fn an_unknown_client_or_redirect_uri_never_redirects() {
    let place = place().await;
    let browser = annas(&place.gateway).await;
    let two = place.site.credentials("two");
    let long = "s".repeat(4_097);
    let mut paths = vec![
        AUTHORIZE.to_owned(),
        request(&place.web, &[("client_id", "")]),
        request(&place.web, &[("client_id", "wf_app_nobody")]),
        request(&place.web, &[("client_id", &place.web.id.to_uppercase())]),
        request(&place.web, &[("state", &long)]),
        request(&place.web, &[("state", "a\0b")]),
        request(&place.web, &[("scope", "flights:read\0")]),
        format!("{}&x=%ff%fe", request(&place.web, &[])),
        format!("{}&state=%c3%28", request(&place.web, &[("state", "")])),
        // It has none, and cannot be sent anywhere.
        request(&place.machine, &[]),
        request(&place.machine, &[("redirect_uri", "")]),
        // Which one?
        request(&two, &[("redirect_uri", "")]),
    ];
    for uri in [
        "https://evil.example/cb",
        "https://logbook.example.evil.example/cb",
        "https://logbook.example@evil.example/cb",
        "https://evil.example/?https://logbook.example/cb",
        "https://logbook.example/cb/",
        "https://logbook.example/cb?evil=1",
        "https://logbook.example/cb#evil",
        "https://logbook.example/cb/../evil",
        "https://logbook.example/CB",
        "https://logbook.example:443/cb",
        "https://logbook.example./cb",
        "https://LOGBOOK.example/cb",
        "http://logbook.example/cb",
        "//logbook.example/cb",
        "/cb",
        "https://logbook.example/c%62",
        " https://logbook.example/cb",
        "https://logbook.example/cb\r\nSet-Cookie: evil=1",
        "javascript:alert('evil')",
        "data:text/html,evil",
    ] {
        paths.push(request(&place.web, &[("redirect_uri", uri)]));
    }
    for uri in [
        "http://127.0.0.1:1@evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.1:99999/cb",
        "http://localhost:4711/cb",
        "http://127.0.0.1:4711/cb/evil",
        "https://127.0.0.1:4711/cb",
    ] {
        paths.push(request(&place.native, &[("redirect_uri", uri)]));
    }
    for path in paths {
        is_page(&path, &place.gateway.answer(Call::get(&path)).await);
        let page = browser.open(&path).await;
        is_page(&path, &page.answer);
        let form = Call::form(&path, &[("decision", "allow")]);
        is_page(&path, &place.gateway.answer(browser.prepare(form)).await);
    }
}

/// What the user, or what they may do, decides.
#[tokio::test]
async fn consent_that_is_not_given_is_told() {
    let place = place().await;
    let browser = annas(&place.gateway).await;
    let state = Some("a&b c");
    let none = [("prompt", "none")];
    let told = browser.open(&request(&place.web, &none)).await.answer;
    place.is_told("not asked yet", &told, CALLBACK, "consent_required", state);

    let page = browser.open(&request(&place.web, &[])).await;
    let form = page.form("scope");
    for (decision, what) in [("deny", "denied"), ("", "neither"), ("ALLOW", "shouted")] {
        let told = browser.send(&form.clone().with("decision", decision)).await;
        place.is_told(what, &told.answer, CALLBACK, "access_denied", state);
    }
    // Nothing ticked is asked again, and granted is nothing.
    let nothing = form.without("scope", "flights:read");
    let nothing = nothing.without("scope", "flights:write");
    let page = browser.send(&nothing.with("decision", "allow")).await;
    assert!(page.left_for.is_none() && page.has("Acme web"), "{page:?}");
    let told = browser.open(&request(&place.web, &none)).await.answer;
    place.is_told("still not", &told, CALLBACK, "consent_required", state);

    let ruler = place.site.credentials("ruler");
    let told = browser.open(&request(&ruler, &[])).await.answer;
    place.is_told("no right to give", &told, CALLBACK, "access_denied", state);

    allow(&browser, &browser.open(&request(&place.web, &[])).await).await;
    let granted = browser.open(&request(&place.web, &none)).await;
    assert!(granted.parameters().contains_key("code"), "{granted:?}");
    // An old sign-in is none.
    let told = [("prompt", "none"), ("max_age", "0")];
    eventually("the sign-in is a second old", async || {
        let page = browser.open(&request(&place.web, &told)).await;
        let old = page.parameters().contains_key("error");
        if old {
            place.is_told("old", &page.answer, CALLBACK, "login_required", state);
        }
        old
    })
    .await;
}

/// Whoever wants to see the user sign in again gets that, and the request
/// goes on afterwards.
#[tokio::test]
async fn a_user_who_is_signed_in_can_sign_in_again() {
    let place = place().await;
    let browser = annas(&place.gateway).await;
    let page = browser
        .open_as(&request(&place.web, &[("prompt", "login")]), "anna")
        .await;
    assert!(page.has("Acme web"), "{page:?}");
    let back = allow(&browser, &page).await;
    exchange(&place.gateway, &place.web, &back.parameters()["code"])
        .await
        .json();
}

/// RFC 6749 section 5.2.
#[tokio::test]
async fn a_token_request_is_refused_by_the_book() {
    let place = place().await;
    let (web, machine) = (&place.web, &place.machine);
    let post = |form: &[(&str, &str)]| Call::form(TOKEN, form);
    let grant = ("grant_type", "client_credentials");
    let unknown_code = made_up("fg_code_");
    let for_code = |client: &Credentials| code_call(client, &unknown_code);
    let native = ("client_id", &*place.native.id);
    for (what, call, status, error) in [
        ("nobody", post(&[grant]), 401, "invalid_client"),
        (
            "an id alone",
            post(&[grant, ("client_id", &web.id)]),
            401,
            "invalid_client",
        ),
        (
            "an unknown id alone",
            post(&[grant, ("client_id", "wf_app_x")]),
            401,
            "invalid_client",
        ),
        (
            "wrong, Basic",
            post(&[grant]).basic(&web.id, "wrong"),
            401,
            "invalid_client",
        ),
        (
            "unknown, Basic",
            post(&[grant]).basic("wf_app_x", &web.secret),
            401,
            "invalid_client",
        ),
        (
            "another's secret",
            post(&[grant]).basic(&web.id, &machine.secret),
            401,
            "invalid_client",
        ),
        (
            "wrong, body",
            post(&[grant, ("client_id", &web.id), ("client_secret", "wrong")]),
            401,
            "invalid_client",
        ),
        (
            "public with a secret",
            post(&[grant, native, ("client_secret", "x")]),
            401,
            "invalid_client",
        ),
        (
            "Bearer",
            post(&[grant]).bearer(&web.secret),
            401,
            "invalid_client",
        ),
        (
            "broken Basic",
            post(&[grant]).header("authorization", "Basic !"),
            401,
            "invalid_client",
        ),
        (
            "twice",
            post(&[grant, ("client_secret", "x")]).basic(&web.id, &web.secret),
            400,
            "invalid_request",
        ),
        (
            "two ids",
            post(&[grant, ("client_id", "x")]).basic(&web.id, &web.secret),
            400,
            "invalid_request",
        ),
        (
            "no grant",
            post(&[]).basic(&web.id, &web.secret),
            400,
            "invalid_request",
        ),
        (
            "two grants",
            post(&[grant, grant]).basic(&web.id, &web.secret),
            400,
            "invalid_request",
        ),
        (
            "no code",
            post(&[("grant_type", "authorization_code")]).basic(&web.id, &web.secret),
            400,
            "invalid_request",
        ),
        (
            "no refresh token",
            post(&[("grant_type", "refresh_token")]).basic(&web.id, &web.secret),
            400,
            "invalid_request",
        ),
        (
            "NUL",
            post(&[grant, ("scope", "a\0")]).basic(&web.id, &web.secret),
            400,
            "invalid_request",
        ),
        (
            "no form",
            Call::post(TOKEN)
                .header("content-type", "application/json")
                .body("{}")
                .basic(&web.id, &web.secret),
            400,
            "invalid_request",
        ),
        (
            "implicit",
            post(&[("grant_type", "implicit")]).basic(&web.id, &web.secret),
            400,
            "unsupported_grant_type",
        ),
        (
            "password",
            post(&[("grant_type", "password")]).basic(&web.id, &web.secret),
            400,
            "unsupported_grant_type",
        ),
        (
            "passkey",
            post(&[("grant_type", "passkey")]).basic(&web.id, &web.secret),
            400,
            "unsupported_grant_type",
        ),
        (
            "not its grant: itself",
            token_call(web, &[]),
            400,
            "unauthorized_client",
        ),
        (
            "not its grant: code",
            for_code(machine),
            400,
            "unauthorized_client",
        ),
        (
            "not its grant: refresh",
            refresh_call(machine, "x"),
            400,
            "unauthorized_client",
        ),
        (
            "not its grant: device",
            device_call(web, "x"),
            400,
            "unauthorized_client",
        ),
        (
            "public, as itself",
            post(&[grant, native]),
            400,
            "unauthorized_client",
        ),
        (
            "unknown scope",
            token_call(machine, &[("scope", "x")]),
            400,
            "invalid_scope",
        ),
        (
            "too wide",
            token_call(machine, &[("scope", "flights:delete")]),
            400,
            "invalid_scope",
        ),
        ("a broken code", code_call(web, "x"), 400, "invalid_grant"),
        ("an unknown code", for_code(web), 400, "invalid_grant"),
        (
            "an unknown refresh token",
            refresh_call(web, &made_up("wf_rt_")),
            400,
            "invalid_grant",
        ),
        (
            "a broken refresh token",
            refresh_call(web, "x"),
            400,
            "invalid_grant",
        ),
        (
            "an access token",
            refresh_call(web, &made_up("wf_at_")),
            400,
            "invalid_grant",
        ),
        (
            "an unknown device code",
            device_call(&place.tv, &made_up("fg_device_")),
            400,
            "invalid_grant",
        ),
        // WF-51, FCV-37: the status that the profile has for it.
        (
            "an unknown code, at 401",
            for_code(&place.lax),
            401,
            "invalid_grant",
        ),
    ] {
        is_refused(what, &place.gateway.answer(call).await, status, error);
    }
}

/// RFC 6749 section 4.1.3, RFC 7636 section 4.6, RFC 9700 section 4.8.2.
#[tokio::test]
async fn a_code_is_for_its_client_its_uri_and_its_verifier_alone() {
    let place = place().await;
    let (gateway, web) = (&place.gateway, &place.web);
    let browser = annas(gateway).await;
    let code = code(&browser, web).await;
    let full = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    // A parameter without a value counts as left out (RFC 6749 section 3.2).
    let with = |name: &str, value: &'static str| {
        full.map(|(known, old)| (known, if known == name { value } else { old }))
    };
    for (what, form) in [
        ("no verifier", with("code_verifier", "")),
        (
            "the challenge for a verifier",
            with(
                "code_verifier",
                "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            ),
        ),
        (
            "a wrong verifier",
            with(
                "code_verifier",
                "aBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            ),
        ),
        ("a short verifier", with("code_verifier", "short")),
        ("no redirect URI", with("redirect_uri", "")),
        (
            "another redirect URI",
            with("redirect_uri", "https://logbook.example/cb/"),
        ),
    ] {
        is_refused(what, &ask(gateway, web, &form).await, 400, "invalid_grant");
    }
    let another = ask(gateway, &place.brief, &full).await;
    is_refused("another client", &another, 400, "invalid_grant");
    // None of this was its use, and another's attempt is nobody's replay.
    Pair::of(&ask(gateway, web, &full).await);

    // Somebody took the challenge out, and the client does not know.
    let without = [("code_challenge", ""), ("code_challenge_method", "")];
    let code = code_for(&browser, &place.lax, &without).await;
    let answer = gateway.answer(code_call(&place.lax, &code)).await;
    is_refused(
        "a verifier without challenge",
        &answer,
        401,
        "invalid_grant",
    );
}

/// RFC 6749 section 6.
#[tokio::test]
async fn a_refresh_token_is_for_its_client_and_never_widens() {
    let place = place().await;
    let (gateway, web) = (&place.gateway, &place.web);
    let browser = annas(gateway).await;
    let page = browser.open(&request(web, &[])).await;
    let less = page.form("scope").without("scope", "flights:write");
    let back = browser.send(&less.with("decision", "allow")).await;
    let tokens = Pair::of(&exchange(gateway, web, &back.parameters()["code"]).await);
    let refresh = |scope| {
        let grant = ("grant_type", "refresh_token");
        [grant, ("refresh_token", &*tokens.refresh), ("scope", scope)]
    };
    for scope in [
        "flights:read flights:write",
        "flights:write",
        "nonsense",
        " ",
    ] {
        let answer = ask(gateway, web, &refresh(scope)).await;
        is_refused(scope, &answer, 400, "invalid_scope");
    }
    let answer = gateway
        .answer(refresh_call(&place.brief, &tokens.refresh))
        .await;
    is_refused("another client", &answer, 400, "invalid_grant");
    let answer = ask(gateway, web, &refresh("flights:read")).await;
    assert_eq!(answer.json()["scope"], "flights:read");
    let tokens = Pair::of(&answer);
    gateway.revoke(web, &tokens.refresh).await;
    let answer = gateway.answer(refresh_call(web, &tokens.refresh)).await;
    is_refused("revoked", &answer, 400, "invalid_grant");
}

/// What lives for a second is over after it, and not what it was after that.
#[tokio::test]
async fn what_has_expired_is_told_from_what_never_was() {
    let place = place().await;
    let (gateway, brief) = (&place.gateway, &place.brief);
    let browser = annas(gateway).await;
    let unused = code(&browser, brief).await;
    let (device, user) = device_codes(&gateway.answer(device_begins(brief)).await);
    // Exchanged at once, or too late: then again.
    let mut tokens = None;
    eventually("a code is exchanged in time", async || {
        let code = code(&browser, brief).await;
        let answer = exchange(gateway, brief, &code).await;
        tokens = (answer.status == 200).then(|| Pair::of(&answer));
        tokens.is_some()
    })
    .await;
    let tokens = tokens.unwrap();
    let listed = async || {
        gateway
            .answer(Call::get(FLIGHTS).bearer(&tokens.access))
            .await
    };
    eventually("all of it expires", async || listed().await.status != 200).await;
    let answer = listed().await;
    assert_eq!((answer.status, &*answer.problem()), (401, "invalid-token"));
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    let answer = exchange(gateway, brief, &unused).await;
    is_refused("an expired code", &answer, 400, "invalid_grant");
    let answer = gateway.answer(refresh_call(brief, &tokens.refresh)).await;
    is_refused("an expired refresh token", &answer, 400, "invalid_grant");
    let answer = gateway.answer(device_call(brief, &device)).await;
    is_refused("an expired device code", &answer, 400, "expired_token");
    let page = browser.open(&format!("/device?user_code={user}")).await;
    assert_eq!(page.answer.status, 400, "{page:?}");
}

/// RFC 8628 sections 3.1 and 3.5.
#[tokio::test]
async fn a_device_hears_what_it_must() {
    let place = place().await;
    let (gateway, tv) = (&place.gateway, &place.tv);
    let browser = annas(gateway).await;
    let begin = |form: &[(&str, &str)]| Call::form(DEVICE_AUTHORIZATION, form);
    for (what, call, status, error) in [
        ("nobody", begin(&[]), 401, "invalid_client"),
        (
            "wrong",
            begin(&[]).basic(&tv.id, "wrong"),
            401,
            "invalid_client",
        ),
        (
            "not its grant",
            device_begins(&place.web),
            400,
            "unauthorized_client",
        ),
        (
            "unknown scope",
            begin(&[("scope", "x")]).basic(&tv.id, &tv.secret),
            400,
            "invalid_scope",
        ),
        (
            "too wide",
            begin(&[("scope", "flights:delete")]).basic(&tv.id, &tv.secret),
            400,
            "invalid_scope",
        ),
        (
            "repeated",
            begin(&[("a", ""), ("a", "")]).basic(&tv.id, &tv.secret),
            400,
            "invalid_request",
        ),
    ] {
        is_refused(what, &gateway.answer(call).await, status, error);
    }
    let begun = gateway.answer(device_begins(tv)).await;
    assert_eq!(begun.header("cache-control"), Some("no-store"));
    assert_eq!(begun.json()["interval"], 5);
    let (device, user) = device_codes(&begun);
    let poll = async || gateway.answer(device_call(tv, &device)).await;
    is_refused("first", &poll().await, 400, "authorization_pending");
    for seconds in [10, 15, 20] {
        let answer = poll().await;
        is_refused("too fast", &answer, 400, "slow_down");
        let description = answer.json()["error_description"].to_string();
        assert!(
            description.contains(&format!("{seconds} seconds")),
            "{description}"
        );
    }
    let another = gateway.answer(device_call(&place.brief, &device)).await;
    is_refused("another client", &another, 400, "invalid_grant");
    let missing = ask(gateway, tv, &[("grant_type", crate::grants::DEVICE)]).await;
    is_refused("no code", &missing, 400, "invalid_request");
    decide(&browser, &user, "allow").await.unwrap();
    // Who asks too fast is not punished beyond the wait.
    let tokens = Pair::of(&poll().await);
    assert_eq!(gateway.list_status(&tokens.access).await, 200);
    // The user code is used up.
    let page = browser.open(&format!("/device?user_code={user}")).await;
    assert_eq!(page.answer.status, 400, "{page:?}");
    // Once.
    is_refused("again", &poll().await, 400, "invalid_grant");
    assert_eq!(gateway.list_status(&tokens.access).await, 401);

    let (device, user) = device_codes(&gateway.answer(device_begins(tv)).await);
    decide(&browser, &user, "deny").await.unwrap();
    for _ in 0..2 {
        let answer = gateway.answer(device_call(tv, &device)).await;
        is_refused("denied", &answer, 400, "access_denied");
    }
}

/// RFC 6750 section 3.1, at a route and at the gateway's own endpoint.
#[tokio::test]
async fn a_bearer_without_right_is_told_which_one_it_lacks() {
    let place = place().await;
    let gateway = &place.gateway;
    let browser = annas(gateway).await;
    let knower = place.site.credentials("knower");
    let told = code_for(&browser, &knower, &[("scope", "profile")]).await;
    let told = Pair::of(&exchange(gateway, &knower, &told).await).access;
    let reads = pair(gateway, &browser, &place.web).await.access;
    let answer = gateway.answer(Call::get(USERINFO).bearer(&told)).await;
    assert_eq!(answer.json()["username"], "anna", "{answer:?}");
    let unknown = made_up("wf_at_");
    for (path, good, lacking, scope) in [
        (FLIGHTS, &reads, &told, "flights:read"),
        (USERINFO, &told, &reads, "profile"),
    ] {
        let twice = Call::get(path).bearer(good).bearer(good);
        let by_query = Call::get(&format!("{path}?access_token={good}"));
        for (what, call, status, problem, challenge) in [
            (
                "missing",
                Call::get(path),
                401,
                "missing-token",
                String::new(),
            ),
            (
                "Basic",
                Call::get(path).basic("a", "b"),
                401,
                "missing-token",
                String::new(),
            ),
            (
                "in the query",
                by_query,
                401,
                "missing-token",
                String::new(),
            ),
            (
                "twice",
                twice,
                400,
                "bad-authorization",
                ", error=\"invalid_request\"".to_owned(),
            ),
            (
                "empty",
                Call::get(path).bearer(""),
                400,
                "bad-authorization",
                ", error=\"invalid_request\"".to_owned(),
            ),
            (
                "malformed",
                Call::get(path).bearer("a b"),
                400,
                "bad-authorization",
                ", error=\"invalid_request\"".to_owned(),
            ),
            (
                "unknown",
                Call::get(path).bearer(&unknown),
                401,
                "invalid-token",
                ", error=\"invalid_token\", error_description=\"unknown, expired or revoked\""
                    .to_owned(),
            ),
            (
                "insufficient",
                Call::get(path).bearer(lacking),
                403,
                "insufficient-scope",
                format!(", error=\"insufficient_scope\", scope=\"{scope}\""),
            ),
        ] {
            let answer = gateway.answer(call).await;
            let found = (answer.status, &*answer.problem());
            assert_eq!(found, (status, problem), "{what} at {path}: {answer:?}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
            assert_eq!(
                answer.header("www-authenticate"),
                Some(&*format!("Bearer realm=\"api\"{challenge}")),
                "{what} at {path}"
            );
            assert!(!answer.text().contains(&**good), "{what}");
        }
    }
}

/// RFC 7009 section 2.2.1, RFC 7662 section 2.3.
#[tokio::test]
async fn revocation_and_introspection_are_refused_by_the_book() {
    let place = place().await;
    let (gateway, web) = (&place.gateway, &place.web);
    let browser = annas(gateway).await;
    let tokens = pair(gateway, &browser, web).await;
    for path in [REVOKE, INTROSPECT] {
        let form = |form: &[(&str, &str)]| Call::form(path, form);
        let token = ("token", &*tokens.access);
        for (what, call, status, error) in [
            ("nobody", form(&[token]), 401, "invalid_client"),
            (
                "wrong",
                form(&[token]).basic(&web.id, "wrong"),
                401,
                "invalid_client",
            ),
            (
                "no token",
                form(&[]).basic(&web.id, &web.secret),
                400,
                "invalid_request",
            ),
            (
                "repeated",
                form(&[token, token]).basic(&web.id, &web.secret),
                400,
                "invalid_request",
            ),
        ] {
            is_refused(
                &format!("{what} at {path}"),
                &gateway.answer(call).await,
                status,
                error,
            );
        }
    }
    for token in [&tokens.access, &tokens.refresh] {
        let answer = gateway.answer(token_about(REVOKE, &place.lax, token)).await;
        is_refused("another's", &answer, 400, "unauthorized_client");
        let inactive = gateway.introspect(&place.lax, token).await;
        assert_eq!(inactive, json!({"active": false}));
        assert_eq!(gateway.introspect(web, token).await["active"], true);
    }
    let key = place.site.api_key("anna");
    let answer = gateway.answer(token_about(REVOKE, web, &key)).await;
    is_refused("an API key", &answer, 400, "unsupported_token_type");
    // A wrong hint is no error, and finds it all the same (section 2.1).
    for (token, hint) in [
        (&tokens.access, "refresh_token"),
        (&tokens.refresh, "nonsense"),
        (&tokens.refresh, "refresh_token"),
        (&made_up("wf_rt_"), "refresh_token"),
    ] {
        let form = [("token", &**token), ("token_type_hint", hint)];
        let call = Call::form(REVOKE, &form).basic(&web.id, &web.secret);
        assert_eq!(gateway.answer(call).await.status, 200, "{hint}");
        assert_eq!(gateway.list_status(&tokens.access).await, 401);
    }
    // With the grant went the consent.
    let asked = browser.open(&request(web, &[])).await;
    assert!(asked.has("Acme web"), "{asked:?}");
}
