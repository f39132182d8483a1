//! The token endpoint (RFC 6749 section 5.2).

use super::{is_refused, place};
use crate::{
    authorization::{ask, exchange, request},
    client::Call,
    grants::{
        CALLBACK, Pair, VERIFIER, annas, code, code_call, code_for, device_begins, device_call,
        device_codes, refresh_call,
    },
    harness::{Credentials, eventually},
    oauth::{FLIGHTS, TOKEN, made_up, token_call},
};

/// RFC 6749 section 5.2.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
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
        let code = Box::pin(code(&browser, brief)).await;
        let answer = Box::pin(exchange(gateway, brief, &code)).await;
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
