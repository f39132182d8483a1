//! HTTP/2 frames of the test's own choosing (RFC 9113): what HTTP/1.1 could not
//! carry never reaches an upstream that speaks it.

use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::client::TlsStream;

use crate::{framing::Target, oauth::FLIGHTS, raw::Raw};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection that speaks frames.
struct Frames(Raw<TlsStream<TcpStream>>);

#[derive(Debug)]
struct Frame {
    kind: u8,
    payload: Vec<u8>,
}

impl Frames {
    async fn open(target: &Target) -> Self {
        let mut raw = Raw::new(target.gateway.tls("h2").await);
        raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let mut frames = Self(raw);
        frames.send(SETTINGS, 0, 0, &[]).await;
        frames
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.0.send(frame).await;
    }

    /// Sends a request on stream 1 and waits for what becomes of it: its first
    /// HEADERS, `RST_STREAM` or GOAWAY, or the end of the connection.
    async fn outcome(&mut self, fields: &[(&str, &str)], body: Option<&[u8]>) -> Option<Frame> {
        let mut block = Vec::new();
        for (name, value) in fields {
            // A literal that is not indexed, without Huffman coding.
            block.push(0);
            for text in [name.as_bytes(), value.as_bytes()] {
                assert!(text.len() < 127 + 128);
                if text.len() < 127 {
                    block.push(u8::try_from(text.len()).unwrap());
                } else {
                    block.extend([127, u8::try_from(text.len() - 127).unwrap()]);
                }
                block.extend_from_slice(text);
            }
        }
        let end = if body.is_none() { END_STREAM } else { 0 };
        self.send(HEADERS, END_HEADERS | end, 1, &block).await;
        if let Some(body) = body {
            self.send(DATA, END_STREAM, 1, body).await;
        }
        loop {
            let head = self.0.exactly(9).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let payload = self.0.exactly(length as usize).await.ok()?;
            let kind = head[3];
            if matches!(kind, HEADERS | RST_STREAM | GOAWAY) {
                return Some(Frame { kind, payload });
            }
        }
    }
}

/// Whether this is anything but a 200, which HPACK writes as its entry 8.
fn is_refusal(frame: &Frame) -> bool {
    frame.kind != HEADERS || frame.payload.first() != Some(&0x88)
}

/// A listing that is let through.
fn good<'a>(authority: &'a str, bearer: &'a str) -> [(&'a str, &'a str); 5] {
    [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", authority),
        (":path", FLIGHTS),
        ("authorization", bearer),
    ]
}

/// An upload that states this length.
fn post<'a>(authority: &'a str, bearer: &'a str, length: &'a str) -> [(&'a str, &'a str); 6] {
    [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", authority),
        (":path", FLIGHTS),
        ("authorization", bearer),
        ("content-length", length),
    ]
}

/// RFC 9113 section 8.2 and 8.3.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of what is refused")]
async fn what_http_1_could_not_carry_is_refused() {
    let target = Target::new().await;
    let authority = target.gateway.authority();
    let bearer = format!("Bearer {}", target.token);
    let good = good(&authority, &bearer);
    let with = |more: &[(&'static str, &'static str)]| -> Vec<(&str, &str)> {
        let mut fields = good.to_vec();
        for (name, value) in more {
            match fields
                .iter_mut()
                .find(|(known, _)| known == name && name.starts_with(':'))
            {
                Some(field) => field.1 = value,
                None => fields.push((name, value)),
            }
        }
        fields
    };
    let mut frames = Frames::open(&target).await;
    let frame = frames.outcome(&good, None).await.unwrap();
    assert!(!is_refusal(&frame), "the good one passes: {frame:?}");
    assert_eq!(target.upstream.requests().len(), 1);

    for (why, fields) in [
        ("connection", with(&[("connection", "close")])),
        (
            "connection that nominates",
            with(&[("connection", "flightgate-identity")]),
        ),
        ("keep-alive", with(&[("keep-alive", "timeout=5")])),
        ("proxy-connection", with(&[("proxy-connection", "close")])),
        (
            "transfer-encoding",
            with(&[("transfer-encoding", "chunked")]),
        ),
        ("upgrade", with(&[("upgrade", "websocket")])),
        ("te", with(&[("te", "gzip")])),
        ("a capital", with(&[("X-Capital", "1")])),
        (
            "CRLF in a value",
            with(&[("x", "a\r\nflightgate-identity: forged")]),
        ),
        ("CR in a value", with(&[("x", "a\rb")])),
        ("NUL in a value", with(&[("x", "a\0b")])),
        ("a colon in a name", with(&[("x:y", "1")])),
        ("a space in a name", with(&[("x y", "1")])),
        ("CRLF in a name", with(&[("x\r\ny", "1")])),
        (
            "CRLF in the path",
            with(&[(":path", "/api/v1/flights HTTP/1.1\r\nX: y")]),
        ),
        (
            "a space in the path",
            with(&[(":path", "/api/v1/flights x")]),
        ),
        ("an empty path", with(&[(":path", "")])),
        (
            "a dot segment",
            with(&[(":path", "/api/v1/flights/../flights")]),
        ),
        (
            "a method that is no token",
            with(&[(":method", "GET /x HTTP/1.1")]),
        ),
        (
            "CRLF in the authority",
            with(&[(":authority", "a\r\nx: y")]),
        ),
        ("a space in the authority", with(&[(":authority", "a b")])),
        (
            "a password in the authority",
            with(&[(":authority", "user:pass@localhost")]),
        ),
        (
            "another authority in host",
            with(&[("host", "evil.example")]),
        ),
        ("an unknown pseudo-header", with(&[(":x", "1")])),
        ("a length without a body", with(&[("content-length", "5")])),
        (
            "a length that is no number",
            with(&[("content-length", "five")]),
        ),
        (
            "two lengths",
            with(&[("content-length", "0"), ("content-length", "5")]),
        ),
        ("CONNECT", with(&[(":method", "CONNECT")])),
    ] {
        let mut frames = Frames::open(&target).await;
        let before = target.upstream.requests().len();
        let frame = frames.outcome(&fields, None).await;
        let passed = target.upstream.requests().split_off(before);
        match (&frame, &passed[..]) {
            (None, []) => {}
            (Some(frame), []) => assert!(is_refusal(frame), "{why}: {frame:?}"),
            // Passed on in a form that says the same is as good.
            (_, [request]) => {
                assert_eq!(request.line(), format!("GET {FLIGHTS} HTTP/1.1"), "{why}");
                let host = if why.starts_with("a password") {
                    "localhost"
                } else {
                    &authority
                };
                assert_eq!(request.values("host"), [host], "{why}: {}", request.head);
                assert!(
                    request.body.is_empty() && !request.head.contains("forged"),
                    "{why}"
                );
                for name in [
                    "connection",
                    "keep-alive",
                    "proxy-connection",
                    "upgrade",
                    "te",
                    "transfer-encoding",
                ] {
                    assert!(request.values(name).is_empty(), "{why}: {}", request.head);
                }
                let is_harmless =
                    why.contains("in host") || why == "te" || why.starts_with("a password");
                assert!(is_harmless, "{why}: {}", request.head);
            }
            _ => panic!("{why}: {frame:?} {passed:?}"),
        }
    }
    target.is_well().await;
}

/// RFC 9113 section 8.3.1: and in this order.
#[tokio::test]
async fn a_request_without_its_pseudo_headers_is_refused() {
    let target = Target::new().await;
    let authority = target.gateway.authority();
    let bearer = format!("Bearer {}", target.token);
    let good = good(&authority, &bearer);
    for (why, missing) in [
        ("no path", ":path"),
        ("no method", ":method"),
        ("no host at all", ":authority"),
    ] {
        let mut frames = Frames::open(&target).await;
        let before = target.upstream.requests().len();
        let fields: Vec<_> = good
            .into_iter()
            .filter(|(name, _)| *name != missing)
            .collect();
        let frame = frames.outcome(&fields, None).await;
        assert_eq!(
            target.upstream.requests().len(),
            before,
            "{why}: {:?}",
            target.upstream.requests().last()
        );
        assert!(frame.as_ref().is_none_or(is_refusal), "{why}: {frame:?}");
    }
    let mut fields = good.to_vec();
    fields.rotate_left(4);
    let frame = Frames::open(&target).await.outcome(&fields, None).await;
    assert!(
        frame.as_ref().is_none_or(is_refusal),
        "a pseudo-header behind a field: {frame:?}"
    );
    target.is_well().await;
}

/// RFC 9113 section 8.1.1: a body of another length than was stated is no whole
/// request.
#[tokio::test]
async fn a_body_that_differs_from_its_length_is_not_passed_on_whole() {
    let target = Target::new().await;
    let authority = target.gateway.authority();
    let bearer = format!("Bearer {}", target.token);
    for (length, body) in [("3", "hello"), ("9", "hello"), ("5", "")] {
        let fields = post(&authority, &bearer, length);
        let mut frames = Frames::open(&target).await;
        let frame = frames.outcome(&fields, Some(body.as_bytes())).await;
        assert!(frame.as_ref().is_none_or(is_refusal), "{length}: {frame:?}");
        assert!(
            target.upstream.requests().is_empty(),
            "{length}: {:?}",
            target.upstream.requests()
        );
    }
    target.is_well().await;
    // Nothing is whole as soon as its head is there; what follows is not in it.
    let fields = post(&authority, &bearer, "0");
    Frames::open(&target)
        .await
        .outcome(&fields, Some(b"hello"))
        .await;
    let requests = target.upstream.requests().into_iter();
    for request in requests.filter(|request| request.line().starts_with("POST ")) {
        assert_eq!(request.values("content-length"), ["0"], "{}", request.head);
        assert!(request.body.is_empty());
    }
    assert_eq!(target.gateway.list_status(&target.token).await, 200);
}

/// RFC 9113 section 3.4: and whoever does not speak HTTP/2 after agreeing on it
/// is not served as if it were HTTP/1.
#[tokio::test]
async fn http_1_on_a_connection_that_agreed_on_http_2_is_refused() {
    let target = Target::new().await;
    let mut raw = Raw::new(target.gateway.tls("h2").await);
    raw.send(target.head(&format!("GET {FLIGHTS} HTTP/1.1"), ""))
        .await;
    let _ = raw.stream.shutdown().await;
    let answer = raw.rest().await;
    assert!(
        !answer.starts_with(b"HTTP/1"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert!(target.upstream.requests().is_empty());
    target.is_well().await;
}
