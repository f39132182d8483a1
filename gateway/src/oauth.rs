//! The OAuth endpoints: RFC 6749, 7009, 7636, 7662, 8414, 8628 and 9207.

pub mod authorize;
pub mod client;
pub mod code;
pub(crate) mod cors;
pub mod device;
mod entitlement;
pub mod error;
pub mod form;
pub mod grant;
pub mod introspect;
mod issue;
pub mod metadata;
#[cfg(test)]
mod model;
pub mod passkey;
pub mod pkce;
pub mod redirect;
pub mod refresh;
pub mod revoke;
pub mod token;
pub(crate) mod userinfo;

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use serde::Serialize;

use crate::{body::Body, core::Core, pages::style, surface::Endpoint, telemetry::audit};

use error::Error;
use token::Shape;

/// What an endpoint of the form-encoded kind gets.
pub(crate) struct Call<'a> {
    pub(crate) peer: IpAddr,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Bytes,
}

/// The answer of one of the gateway's own endpoints.
pub(crate) async fn answer(core: &Core, endpoint: Endpoint, call: Call<'_>) -> Response<Body> {
    let answer = match endpoint {
        Endpoint::Token => token::answer(core, &call, Shape::Standard).await,
        Endpoint::LogbookToken => token::answer(core, &call, Shape::Logbook).await,
        Endpoint::DeviceAuthorization => device::answer(core, &call).await,
        Endpoint::Introspect => introspect::answer(core, &call).await,
        Endpoint::Revoke => revoke::answer(core, &call).await,
        Endpoint::RevokeByBearer => revoke::answer_bearer(core, &call).await,
        Endpoint::LogbookRevoke => revoke::answer_logbook(core, &call).await,
        Endpoint::Metadata => Ok(public_json(core.shared.metadata.clone())),
        Endpoint::Jwks => Ok(public_json(core.shared.keys.signer.jwks())),
        Endpoint::Style => Ok(style::answer()),
        Endpoint::Preflight => Ok(cors::preflight()),
        // Those need more than a form, and never come here.
        _ => Err(Error::server("no such endpoint")),
    };
    answer.unwrap_or_else(|error| {
        core.metrics.oauth_refused(endpoint, error.code());
        audit::refused(endpoint.name(), error.code());
        error.into_response()
    })
}

/// JSON that is for one caller alone (RFC 6749 section 5.1).
fn private_json(value: &impl Serialize) -> Result<Response<Body>, Error> {
    let json =
        serde_json::to_vec(value).map_err(|_| Error::server("the answer could not be written"))?;
    let mut response = Response::new(Body::full(json));
    no_store(response.headers_mut());
    Ok(response)
}

/// JSON that anyone may see and keep for a while.
fn public_json(json: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::full(json));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    response
}

fn no_store(headers: &mut HeaderMap) {
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}
