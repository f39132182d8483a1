//! Passes a permitted request on to its upstream and the answer back, both as
//! streams.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::{
    body::Body,
    core::Core,
    permit::Permit,
    request_id::RequestId,
    route::Route,
    server::{connection::Connection, deadline::Deadlines},
};

mod cookies;
mod headers;
mod request_body;
pub(crate) mod upstream;

use headers::Statement;
use request_body::RequestBody;
use upstream::{ConnectError, Link, Upstream, poll_driven};

/// Why there is no answer from the upstream.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It broke off, or answered something that is not HTTP.
    #[error("the upstream broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// Its body is coded in a way that nobody asked for.
    #[error("the upstream answered with a Transfer-Encoding other than chunked")]
    Coding,
    /// The client's body broke off, or was malformed.
    #[error("the client's body broke off: {0}")]
    Client(#[source] hyper::Error),
    /// It switched protocols, which nobody asked for.
    #[error("the upstream answered 101 to a request without Upgrade")]
    Switched,
    /// Its head did not come in time.
    #[error("no answer in time")]
    Timeout,
}

/// Why an answer ends before its end. The client sees a broken message: never
/// one that looks whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// What came is not HTTP.
    #[error("the upstream's body broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// The connection ended.
    #[error("the upstream closed the connection within its body")]
    BrokenOff,
    /// Nothing more came in time.
    #[error("the upstream's body stalled")]
    Timeout,
}

/// A connection to the route's upstream. Apart from [`forward`], so that whoever
/// gets none still has the request, and can hear the client out.
pub(crate) async fn link(core: &Core, route: &Route) -> Result<Box<Link>, ForwardError> {
    Ok(core.upstreams[route.upstream].link().await?)
}

/// Passes `request` on. The permit is the proof that it may pass.
pub(crate) async fn forward(
    core: &Core,
    connection: &Connection,
    route: &Route,
    mut link: Box<Link>,
    permit: Permit,
    request: Request<Incoming>,
    request_id: &RequestId,
) -> Result<Response<Body>, ForwardError> {
    let upstream = &core.upstreams[route.upstream];
    let limits = &core.shared.config.limits;
    let idle = Deadlines::ticks(limits.idle_timeout.duration());
    let response = Deadlines::ticks(limits.response_timeout.duration());

    let (mut parts, body) = request.into_parts();
    set_host(&parts.uri, &mut parts.headers);
    join_cookies(&mut parts.headers);
    if let Some(path) = parts.uri.path_and_query()
        && parts.uri.authority().is_some()
    {
        parts.uri = path.clone().into();
    }
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    headers::to_upstream(
        &mut parts.headers,
        Statement {
            identity: permit.into_identity(),
            peer: connection.peer_header(),
            request_id: request_id.header_value(),
        },
    );
    let body = RequestBody::new(body, link.deadline.clone(), idle, response);
    let mut answer = pin!(link.send(Request::from_parts(parts, body)));
    let answer = poll_fn(|cx| {
        link.drive(cx);
        if let Poll::Ready(answer) = poll_driven(|cx| answer.as_mut().poll(cx)) {
            return Poll::Ready(answer.map_err(|error| {
                // What our side gave hyper to send is the client's body.
                if error.is_user() {
                    ForwardError::Client(error)
                } else {
                    ForwardError::Broken(error)
                }
            }));
        }
        if link.deadline.poll_passed(cx) {
            return Poll::Ready(Err(ForwardError::Timeout));
        }
        Poll::Pending
    })
    .await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(ForwardError::Switched);
    }
    if !is_only_chunked(answer.headers()) {
        return Err(ForwardError::Coding);
    }
    let (mut parts, incoming) = answer.into_parts();
    headers::to_client(&mut parts.headers);
    parts.version = Version::HTTP_11;
    link.deadline.arm(idle);
    let body = UpstreamBody {
        incoming,
        link: Some(link),
        upstream: upstream.clone(),
        idle,
        waiting: false,
    };
    Ok(Response::from_parts(parts, Body::upstream(body)))
}

/// Whether a message has no transfer coding but `chunked`, once. hyper undoes
/// that one where it comes last and says nothing of what stands before it: the
/// other side would take a compressed body for a plain one.
pub(crate) fn is_only_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// One `Cookie` line, as HTTP/1.1 has it (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().count() < 2 {
        return;
    }
    let crumbs: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, cookie);
    }
}

/// HTTP/2 names the host in the request's authority; whoever puts a user's name
/// into it does not mean the upstream (RFC 9110 section 4.2.4).
fn set_host(uri: &http::Uri, headers: &mut HeaderMap) {
    if let Some(authority) = uri.authority()
        && let Some(host) = authority.as_str().rsplit('@').next()
        && let Ok(host) = HeaderValue::from_str(host)
    {
        headers.insert(header::HOST, host);
    }
}

/// An upstream's body on its way to the client. When it has come to its end,
/// the connection goes back to the pool; when it is dropped before, the
/// connection is closed and the upstream hears that nobody listens any more.
pub struct UpstreamBody {
    incoming: Incoming,
    link: Option<Box<Link>>,
    upstream: Rc<Upstream>,
    idle: u32,
    /// Whether it is the upstream that we wait for, and not the client.
    waiting: bool,
}

impl http_body::Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = poll_driven(|cx| Pin::new(&mut this.incoming).poll_frame(cx)) {
            return Poll::Ready(this.passed(frame));
        }
        let Some(link) = &mut this.link else {
            return Poll::Ready(None);
        };
        link.drive(cx);
        if let Poll::Ready(frame) = poll_driven(|cx| Pin::new(&mut this.incoming).poll_frame(cx)) {
            return Poll::Ready(this.passed(frame));
        }
        if !this.waiting {
            this.waiting = true;
            link.deadline.arm(this.idle);
        }
        let error = if link.has_ended() {
            BodyError::BrokenOff
        } else if link.deadline.poll_passed(cx) {
            BodyError::Timeout
        } else {
            return Poll::Pending;
        };
        this.link = None;
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl UpstreamBody {
    fn passed(
        &mut self,
        frame: Option<Result<Frame<Bytes>, hyper::Error>>,
    ) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.waiting = false;
        if frame.is_none() {
            self.give_back();
        }
        frame.map(|frame| Ok(headers::frame_to_client(frame?)))
    }

    fn give_back(&mut self) {
        if let Some(link) = self.link.take() {
            self.upstream.give_back(link);
        }
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        if self.incoming.is_end_stream() {
            self.give_back();
        }
    }
}
