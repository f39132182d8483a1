//! Errors of the OAuth endpoints (RFC 6749 section 5.2), made into answers in
//! one place.

use std::borrow::Cow;

use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::no_store;
use crate::{
    body::Body, clock::NoRandomness, registry::Client, store::StoreError, user::UserError,
};

/// An error answer.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    description: Cow<'static, str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    InvalidRequest,
    TooLarge,
    InvalidClient { by_header: bool },
    InvalidGrant { status: StatusCode },
    Device(&'static str),
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedTokenType,
    InvalidScope,
    Unavailable,
    TooMany { wait: u64 },
    Server,
}

#[derive(Serialize)]
struct Document<'a> {
    error: &'static str,
    error_description: &'a str,
}

impl Error {
    /// A parameter is missing, malformed or repeated.
    pub fn request(description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: Kind::InvalidRequest,
            description: description.into(),
        }
    }

    /// The body is larger than any request that makes sense.
    pub fn too_large(limit: usize) -> Self {
        Self {
            kind: Kind::TooLarge,
            description: format!("the body is larger than {limit} bytes").into(),
        }
    }

    /// The client did not authenticate. One text for every cause, so that it
    /// tells nobody which clients exist.
    pub fn client(by_header: bool) -> Self {
        Self {
            kind: Kind::InvalidClient { by_header },
            description: "client authentication failed: unknown client, wrong secret or a method that this client may not use".into(),
        }
    }

    /// A code or token that is not to be had, with the status that the client's
    /// profile has for it (FCV-37, WF-51).
    pub fn grant(client: &Client, description: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::from_u16(client.profile.invalid_grant_status);
        Self {
            kind: Kind::InvalidGrant {
                status: status.unwrap_or(StatusCode::BAD_REQUEST),
            },
            description: description.into(),
        }
    }

    /// What a device is told while it waits (RFC 8628 section 3.5).
    pub fn device(code: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: Kind::Device(code),
            description: description.into(),
        }
    }

    /// The client may not do this.
    pub fn unauthorized(description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: Kind::UnauthorizedClient,
            description: description.into(),
        }
    }

    /// There is no such grant here.
    pub fn grant_type() -> Self {
        Self {
            kind: Kind::UnsupportedGrantType,
            description: "expected grant_type=authorization_code, refresh_token, client_credentials or urn:ietf:params:oauth:grant-type:device_code".into(),
        }
    }

    /// Tokens of this type cannot be revoked (RFC 7009 section 2.2.1).
    pub fn token_type() -> Self {
        Self {
            kind: Kind::UnsupportedTokenType,
            description: "API keys are revoked by deleting or rotating their ApiKey resource"
                .into(),
        }
    }

    /// A scope that does not exist, or that this client does not have.
    pub fn scope(description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: Kind::InvalidScope,
            description: description.into(),
        }
    }

    /// Nothing was done; later it may work.
    pub fn unavailable() -> Self {
        Self {
            kind: Kind::Unavailable,
            description: "nothing was stored; try again later".into(),
        }
    }

    /// Too many requests from one place; in `wait` seconds it may work.
    pub fn too_many(wait: u64) -> Self {
        Self {
            kind: Kind::TooMany { wait },
            description: format!("too many requests: wait {wait} seconds").into(),
        }
    }

    /// Our fault.
    pub fn server(description: &'static str) -> Self {
        Self {
            kind: Kind::Server,
            description: description.into(),
        }
    }

    /// The error code.
    pub const fn code(&self) -> &'static str {
        match self.kind {
            Kind::InvalidRequest | Kind::TooLarge => "invalid_request",
            Kind::InvalidClient { .. } => "invalid_client",
            Kind::InvalidGrant { .. } => "invalid_grant",
            Kind::Device(code) => code,
            Kind::UnauthorizedClient => "unauthorized_client",
            Kind::UnsupportedGrantType => "unsupported_grant_type",
            Kind::UnsupportedTokenType => "unsupported_token_type",
            Kind::InvalidScope => "invalid_scope",
            Kind::Unavailable | Kind::TooMany { .. } => "temporarily_unavailable",
            Kind::Server => "server_error",
        }
    }

    /// Every code.
    pub const CODES: [&'static str; 13] = [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "authorization_pending",
        "slow_down",
        "access_denied",
        "expired_token",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_token_type",
        "invalid_scope",
        "temporarily_unavailable",
        "server_error",
    ];

    const fn status(&self) -> StatusCode {
        match self.kind {
            Kind::InvalidClient { .. } => StatusCode::UNAUTHORIZED,
            Kind::InvalidGrant { status } => status,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Kind::Server => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The answer.
    pub fn into_response(self) -> Response<Body> {
        let document = Document {
            error: self.code(),
            error_description: &self.description,
        };
        let mut response = Response::new(Body::full(
            serde_json::to_vec(&document).unwrap_or_default(),
        ));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        no_store(headers);
        match self.kind {
            // RFC 6749 section 5.2 demands it where the client used the header,
            // RFC 9110 section 15.5.2 with every 401.
            Kind::InvalidClient { by_header } => {
                let error = if by_header {
                    ", error=\"invalid_client\""
                } else {
                    ""
                };
                let challenge = format!("Basic realm=\"oauth\", charset=\"UTF-8\"{error}");
                if let Ok(challenge) = HeaderValue::from_str(&challenge) {
                    headers.insert(header::WWW_AUTHENTICATE, challenge);
                }
            }
            // The client is who it says; what it brought is not good.
            Kind::InvalidGrant { status } if status == StatusCode::UNAUTHORIZED => {
                let challenge =
                    HeaderValue::from_static("Basic realm=\"oauth\", charset=\"UTF-8\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            Kind::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            Kind::TooMany { wait } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
            }
            Kind::TooLarge => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "store");
        Self::unavailable()
    }
}

impl From<UserError> for Error {
    fn from(error: UserError) -> Self {
        tracing::error!(%error, "user");
        Self::unavailable()
    }
}

impl From<NoRandomness> for Error {
    fn from(error: NoRandomness) -> Self {
        tracing::error!(%error, "randomness");
        Self::unavailable()
    }
}
