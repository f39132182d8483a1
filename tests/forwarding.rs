//! What passes the gateway, and what the client hears when the upstream fails.

use std::collections::HashSet;

use serde_json::json;

use crate::{
    client::{Call, Protocol},
    gateway::Gateway,
    harness::{Credentials, Site},
    oauth::FLIGHTS,
    raw::Raw,
    upstream::{Reply, Upstream, nobody},
};

async fn before(upstream: &Upstream) -> (Site, Gateway, String) {
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        site.config["workers"] = json!(1);
        site.config["limits"] = json!({"responseTimeout": "1s"});
    })
    .await;
    let token = gateway.token(&site.credentials("acme")).await;
    (site, gateway, token)
}

fn reply(head: &str, body: &str) -> Reply {
    Reply::Keep(format!("HTTP/1.1 {head}\r\n\r\n{body}").into_bytes())
}

/// The request that arrives is the one that was sent.
#[tokio::test]
async fn method_path_query_fields_and_body_arrive_as_they_were_sent() {
    let upstream = Upstream::ok().await;
    let (_site, gateway, token) = before(&upstream).await;
    let query = "?a=1&a=2&b=%20+%2F%00&c=;:@/?&%ff=&=&&x";
    let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for protocol in Protocol::BOTH {
        let call = Call::post(&format!("{FLIGHTS}{query}"))
            .bearer(&token)
            .header("content-type", "application/vnd.fai.igc")
            .header("accept", "a/b, c/d;q=0.5")
            .header("x-twice", "one")
            .header("x-twice", "two")
            .header("x-odd", "\"quoted\", ;=(comment)")
            .header("cookie", "a=b; c=d")
            .body(body.clone());
        assert_eq!(
            gateway.connect(protocol).await.answer(call).await.status,
            200
        );
        let request = upstream.requests().pop().unwrap();
        assert_eq!(request.line(), format!("POST {FLIGHTS}{query} HTTP/1.1"));
        assert_eq!(request.values("host"), [gateway.authority()]);
        assert_eq!(request.values("content-type"), ["application/vnd.fai.igc"]);
        assert_eq!(request.values("accept"), ["a/b, c/d;q=0.5"]);
        assert_eq!(request.values("x-twice"), ["one", "two"]);
        assert_eq!(request.values("x-odd"), ["\"quoted\", ;=(comment)"]);
        assert_eq!(request.values("cookie"), ["a=b; c=d"]);
        assert_eq!(request.values("content-length"), ["100000"], "{protocol:?}");
        assert!(request.body == body, "every byte");
    }
}

/// The answer that arrives is the one that was given.
#[tokio::test]
async fn status_fields_and_body_come_back_as_they_were_given() {
    let upstream = Upstream::scripted(|request| match request.line().split(' ').nth(1) {
        Some("/api/v1/flights/teapot") => reply("418 Short and stout\r\nContent-Length: 3\r\nX-Odd: \"a\", b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2", "tea"),
        Some("/api/v1/flights/chunked") => reply("200 OK\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n"),
        Some("/api/v1/flights/until-the-end") => Reply::Close(b"HTTP/1.1 200 OK\r\n\r\nhello!".to_vec()),
        Some("/api/v1/flights/none") => reply("204 No Content", ""),
        Some("/api/v1/flights/same") => reply("304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 6", ""),
        Some("/api/v1/flights/early") => reply("103 Early Hints\r\nLink: </x>", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!"),
        _ => reply("404 Not Found\r\nContent-Length: 0", ""),
    })
    .await;
    let (_site, gateway, token) = before(&upstream).await;
    for protocol in Protocol::BOTH {
        let mut connection = gateway.connect(protocol).await;
        let mut get = async |name: &str| {
            let call = Call::get(&format!("{FLIGHTS}/{name}")).bearer(&token);
            connection.answer(call).await
        };
        let teapot = get("teapot").await;
        assert_eq!((teapot.status, teapot.text()), (418, "tea".into()));
        assert_eq!(teapot.header("content-length"), Some("3"));
        assert_eq!(teapot.header("x-odd"), Some("\"a\", b"));
        let cookies: Vec<_> = teapot.headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        for name in ["chunked", "until-the-end", "early"] {
            let answer = get(name).await;
            assert_eq!(
                (answer.status, answer.text()),
                (200, "hello!".into()),
                "{name}"
            );
        }
        let none = get("none").await;
        assert_eq!(
            (none.status, none.body.len(), none.header("content-length")),
            (204, 0, None)
        );
        let same = get("same").await;
        assert_eq!(
            (same.status, same.body.len(), same.header("etag")),
            (304, 0, Some("\"x\""))
        );
        assert_eq!(get("nowhere").await.status, 404);
    }
}

/// RFC 9110 section 9.3.2: HEAD goes where GET goes, and tells the length.
#[tokio::test]
async fn head_is_answered_with_the_length_and_without_the_body() {
    let upstream = Upstream::scripted(|request| {
        let is_head = request.line().starts_with("HEAD ");
        reply(
            "200 OK\r\nContent-Length: 6",
            if is_head { "" } else { "hello!" },
        )
    })
    .await;
    let (_site, gateway, token) = before(&upstream).await;
    for protocol in Protocol::BOTH {
        let mut connection = gateway.connect(protocol).await;
        for (method, length) in [("HEAD", 0), ("GET", 6), ("HEAD", 0)] {
            let answer = connection
                .answer(Call::new(method, FLIGHTS).bearer(&token))
                .await;
            assert_eq!((answer.status, answer.body.len()), (200, length));
            assert_eq!(answer.header("content-length"), Some("6"));
        }
    }
    assert_eq!(
        upstream.requests()[0].line(),
        format!("HEAD {FLIGHTS} HTTP/1.1")
    );
}

/// One request, one name, on both sides, and another for each.
#[tokio::test]
async fn a_request_id_is_unique_and_the_same_on_both_sides() {
    let upstream = Upstream::ok().await;
    let (_site, gateway, token) = before(&upstream).await;
    let mut told = Vec::new();
    for protocol in Protocol::BOTH {
        let mut connection = gateway.connect(protocol).await;
        for _ in 0..20 {
            let answer = connection
                .answer(
                    Call::get(FLIGHTS)
                        .bearer(&token)
                        .header("x-request-id", "mine"),
                )
                .await;
            told.push(answer.header("x-request-id").unwrap().to_owned());
        }
    }
    let requests = upstream.requests();
    let heard: Vec<_> = requests
        .iter()
        .map(|request| request.values("x-request-id")[0])
        .collect();
    assert_eq!(told, heard);
    assert_eq!(told.iter().collect::<HashSet<_>>().len(), 40);
    let refused = gateway.answer(Call::get(FLIGHTS)).await;
    let id = refused.header("x-request-id").unwrap();
    assert_eq!(refused.json()["request_id"], id);
    assert!(!told.iter().any(|known| known == id));
}

/// A connection to the upstream serves one request after the other.
#[tokio::test]
async fn upstream_connections_are_reused() {
    let upstream = Upstream::ok().await;
    let (_site, gateway, token) = before(&upstream).await;
    for round in 0..20 {
        let protocol = Protocol::BOTH[round % 2];
        let call = if round % 3 == 0 {
            Call::post(FLIGHTS).body("x")
        } else {
            Call::get(FLIGHTS)
        };
        let answer = gateway
            .connect(protocol)
            .await
            .answer(call.bearer(&token))
            .await;
        assert_eq!(answer.status, 200);
    }
    // A pause of four seconds between two of them would rightly cost another.
    assert!(upstream.connections() <= 2, "{}", upstream.connections());
}

/// One that said it would close is not used again.
#[tokio::test]
async fn an_upstream_that_closes_after_each_answer_is_served_as_well() {
    let upstream = Upstream::scripted(|_| {
        Reply::Close(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok".to_vec(),
        )
    })
    .await;
    let (_site, gateway, token) = before(&upstream).await;
    let mut connection = gateway.connect(Protocol::H1).await;
    for _ in 0..20 {
        let answer = connection.answer(Call::get(FLIGHTS).bearer(&token)).await;
        assert_eq!((answer.status, answer.text()), (200, "ok".into()));
        assert_eq!(
            answer.header("connection"),
            None,
            "that was between upstream and gateway"
        );
    }
    assert_eq!(upstream.connections(), 20);
}

/// 502: nobody there.
#[tokio::test]
async fn an_upstream_that_refuses_is_unreachable() {
    let (_socket, address) = nobody();
    let (site, gateway) = Site::running(address).await;
    let token = gateway.token(&site.credentials("acme")).await;
    for protocol in Protocol::BOTH {
        for call in [
            Call::get(FLIGHTS),
            Call::post(FLIGHTS).body("x"),
            Call::post(FLIGHTS).body(vec![b'x'; 4 << 20]),
        ] {
            let answer = gateway
                .connect(protocol)
                .await
                .answer(call.bearer(&token))
                .await;
            assert_eq!(
                (answer.status, &*answer.problem()),
                (502, "upstream-unreachable")
            );
        }
    }
}

/// 504: there, and silent.
#[tokio::test]
async fn an_upstream_that_does_not_answer_takes_too_long() {
    let upstream = Upstream::raw(|mut raw| async move {
        raw.rest().await;
    })
    .await;
    let (_site, gateway, token) = before(&upstream).await;
    for protocol in Protocol::BOTH {
        for call in [Call::get(FLIGHTS), Call::post(FLIGHTS).body("x")] {
            let answer = gateway
                .connect(protocol)
                .await
                .answer(call.bearer(&token))
                .await;
            assert_eq!(
                (answer.status, &*answer.problem()),
                (504, "upstream-timeout")
            );
        }
    }
}

/// 502: it answers what is not an answer.
#[tokio::test]
async fn an_answer_that_cannot_be_passed_on_is_broken() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nX Y: z\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"SSH-2.0-x\r\n",
    ] {
        let upstream = Upstream::scripted(move |_| Reply::Close(bytes.to_vec())).await;
        let (_site, gateway, token) = before(&upstream).await;
        for protocol in Protocol::BOTH {
            let upgrade = Call::get(FLIGHTS).bearer(&token);
            let answer = gateway.connect(protocol).await.answer(upgrade).await;
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(
                (answer.status, &*answer.problem()),
                (502, "upstream-broken"),
                "{text}"
            );
        }
    }
}

/// RFC 9110 section 9.2.2: who knows what the first one did.
#[tokio::test]
async fn a_post_is_never_sent_twice() {
    let upstream = Upstream::scripted(|request| {
        if request.line().starts_with("POST ") {
            Reply::Close(Vec::new())
        } else {
            Reply::ok("ok")
        }
    })
    .await;
    let (_site, gateway, token) = before(&upstream).await;
    let mut connection = gateway.connect(Protocol::H1).await;
    for round in 1..=5 {
        // Over a connection that has served before, as after a keep-alive.
        assert_eq!(
            connection
                .answer(Call::get(FLIGHTS).bearer(&token))
                .await
                .status,
            200
        );
        let answer = connection
            .answer(Call::post(FLIGHTS).bearer(&token).body("x"))
            .await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (502, "upstream-broken")
        );
        let requests = upstream.requests();
        let posts = requests
            .iter()
            .filter(|request| request.line().starts_with("POST "));
        assert_eq!(posts.count(), round);
    }
}

/// RFC 9112 section 9.6: an upstream that has heard enough says so at once, and
/// goes on reading for a while; the client hears why, however much it sends.
#[tokio::test]
async fn an_answer_arrives_that_comes_before_the_end_of_the_request() {
    let upstream = Upstream::raw(|mut raw| async move {
        if raw.until(b"\r\n\r\n").await.is_ok() {
            raw.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
                .await;
            raw.rest().await;
        }
    })
    .await;
    let (_site, gateway, token) = before(&upstream).await;
    for protocol in Protocol::BOTH {
        for size in [1, 8] {
            let call = Call::post(FLIGHTS)
                .bearer(&token)
                .body(vec![b'x'; size << 20]);
            let answer = gateway.connect(protocol).await.answer(call).await;
            assert_eq!(
                (answer.status, answer.text()),
                (413, "big".into()),
                "{protocol:?}"
            );
        }
    }
}

/// A broken answer must look broken: a client would keep half a flight.
#[tokio::test]
async fn an_answer_that_breaks_off_never_looks_whole() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    ] {
        let text = String::from_utf8_lossy(bytes);
        let upstream = Upstream::scripted(move |_| Reply::Close(bytes.to_vec())).await;
        let (_site, gateway, token) = before(&upstream).await;
        for protocol in Protocol::BOTH {
            let call = Call::get(FLIGHTS).bearer(&token);
            let answer = gateway.connect(protocol).await.try_answer(call).await;
            // An error in its place is as honest.
            let is_honest = answer.as_ref().map_or(true, |answer| answer.status == 502);
            assert!(is_honest, "{protocol:?} {text}: {answer:?}");
        }
        let mut raw = Raw::new(gateway.tls("http/1.1").await);
        let host = gateway.authority();
        raw.send(format!(
            "GET {FLIGHTS} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
        ))
        .await;
        let message = raw.message().await;
        let is_honest = message
            .as_ref()
            .is_none_or(|message| message.broken || message.status == 502);
        assert!(is_honest, "{text}: {message:?}");
        let again = gateway.answer(Call::get("/nowhere")).await;
        assert_eq!(again.status, 404, "and the gateway lives on");
    }
}

/// Only one side knows the secret of the other: neither credentials nor
/// anything of the gateway's own calls passes.
#[tokio::test]
async fn calls_of_the_gateways_own_endpoints_are_not_passed_on() {
    let upstream = Upstream::ok().await;
    let (site, gateway, token) = before(&upstream).await;
    let acme: Credentials = site.credentials("acme");
    gateway.introspect(&acme, &token).await;
    gateway.revoke(&acme, &token).await;
    assert!(upstream.requests().is_empty());
    assert_eq!(upstream.connections(), 0);
}
