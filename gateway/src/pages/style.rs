//! The stylesheet of the pages, compiled in. Its path carries a hash of its
//! content, so that browsers keep it for good and never an old one.

use std::sync::LazyLock;

use http::{HeaderValue, Response, header};
use sha2::{Digest, Sha256};

use crate::body::Body;

/// The stylesheet.
pub const CSS: &str = include_str!("../../templates/style.css");

static PATH: LazyLock<String> = LazyLock::new(|| {
    let hash = Sha256::digest(CSS);
    let short = u64::from_be_bytes(std::array::from_fn(|i| hash[i]));
    format!("/assets/{short:016x}.css")
});

/// Where the pages look for it: `/assets/<hash>.css`.
pub fn path() -> &'static str {
    &PATH
}

/// The answer to a GET of [`path`].
pub fn answer() -> Response<Body> {
    let mut response = Response::new(Body::full(CSS));
    for (name, value) in [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}
