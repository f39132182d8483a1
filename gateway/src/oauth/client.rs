//! Who the client is (RFC 6749 section 2.3).

use std::{borrow::Cow, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use crds::{contract::ClientType, gateway_config::ClientAuth};
use http::{HeaderMap, header};
use zeroize::Zeroizing;

use super::{error::Error, form::Form};
use crate::{core::Core, registry::Client};

/// Who the client is: by its secret, or by its bare `client_id` if it is a
/// public one, which has none (RFC 6749 section 3.2.1).
pub(crate) fn identify(
    core: &Core,
    headers: &HeaderMap,
    form: &Form<'_>,
) -> Result<Arc<Client>, Error> {
    let has_secret =
        headers.contains_key(header::AUTHORIZATION) || form.optional("client_secret").is_some();
    if has_secret {
        return authenticate(core, headers, form);
    }
    let registry = core.shared.registry.load();
    let client = form
        .optional("client_id")
        .and_then(|id| registry.client(id));
    let client = client.filter(|client| client.client_type == ClientType::Public);
    client.cloned().ok_or_else(|| Error::client(false))
}

/// Authenticates the client of a request. A public client has nothing to
/// authenticate with.
pub(crate) fn authenticate(
    core: &Core,
    headers: &HeaderMap,
    form: &Form<'_>,
) -> Result<Arc<Client>, Error> {
    let in_body = form.optional("client_secret").is_some();
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let authorization = values.next();
    if values.next().is_some() {
        return Err(Error::request("the Authorization header is repeated"));
    }
    match (authorization, in_body) {
        (Some(_), true) => Err(Error::request(
            "the client authenticates twice: use the Authorization header or client_secret, not both (RFC 6749 section 2.3)",
        )),
        (Some(value), false) => {
            let basic = Basic::parse(value.as_bytes()).ok_or_else(|| Error::client(true))?;
            if form
                .optional("client_id")
                .is_some_and(|id| id != basic.decoded.0)
            {
                return Err(Error::request(
                    "client_id differs from the one in the Authorization header",
                ));
            }
            verify(core, &basic.decoded.0, basic.secrets(), ClientAuth::Basic)
        }
        (None, true) => {
            let id = form.required("client_id")?;
            verify(
                core,
                id,
                [form.required("client_secret")?.as_bytes()],
                ClientAuth::Post,
            )
        }
        (None, false) => Err(Error::client(false)),
    }
}

/// Whether one of `secrets` is a secret of the client `id`. An unknown client
/// takes as long as a wrong secret.
fn verify<'s>(
    core: &Core,
    id: &str,
    secrets: impl IntoIterator<Item = &'s [u8]>,
    method: ClientAuth,
) -> Result<Arc<Client>, Error> {
    let refused = Error::client(method == ClientAuth::Basic);
    let registry = core.shared.registry.load();
    let now = core.shared.clock.now();
    let Some(client) = registry.client(id) else {
        for secret in secrets {
            std::hint::black_box(crds::contract::Sha256Hash::of(secret));
        }
        return Err(refused);
    };
    let known = secrets.into_iter().fold(None, |found, secret| {
        client.verify_secret(secret, now).or(found)
    });
    let may = client.client_type == ClientType::Confidential && client.may_authenticate_by(method);
    let Some(last_use) = known.filter(|_| may) else {
        return Err(refused);
    };
    last_use.note(now);
    Ok(client.clone())
}

/// What stands in `Authorization: Basic`. RFC 6749 section 2.3.1 has both parts
/// form-encoded before base64; many clients forget that, so that the secret
/// counts as it stands as well.
struct Basic {
    raw_secret: Zeroizing<String>,
    decoded: (String, Zeroizing<String>),
}

impl Basic {
    fn parse(value: &[u8]) -> Option<Self> {
        let (scheme, rest) = value.split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return None;
        }
        let bytes = Zeroizing::new(STANDARD.decode(rest.trim_ascii()).ok()?);
        let text = std::str::from_utf8(&bytes).ok()?;
        let (id, secret) = text.split_once(':')?;
        let decoded = (
            decode(id).into_owned(),
            Zeroizing::new(decode(secret).into_owned()),
        );
        Some(Self {
            raw_secret: Zeroizing::new(secret.to_owned()),
            decoded,
        })
    }

    /// The readings of the secret, once if both are the same.
    fn secrets(&self) -> impl Iterator<Item = &[u8]> {
        let raw = Some(self.raw_secret.as_bytes()).filter(|raw| *raw != self.decoded.1.as_bytes());
        [self.decoded.1.as_bytes()].into_iter().chain(raw)
    }
}

/// Form-decoding; what does not come to text stands for itself.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
    decoded.map_or(Cow::Borrowed(text), |decoded| {
        Cow::Owned(decoded.into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &str) -> Option<Basic> {
        Basic::parse(format!("Basic {}", STANDARD.encode(text)).as_bytes())
    }

    #[test]
    fn both_readings_of_a_secret_count() {
        let plain = basic("id:secret").unwrap();
        assert_eq!(plain.secrets().collect::<Vec<_>>(), [b"secret"]);
        let odd = basic("id:a%2Bb+c").unwrap();
        assert_eq!(
            odd.secrets().collect::<Vec<_>>(),
            [&b"a+b c"[..], b"a%2Bb+c"]
        );
        assert_eq!(basic("i%3Ad:x:y").unwrap().decoded.0, "i:d");
    }

    #[test]
    fn what_is_not_basic_is_nothing() {
        for value in ["Bearer x", "Basic", "Basic !!!", "Basic aWQ=", ""] {
            assert!(Basic::parse(value.as_bytes()).is_none(), "{value}");
        }
    }
}
