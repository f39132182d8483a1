//! One source of a content security policy (CSP Level 3 section 2.3.1).
//!
//! A policy is one line in which `;`, `,` and spaces have a meaning, and what
//! goes into it comes from URLs that partners wrote. A [`Source`] therefore has
//! no characters but those that the grammar knows in hosts and schemes. Paths
//! and queries, where the others are at home, are left out.

use std::fmt;

use url::{Host, Url};

/// An origin or a scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source(String);

impl Source {
    /// The origin of an http or https URL, or none if no policy can name it.
    ///
    /// The grammar has no brackets, so an IPv6 address is named by its scheme
    /// alone. Chromium ignores sources with an underscore, so those are none.
    pub fn origin(url: &Url) -> Option<Self> {
        let scheme = url.scheme();
        if !matches!(scheme, "http" | "https") {
            return None;
        }
        let host = match url.host()? {
            Host::Domain(domain) => domain.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(_) => return Self::scheme(scheme),
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        if !host.bytes().all(plain) {
            return None;
        }
        let port = url.port().map_or(String::new(), |port| format!(":{port}"));
        Some(Self(format!("{scheme}://{host}{port}")))
    }

    /// A scheme with all that is under it.
    pub fn scheme(scheme: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        let letter = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
        (letter && scheme.bytes().all(plain)).then(|| Self(format!("{scheme}:")))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin(url: &str) -> Option<String> {
        Some(Source::origin(&Url::parse(url).ok()?)?.to_string())
    }

    #[test]
    fn an_origin_is_all_that_is_left_of_a_url() {
        for (url, expected) in [
            (
                "https://acme.example/cb?a=;b,c d",
                Some("https://acme.example"),
            ),
            ("https://ACME.example:443/", Some("https://acme.example")),
            (
                "https://acme.example:8443",
                Some("https://acme.example:8443"),
            ),
            ("https://u:p@acme.example/", Some("https://acme.example")),
            (
                "https://bücher.example",
                Some("https://xn--bcher-kva.example"),
            ),
            ("http://127.0.0.1:9/cb", Some("http://127.0.0.1:9")),
            ("http://[::1]:9/cb", Some("http:")),
            ("https://a_b.example/", None),
            ("https://a;script-src.example/", None),
            ("https://a,b.example/", None),
            ("https://a'b.example/", None),
            ("https://*.example/", None),
            ("com.example.app:/cb", None),
            ("data:text/html,x", None),
        ] {
            assert_eq!(origin(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_scheme_is_nothing_but_a_scheme() {
        assert_eq!(
            Source::scheme("com.example.app").unwrap().to_string(),
            "com.example.app:"
        );
        for scheme in [
            "", "1a", "a b", "a;b", "a,b", "a:b", "a\nb", "*", "'self'", "é",
        ] {
            assert_eq!(Source::scheme(scheme), None, "{scheme}");
        }
    }

    proptest! {
        #[test]
        fn no_url_writes_into_the_policy(url in "https?://[ -~]{0,40}", scheme in "\\PC{0,20}") {
            for source in [origin(&url), Source::scheme(&scheme).map(|s| s.to_string())].into_iter().flatten() {
                let plain = |c: char| c.is_ascii_alphanumeric() || ":/.-+".contains(c);
                prop_assert!(source.chars().all(plain), "{source}");
            }
        }
    }
}
