//! By sending what no program would.

use super::{LOGBOOK, logbook_request, running, sign_in_from};
use crate::{
    authorization::request,
    client::{Call, Protocol},
    grants::{AUTHORIZE, DEVICE_AUTHORIZATION, annas, code},
    oauth::{INTROSPECT, REVOKE, TOKEN},
    raw::Raw,
};

/// Whatever is sent, the gateway answers, and never that it is to blame.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn hostile_parameters_are_refused_and_never_fail() {
    let (_upstream, site, gateway) = running().await;
    let (good, logbook) = (site.credentials("good"), site.credentials("log"));
    let anna = annas(&gateway).await;
    let scopes = "flights:read ".repeat(10_000);
    let many = "&p=".repeat(10_000);
    let long = "a".repeat(1 << 20);
    let odd = [
        "%00",
        "%ff%fe",
        "%c3%28",
        "%F0%9F%92%A9",
        "%E2%80%AE",
        "%",
        "%zz",
        "%0d%0aX:1",
        "%27%22%3E%3Cscript%3E",
        "../../etc/passwd",
        "%25%30%30",
        "18446744073709551616",
        "-1",
        "%00%00%00",
    ];
    let mut bodies = vec![
        many.clone(),
        long.clone(),
        format!("scope={scopes}"),
        String::new(),
        "&&&===&".to_owned(),
    ];
    for value in odd {
        for name in [
            "grant_type",
            "scope",
            "code",
            "refresh_token",
            "device_code",
            "token",
            "user_code",
            "passkey",
            "username",
            "password",
            "csrf",
            "continue",
            "decision",
            "client_id",
            "action",
            "client",
        ] {
            bodies.push(format!("{name}={value}"));
        }
    }
    let mut connection = None;
    for path in [
        TOKEN,
        REVOKE,
        INTROSPECT,
        DEVICE_AUTHORIZATION,
        "/sign-in",
        "/sign-out",
        "/device",
        "/account",
        AUTHORIZE,
        LOGBOOK,
        "/logbook/api/token/",
        "/logbook/api/revokeToken/",
    ] {
        for body in &bodies {
            for signed_in in [true, false] {
                let mut call = Call::raw_form(path, body.clone());
                if signed_in {
                    call = anna.prepare(call).basic(&good.id, &good.secret);
                }
                let mut open = match connection.take() {
                    Some(open) => open,
                    None => gateway.connect(Protocol::H1).await,
                };
                let answer = open.answer(call).await;
                assert!(
                    answer.status < 500,
                    "{path} {}: {answer:?}",
                    &body[..body.len().min(60)]
                );
                // Whoever sent too much is not listened to any more.
                if answer.header("connection") != Some("close") {
                    connection = Some(open);
                }
            }
        }
    }
    let authorize = request(&good, &[]);
    let mut paths = vec![
        format!("{authorize}&scope={}", "flights:read+".repeat(2_000)),
        format!("{authorize}{}", &many[..20_000]),
        format!("{authorize}&login_hint={}", "x".repeat(20_000)),
        sign_in_from(&authorize.repeat(50)),
        sign_in_from(&sign_in_from(&sign_in_from(&authorize))),
    ];
    for value in odd {
        for name in [
            "scope",
            "prompt",
            "max_age",
            "login_hint",
            "x",
            "response_mode",
            "nonce",
            "ui_locales",
        ] {
            paths.push(format!("{authorize}&{name}={value}"));
        }
        paths.push(format!("/device?user_code={value}"));
        paths.push(format!("/sign-in?continue={value}"));
        paths.push(format!("/sign-in/nobody/return?code={value}&state={value}"));
        paths.push(format!("{}&state={value}", logbook_request(&logbook)));
    }
    for path in paths {
        for call in [Call::get(&path), anna.prepare(Call::get(&path))] {
            let answer = gateway.answer(call).await;
            assert!(
                answer.status < 500,
                "{}: {answer:?}",
                &path[..path.len().min(300)]
            );
            assert!(!answer.text().contains("<script"), "{path}");
        }
    }
    // A megabyte in the query is not even read to its end.
    for path in [AUTHORIZE, "/device", "/sign-in", TOKEN] {
        let mut raw = Raw::new(gateway.tls("http/1.1").await);
        let head = format!("GET {path}?a={long} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        raw.send(head).await;
        let said = String::from_utf8_lossy(&raw.rest().await).into_owned();
        let refused = ["HTTP/1.1 414 ", "HTTP/1.1 431 "];
        let refused = refused.iter().any(|line| said.starts_with(line));
        assert!(refused || said.is_empty(), "{said}");
    }
    // Nor has it done any harm.
    code(&anna, &good).await;
}
