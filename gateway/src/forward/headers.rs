//! What of a message's head passes the gateway, and what does not.
//!
//! Invariant: nothing that a client sends reaches the upstream as identity. The
//! gateway's own headers are removed first, in every spelling that an upstream
//! might read as the same, and set afterwards.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::Frame;

use super::cookies;
use crate::{identity, request_id};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Fields by which some servers take another method, path or address than the
/// one that was permitted.
const REWRITES: [&str; 6] = [
    "x-real-ip",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// What the gateway itself says about a request.
pub(super) struct Statement {
    /// Who calls.
    pub(super) identity: HeaderValue,
    /// From where.
    pub(super) peer: HeaderValue,
    /// Names the request.
    pub(super) request_id: HeaderValue,
}

/// Makes a client's request head fit for the upstream.
pub(super) fn to_upstream(headers: &mut HeaderMap, statement: Statement) {
    remove_nominated(headers);
    remove(headers, is_for_gateway);
    cookies::keep_from_upstream(headers);
    headers.insert(&identity::HEADER, statement.identity);
    headers.insert(&X_FORWARDED_FOR, statement.peer);
    headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    headers.insert(&request_id::HEADER, statement.request_id);
}

/// Makes an upstream's response head fit for the client.
pub(super) fn to_client(headers: &mut HeaderMap) {
    remove_nominated(headers);
    remove(headers, is_for_upstream);
    cookies::keep_from_client(headers);
}

/// What of a client's body passes. Trailers are fields too, which an upstream
/// may merge into those of the head (RFC 9110 section 6.5.1).
pub(super) fn frame_to_upstream(frame: Frame<Bytes>) -> Frame<Bytes> {
    without_trailers(frame, is_for_gateway)
}

/// What of an upstream's body passes.
pub(super) fn frame_to_client(frame: Frame<Bytes>) -> Frame<Bytes> {
    without_trailers(frame, is_for_upstream)
}

fn without_trailers(frame: Frame<Bytes>, unwanted: impl Fn(&HeaderName) -> bool) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            remove(&mut trailers, unwanted);
            Frame::trailers(trailers)
        }
        Err(data) => data,
    }
}

/// Removes the fields that `Connection` names (RFC 9110 section 7.6.1), except
/// those without which the message would mean something else.
fn remove_nominated(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONNECTION) {
        return;
    }
    let values: Vec<HeaderValue> = headers
        .get_all(header::CONNECTION)
        .iter()
        .cloned()
        .collect();
    let tokens = values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for name in tokens.filter_map(|token| HeaderName::try_from(token.trim()).ok()) {
        if !is_essential(&name) {
            headers.remove(name);
        }
    }
}

fn is_essential(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CACHE_CONTROL,
        header::TRAILER,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::RANGE,
    ]
    .contains(name)
}

/// Removes every field whose name is told off. Most messages have none, so the
/// common way is one pass that finds nothing.
fn remove(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| unwanted(name)).cloned() {
        headers.remove(name);
    }
}

/// Fields that no client gets to see.
fn is_for_upstream(name: &HeaderName) -> bool {
    is_hop_by_hop(name) || is_identity(name.as_str())
}

/// Fields that end at the gateway.
fn is_for_gateway(name: &HeaderName) -> bool {
    if is_hop_by_hop(name)
        || *name == header::AUTHORIZATION
        || *name == header::EXPECT
        || *name == header::FORWARDED
    {
        return true;
    }
    let text = name.as_str();
    match text.as_bytes().first() {
        Some(b'f') => is_identity(text),
        Some(b'x') => {
            starts_like(text, "x-forwarded-")
                || starts_like(text, "x-request-id")
                || REWRITES.iter().any(|name| is_like(text, name))
        }
        _ => false,
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    *name == header::CONNECTION
        || *name == header::TRANSFER_ENCODING
        || *name == header::UPGRADE
        || *name == header::TE
        || *name == header::PROXY_AUTHENTICATE
        || *name == header::PROXY_AUTHORIZATION
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
}

/// Every name that belongs to the gateway.
fn is_identity(name: &str) -> bool {
    starts_like(name, "flightgate-")
}

/// Whether `name` starts with `prefix`, reading `_` as `-` as CGI-like upstreams
/// do.
fn starts_like(name: &str, prefix: &str) -> bool {
    name.len() >= prefix.len() && is_like(&name[..prefix.len()], prefix)
}

fn is_like(name: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    name.len() == other.len() && name.bytes().map(plain).eq(other.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        Statement {
            identity: HeaderValue::from_static("signed"),
            peer: HeaderValue::from_static("192.0.2.1"),
            request_id: HeaderValue::from_static("r1"),
        }
    }

    fn forwarded(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        to_upstream(&mut headers, statement());
        headers
    }

    #[test]
    fn a_forged_identity_is_replaced_in_every_spelling() {
        let headers = forwarded(&[
            ("flightgate-identity", "forged"),
            ("flightgate-identity", "forged again"),
            ("flightgate_identity", "forged"),
            ("flightgate-anything", "forged"),
            ("x-forwarded-for", "203.0.113.9"),
            ("x_forwarded_for", "203.0.113.9"),
            ("x-forwarded_host", "evil.example"),
            ("forwarded", "for=203.0.113.9"),
            ("x-real-ip", "203.0.113.9"),
            ("x-http-method-override", "DELETE"),
            ("x_original-url", "/admin"),
            ("x_request_id", "chosen"),
            ("authorization", "Bearer secret"),
            ("accept", "*/*"),
        ]);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "accept",
                "flightgate-identity",
                "x-forwarded-for",
                "x-forwarded-proto",
                "x-request-id"
            ]
        );
        assert_eq!(headers["flightgate-identity"], "signed");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1");
    }

    #[test]
    fn connection_tokens_remove_extensions_but_not_what_matters() {
        let headers = forwarded(&[
            ("connection", "x-hop, flightgate-identity, content-type"),
            ("connection", "close"),
            ("x-hop", "1"),
            ("content-type", "text/plain"),
            ("upgrade", "websocket"),
            ("te", "trailers"),
        ]);
        assert_eq!(headers["flightgate-identity"], "signed");
        assert_eq!(headers["content-type"], "text/plain");
        assert!(
            !headers.contains_key("x-hop")
                && !headers.contains_key("upgrade")
                && !headers.contains_key("te")
        );
    }
}
