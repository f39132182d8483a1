//! What an application is told at its redirect URI (RFC 6749 section 4.1.2.1).

use super::{is_page, place};
use crate::{
    authorization::request,
    client::Call,
    grants::{CALLBACK, VERIFIER},
};

/// RFC 6749 section 4.1.2.1, RFC 7636 section 4.4.1, OpenID Connect Core
/// section 3.1.2.6, RFC 9207.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
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
