//! The pages that people see: views, that is, structs that become HTML.
//!
//! A view knows no request, no store and no clock. Whoever answers a request
//! fills one in and gives it to [`answer`]. The pages need no JavaScript and
//! carry none, so the policy of [`headers`] forbids all of it.
//!
//! What is written by others (names of applications, of users, of scopes) is
//! escaped by the templates, freed of marks that reorder text, cut where it is
//! far too long, and isolated with `<bdi>`.

use askama::Template;
use http::{HeaderValue, Response, StatusCode, header};

use crate::body::Body;

pub mod account;
pub mod application;
pub mod consent;
pub mod destination;
pub mod device;
pub mod form;
pub mod headers;
pub mod link;
pub mod message;
pub mod passkey;
#[cfg(test)]
mod promises;
pub mod scope;
mod shown;
pub mod sign_in;
pub mod signed_out;
pub mod source;
pub mod style;
mod words;

/// A view as the answer to a request.
pub fn answer(
    view: &impl Template,
    status: StatusCode,
    policy: &headers::Policy,
) -> Result<Response<Body>, askama::Error> {
    let mut response = Response::new(Body::full(view.render()?));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    policy.put(headers);
    Ok(response)
}
