//! A partner's HTTP client, for messages that are well-formed.

use std::{convert::Infallible, io};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
};

use crate::harness::within;

/// The body of a call.
pub(crate) type Payload = BoxBody<Bytes, io::Error>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    H1,
    H2,
}

impl Protocol {
    pub(crate) const BOTH: [Self; 2] = [Self::H1, Self::H2];

    pub(crate) fn alpn(self) -> &'static str {
        match self {
            Self::H1 => "http/1.1",
            Self::H2 => "h2",
        }
    }
}

/// A request to be.
pub(crate) struct Call {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Payload>,
}

impl Call {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn post(path: &str) -> Self {
        Self::new("POST", path)
    }

    /// A POST of a form.
    pub(crate) fn form(path: &str, parameters: &[(&str, &str)]) -> Self {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let body = form.extend_pairs(parameters).finish();
        Self::raw_form(path, body)
    }

    /// A POST of what should be a form.
    pub(crate) fn raw_form(path: &str, body: impl Into<Bytes>) -> Self {
        Self::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    #[must_use]
    pub(crate) fn basic(self, id: &str, secret: &str) -> Self {
        let credentials = STANDARD.encode(format!("{id}:{secret}"));
        self.header("authorization", &format!("Basic {credentials}"))
    }

    #[must_use]
    pub(crate) fn body(self, bytes: impl Into<Bytes>) -> Self {
        let body = Full::new(bytes.into()).map_err(|never: Infallible| match never {});
        self.payload(body.boxed())
    }

    #[must_use]
    pub(crate) fn payload(mut self, body: Payload) -> Self {
        self.body = Some(body);
        self
    }

    fn request(self, protocol: Protocol, authority: &str) -> Request<Payload> {
        let uri = match protocol {
            Protocol::H1 => self.path,
            Protocol::H2 => format!("https://{authority}{}", self.path),
        };
        let mut request = Request::builder().method(self.method.as_str()).uri(uri);
        if protocol == Protocol::H1 {
            request = request.header(header::HOST, authority);
        }
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let nothing = || {
            Full::default()
                .map_err(|never: Infallible| match never {})
                .boxed()
        };
        request.body(self.body.unwrap_or_else(nothing)).unwrap()
    }
}

/// A body in pieces, whose length nobody knows before.
pub(crate) fn stream_of(pieces: Vec<Bytes>) -> Payload {
    let frames = pieces.into_iter().map(|piece| Ok(Frame::data(piece)));
    StreamBody::new(stream::iter(frames)).boxed()
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    /// Reads an answer to its end; an error if it has none.
    pub(crate) async fn of(response: Response<Incoming>) -> hyper::Result<Self> {
        let (parts, body) = response.into_parts();
        let collected = within("the end of an answer", body.collect()).await?;
        Ok(Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            trailers: collected.trailers().cloned(),
            body: collected.to_bytes(),
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {} {:?}", self.status, self.body))
    }

    /// A header that is there at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        assert!(values.next().is_none(), "{name} stands twice");
        Some(value.to_str().unwrap())
    }

    /// The code of a problem document, which says the same as the status.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let document = self.json();
        assert_eq!(document["status"], self.status, "{document}");
        let kind = document["type"].as_str().unwrap();
        kind.strip_prefix("urn:flightgate:problem:")
            .unwrap()
            .to_owned()
    }

    /// The code of an OAuth error.
    pub(crate) fn oauth_error(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        self.json()["error"].as_str().unwrap().to_owned()
    }
}

/// A connection, cut when it is dropped.
pub(crate) struct Connection {
    sender: Sender,
    protocol: Protocol,
    authority: String,
    driver: JoinHandle<()>,
}

enum Sender {
    H1(http1::SendRequest<Payload>),
    H2(http2::SendRequest<Payload>),
}

impl Connection {
    pub(crate) async fn new(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        protocol: Protocol,
        authority: String,
    ) -> Self {
        let io = TokioIo::new(stream);
        let (sender, driver) = match protocol {
            Protocol::H1 => {
                let (sender, connection) = http1::handshake(io).await.unwrap();
                (Sender::H1(sender), spawn(connection))
            }
            Protocol::H2 => {
                let handshake = http2::handshake(TokioExecutor::new(), io);
                let (sender, connection) = handshake.await.unwrap();
                (Sender::H2(sender), spawn(connection))
            }
        };
        Self {
            sender,
            protocol,
            authority,
            driver,
        }
    }

    /// The head of an answer; its body streams.
    pub(crate) async fn response(&mut self, call: Call) -> hyper::Result<Response<Incoming>> {
        let request = call.request(self.protocol, &self.authority);
        let response = async {
            match &mut self.sender {
                Sender::H1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
                Sender::H2(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
            }
        };
        within("an answer", response).await
    }

    /// A whole answer.
    pub(crate) async fn answer(&mut self, call: Call) -> Answer {
        self.try_answer(call).await.unwrap()
    }

    /// A whole answer, or how it broke.
    pub(crate) async fn try_answer(&mut self, call: Call) -> hyper::Result<Answer> {
        Answer::of(self.response(call).await?).await
    }
}

fn spawn(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        // Whoever waits for an answer hears of it.
        let _ = connection.await;
    })
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
