//! The form-encoded body of an OAuth request (RFC 6749 appendix B).

use std::borrow::Cow;

use http::{HeaderMap, header};

use super::error::Error;

/// The largest body that is read: far more than any request needs.
pub const MAX_BODY: usize = 64 * 1024;
/// The most parameters that a request may have.
const MAX_PARAMETERS: usize = 64;

/// The parameters of a request, each at most once.
pub struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Form<'a> {
    /// Reads the body.
    pub fn parse(headers: &HeaderMap, body: &'a [u8]) -> Result<Self, Error> {
        if !is_form(headers) {
            return Err(Error::request(
                "expected Content-Type: application/x-www-form-urlencoded",
            ));
        }
        let mut parameters: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::with_capacity(8);
        for (name, value) in form_urlencoded::parse(body) {
            if parameters.len() == MAX_PARAMETERS {
                return Err(Error::request("more than 64 parameters"));
            }
            if value.contains('\0') || value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(Error::request("a parameter is not UTF-8 text"));
            }
            // RFC 6749 section 3.2: none may be repeated, known or not.
            if parameters.iter().any(|(known, _)| *known == name) {
                return Err(Error::request("a parameter is repeated"));
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// A parameter; one without a value is treated as left out (RFC 6749
    /// section 3.2).
    pub fn optional(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| &**value)
            .filter(|value| !value.is_empty())
    }

    /// A parameter that must be there.
    pub fn required(&self, name: &'static str) -> Result<&str, Error> {
        self.optional(name)
            .ok_or_else(|| Error::request(format!("the parameter {name} is missing")))
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = value
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parse(body: &str) -> Result<Form<'_>, Error> {
        let mut headers = HeaderMap::new();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded; charset=UTF-8");
        headers.insert(header::CONTENT_TYPE, form);
        Form::parse(&headers, body.as_bytes())
    }

    #[test]
    fn parameters_are_decoded_and_empty_ones_left_out() {
        let form = parse("grant_type=client_credentials&scope=a+b%3Ac&empty=").unwrap();
        assert_eq!(form.optional("scope"), Some("a b:c"));
        assert_eq!(form.optional("empty"), None);
        assert!(
            form.required("token")
                .is_err_and(|error| error.code() == "invalid_request")
        );
    }

    #[test]
    fn a_repeated_parameter_is_refused_even_an_unknown_one() {
        for body in ["a=1&a=1", "scope=a&scope=", "x=&x="] {
            assert!(parse(body).is_err(), "{body}");
        }
    }

    #[test]
    fn another_content_type_is_refused() {
        let mut headers = HeaderMap::new();
        assert!(Form::parse(&headers, b"a=1").is_err());
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        assert!(Form::parse(&headers, b"a=1").is_err());
    }
}
