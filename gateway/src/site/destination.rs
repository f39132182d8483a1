//! Where a browser goes after the sign-in: a page of this gateway, and nowhere
//! else, whatever the link says.

use http::Method;

use super::visit::{Visit, with_query};
use crate::{
    gateway::Gateway,
    oauth::authorize::{Dialect, Request},
    route::{Found, Target},
    surface::Endpoint,
};

/// A page to go on to.
pub(super) struct Destination {
    /// Path and query.
    pub(super) target: String,
    /// The authorization request that it is.
    pub(super) request: Option<Request>,
}

impl Destination {
    /// The page that `text` names, or the account page.
    pub(super) fn parse(visit: &Visit, text: Option<&str>) -> Self {
        text.and_then(|text| Self::find(&visit.gateway, text))
            .unwrap_or_else(|| Self {
                target: visit.page("/account"),
                request: None,
            })
    }

    fn find(gateway: &Gateway, text: &str) -> Option<Self> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        if !plain || !crate::route::is_plain(path) {
            return None;
        }
        let Found::Target(Target::Endpoint(endpoint)) = gateway.router.find(&Method::GET, path)
        else {
            return None;
        };
        let request = match endpoint {
            Endpoint::Authorize => Request::parse(gateway, query, Dialect::Standard).ok(),
            Endpoint::Device | Endpoint::Account => None,
            _ => return None,
        };
        Some(Self {
            target: with_query(path, query),
            request,
        })
    }
}

/// Seconds within which a sign-in counts as the one that was asked for.
const JUST_NOW: u64 = 60;

/// The query of an authorization request for after the sign-in that it asks
/// for: without the wish for one, but still not content with an old one.
pub(super) fn after_sign_in(query: &str) -> String {
    let mut parameters = form_urlencoded::Serializer::new(String::new());
    let mut max_age = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "prompt" => {
                let asks = |word: &&str| matches!(*word, "login" | "select_account");
                if value.split(' ').any(|word| asks(&word)) {
                    max_age = Some(JUST_NOW);
                }
                let rest: Vec<_> = value.split(' ').filter(|word| !asks(word)).collect();
                if !rest.join("").is_empty() {
                    parameters.append_pair("prompt", &rest.join(" "));
                }
            }
            "max_age" => {
                let age = value.parse().unwrap_or(0).max(JUST_NOW);
                max_age = Some(max_age.map_or(age, |known: u64| known.min(age)));
            }
            _ => {
                parameters.append_pair(&name, &value);
            }
        }
    }
    if let Some(max_age) = max_age {
        parameters.append_pair("max_age", &max_age.to_string());
    }
    parameters.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_for_a_sign_in_is_granted_once_and_not_by_an_old_session() {
        for (query, after) in [
            ("a=b&prompt=login", "a=b&max_age=60"),
            (
                "prompt=select_account+consent&a=b",
                "prompt=consent&a=b&max_age=60",
            ),
            ("max_age=0", "max_age=60"),
            ("max_age=3600", "max_age=3600"),
            ("max_age=3600&prompt=login", "max_age=60"),
            ("prompt=consent", "prompt=consent"),
            ("state=a%26b", "state=a%26b"),
        ] {
            assert_eq!(after_sign_in(query), after, "{query}");
        }
    }
}
