//! Where a link of a page may lead: to https, or to another page of this
//! gateway. A `javascript:` URL is no [`Link`].

use url::Url;

use super::source::Source;

/// A place that a page may link to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    target: String,
    place: String,
}

/// Why something is no [`Link`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It does not lead to https.
    #[error("expected an absolute https URL, such as https://partner.example/about")]
    NotHttps,
    /// It is no path of this gateway.
    #[error("expected a path that starts with one slash, such as /account")]
    NotPath,
}

impl Link {
    /// A link to another site.
    pub fn https(url: &str) -> Result<Self, LinkError> {
        let url = Url::parse(url).map_err(|_| LinkError::NotHttps)?;
        let named = url.username().is_empty() && url.password().is_none();
        match url.host_str() {
            Some(host) if url.scheme() == "https" && named => Ok(Self {
                place: host.to_owned(),
                target: url.into(),
            }),
            _ => Err(LinkError::NotHttps),
        }
    }

    /// A link to a page of this gateway. Browsers read `//` and `/\` as the
    /// beginning of another host, and leave out tabs and line ends, so those are
    /// refused.
    pub fn path(path: &str) -> Result<Self, LinkError> {
        let plain = path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
        if !plain || !path.starts_with('/') || path.starts_with("//") {
            return Err(LinkError::NotPath);
        }
        Ok(Self {
            target: path.to_owned(),
            place: String::new(),
        })
    }

    /// What goes into `href`.
    pub fn href(&self) -> &str {
        &self.target
    }

    /// The host, as people may compare it: names of other scripts in their
    /// ASCII form. Empty for a path.
    pub fn host(&self) -> &str {
        &self.place
    }

    /// Its origin for a content security policy, if one can name it.
    pub fn source(&self) -> Option<Source> {
        Source::origin(&Url::parse(&self.target).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_https_or_stays_here() {
        let link = Link::https("https://bücher.example/a?b=\"c\"").unwrap();
        assert_eq!(link.host(), "xn--bcher-kva.example");
        assert!(!link.href().contains('"'), "{}", link.href());
        for url in [
            "javascript:alert(1)",
            "http://partner.example",
            "https:",
            "//partner.example",
            "data:text/html,x",
            "https://paypal.example@evil.example/",
            "",
        ] {
            assert_eq!(Link::https(url), Err(LinkError::NotHttps), "{url}");
        }
    }

    #[test]
    fn a_path_cannot_become_another_host() {
        assert_eq!(Link::path("/account?a=b").unwrap().href(), "/account?a=b");
        for path in [
            "",
            "account",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "javascript:x",
        ] {
            assert_eq!(Link::path(path), Err(LinkError::NotPath), "{path}");
        }
    }
}
