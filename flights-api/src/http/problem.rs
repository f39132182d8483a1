//! Every error of the API, as RFC 9457 problem details.
//!
//! `type` is `urn:flightgate:problem:` and a code. Codes are stable; the sentence
//! in `detail` is for people and may change.
//!
//! | code | status | when |
//! |---|---|---|
//! | `invalid-parameter` | 400 | a query parameter is unknown, repeated or out of range; `detail` names it |
//! | `invalid-upload` | 400 | the body is not what its Content-Type says, or has not exactly one part `file` |
//! | `identity-required` | 401 | the gateway's identity is missing, repeated, forged, expired or of another issuer |
//! | `insufficient-scope` | 403 | the identity lacks the scope that `detail` names |
//! | `not-found` | 404 | no such path, or no such flight of this subject |
//! | `method-not-allowed` | 405 | the path has other methods: see `Allow` |
//! | `upload-stalled` | 408 | no byte of the body came for 30 seconds |
//! | `upload-too-large` | 413 | the file is larger than the limit that `detail` names |
//! | `unsupported-media-type` | 415 | a Content-Type or Content-Encoding that is not read |
//! | `not-igc` | 422 | no line of the file is an IGC record |
//! | `no-date` | 422 | the file has no date that can be read; `detail` names the line |
//! | `no-fixes` | 422 | the file has no fix that can be read; `detail` names the line |
//! | `internal` | 500 | a fault of this API; the log has it under the same request id |
//! | `busy` | 503 | other uploads fill the memory set aside for them; retry |
//! | `keys-unavailable` | 503 | the gateway's keys cannot be fetched, so no identity can be checked; retry |
//! | `store-unavailable` | 503 | the store cannot be reached; retry |

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::igc::NotAFlight;
use crate::store::StoreError;

/// What kind of error: one row of the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the table in the module's documentation says what each is"
)]
pub enum Code {
    InvalidParameter,
    InvalidUpload,
    IdentityRequired,
    InsufficientScope,
    NotFound,
    MethodNotAllowed,
    UploadStalled,
    UploadTooLarge,
    UnsupportedMediaType,
    NotIgc,
    NoDate,
    NoFixes,
    Internal,
    Busy,
    KeysUnavailable,
    StoreUnavailable,
}

impl Code {
    /// Every code.
    pub const ALL: [Code; 16] = [
        Code::InvalidParameter,
        Code::InvalidUpload,
        Code::IdentityRequired,
        Code::InsufficientScope,
        Code::NotFound,
        Code::MethodNotAllowed,
        Code::UploadStalled,
        Code::UploadTooLarge,
        Code::UnsupportedMediaType,
        Code::NotIgc,
        Code::NoDate,
        Code::NoFixes,
        Code::Internal,
        Code::Busy,
        Code::KeysUnavailable,
        Code::StoreUnavailable,
    ];

    /// The code as it stands behind the URN, the title, and the status.
    pub fn parts(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Code::InvalidParameter => (
                "invalid-parameter",
                "Invalid parameter",
                StatusCode::BAD_REQUEST,
            ),
            Code::InvalidUpload => ("invalid-upload", "Invalid upload", StatusCode::BAD_REQUEST),
            Code::IdentityRequired => (
                "identity-required",
                "Identity required",
                StatusCode::UNAUTHORIZED,
            ),
            Code::InsufficientScope => (
                "insufficient-scope",
                "Insufficient scope",
                StatusCode::FORBIDDEN,
            ),
            Code::NotFound => ("not-found", "Not found", StatusCode::NOT_FOUND),
            Code::MethodNotAllowed => (
                "method-not-allowed",
                "Method not allowed",
                StatusCode::METHOD_NOT_ALLOWED,
            ),
            Code::UploadStalled => (
                "upload-stalled",
                "Upload stalled",
                StatusCode::REQUEST_TIMEOUT,
            ),
            Code::UploadTooLarge => (
                "upload-too-large",
                "Upload too large",
                StatusCode::PAYLOAD_TOO_LARGE,
            ),
            Code::UnsupportedMediaType => (
                "unsupported-media-type",
                "Unsupported media type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ),
            Code::NotIgc => (
                "not-igc",
                "Not an IGC file",
                StatusCode::UNPROCESSABLE_ENTITY,
            ),
            Code::NoDate => ("no-date", "No date", StatusCode::UNPROCESSABLE_ENTITY),
            Code::NoFixes => ("no-fixes", "No fixes", StatusCode::UNPROCESSABLE_ENTITY),
            Code::Internal => (
                "internal",
                "Internal error",
                StatusCode::INTERNAL_SERVER_ERROR,
            ),
            Code::Busy => ("busy", "Busy", StatusCode::SERVICE_UNAVAILABLE),
            Code::KeysUnavailable => (
                "keys-unavailable",
                "Keys unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            Code::StoreUnavailable => (
                "store-unavailable",
                "Store unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
        }
    }
}

/// An error on its way to the caller.
#[derive(Clone, Debug)]
pub struct Problem {
    code: Code,
    detail: String,
    retry_after_s: Option<u32>,
}

impl Problem {
    /// A problem of this kind; `detail` says what was expected and what to do.
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem {
            code,
            detail: detail.into(),
            retry_after_s: None,
        }
    }

    /// Tells the caller to try again after so many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Problem {
        Problem {
            retry_after_s: Some(seconds),
            ..self
        }
    }

    /// The answer, with the id of the request if it had one.
    pub fn render(self, request_id: Option<&str>) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            r#type: String,
            title: &'a str,
            status: u16,
            detail: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            request_id: Option<&'a str>,
        }
        let (code, title, status) = self.code.parts();
        let body = Body {
            r#type: format!("urn:flightgate:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            request_id,
        };
        let mut response = (status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.code == Code::IdentityRequired {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Flightgate-Identity"),
            );
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// As a response, a problem is only a note to [`super::trace`], which knows the id
/// of the request and renders it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.parts().2.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        tracing::error!(%error, "the store failed");
        match error {
            StoreError::Row { .. } | StoreError::Random(_) => {
                Problem::new(Code::Internal, "a fault of this API; its log says more")
            }
            StoreError::Database(_) | StoreError::Blobs(_) => Problem::new(
                Code::StoreUnavailable,
                "the store cannot be reached at the moment",
            )
            .retry_after(5),
        }
    }
}

impl From<NotAFlight> for Problem {
    fn from(why: NotAFlight) -> Problem {
        let code = match why {
            NotAFlight::NotIgc { .. } | NotAFlight::Empty => Code::NotIgc,
            NotAFlight::BadDate { .. } | NotAFlight::NoDate { .. } => Code::NoDate,
            NotAFlight::BadFix { .. } | NotAFlight::NoFixes { .. } => Code::NoFixes,
        };
        Problem::new(code, why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_code_with_its_status() {
        let documentation = include_str!("problem.rs");
        let rows = documentation
            .lines()
            .filter(|line| line.starts_with("//! | `"))
            .count();
        assert_eq!(rows, Code::ALL.len());
        for code in Code::ALL {
            let (name, _, status) = code.parts();
            let row = format!("//! | `{name}` | {} |", status.as_u16());
            assert!(documentation.contains(&row), "{row}");
        }
    }
}
