//! Messages that two readers could read differently (RFC 9112 section 11.2):
//! whatever comes of them, the upstream never sees one that was not sent.

use crate::{
    client::Call,
    gateway::Gateway,
    harness::{Credentials, Site},
    oauth::FLIGHTS,
    raw::{Message, Raw, exchange},
    upstream::Upstream,
};

/// A gateway with an upstream, and a token that may do everything here.
pub(crate) struct Target {
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Gateway,
    pub(crate) token: String,
    pub(crate) acme: Credentials,
    pub(crate) _site: Site,
}

impl Target {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Site)) -> Self {
        let upstream = Upstream::ok().await;
        let (site, gateway) = Site::running_with(upstream.address, change).await;
        let acme = site.credentials("acme");
        Self {
            token: gateway.token(&acme).await,
            upstream,
            gateway,
            acme,
            _site: site,
        }
    }

    /// A head with host and token and these lines; each ends with CRLF.
    pub(crate) fn head(&self, line: &str, fields: &str) -> String {
        let (host, token) = (self.gateway.authority(), &self.token);
        format!("{line}\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{fields}\r\n")
    }

    pub(crate) fn post(&self, fields: &str) -> String {
        self.head(&format!("POST {FLIGHTS} HTTP/1.1"), fields)
    }

    /// Refused with 400 and the end of the connection; nothing was passed on
    /// that the upstream could take for a whole request.
    pub(crate) async fn refuses(&self, why: &str, bytes: impl AsRef<[u8]>) -> Vec<Message> {
        let before = self.upstream.requests().len();
        let answers = exchange(&self.gateway, bytes).await;
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert!(
            statuses.iter().all(|status| (400..600).contains(status)) && statuses.len() <= 1,
            "{why}: {answers:?}"
        );
        let after = self.upstream.requests();
        assert_eq!(after.len(), before, "{why}: {:?}", after.last());
        answers
    }

    /// The gateway still serves, and what it passes on is whole.
    pub(crate) async fn is_well(&self) {
        let before = self.upstream.requests().len();
        for _ in 0..3 {
            let call = Call::get(&format!("{FLIGHTS}?after=1")).bearer(&self.token);
            assert_eq!(self.gateway.answer(call).await.status, 200);
        }
        let requests = self.upstream.requests();
        assert_eq!(requests.len(), before + 3);
        for request in &requests[before..] {
            assert_eq!(request.line(), format!("GET {FLIGHTS}?after=1 HTTP/1.1"));
            assert!(request.body.is_empty());
        }
    }
}

/// A request that tries to follow another one unseen.
const HIDDEN: &str = "GET /api/v1/flights/hidden HTTP/1.1\r\nHost: x\r\n\r\n";

/// RFC 9112 section 6.1: in either order, in any case, on any method.
#[tokio::test]
async fn two_lengths_are_refused_and_the_connection_ends() {
    let target = Target::new().await;
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "transfer-encoding: Chunked\r\nX: y\r\ncontent-length: 0\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
    ] {
        for method in ["POST", "GET"] {
            let head = target.head(&format!("{method} {FLIGHTS} HTTP/1.1"), fields);
            let answers = target
                .refuses(fields, format!("{head}0\r\n\r\n{HIDDEN}"))
                .await;
            let [answer] = &answers[..] else {
                panic!("{fields}: {answers:?}")
            };
            assert_eq!(answer.status, 400, "{answer:?}");
        }
    }
    target.is_well().await;
}

/// RFC 9112 sections 6.1 and 6.3: only `chunked`, once, is understood here.
#[tokio::test]
async fn other_transfer_codings_are_refused() {
    let target = Target::new().await;
    for fields in [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunkedx\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding\r\n",
        "Transfer-Encoding: chunk\u{e9}d\r\n",
    ] {
        let head = target.post(fields);
        target
            .refuses(fields, format!("{head}0\r\n\r\n{HIDDEN}"))
            .await;
    }
    target.is_well().await;
}

/// RFC 9112 section 7.1.
#[tokio::test]
async fn a_malformed_chunk_never_makes_a_whole_request() {
    let target = Target::new().await;
    for chunks in [
        "zz\r\nab\r\n0\r\n\r\n",
        "-1\r\nab\r\n0\r\n\r\n",
        "+2\r\nab\r\n0\r\n\r\n",
        "0x2\r\nab\r\n0\r\n\r\n",
        "2 2\r\nab\r\n0\r\n\r\n",
        "\r\nab\r\n0\r\n\r\n",
        "2\rab\r\n0\r\n\r\n",
        "2\r\nabc\r\n0\r\n\r\n",
        "2\r\nab0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nab\r\n0\r\n\r\n",
        "10000000000000002\r\nab\r\n0\r\n\r\n",
        "2;a\nb\r\nab\r\n0\r\n\r\n",
    ] {
        let head = target.post("Transfer-Encoding: chunked\r\n");
        target
            .refuses(chunks, format!("{head}{chunks}{HIDDEN}"))
            .await;
    }
    target.is_well().await;
}

/// RFC 9112 section 6.3.
#[tokio::test]
async fn a_malformed_or_contradictory_length_is_refused() {
    let target = Target::new().await;
    for fields in [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 2\r\n",
        "Content-Length: 2, 3\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: -2\r\n",
        "Content-Length: 0x2\r\n",
        "Content-Length: 2 2\r\n",
        "Content-Length: 2a\r\n",
        "Content-Length: \r\n",
        "Content-Length: 18446744073709551618\r\n",
        "Content-Length : 2\r\n",
        "Content-Length\t: 2\r\n",
        " Content-Length: 2\r\n",
        "Content-Length:\r\n 2\r\n",
        "X: y\r\n folded: z\r\nContent-Length: 2\r\n",
    ] {
        let head = target.post(fields);
        let answers = target.refuses(fields, format!("{head}ab{HIDDEN}")).await;
        assert_eq!(answers.len(), 1, "{fields}");
        assert_eq!(answers[0].status, 400, "{fields}");
    }
    target.is_well().await;
}

/// What looks like a request within a body is a body.
#[tokio::test]
async fn a_request_within_a_body_stays_a_body() {
    let target = Target::new().await;
    let hidden = target.head("GET /api/v1/flights/hidden HTTP/1.1", "");
    let stated = format!(
        "{}{hidden}",
        target.post(&format!(
            "Connection: close\r\nContent-Length: {}\r\n",
            hidden.len()
        ))
    );
    let chunked = format!(
        "{}{:x}\r\n{hidden}\r\n0\r\n\r\n",
        target.post("Connection: close\r\nTransfer-Encoding: chunked\r\n"),
        hidden.len()
    );
    for bytes in [stated, chunked] {
        let answers = exchange(&target.gateway, bytes).await;
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].status, 200);
    }
    let requests = target.upstream.requests();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!(request.line(), format!("POST {FLIGHTS} HTTP/1.1"));
        assert_eq!(request.body, hidden.as_bytes());
    }
    // A refused request takes its body along, too.
    let refused = format!(
        "POST {FLIGHTS} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{hidden}GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        hidden.len()
    );
    let answers = exchange(&target.gateway, refused).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [401, 404]);
    assert_eq!(target.upstream.requests().len(), 2);
    target.is_well().await;
}

/// RFC 9112 section 9.3.2: requests may follow each other without waiting, and
/// are answered in order.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let target = Target::new().await;
    let mut bytes = String::new();
    for number in 0..10 {
        let more = if number == 9 {
            "Connection: close\r\n"
        } else {
            ""
        };
        bytes.push_str(&target.head(&format!("GET {FLIGHTS}?n={number} HTTP/1.1"), more));
    }
    let answers = exchange(&target.gateway, bytes).await;
    assert_eq!(answers.len(), 10);
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 200 && answer.text() == "ok")
    );
    for (number, request) in target.upstream.requests().iter().enumerate() {
        assert_eq!(request.line(), format!("GET {FLIGHTS}?n={number} HTTP/1.1"));
    }
}

/// The framing check keeps the bytes of a head; the next head on the
/// connection is not taken for the last one's.
#[tokio::test]
async fn chunked_requests_may_follow_each_other_on_a_connection() {
    let target = Target::new().await;
    let mut raw = Raw::new(target.gateway.tls("http/1.1").await);
    for number in 0..20 {
        let head = target.post("Transfer-Encoding: chunked\r\n");
        if number % 2 == 0 {
            raw.send(format!("{head}5\r\nhello\r\n0\r\n\r\n")).await;
        } else {
            for piece in [
                &head[..40],
                &head[40..],
                "5\r\n",
                "he",
                "llo\r\n",
                "0\r\n",
                "\r\n",
            ] {
                raw.send(piece).await;
            }
        }
        let answer = raw.message().await.unwrap();
        assert_eq!(answer.status, 200, "{number}: {answer:?}");
    }
    let requests = target.upstream.requests();
    assert_eq!(requests.len(), 20);
    assert!(requests.iter().all(|request| request.body == b"hello"));
    let both = target.post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n");
    raw.send(format!("{both}0\r\n\r\n")).await;
    assert_eq!(raw.message().await.unwrap().status, 400);
    assert_eq!(raw.message().await, None, "the connection ends");
    assert_eq!(target.upstream.requests().len(), 20);
}
