//! What comes in from outside, byte by byte, and what of it the upstream may see
//! (DESIGN section 8).

use crate::{
    framing::Target,
    oauth::{FLIGHTS, TOKEN},
    raw::{Raw, exchange, fields},
};

/// RFC 9112 section 3.2.
#[tokio::test]
async fn a_request_has_exactly_one_host() {
    let target = Target::new().await;
    let token = &target.token;
    for hosts in [
        "",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host : a\r\n",
    ] {
        let head =
            format!("GET {FLIGHTS} HTTP/1.1\r\n{hosts}Authorization: Bearer {token}\r\n\r\n");
        let answers = target.refuses(hosts, head).await;
        assert_eq!(answers[0].status, 400, "{hosts}");
    }
    target.is_well().await;
}

/// RFC 9112 section 3.2.2: the upstream sees the origin form and one host, that
/// of the request line, without anyone's password.
#[tokio::test]
async fn an_absolute_target_reaches_the_upstream_as_a_path() {
    let target = Target::new().await;
    for (line, host) in [
        ("http://localhost/api/v1/flights?x=1", "localhost"),
        (
            "https://api.example:444/api/v1/flights?x=1",
            "api.example:444",
        ),
    ] {
        let head = target.head(&format!("GET {line} HTTP/1.1"), "Connection: close\r\n");
        let answers = exchange(&target.gateway, head).await;
        assert_eq!(answers[0].status, 200, "{answers:?}");
        let request = target.upstream.requests().pop().unwrap();
        assert_eq!(request.line(), format!("GET {FLIGHTS}?x=1 HTTP/1.1"));
        assert_eq!(request.values("host"), [host]);
    }
    let head = target.head(
        "GET http://user:pass@localhost/api/v1/flights HTTP/1.1",
        "Connection: close\r\n",
    );
    exchange(&target.gateway, head).await;
    for request in target.upstream.requests() {
        assert!(!request.head.contains("user:pass"), "{}", request.head);
    }
    for line in [
        "CONNECT localhost:1 HTTP/1.1",
        "CONNECT /api/v1/flights HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "TRACE /api/v1/flights HTTP/1.1",
    ] {
        let head = target.head(line, "Connection: close\r\n");
        target.refuses(line, head).await;
    }
    target.is_well().await;
}

/// An upstream that normalises paths never sees another one than was permitted.
#[tokio::test]
async fn a_path_that_could_mean_another_is_refused() {
    let target = Target::new().await;
    for path in [
        "/api/v1/../v1/flights",
        "/api/v1/flights/..",
        "/api/v1/flights/.",
        "/api/v1/./flights",
        "/api/v1/flights/../../../admin",
        "/api/v1/flights/%2e%2e",
        "/api/v1/flights/%2E%2E/admin",
        "/api/v1/flights/.%2e",
        "/api/v1/flights/..;/admin",
        "//api/v1/flights",
        "/api//v1/flights",
        "/api/v1/flights//1",
        "/api/v1/flights/a%2fb",
        "/api/v1/flights/a%2Fb",
        "/api/v1/flights/a%5cb",
        "/api/v1/flights\\1",
        "/api/v1/flights/%00",
        "/api/v1/flights/%0d%0aX:y",
        "/api/v1/flights/%252e%252e",
        "/api/v1/flights/%61",
        "/api/v1/%66lights",
        "/api/v1/flights/%",
        "/api/v1/flights/%zz",
        "api/v1/flights",
        "*",
        "?x",
    ] {
        let head = target.head(&format!("GET {path} HTTP/1.1"), "Connection: close\r\n");
        let answers = target.refuses(path, head).await;
        assert!(
            matches!(answers[0].status, 400 | 404),
            "{path}: {answers:?}"
        );
    }
    for path in [
        "/api/v1/flights/a.b",
        "/api/v1/flights/a%20b",
        "/api/v1/flights/%E2%98%83",
        "/api/v1/flights/...",
        "/api/v1/flights/a;b=c",
    ] {
        let head = target.head(&format!("GET {path} HTTP/1.1"), "Connection: close\r\n");
        let answers = exchange(&target.gateway, head).await;
        assert_eq!(answers[0].status, 200, "{path}: {answers:?}");
        let request = target.upstream.requests().pop().unwrap();
        assert_eq!(request.line(), format!("GET {path} HTTP/1.1"), "as it came");
    }
    target.is_well().await;
}

/// RFC 9112 sections 2 to 5.
#[tokio::test]
async fn a_malformed_head_is_refused() {
    let target = Target::new().await;
    let get = format!("GET {FLIGHTS} HTTP/1.1");
    for (why, bytes) in [
        ("no version", target.head(&format!("GET {FLIGHTS}"), "")),
        (
            "another version",
            target.head(&format!("GET {FLIGHTS} HTTP/1.2"), ""),
        ),
        (
            "a far version",
            target.head(&format!("GET {FLIGHTS} HTTP/3.0"), ""),
        ),
        (
            "no HTTP",
            target.head(&format!("GET {FLIGHTS} RTSP/1.0"), ""),
        ),
        (
            "a space in the target",
            target.head(&format!("GET {FLIGHTS} x HTTP/1.1"), ""),
        ),
        (
            "a tab for a space",
            target.head(&format!("GET\t{FLIGHTS} HTTP/1.1"), ""),
        ),
        (
            "a method that is no token",
            target.head(&format!("G(T {FLIGHTS} HTTP/1.1"), ""),
        ),
        (
            "a control character in a value",
            target.head(&get, "X: a\x01b\r\n"),
        ),
        ("NUL in a value", target.head(&get, "X: a\0b\r\n")),
        ("CR in a value", target.head(&get, "X: a\rY: b\r\n")),
        ("a space in a name", target.head(&get, "X Y: b\r\n")),
        ("an empty name", target.head(&get, ": b\r\n")),
        ("a line without colon", target.head(&get, "nonsense\r\n")),
        ("a folded line", target.head(&get, "X: a\r\n\tb\r\n")),
        (
            "a field before the first",
            target.head(&format!("{get}\r\n X: y"), ""),
        ),
        (
            "HTTP/2 without having agreed on it",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        ),
    ] {
        let answers = target.refuses(why, bytes).await;
        assert!(
            answers
                .iter()
                .all(|answer| matches!(answer.status, 400 | 404 | 505)),
            "{why}: {answers:?}"
        );
    }
    target.is_well().await;
}

/// What an old client may still send means one thing.
#[tokio::test]
async fn lenient_line_ends_reach_the_upstream_strict() {
    let target = Target::new().await;
    let head = target.head(
        &format!("GET {FLIGHTS} HTTP/1.1"),
        "X-Kept: 1\r\nConnection: close\r\n",
    );
    let answers = exchange(&target.gateway, head.replace("\r\n", "\n")).await;
    for request in target.upstream.requests() {
        assert_eq!(request.line(), format!("GET {FLIGHTS} HTTP/1.1"));
        assert!(!request.head.replace("\r\n", "").contains(['\r', '\n']));
        assert_eq!(request.values("x-kept"), ["1"]);
    }
    assert_eq!(answers.len(), 1);
    let old = format!(
        "GET {FLIGHTS} HTTP/1.0\r\nAuthorization: Bearer {}\r\n\r\n",
        target.token
    );
    let answers = exchange(&target.gateway, old).await;
    assert_eq!(answers.len(), 1, "HTTP/1.0 ends the connection");
    assert_eq!(
        (answers[0].status, answers[0].text()),
        (200, "ok".to_owned())
    );
    let request = target.upstream.requests().pop().unwrap();
    assert_eq!(request.line(), format!("GET {FLIGHTS} HTTP/1.1"));
    target.is_well().await;
}

/// RFC 6585 section 5; without bound, memory would be anyone's.
#[tokio::test]
async fn a_head_far_larger_than_its_bound_is_refused() {
    let target = Target::new().await;
    let get = format!("GET {FLIGHTS} HTTP/1.1");
    let long = format!("X: {}\r\n", "y".repeat(200 << 10));
    let many: String = (0..4_000).fold(String::new(), |all, number| {
        format!(
            "{all}x{number}: {number}
"
        )
    });
    let line = format!("GET {FLIGHTS}?{} HTTP/1.1", "y".repeat(200 << 10));
    for (why, bytes) in [
        ("a long field", target.head(&get, &long)),
        ("many fields", target.head(&get, &many)),
        ("a long target", target.head(&line, "")),
        (
            "no end",
            format!("GET {FLIGHTS} HTTP/1.1\r\nX: {}", "y".repeat(1 << 20)),
        ),
    ] {
        let answers = target.refuses(why, bytes).await;
        assert!(
            answers
                .iter()
                .all(|answer| matches!(answer.status, 414 | 431)),
            "{why}: {answers:?}"
        );
    }
    let fits = target.head(
        &get,
        &format!("X: {}\r\nConnection: close\r\n", "y".repeat(16 << 10)),
    );
    assert_eq!(exchange(&target.gateway, fits).await[0].status, 200);
    target.is_well().await;
}

/// RFC 9110 section 7.8: no tunnel past the gateway.
#[tokio::test]
async fn an_upgrade_is_not_passed_on() {
    let target = Target::new().await;
    for fields in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    ] {
        let mut raw = Raw::new(target.gateway.tls("http/1.1").await);
        raw.send(target.head(&format!("GET {FLIGHTS} HTTP/1.1"), fields))
            .await;
        let answer = raw.message().await.unwrap();
        assert_eq!((answer.status, answer.text()), (200, "ok".to_owned()));
        let request = target.upstream.requests().pop().unwrap();
        for name in ["upgrade", "connection", "http2-settings", "te"] {
            assert!(request.values(name).is_empty(), "{}", request.head);
        }
        raw.send(HIDDEN_FRAME).await;
    }
    target.is_well().await;
}

/// A WebSocket frame, which is no HTTP.
const HIDDEN_FRAME: &[u8] = &[0x81, 0x85, 1, 2, 3, 4, 0x69, 0x67, 0x6f, 0x68, 0x6e];

/// FCV-54, FCV-55: and what came in clear is answered with no token.
#[tokio::test]
async fn plain_http_gets_an_explanation_and_never_a_token() {
    let target = Target::new().await;
    let body = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        target.acme.id, target.acme.secret
    );
    let token_request = format!(
        "POST {TOKEN} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let list = target.head(&format!("GET {FLIGHTS} HTTP/1.1"), "");
    for bytes in [token_request, list] {
        let stream = tokio::net::TcpStream::connect(target.gateway.public)
            .await
            .unwrap();
        let mut raw = Raw::new(stream);
        raw.send(bytes).await;
        let answer = raw.message().await.unwrap();
        assert_eq!(answer.status, 400);
        assert_eq!(
            fields(&answer.head, "content-type"),
            ["application/problem+json"]
        );
        let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(document["type"], "urn:flightgate:problem:plain-http");
        assert_eq!(raw.message().await, None);
        assert!(!answer.text().contains("wf_at_"));
    }
    let issued = target
        .gateway
        .metric("flightgate_tokens_issued_total")
        .await;
    assert_eq!(issued, 1, "the one that this test began with");
    target.is_well().await;
}
