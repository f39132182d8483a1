//! Where the browser goes from here: a redirection URI (RFC 6749 section 3.1.2)
//! as the person is told of it, and as the policy of the page must allow it.

use std::fmt;

use url::{Host, Url};

use super::source::Source;

/// Where a redirection URI leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    source: Source,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Site(String),
    ThisDevice,
    App(String),
}

/// A redirection URI that no page can send a browser to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a redirection URI with https, with http on localhost or a loopback address, or with a \
     private scheme that has a dot, such as com.example.app (RFC 8252 section 7)"
)]
pub struct NoDestination;

impl Destination {
    /// Reads a redirection URI.
    pub fn parse(redirect_uri: &str) -> Result<Self, NoDestination> {
        // The parser would leave tabs and line ends out, and trim spaces.
        if redirect_uri
            .chars()
            .any(|c| c.is_whitespace() || c.is_control())
        {
            return Err(NoDestination);
        }
        let url = Url::parse(redirect_uri).map_err(|_| NoDestination)?;
        let (source, place) = match (url.scheme(), url.host()) {
            ("http", Some(host)) if is_loopback(&host) => (Source::origin(&url), Place::ThisDevice),
            ("https", Some(host)) => (Source::origin(&url), Place::Site(with_port(&host, &url))),
            (scheme, _) if scheme.contains('.') => {
                (Source::scheme(scheme), Place::App(scheme.to_owned()))
            }
            _ => return Err(NoDestination),
        };
        let source = source.ok_or(NoDestination)?;
        Ok(Self { source, place })
    }

    /// What `form-action` must allow, since Chromium and Safari apply it to the
    /// redirect that answers a form.
    pub fn source(&self) -> &Source {
        &self.source
    }
}

/// In words, after "back to".
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Site(host) => f.write_str(host),
            Place::ThisDevice => f.write_str("an application on this device"),
            Place::App(scheme) => write!(f, "an application on this device ({scheme})"),
        }
    }
}

fn with_port(host: &Host<&str>, url: &Url) -> String {
    url.port()
        .map_or_else(|| host.to_string(), |port| format!("{host}:{port}"))
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(domain) => *domain == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_person_and_the_policy_hear_of_the_same_place() {
        for (uri, place, source) in [
            (
                "https://acme.example/cb?x=1,2;3",
                "acme.example",
                "https://acme.example",
            ),
            (
                "https://acme.example:8443/",
                "acme.example:8443",
                "https://acme.example:8443",
            ),
            (
                "http://localhost:3000/cb",
                "an application on this device",
                "http://localhost:3000",
            ),
            (
                "http://127.0.0.1/cb",
                "an application on this device",
                "http://127.0.0.1",
            ),
            (
                "http://[::1]:3000/cb",
                "an application on this device",
                "http:",
            ),
            (
                "com.example.app:/cb",
                "an application on this device (com.example.app)",
                "com.example.app:",
            ),
        ] {
            let destination = Destination::parse(uri).unwrap();
            assert_eq!(destination.to_string(), place);
            assert_eq!(destination.source().to_string(), source);
        }
    }

    #[test]
    fn odd_uris_lead_nowhere() {
        for uri in [
            "http://acme.example/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "myapp:/cb",
            "/cb",
            "",
            "https://acme.example/ cb",
            "https://acme\t.example/cb",
            "https://acme.example/cb\n",
            "https://a;b.example/",
            "https://a,b.example/",
            "com.example.app;x:/cb",
        ] {
            assert_eq!(Destination::parse(uri), Err(NoDestination), "{uri:?}");
        }
    }
}
