//! Bodies on their way: in both directions, as they come, however large.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;
use tokio::sync::{Notify, mpsc};

use crate::{
    client::{Answer, Call, Payload, Protocol},
    gateway::Gateway,
    harness::{Site, eventually, within},
    oauth::{FLIGHTS, TOKEN},
    raw::Raw,
    upstream::{Reply, Upstream, read},
};

const MIB: usize = 1 << 20;

async fn before(upstream: &Upstream) -> (Site, Gateway, String) {
    let (site, gateway) = Site::running(upstream.address).await;
    let token = gateway.token(&site.credentials("acme")).await;
    (site, gateway, token)
}

/// Pieces of a MiB, counted as they are passed.
fn pieces(count: usize, passed: Arc<AtomicUsize>) -> Payload {
    let piece = Bytes::from(vec![b'x'; MIB]);
    let frames = (0..count).map(move |_| {
        passed.fetch_add(1, SeqCst);
        Ok(Frame::data(piece.clone()))
    });
    StreamBody::new(stream::iter(frames)).boxed()
}

/// A slow upstream slows the client down, and fills nobody's memory.
#[tokio::test]
async fn a_large_upload_waits_for_a_slow_upstream_in_bounded_memory() {
    const COUNT: usize = 64;
    for protocol in Protocol::BOTH {
        let go = Arc::new(Notify::new());
        let got = Arc::new(AtomicUsize::new(0));
        let upstream = Upstream::raw({
            let (go, got) = (go.clone(), got.clone());
            move |mut raw| {
                let (go, got) = (go.clone(), got.clone());
                async move {
                    raw.until(b"\r\n\r\n").await.unwrap();
                    go.notified().await;
                    while let Ok(chunk) = raw.exactly(MIB).await {
                        got.fetch_add(chunk.len(), SeqCst);
                        if got.load(SeqCst) == COUNT * MIB {
                            raw.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                                .await;
                        }
                    }
                }
            }
        })
        .await;
        let (_site, gateway, token) = before(&upstream).await;
        let idle = gateway.memory_kib("VmHWM:");
        let passed = Arc::new(AtomicUsize::new(0));
        let call = Call::post(FLIGHTS)
            .bearer(&token)
            .header("content-length", &(COUNT * MIB).to_string())
            .payload(pieces(COUNT, passed.clone()));
        let mut connection = gateway.connect(protocol).await;
        let upload = tokio::spawn(async move { connection.answer(call).await });
        // Until the client gets rid of no more for a while.
        let mut before = usize::MAX;
        while passed.load(SeqCst) != before {
            before = passed.load(SeqCst);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!(before < COUNT, "{protocol:?}: nobody held the client back");
        go.notify_one();
        let answer = within("the answer to an upload", upload).await.unwrap();
        assert_eq!((answer.status, answer.text()), (200, "ok".into()));
        assert_eq!(got.load(SeqCst), COUNT * MIB);
        let grown = gateway.memory_kib("VmHWM:") - idle;
        assert!(grown < 24 << 10, "{protocol:?}: {grown} KiB more");
    }
}

/// The same in the other direction.
#[tokio::test]
async fn a_large_download_waits_for_a_slow_client_in_bounded_memory() {
    const COUNT: usize = 64;
    let sent = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::raw({
        let sent = sent.clone();
        move |mut raw| {
            let sent = sent.clone();
            async move {
                let piece = vec![b'x'; MIB];
                while let Ok(Some(_)) = read(&mut raw).await {
                    raw.send(format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                        COUNT * MIB
                    ))
                    .await;
                    for _ in 0..COUNT {
                        raw.send(&piece).await;
                        sent.fetch_add(1, SeqCst);
                    }
                }
            }
        }
    })
    .await;
    let (_site, gateway, token) = before(&upstream).await;
    for protocol in Protocol::BOTH {
        sent.store(0, SeqCst);
        let idle = gateway.memory_kib("VmHWM:");
        let mut connection = gateway.connect(protocol).await;
        let response = connection
            .response(Call::get(FLIGHTS).bearer(&token))
            .await
            .unwrap();
        let mut before = usize::MAX;
        while sent.load(SeqCst) != before {
            before = sent.load(SeqCst);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!(
            before < COUNT,
            "{protocol:?}: nobody held the upstream back"
        );
        let answer = Answer::of(response).await.unwrap();
        assert_eq!(answer.body.len(), COUNT * MIB);
        let grown = gateway.memory_kib("VmHWM:") - idle;
        assert!(grown < 24 << 10, "{protocol:?}: {grown} KiB more");
    }
}

/// What is there is passed on, before the rest is.
#[tokio::test]
async fn the_first_piece_of_an_answer_does_not_wait_for_the_last() {
    let go = Arc::new(Notify::new());
    let upstream = Upstream::raw({
        let go = go.clone();
        move |mut raw| {
            let go = go.clone();
            async move {
                while let Ok(Some(_)) = read(&mut raw).await {
                    raw.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
                        .await;
                    go.notified().await;
                    raw.send("6\r\n world\r\n0\r\n\r\n").await;
                }
            }
        }
    })
    .await;
    let (_site, gateway, token) = before(&upstream).await;
    for protocol in Protocol::BOTH {
        let mut connection = gateway.connect(protocol).await;
        let response = connection
            .response(Call::get(FLIGHTS).bearer(&token))
            .await
            .unwrap();
        let mut body = response.into_body();
        let first = within("the first piece", body.frame())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(first.into_data().unwrap(), "hello");
        go.notify_one();
        let rest = within("the rest", body.collect()).await.unwrap();
        assert_eq!(rest.to_bytes(), " world");
    }
}

/// The same in the other direction: the upstream reads while the client has
/// not yet sent everything, and may answer before.
#[tokio::test]
async fn the_first_piece_of_a_request_does_not_wait_for_the_last() {
    for protocol in Protocol::BOTH {
        let heard = Arc::new(Notify::new());
        let upstream = Upstream::raw({
            let heard = heard.clone();
            move |mut raw| {
                let heard = heard.clone();
                async move {
                    if raw.until(b"hello").await.is_ok() {
                        heard.notify_one();
                        raw.until(b"0\r\n\r\n").await.unwrap();
                        raw.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                            .await;
                        raw.rest().await;
                    }
                }
            }
        })
        .await;
        let (_site, gateway, token) = before(&upstream).await;
        let (pieces, coming) = mpsc::channel::<Bytes>(1);
        let frames = stream::unfold(coming, async |mut coming| {
            let piece = coming.recv().await?;
            Some((Ok(Frame::data(piece)), coming))
        });
        let call = Call::post(FLIGHTS)
            .bearer(&token)
            .payload(StreamBody::new(Box::pin(SyncStream(Mutex::new(Box::pin(frames))))).boxed());
        let mut connection = gateway.connect(protocol).await;
        let answer = tokio::spawn(async move { connection.answer(call).await });
        pieces.send("hello".into()).await.unwrap();
        within("the first piece", heard.notified()).await;
        pieces.send(" world".into()).await.unwrap();
        drop(pieces);
        assert_eq!(answer.await.unwrap().status, 200);
    }
}

/// RFC 9110 section 6.5.
#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let upstream = Upstream::scripted(|_| {
        Reply::Keep(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Flightgate-Identity\r\n\r\n2\r\nok\r\n0\r\n\
              X-Sum: 42\r\nFlightgate-Identity: x\r\n\r\n"
                .to_vec(),
        )
    })
    .await;
    let (_site, gateway, token) = before(&upstream).await;
    for protocol in Protocol::BOTH {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-crc", "7".parse().unwrap());
        let frames = [
            Ok(Frame::data(Bytes::from("body"))),
            Ok(Frame::trailers(trailers)),
        ];
        let call = Call::post(FLIGHTS)
            .bearer(&token)
            .header("te", "trailers")
            .header("trailer", "x-crc")
            .payload(StreamBody::new(stream::iter(frames)).boxed());
        let answer = gateway.connect(protocol).await.answer(call).await;
        assert_eq!((answer.status, answer.text()), (200, "ok".into()));
        let trailers = answer.trailers.unwrap_or_default();
        assert_eq!(
            trailers.get("x-sum").map(http::HeaderValue::as_bytes),
            Some(&b"42"[..]),
            "{protocol:?}"
        );
        assert!(
            !trailers.contains_key("flightgate-identity"),
            "{protocol:?}"
        );
        let request = upstream.requests().pop().unwrap();
        assert_eq!(request.body, b"body");
        assert_eq!(
            request.trailers.to_ascii_lowercase().trim(),
            "x-crc: 7",
            "{protocol:?}"
        );
    }
}

/// What a client may not say in its head it may not say at the end either.
#[tokio::test]
async fn an_identity_in_the_trailers_never_reaches_the_upstream() {
    let upstream = Upstream::ok().await;
    let (_site, gateway, token) = before(&upstream).await;
    for protocol in Protocol::BOTH {
        let mut trailers = HeaderMap::new();
        for name in [
            "flightgate-identity",
            "flightgate_identity",
            "x-forwarded-for",
            "authorization",
        ] {
            trailers.insert(
                http::HeaderName::from_static(name),
                "forged".parse().unwrap(),
            );
        }
        let frames = [
            Ok(Frame::data(Bytes::from("body"))),
            Ok(Frame::trailers(trailers)),
        ];
        let call = Call::post(FLIGHTS)
            .bearer(&token)
            .header(
                "trailer",
                "flightgate-identity, flightgate_identity, x-forwarded-for, authorization",
            )
            .payload(StreamBody::new(stream::iter(frames)).boxed());
        // Refusing is as good as dropping.
        let _ = gateway.connect(protocol).await.try_answer(call).await;
        for request in upstream.requests() {
            assert!(
                !request.trailers.contains("forged"),
                "{protocol:?}: {}",
                request.trailers
            );
        }
    }
}

/// RFC 9110 section 10.1.1: a client that asks first sends nothing in vain.
#[tokio::test]
async fn a_client_that_expects_100_is_told_to_continue_only_if_it_may() {
    let upstream = Upstream::ok().await;
    let (_site, gateway, token) = before(&upstream).await;
    let host = gateway.authority();
    let head = |authorization: &str| {
        format!(
            "POST {FLIGHTS} HTTP/1.1\r\nHost: {host}\r\n{authorization}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut raw = Raw::new(gateway.tls("http/1.1").await);
    raw.send(head(&format!("Authorization: Bearer {token}\r\n")))
        .await;
    assert_eq!(raw.message().await.unwrap().status, 100);
    raw.send("hello").await;
    assert_eq!(raw.message().await.unwrap().status, 200);
    let request = upstream.only();
    assert_eq!(request.body, b"hello");
    assert!(request.values("expect").is_empty(), "it was answered here");

    for (authorization, status) in [
        ("", 401),
        ("Authorization: Bearer x\r\n", 401),
        ("Authorization: Bearer\r\n", 400),
    ] {
        let mut raw = Raw::new(gateway.tls("http/1.1").await);
        raw.send(head(authorization)).await;
        assert_eq!(
            raw.message().await.unwrap().status,
            status,
            "and no 100 before it"
        );
        // Whether or not the body follows, it is not passed for a request.
        raw.send("GET /api/v1/flights HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
        if let Some(message) = raw.message().await {
            assert!((400..500).contains(&message.status), "{message:?}");
        }
    }
    assert_eq!(upstream.requests().len(), 1);
}

/// Nobody works for a client that has left.
#[tokio::test]
async fn a_client_that_goes_away_cancels_the_upstream() {
    for protocol in Protocol::BOTH {
        let (asked, left) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let upstream = Upstream::raw({
            let (asked, left) = (asked.clone(), left.clone());
            move |mut raw| {
                let (asked, left) = (asked.clone(), left.clone());
                async move {
                    let request = read(&mut raw).await.unwrap().unwrap();
                    if request.line().contains("started") {
                        raw.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
                            .await;
                    }
                    asked.notify_one();
                    // The end of the connection: nobody listens any more.
                    raw.rest().await;
                    left.notify_one();
                }
            }
        })
        .await;
        let (_site, gateway, token) = before(&upstream).await;
        for path in ["silent", "started"] {
            let mut connection = gateway.connect(protocol).await;
            let call = Call::get(&format!("{FLIGHTS}/{path}")).bearer(&token);
            let waiting = tokio::spawn(async move {
                let response = connection.response(call).await;
                std::future::pending::<()>().await;
                drop((connection, response));
            });
            within("the upstream is asked", asked.notified()).await;
            waiting.abort();
            within("the upstream hears that the client left", left.notified()).await;
        }
    }
}

/// A client that leaves within its upload leaves no whole request behind.
#[tokio::test]
async fn an_upload_that_breaks_off_never_looks_whole() {
    let upstream = Upstream::ok().await;
    let (_site, gateway, token) = before(&upstream).await;
    let host = gateway.authority();
    let uploads = [
        ("Content-Length: 100", "hello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
    ];
    for (before, (fields, body)) in uploads.into_iter().enumerate() {
        let head = format!(
            "POST {FLIGHTS} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{fields}\r\n\r\n{body}"
        );
        let mut raw = Raw::new(gateway.tls("http/1.1").await);
        raw.send(head).await;
        eventually("the upload begins", async || {
            upstream.connections() > before
        })
        .await;
        drop(raw);
        eventually("the upstream hears that it broke off", async || {
            upstream.broken() == before + 1
        })
        .await;
    }
    assert!(upstream.requests().is_empty(), "{:?}", upstream.requests());
}

/// limits.idleTimeout: a body that stalls is given up, on either side.
#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let upstream = Upstream::raw(|mut raw| async move {
        if let Ok(Some(_)) = read(&mut raw).await {
            raw.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
                .await;
            raw.rest().await;
        }
    })
    .await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        site.config["limits"] = json!({"idleTimeout": "1s"});
    })
    .await;
    let token = gateway.token(&site.credentials("acme")).await;
    for protocol in Protocol::BOTH {
        let call = Call::get(FLIGHTS).bearer(&token);
        assert!(
            gateway
                .connect(protocol)
                .await
                .try_answer(call)
                .await
                .is_err()
        );
    }
    let host = gateway.authority();
    for path in [FLIGHTS, TOKEN] {
        let mut raw = Raw::new(gateway.tls("http/1.1").await);
        raw.send(format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nhello"
        ))
        .await;
        let answer = raw.message().await;
        let is_error = answer.as_ref().is_none_or(|answer| answer.status >= 400);
        assert!(is_error, "{path}: {answer:?}");
        raw.rest().await;
    }
}

/// A stream that may be shared between threads, as bodies in a box must be.
struct SyncStream<S>(Mutex<std::pin::Pin<Box<S>>>);

impl<S: stream::Stream> stream::Stream for SyncStream<S> {
    type Item = S::Item;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<S::Item>> {
        self.0.lock().unwrap().as_mut().poll_next(cx)
    }
}
