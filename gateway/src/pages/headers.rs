//! The security headers of a page.
//!
//! `Referrer-Policy: no-referrer` keeps the parameters of an authorization
//! request to ourselves. With it browsers send `Origin: null` with forms, to us
//! too: whoever takes a form relies on its `csrf` field and on `Sec-Fetch-Site`,
//! not on `Origin`.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::source::Source;

static PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
static OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
static ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

/// What is different from page to page.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Where a form's answer may redirect to, beside this gateway. Chromium and
    /// Safari apply `form-action` to each redirect that follows, so a sign-in
    /// page also lists where the consent that follows it leads, and the
    /// providers that it sends people to.
    pub form_action: Vec<Source>,
    /// From where an image may come: the application's logo.
    pub image: Option<Source>,
    /// What becomes of the window that opened this one.
    pub opener: Opener,
}

/// What becomes of the window that opened this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opener {
    /// It loses sight of this page: `Cross-Origin-Opener-Policy: same-origin`.
    #[default]
    Severed,
    /// Nothing. For the pages of an authorization: partners open them in a popup
    /// and read from it once it is back at their own origin. Severed once, it
    /// would stay severed, and `popup.closed` would be true at once.
    Kept,
}

impl Policy {
    /// Puts all headers on a response.
    pub fn put(&self, headers: &mut HeaderMap) {
        // Always a value: sources have no characters but letters, digits and a
        // few signs. If they had others, the page would go out with no exception.
        let policy = HeaderValue::try_from(self.content_security_policy()).unwrap_or(
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        );
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        for (name, value) in [
            (&header::X_FRAME_OPTIONS, "DENY"),
            (&header::REFERRER_POLICY, "no-referrer"),
            (&header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (&header::CACHE_CONTROL, "no-store"),
            (&ROBOTS, "noindex"),
            (
                &PERMISSIONS_POLICY,
                "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
            ),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let opener = match self.opener {
            Opener::Severed => "same-origin",
            Opener::Kept => "unsafe-none",
        };
        headers.insert(&OPENER_POLICY, HeaderValue::from_static(opener));
    }

    fn content_security_policy(&self) -> String {
        let images = self.image.iter().map(|image| format!(" img-src {image};"));
        let targets = self.form_action.iter().map(|target| format!(" {target}"));
        format!(
            "default-src 'none'; style-src 'self';{} form-action 'self'{}; \
             frame-ancestors 'none'; base-uri 'none'",
            images.collect::<String>(),
            targets.collect::<String>(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::{destination::Destination, link::Link};

    fn put(policy: &Policy) -> HeaderMap {
        let mut headers = HeaderMap::new();
        policy.put(&mut headers);
        headers
    }

    #[test]
    fn a_page_may_do_nothing_but_show_and_send_its_form() {
        let headers = put(&Policy::default());
        assert_eq!(
            headers["content-security-policy"],
            "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        );
        assert_eq!(headers["x-frame-options"], "DENY");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
        assert!(headers.contains_key("permissions-policy"));
    }

    #[test]
    fn a_partner_gets_its_origin_its_scheme_and_its_logo_and_no_more() {
        let web = Destination::parse("https://acme.example/cb?a=b").unwrap();
        let app = Destination::parse("com.example.app:/cb").unwrap();
        let logo = Link::https("https://cdn.example/logo;v=1,2.png?x y").unwrap();
        let headers = put(&Policy {
            form_action: vec![web.source().clone(), app.source().clone()],
            image: logo.source(),
            opener: Opener::Kept,
        });
        assert_eq!(
            headers["content-security-policy"],
            "default-src 'none'; style-src 'self'; img-src https://cdn.example; \
             form-action 'self' https://acme.example com.example.app:; frame-ancestors 'none'; base-uri 'none'"
        );
        assert_eq!(headers["cross-origin-opener-policy"], "unsafe-none");
    }
}
