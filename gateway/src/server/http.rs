//! HTTP/1.1 and HTTP/2 by hyper, and what happens to each request.

use std::{convert::Infallible, future::poll_fn, net::SocketAddr, pin::pin, rc::Rc, time::Instant};

use ::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    body::Incoming,
    rt::Executor,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::{connection::Connection, deadline::Deadlines, framing::Framing, guarded::Guarded};
use crate::{
    body::Body,
    core::Core,
    forward::{self, ForwardError, upstream::ConnectError},
    oauth::{self, Call, cors, error::Error, form::MAX_BODY, userinfo},
    permit::{Refusal, bearer_with, permit},
    problem::Problem,
    request_id::{self, RequestId},
    route::{Found, Target, allow, is_plain},
    site::{self, Visit},
    surface::Endpoint,
};

/// Requests under way on one HTTP/2 connection, at the most.
const MAX_STREAMS: u32 = 256;
/// Bytes of a refused request that are read and dropped, at the most.
const DRAIN: usize = 16 << 20;
/// Time for that.
const DRAIN_TIME: std::time::Duration = std::time::Duration::from_secs(10);
/// How often an HTTP/2 client is asked whether it is still there.
const PING: std::time::Duration = std::time::Duration::from_secs(30);

/// Runs the tasks of an HTTP/2 connection on this thread.
#[derive(Clone, Copy)]
struct OnThisThread;

impl<F: Future + 'static> Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(core: &Rc<Core>, stream: TlsStream<TcpStream>, peer: SocketAddr) {
    let limits = &core.shared.config.limits;
    let max_head = limits.header_kib as usize * 1_024;
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let connection = Connection::new(core, peer);
    let stall = Deadlines::ticks(limits.idle_timeout.duration());
    let io = TokioIo::new(Guarded::new(stream, connection.clone(), stall));
    let service = {
        let (core, connection) = (core.clone(), connection.clone());
        service_fn(move |request| {
            let (core, connection) = (core.clone(), connection.clone());
            async move { Ok::<_, Infallible>(respond(&core, &connection, request).await) }
        })
    };
    if is_h2 {
        connection.tap.borrow_mut().turn_off();
        let serving = http2::Builder::new(OnThisThread)
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(limits.header_kib.saturating_mul(1_024))
            .keep_alive_interval(PING)
            .serve_connection(io, service);
        let mut serving = pin!(serving);
        run(core, &connection, |cx, drain| {
            if drain {
                serving.as_mut().graceful_shutdown();
            }
            serving.as_mut().poll(cx)
        })
        .await;
    } else {
        let serving = http1::Builder::new()
            .max_buf_size(max_head.max(8_192))
            .serve_connection(io, service);
        let mut serving = pin!(serving);
        run(core, &connection, |cx, drain| {
            if drain {
                serving.as_mut().graceful_shutdown();
            }
            serving.as_mut().poll(cx)
        })
        .await;
    }
}

/// Polls a connection until it ends or its deadline passes, and tells it once
/// when the gateway is about to stop.
async fn run(
    core: &Core,
    connection: &Connection,
    mut poll: impl FnMut(&mut std::task::Context<'_>, bool) -> std::task::Poll<hyper::Result<()>>,
) {
    let mut told = false;
    let result = poll_fn(|cx| {
        if connection.poll_expired(core, cx) {
            return std::task::Poll::Ready(Ok(()));
        }
        let drain = core.draining.get() && !told;
        told |= drain;
        poll(cx, drain)
    })
    .await;
    if let Err(error) = result {
        tracing::debug!(%error, peer = %connection.peer(), "connection ended");
    }
}

/// Answers one request.
async fn respond(
    core: &Core,
    connection: &Rc<Connection>,
    request: Request<Incoming>,
) -> Response<Body> {
    let in_flight = connection.begin();
    let is_h2 = request.version() == Version::HTTP_2;
    let id = core.request_ids.next();
    let mut response = match check_head(connection, &request) {
        Ok(()) => dispatch(core, connection, request, &id).await,
        Err((problem, detail)) => {
            let mut response = problem.response(detail, &id);
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
            core.metrics.answered(None, response.status());
            response
        }
    };
    response
        .headers_mut()
        .insert(&request_id::HEADER, id.header_value());
    let body = response.body_mut();
    body.hold(in_flight);
    if is_h2 {
        connection.watch(core, body);
    }
    response
}

/// What must be right before anything is looked up.
fn check_head(
    connection: &Connection,
    request: &Request<Incoming>,
) -> Result<(), (Problem, &'static str)> {
    let headers = request.headers();
    let mut tap = connection.tap.borrow_mut();
    tap.parsed();
    let is_h1 = request.version() < Version::HTTP_2;
    if is_h1 && headers.contains_key(header::TRANSFER_ENCODING) {
        let detail = match tap.framing() {
            _ if !forward::is_only_chunked(headers) => {
                "the one transfer coding that is understood here is chunked, once (RFC 9112 section 6.1)"
            }
            Framing::Single => "",
            Framing::Double => {
                "send Content-Length or Transfer-Encoding, not both (RFC 9112 section 6.1)"
            }
            Framing::Unknown => "a chunked request may not be pipelined behind another one",
        };
        if !detail.is_empty() {
            return Err((Problem::AMBIGUOUS_FRAMING, detail));
        }
    }
    if !has_one_host(request) {
        return Err((
            Problem::BAD_REQUEST,
            "expected one host, as host or host:port (RFC 9110 section 7.2)",
        ));
    }
    if !is_plain(request.uri().path()) {
        return Err((
            Problem::BAD_PATH,
            "expected a path without dot segments, empty segments, backslashes and needless percent-encoding",
        ));
    }
    Ok(())
}

/// Whether a request names one host, and nothing but a host. HTTP/1.0 may leave
/// it out.
fn has_one_host(request: &Request<Incoming>) -> bool {
    let is_host = |text: &str| {
        let port_or_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte);
        !text.is_empty() && text.len() <= 261 && text.bytes().all(port_or_name)
    };
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let authority = request.uri().authority();
    match (authority, hosts.next(), hosts.next()) {
        (_, _, Some(_)) => false,
        (Some(authority), _, None) => is_host(authority.as_str()),
        (None, Some(host), None) => host.to_str().is_ok_and(is_host),
        (None, None, None) => request.version() == Version::HTTP_10,
    }
}

async fn dispatch(
    core: &Core,
    connection: &Connection,
    request: Request<Incoming>,
    id: &RequestId,
) -> Response<Body> {
    match core
        .shared
        .router
        .find(request.method(), request.uri().path())
    {
        Found::Target(Target::Forward(index)) => {
            let response = forwarded(core, connection, index, request, id).await;
            core.metrics.answered(Some(index), response.status());
            response
        }
        Found::Target(Target::Endpoint(endpoint)) => {
            // In a box, as everything that is rare is: what the future of a
            // forwarded request has no room for need not be moved with it.
            let mut response =
                Box::pin(endpoint_answer(core, connection, endpoint, request, id)).await;
            if endpoint.is_for_scripts() {
                cors::open(response.headers_mut());
            }
            core.metrics.endpoint_answered(endpoint, response.status());
            response
        }
        Found::OtherMethods(methods) => {
            Box::pin(drain(request)).await;
            let detail = format!("this path takes {methods}");
            let mut response = Problem::METHOD_NOT_ALLOWED.response(&detail, id);
            response.headers_mut().insert(header::ALLOW, allow(methods));
            core.metrics.answered(None, response.status());
            response
        }
        Found::Nothing => {
            Box::pin(drain(request)).await;
            core.metrics.answered(None, StatusCode::NOT_FOUND);
            Problem::NOT_FOUND.response("no route of this gateway has this path", id)
        }
    }
}

/// Permit, then forward.
async fn forwarded(
    core: &Core,
    connection: &Connection,
    index: usize,
    request: Request<Incoming>,
    id: &RequestId,
) -> Response<Body> {
    let started = Instant::now();
    let route = &core.shared.router.routes()[index];
    let permit = match permit(core, connection, request.headers(), route).await {
        Ok(permit) => permit,
        Err(refusal) => {
            core.metrics.refused(refusal.reason());
            Box::pin(drain(request)).await;
            return refused(&refusal, id);
        }
    };
    let permitted = Instant::now();
    let answer = match forward::link(core, route).await {
        Ok(link) => forward::forward(core, connection, route, link, permit, request, id).await,
        Err(error) => {
            Box::pin(drain(request)).await;
            Err(error)
        }
    };
    match answer {
        Ok(response) => {
            core.metrics.took(permitted - started, permitted.elapsed());
            response
        }
        Err(error) => {
            if matches!(error, ForwardError::Client(_)) {
                tracing::debug!(%error, request_id = id.as_str(), "client");
            } else {
                tracing::warn!(%error, route = route.path, request_id = id.as_str(), "upstream");
            }
            unforwarded(&error, id)
        }
    }
}

/// Reads and drops the body of a request that is refused. Many clients listen
/// only when they have sent everything, and would lose the answer with the
/// connection. One that asked before sending (`Expect`) listens already.
async fn drain(request: Request<Incoming>) {
    let (parts, body) = request.into_parts();
    drop_rest(&parts.headers, body).await;
}

/// What [`drain`] does, of a body whose beginning may have been read.
async fn drop_rest(headers: &HeaderMap, body: Incoming) {
    if hyper::body::Body::is_end_stream(&body) || headers.contains_key(header::EXPECT) {
        return;
    }
    let mut body = Limited::new(body, DRAIN);
    let all = async { while let Some(Ok(_)) = body.frame().await {} };
    // However it ended, the answer is next.
    let _ = tokio::time::timeout(DRAIN_TIME, all).await;
}

fn refused(refusal: &Refusal, id: &RequestId) -> Response<Body> {
    let problem = match refusal {
        Refusal::Missing => Problem::MISSING_TOKEN,
        Refusal::Malformed => Problem::BAD_AUTHORIZATION,
        Refusal::InvalidToken => Problem::INVALID_TOKEN,
        Refusal::InsufficientScope(_) => Problem::INSUFFICIENT_SCOPE,
        Refusal::Credential(_) => Problem::CREDENTIAL_NOT_ALLOWED,
        Refusal::Address(_) => Problem::ADDRESS_NOT_ALLOWED,
        Refusal::Store(_) => Problem::UNAVAILABLE,
        Refusal::Signer(_) => Problem::INTERNAL,
    };
    let detail = match refusal {
        Refusal::Store(error) => {
            tracing::error!(%error, request_id = id.as_str(), "store");
            "the token could not be looked up; try again later".to_owned()
        }
        Refusal::Signer(error) => {
            tracing::error!(%error, request_id = id.as_str(), "identity");
            "the caller's identity could not be signed".to_owned()
        }
        _ => refusal.to_string(),
    };
    let mut response = problem.response(&detail, id);
    if let Some(challenge) = refusal.challenge() {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn unforwarded(error: &ForwardError, id: &RequestId) -> Response<Body> {
    let (problem, detail) = match error {
        ForwardError::Connect(ConnectError::Timeout(_)) => (
            Problem::UPSTREAM_TIMEOUT,
            "the upstream did not accept a connection in time",
        ),
        ForwardError::Connect(_) => (
            Problem::UPSTREAM_UNREACHABLE,
            "the upstream accepts no connection",
        ),
        ForwardError::Timeout => (
            Problem::UPSTREAM_TIMEOUT,
            "the upstream did not answer in time",
        ),
        ForwardError::Client(_) => (
            Problem::BAD_REQUEST,
            "the request's body broke off or is malformed",
        ),
        ForwardError::Broken(_) | ForwardError::Switched | ForwardError::Coding => (
            Problem::UPSTREAM_BROKEN,
            "the upstream's answer was not one that can be passed on",
        ),
    };
    problem.response(detail, id)
}

/// One of the gateway's own endpoints.
async fn endpoint_answer(
    core: &Core,
    connection: &Connection,
    endpoint: Endpoint,
    request: Request<Incoming>,
    id: &RequestId,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let patience = core.shared.config.limits.idle_timeout.duration();
    let read = tokio::time::timeout(patience, read(&parts.headers, body)).await;
    let read = read.unwrap_or_else(|_| Err(Error::request("the body did not come in time")));
    let answer = match read {
        Err(error) => Err(error),
        Ok(body) if endpoint.is_page() => {
            let visit = Visit {
                gateway: core.shared.clone(),
                method: parts.method,
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                headers: parts.headers,
                body,
                peer: connection.peer(),
                request_id: id.as_str().to_owned(),
            };
            return site::answer(core, endpoint, visit).await;
        }
        Ok(_) if endpoint == Endpoint::Userinfo => {
            let any = userinfo::telling(core);
            match bearer_with(core, connection, &parts.headers, any).await {
                Ok(bearer) => userinfo::answer(core, &bearer).await,
                Err(refusal) => {
                    core.metrics.refused(refusal.reason());
                    return refused(&refusal, id);
                }
            }
        }
        Ok(body) => {
            let headers = &parts.headers;
            let peer = connection.peer();
            let call = Call {
                peer,
                headers,
                body,
            };
            return oauth::answer(core, endpoint, call).await;
        }
    };
    answer.unwrap_or_else(|error| {
        core.metrics.oauth_refused(endpoint, error.code());
        error.into_response()
    })
}

/// The whole body, if it is not too large.
async fn read(headers: &HeaderMap, mut body: Incoming) -> Result<Bytes, Error> {
    let stated = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if stated.is_none_or(|length| length <= MAX_BODY as u64) {
        match Limited::new(&mut body, MAX_BODY).collect().await {
            Ok(collected) => return Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {}
            Err(_) => return Err(Error::request("the body ended before its end")),
        }
    }
    drop_rest(headers, body).await;
    Err(Error::too_large(MAX_BODY))
}
