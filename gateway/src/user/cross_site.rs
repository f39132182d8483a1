//! Whether a form came from a page of this gateway, by what the browser says of
//! it. The CSRF token decides; this refuses what a browser itself calls foreign.

use http::{HeaderMap, header};
use url::Url;

/// A form that another site sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this form was sent from another site: open the page here and send it again")]
pub struct CrossSite;

/// Refuses a request that changes something and comes from elsewhere.
///
/// `Sec-Fetch-Site` must be `same-origin` or `none` where it is sent; `Origin`
/// must be the issuer's where it is sent. `Origin: null` counts as not sent:
/// browsers say that of our own pages too, if those have a strict
/// `Referrer-Policy`. Where neither is sent, the token decides alone.
pub fn check(headers: &HeaderMap, issuer: &Url) -> Result<(), CrossSite> {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    if !sites.all(|site| site == "same-origin" || site == "none") {
        return Err(CrossSite);
    }
    let own = issuer.origin().ascii_serialization();
    let mut origins = headers.get_all(header::ORIGIN).iter();
    if !origins.all(|origin| origin == "null" || origin == own.as_str()) {
        return Err(CrossSite);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn verdict(pairs: &[(&'static str, &'static str)]) -> Result<(), CrossSite> {
        let headers = pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        check(&headers, &Url::parse("https://api.example.org/x").unwrap())
    }

    #[test]
    fn a_form_of_our_own_page_passes() {
        for pairs in [
            &[][..],
            &[("origin", "https://api.example.org")],
            &[("origin", "null")],
            &[("origin", "null"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
        ] {
            assert_eq!(verdict(pairs), Ok(()), "{pairs:?}");
        }
    }

    #[test]
    fn a_form_from_elsewhere_does_not() {
        for pairs in [
            &[("origin", "https://evil.example")][..],
            &[("origin", "http://api.example.org")],
            &[("origin", "https://api.example.org:444")],
            &[("origin", "https://api.example.org.evil.example")],
            &[("origin", "")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "null"), ("sec-fetch-site", "cross-site")],
            &[
                ("origin", "https://api.example.org"),
                ("origin", "https://evil.example"),
            ],
            &[
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "cross-site"),
            ],
        ] {
            assert_eq!(verdict(pairs), Err(CrossSite), "{pairs:?}");
        }
    }
}
