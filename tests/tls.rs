//! The handshake: which versions, how long, and what comes instead of it.

use std::time::Duration;

use rustls::{ProtocolVersion, version};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    client::{Call, Connection, Protocol},
    framing::Target,
    harness::{Site, eventually, within},
    oauth::FLIGHTS,
    raw::Raw,
    upstream::{Upstream, read},
};

/// FCV-54, RFC 9325 section 3.1.1.
#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_with_both_http_versions() {
    let target = Target::new().await;
    for (version, number) in [
        (&version::TLS12, ProtocolVersion::TLSv1_2),
        (&version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        for protocol in Protocol::BOTH {
            let config = target.gateway.tls_config(&[version], &[protocol.alpn()]);
            let stream = target.gateway.tls_with(config).await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(number));
            assert_eq!(
                stream.get_ref().1.alpn_protocol(),
                Some(protocol.alpn().as_bytes())
            );
            let mut connection =
                Connection::new(stream, protocol, target.gateway.authority()).await;
            let answer = connection
                .answer(Call::get(FLIGHTS).bearer(&target.token))
                .await;
            assert_eq!(answer.status, 200);
        }
    }
}

/// A client that names no protocol speaks HTTP/1.1; one that names both gets
/// HTTP/2; one that names another gets none.
#[tokio::test]
async fn the_protocol_is_the_best_that_both_speak() {
    let target = Target::new().await;
    for (offered, expected) in [
        (&["http/1.1", "h2"][..], Some(&b"h2"[..])),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let config = target.gateway.tls_config(rustls::ALL_VERSIONS, offered);
        let stream = target.gateway.tls_with(config).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), expected);
    }
    let config = target.gateway.tls_config(rustls::ALL_VERSIONS, &["spdy/3"]);
    let mut refused = target.gateway.tls_with(config).await;
    if let Ok(stream) = &mut refused {
        // TLS 1.3 clients hear of it with their first reading.
        let mut raw = Raw::new(stream);
        assert!(raw.rest().await.is_empty());
    }
}

/// RFC 8996: TLS 1.1 is a thing of the past.
#[tokio::test]
async fn tls_1_1_and_older_are_refused_with_an_alert() {
    let target = Target::new().await;
    for version in [[3, 0], [3, 1], [3, 2]] {
        let mut hello = version.to_vec();
        hello.extend([7; 32]);
        hello.extend([
            0, 0, 8, 0x00, 0x2f, 0x00, 0x35, 0xc0, 0x13, 0xc0, 0x09, 1, 0,
        ]);
        let mut record = vec![0x16, 3, 1, 0, u8::try_from(hello.len() + 4).unwrap()];
        record.extend([1, 0, 0, u8::try_from(hello.len()).unwrap()]);
        record.extend(hello);
        let mut raw = Raw::new(TcpStream::connect(target.gateway.public).await.unwrap());
        raw.send(record).await;
        let answer = raw.rest().await;
        let [0x15, 3, _, 0, 2, 2, reason] = answer[..] else {
            panic!("{version:?}: expected a fatal alert, got {answer:?}")
        };
        assert!(
            matches!(reason, 40 | 70 | 47 | 109),
            "{version:?}: {reason}"
        );
    }
    target.is_well().await;
}

/// What is neither TLS nor HTTP gets nothing at all.
#[tokio::test]
async fn rubbish_instead_of_a_handshake_ends_the_connection() {
    let target = Target::new().await;
    for bytes in [
        &[0_u8; 64][..],
        b"\xff\xfe\xfd",
        b"ssh-2.0\r\n",
        &[0x16, 3, 1, 0xff, 0xff, 1],
    ] {
        let mut raw = Raw::new(TcpStream::connect(target.gateway.public).await.unwrap());
        raw.send(bytes).await;
        raw.stream.shutdown().await.unwrap();
        let answer = raw.rest().await;
        assert!(
            answer.is_empty() || answer[0] == 0x15,
            "{bytes:?}: {answer:?}"
        );
    }
    eventually("failed handshakes are counted", async || {
        target
            .gateway
            .metric("flightgate_connections_failed_total")
            .await
            == 4
    })
    .await;
    target.is_well().await;
}

async fn impatient() -> Target {
    Target::with(|site| {
        site.config["limits"] = json!({"handshakeTimeout": "1s", "headerTimeout": "1s"});
    })
    .await
}

/// A client that takes its time does not keep its place for ever.
#[tokio::test]
async fn a_slow_handshake_or_head_is_cut_off() {
    let target = impatient().await;
    for bytes in [&b""[..], b"\x16\x03\x01"] {
        let mut raw = Raw::new(TcpStream::connect(target.gateway.public).await.unwrap());
        raw.send(bytes).await;
        assert!(raw.rest().await.is_empty());
    }
    let whole = target.head(&format!("GET {FLIGHTS} HTTP/1.1"), "");
    for bytes in ["", &whole[..30]] {
        let mut raw = Raw::new(target.gateway.tls("http/1.1").await);
        raw.send(bytes).await;
        assert!(raw.rest().await.is_empty());
    }
    // A head that comes drop by drop.
    let raw = Raw::new(target.gateway.tls("http/1.1").await);
    let slow = format!("GET {FLIGHTS} HTTP/1.1\r\nX: {}", "y".repeat(100_000));
    let (mut reader, mut writer) = tokio::io::split(raw.stream);
    let drops = tokio::spawn(async move {
        for byte in slow.into_bytes() {
            if writer.write_all(&[byte]).await.is_err() || writer.flush().await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = Vec::new();
    // An error or the end: it was cut off either way.
    let _ = within("the end of a slow head", reader.read_to_end(&mut answer)).await;
    assert!(answer.is_empty(), "{answer:?}");
    drops.abort();
    target.is_well().await;
}

/// limits.headerTimeout, of a connection between two requests: whoever answered
/// the last one, and whatever is still written afterwards.
#[tokio::test]
async fn an_idle_connection_ends() {
    let target = impatient().await;
    for path in [FLIGHTS, "/nowhere", "/.well-known/jwks.json"] {
        let mut raw = Raw::new(target.gateway.tls("http/1.1").await);
        raw.send(target.head(&format!("GET {path} HTTP/1.1"), ""))
            .await;
        assert!(raw.message().await.is_some());
        assert!(raw.rest().await.is_empty(), "{path}");
    }
    let mut raw = Raw::new(target.gateway.tls("h2").await);
    raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await;
    let mut frames = &raw.rest().await[..];
    while let [_, high, low, kind, ..] = *frames {
        // The gateway asks every 30 seconds whether an HTTP/2 client is there.
        assert_ne!(
            kind, 6,
            "it was cut off for not answering, and not for being idle"
        );
        frames = &frames[9 + usize::from(u16::from_be_bytes([high, low]))..];
    }
    target.is_well().await;
}

/// And that is not to end a request that takes its time.
#[tokio::test]
async fn a_long_request_is_not_idle() {
    let upstream = Upstream::raw(|mut raw| async move {
        while let Ok(Some(_)) = read(&mut raw).await {
            tokio::time::sleep(Duration::from_secs(2)).await;
            raw.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")
                .await;
        }
    })
    .await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        site.config["limits"] = json!({"headerTimeout": "1s"});
    })
    .await;
    let token = gateway.token(&site.credentials("acme")).await;
    for protocol in Protocol::BOTH {
        let mut connection = gateway.connect(protocol).await;
        for call in [Call::get(FLIGHTS), Call::post(FLIGHTS).body("x")] {
            let answer = connection.answer(call.bearer(&token)).await;
            assert_eq!((answer.status, answer.text()), (200, "slow".into()));
        }
    }
}
