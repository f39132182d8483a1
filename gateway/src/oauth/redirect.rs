//! Redirect URIs: which ones are the client's, and what is sent to them.

use crds::contract::ClientType;
use form_urlencoded::Serializer;
use url::Url;

use crate::registry::Client;

/// The redirect URI of a request, if it is one of the client's: character by
/// character the same (AF-46, RFC 9700 section 4.1.3). A native app, which
/// listens on whatever port it gets, may name another port of its loopback
/// address (RFC 8252 section 7.3). One that is left out is the client's only
/// one.
pub fn resolve<'a>(client: &'a Client, given: Option<&'a str>) -> Option<&'a str> {
    let Some(given) = given else {
        return match &client.redirect_uris[..] {
            [only] => Some(only),
            _ => None,
        };
    };
    let native = client.client_type == ClientType::Public;
    let known = client.redirect_uris.iter();
    known
        .into_iter()
        .any(|known| known == given || native && is_same_loopback(known, given))
        .then_some(given)
}

/// Whether both are the same but for the port, on a loopback address.
fn is_same_loopback(known: &str, given: &str) -> bool {
    match (without_port(known), without_port(given)) {
        (Some(known), Some(given)) => known == given,
        _ => false,
    }
}

/// The host and what follows the port, of plain http to a loopback address.
fn without_port(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let host = ["127.0.0.1", "[::1]", "localhost"]
        .into_iter()
        .find(|host| rest.starts_with(host))?;
    let rest = &rest[host.len()..];
    let after = match rest.strip_prefix(':') {
        Some(port) => {
            let digits = port.bytes().take_while(u8::is_ascii_digit).count();
            port[..digits].parse::<u16>().ok()?;
            &port[digits..]
        }
        None => rest,
    };
    (after.is_empty() || after.starts_with(['/', '?'])).then_some((host, after))
}

/// Whether this leads to a program on the user's own machine, which anything
/// there could pretend to be.
pub fn is_loopback(uri: &str) -> bool {
    without_port(uri).is_some()
}

/// The URI with these parameters in its query. Nothing of the URI changes
/// (RFC 6749 section 3.1.2).
pub fn with(uri: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let separator = match uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, known)) if known.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{uri}{separator}{}", query.finish())
}

/// Host of a redirect URI for people, or the scheme of an app.
pub fn place(uri: &str) -> String {
    match Url::parse(uri) {
        Ok(url) => match url.host_str() {
            Some(host) => host.to_owned(),
            None => format!("{}:", url.scheme()),
        },
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_loopback_addresses_alone_may_differ() {
        for (known, given, same) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb", true),
            ("http://127.0.0.1:80/cb", "http://127.0.0.1:51004/cb", true),
            ("http://[::1]/cb?a=b", "http://[::1]:5/cb?a=b", true),
            ("http://localhost:1/", "http://localhost:2/", true),
            ("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb2", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:99999/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:/cb", false),
            (
                "http://127.0.0.1/cb",
                "http://127.0.0.1:1@evil.example/cb",
                false,
            ),
            ("http://127.0.0.1", "http://127.0.0.1.evil.example", false),
            ("http://127.0.0.1/cb", "http://localhost/cb", false),
            ("https://127.0.0.1/cb", "https://127.0.0.1:1/cb", false),
            ("http://10.0.0.1/cb", "http://10.0.0.1:1/cb", false),
        ] {
            assert_eq!(is_same_loopback(known, given), same, "{known} {given}");
        }
    }

    #[test]
    fn parameters_come_behind_what_the_uri_has() {
        let to = |uri| {
            with(
                uri,
                &[("code", Some("a b&c")), ("state", None), ("iss", Some("i"))],
            )
        };
        assert_eq!(
            to("https://a.example/cb"),
            "https://a.example/cb?code=a+b%26c&iss=i"
        );
        assert_eq!(
            to("https://a.example/cb?x=1"),
            "https://a.example/cb?x=1&code=a+b%26c&iss=i"
        );
        assert_eq!(
            to("https://a.example/?"),
            "https://a.example/?code=a+b%26c&iss=i"
        );
        assert_eq!(
            to("com.acme.app:/cb"),
            "com.acme.app:/cb?code=a+b%26c&iss=i"
        );
    }
}
