//! Errors outside of the OAuth endpoints: `application/problem+json`
//! (RFC 9457). Every code stands in `docs/errors.md`.

use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::{body::Body, request_id::RequestId};

/// What went wrong, by its documented code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The status of the answer.
    pub status: StatusCode,
    /// The last part of `type`: stable, for programs.
    pub code: &'static str,
    /// One short sentence that is the same for every occurrence.
    pub title: &'static str,
}

macro_rules! problems {
    ($($name:ident = $status:ident, $code:literal, $title:literal;)*) => {
        impl Problem {
            $(#[doc = $title] pub const $name: Self =
                Self { status: StatusCode::$status, code: $code, title: $title };)*
            /// Every problem that the gateway itself reports.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

problems! {
    BAD_REQUEST = BAD_REQUEST, "bad-request", "The request is malformed.";
    AMBIGUOUS_FRAMING = BAD_REQUEST, "ambiguous-framing", "The request states its length in two ways.";
    BAD_PATH = BAD_REQUEST, "bad-path", "The path is not in its plain form.";
    BAD_AUTHORIZATION = BAD_REQUEST, "bad-authorization", "The Authorization header is malformed.";
    PLAIN_HTTP = BAD_REQUEST, "plain-http", "This port speaks HTTPS.";
    MISSING_TOKEN = UNAUTHORIZED, "missing-token", "A bearer token is needed.";
    INVALID_TOKEN = UNAUTHORIZED, "invalid-token", "The token is not valid, or no longer.";
    INSUFFICIENT_SCOPE = FORBIDDEN, "insufficient-scope", "The token does not carry the scope that this needs.";
    CREDENTIAL_NOT_ALLOWED = FORBIDDEN, "credential-not-allowed", "This path takes another kind of credential.";
    ADDRESS_NOT_ALLOWED = FORBIDDEN, "address-not-allowed", "The API key may not be used from this address.";
    NOT_FOUND = NOT_FOUND, "not-found", "There is nothing at this path.";
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED, "method-not-allowed", "This path does not take this method.";
    INTERNAL = INTERNAL_SERVER_ERROR, "internal", "The gateway failed.";
    UPSTREAM_UNREACHABLE = BAD_GATEWAY, "upstream-unreachable", "The API behind the gateway does not answer.";
    UPSTREAM_BROKEN = BAD_GATEWAY, "upstream-broken", "The API behind the gateway broke off.";
    UNAVAILABLE = SERVICE_UNAVAILABLE, "unavailable", "The gateway cannot answer this now.";
    UPSTREAM_TIMEOUT = GATEWAY_TIMEOUT, "upstream-timeout", "The API behind the gateway took too long.";
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    request_id: &'a str,
}

impl Problem {
    /// The answer. `detail` says what was found and what was expected here.
    pub fn response(self, detail: &str, request_id: &RequestId) -> Response<Body> {
        let document = Document {
            r#type: format!("urn:flightgate:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail,
            request_id: request_id.as_str(),
        };
        let json = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(Body::full(json));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
