//! The gateway's cookies: what they hold, how they are read and written.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use crds::secret::Secret;
use http::{HeaderMap, HeaderValue, header};
use zeroize::Zeroizing;

use crate::clock::{NoRandomness, Rng};

/// Who is signed in. The prefix has browsers take it over TLS from this very
/// host alone, so that no neighbouring host can plant one (RFC 6265bis section
/// 4.1.3.2).
pub const SESSION: &str = "__Host-flightgate-session";
/// Ties a form to the browser it was shown to while nobody is signed in.
/// Nothing is stored about it.
pub const VISITOR: &str = "__Host-flightgate-visitor";
/// Says that somebody has signed in with this browser before, so that strangers
/// who guess at the same account cannot lock it out.
pub const KNOWN: &str = "__Host-flightgate-known";

/// Bytes of a value: 256 bits.
const LEN: usize = 32;

/// What one of these cookies holds: 32 bytes as base64url.
#[derive(Clone, Debug)]
pub struct CookieValue(Secret<String>);

impl CookieValue {
    /// A new one.
    pub fn fresh(rng: &dyn Rng) -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0; LEN]);
        rng.fill(&mut *bytes)?;
        Ok(Self::of(&bytes))
    }

    pub(super) fn of(bytes: &[u8; LEN]) -> Self {
        Self(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The value that this text is, if it can be one.
    pub fn parse(text: &str) -> Option<Self> {
        decode(text).map(|_| Self(Secret::new(text.to_owned())))
    }

    /// The cookie of this name, if the request carries exactly one. Two that
    /// differ are none: one of them was planted, and nobody knows which.
    pub fn from_headers(headers: &HeaderMap, name: &str) -> Option<Self> {
        let mut values = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim_matches([' ', '\t']).split_once('='))
            .filter(|(found, _)| *found == name)
            .map(|(_, value)| value);
        let first = values.next()?;
        if values.any(|other| other != first) {
            return None;
        }
        Self::parse(first)
    }

    /// The value as text. Whoever calls this keeps it out of logs.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    pub(super) fn bytes(&self) -> Zeroizing<[u8; LEN]> {
        decode(self.0.expose()).unwrap_or_default()
    }

    /// A `Set-Cookie` header. Without `max_age` (seconds) the browser forgets
    /// it when it closes.
    pub fn set(&self, name: &str, max_age: Option<u64>) -> Option<HeaderValue> {
        let age = max_age.map_or_else(String::new, |age| format!("; Max-Age={age}"));
        let line = Zeroizing::new(format!("{name}={}{ATTRIBUTES}{age}", self.0.expose()));
        let mut value = HeaderValue::from_str(&line).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

const ATTRIBUTES: &str = "; Path=/; Secure; HttpOnly; SameSite=Lax";

/// A `Set-Cookie` header that takes a cookie away.
pub fn clear(name: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{name}={ATTRIBUTES}; Max-Age=0")).ok()
}

fn decode(text: &str) -> Option<Zeroizing<[u8; LEN]>> {
    // Of a length that needs no allocation to be refused.
    if text.len() != 43 {
        return None;
    }
    let mut bytes = Zeroizing::new([0; LEN]);
    let read = URL_SAFE_NO_PAD.decode_slice(text, &mut *bytes).ok()?;
    (read == LEN).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::System;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (header::COOKIE, HeaderValue::from_str(line).unwrap()))
            .collect()
    }

    #[test]
    fn a_cookie_comes_back_as_it_was_set() {
        let value = CookieValue::fresh(&System).unwrap();
        let set = value.set(SESSION, Some(60)).unwrap();
        assert!(set.is_sensitive());
        let set = set.to_str().unwrap().to_owned();
        let (pair, attributes) = set.split_once("; ").unwrap();
        assert_eq!(
            attributes,
            "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60"
        );
        for lines in [
            &[pair][..],
            &["a=b; x", &format!("c=d;{pair} ; e=f")][..],
            &[pair, pair][..],
        ] {
            let found = CookieValue::from_headers(&headers(lines), SESSION).unwrap();
            assert_eq!(found.expose(), value.expose());
        }
        assert_eq!(format!("{value:?}"), "CookieValue(Secret(…))");
        let cleared = clear(SESSION).unwrap();
        assert!(cleared.to_str().unwrap().ends_with("; Max-Age=0"));
    }

    #[test]
    fn of_two_that_differ_neither_counts() {
        let [a, b] = [(); 2].map(|()| CookieValue::fresh(&System).unwrap());
        let (a, b) = (a.expose(), b.expose());
        for lines in [
            vec![format!("{SESSION}={a}; {SESSION}={b}")],
            vec![format!("{SESSION}={a}"), format!("{SESSION}={b}")],
            vec![format!("{SESSION}=; {SESSION}={b}")],
        ] {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            assert!(CookieValue::from_headers(&headers(&lines), SESSION).is_none());
        }
    }

    #[test]
    fn what_is_not_32_bytes_of_base64url_is_none() {
        let good = CookieValue::fresh(&System).unwrap().expose().to_owned();
        let quoted = format!("\"{good}\"");
        let spaced = format!(" {good}");
        let padded = format!("{good}=");
        let mut bits = good.clone();
        // The last character has two bits too many: they must be zero.
        bits.replace_range(42.., "B");
        for text in [
            "",
            "x",
            &good[1..],
            &quoted,
            &spaced,
            &padded,
            &bits,
            &"é".repeat(43),
        ] {
            assert!(CookieValue::parse(text).is_none(), "{text:?}");
        }
    }
}
