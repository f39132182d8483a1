//! The endpoints as Flight Crew View names them (FCV-12, FCV-31, FCV-103).

use crds::gateway_config::LogbookSurface;
use http::Method;

use super::Endpoint;

/// The endpoints below the base.
pub(super) fn endpoints(surface: &LogbookSurface) -> Vec<(String, Method, Endpoint)> {
    [
        ("/logbookuserauth/", Method::GET, Endpoint::LogbookAuthorize),
        (
            "/logbookuserauth/",
            Method::POST,
            Endpoint::LogbookAuthorize,
        ),
        ("/api/token/", Method::POST, Endpoint::LogbookToken),
        ("/api/revokeToken/", Method::POST, Endpoint::LogbookRevoke),
    ]
    .map(|(name, method, endpoint)| (format!("{}{name}", surface.base), method, endpoint))
    .into()
}
