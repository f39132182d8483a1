//! The pages for people, below `pages.base`.

use http::Method;

use super::Endpoint;
use crate::{pages::style, user::upstream};

/// Path, method and endpoint of each page.
pub(super) fn endpoints(base: &str) -> Vec<(String, Method, Endpoint)> {
    let mut endpoints = vec![(style::path().to_owned(), Method::GET, Endpoint::Style)];
    for (name, endpoint) in [
        ("/sign-in", Endpoint::SignIn),
        ("/sign-out", Endpoint::SignOut),
        ("/device", Endpoint::Device),
        ("/account", Endpoint::Account),
    ] {
        for method in [Method::GET, Method::POST] {
            endpoints.push((format!("{base}{name}"), method, endpoint));
        }
    }
    let back = upstream::callback_path("{provider}");
    endpoints.push((back, Method::GET, Endpoint::SignInReturn));
    endpoints
}
