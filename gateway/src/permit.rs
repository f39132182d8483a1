//! Whether a request may pass: the one place that makes a [`Permit`], which the
//! forwarding step demands as an argument.

use std::{net::IpAddr, rc::Rc};

use crds::gateway_config::Credential;
use http::{HeaderMap, HeaderValue, header};

use crate::{
    clock::UnixSeconds,
    core::Core,
    identity::SignerError,
    mint::{self, MAX_TOKEN_LEN},
    route::Route,
    scopes::ScopeSet,
    server::connection::Connection,
    store::StoreError,
};

pub mod caller;

use caller::Caller;

/// Proof that a caller may take a route. Only [`permit`] makes one.
pub struct Permit {
    identity: HeaderValue,
    _caller: Rc<Caller>,
}

impl Permit {
    /// The signed identity for the upstream.
    pub fn into_identity(self) -> HeaderValue {
        self.identity
    }
}

/// Why a request may not pass.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No credentials, or another scheme than Bearer.
    #[error("send `Authorization: Bearer <token>`")]
    Missing,
    /// Credentials that cannot be read.
    #[error(
        "expected one header `Authorization: Bearer <token>` with a token of at most {MAX_TOKEN_LEN} characters"
    )]
    Malformed,
    /// Unknown, expired, revoked, or its application is gone.
    #[error("get a new token: this one is unknown, expired or revoked, or its application is gone")]
    InvalidToken,
    /// It lacks these scopes.
    #[error("this needs the scope `{0}`")]
    InsufficientScope(String),
    /// Good, but not what this route takes (AF-53).
    #[error("this path takes {}", takes(*.0))]
    Credential(Credential),
    /// An API key from elsewhere.
    #[error("the API key lists the addresses from which it may be used, and {0} is not among them")]
    Address(IpAddr),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The identity could not be signed.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

impl Refusal {
    /// Its name in metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "missing_token",
            Self::Malformed => "malformed",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope(_) => "insufficient_scope",
            Self::Credential(_) => "credential",
            Self::Address(_) => "address",
            Self::Store(_) => "store",
            Self::Signer(_) => "signer",
        }
    }

    /// Every reason.
    pub const REASONS: [&'static str; 8] = [
        "missing_token",
        "malformed",
        "invalid_token",
        "insufficient_scope",
        "credential",
        "address",
        "store",
        "signer",
    ];
}

/// Decides whether the caller behind these headers may take this route.
pub async fn permit(
    core: &Core,
    connection: &Connection,
    headers: &HeaderMap,
    route: &Route,
) -> Result<Permit, Refusal> {
    let now = core.shared.clock.now();
    let (caller, standing) = known(core, connection, headers, now).await?;
    let credential = caller.credential();
    if !route.credentials.contains(&credential) {
        return Err(Refusal::Credential(credential));
    }
    if !standing.contains(route.scopes) {
        return Err(Refusal::InsufficientScope(
            core.shared.catalogue.join(route.scopes),
        ));
    }
    let identity = caller.identity(core, standing, now)?;
    Ok(Permit {
        identity,
        _caller: caller,
    })
}

/// Whom a bearer token speaks for, at one of the gateway's own endpoints.
pub(crate) struct Bearer {
    /// The user, or the client itself.
    pub(crate) subject: String,
    /// What the token carries now.
    pub(crate) scopes: ScopeSet,
}

/// The bearer behind these headers, if it carries one of `any`.
pub(crate) async fn bearer_with(
    core: &Core,
    connection: &Connection,
    headers: &HeaderMap,
    any: ScopeSet,
) -> Result<Bearer, Refusal> {
    let now = core.shared.clock.now();
    let (caller, scopes) = known(core, connection, headers, now).await?;
    if scopes.and(any).is_empty() {
        return Err(Refusal::InsufficientScope(core.shared.catalogue.join(any)));
    }
    Ok(Bearer {
        subject: caller.subject(),
        scopes,
    })
}

/// Who brings the token of these headers, and what it is worth at `now`.
async fn known(
    core: &Core,
    connection: &Connection,
    headers: &HeaderMap,
    now: UnixSeconds,
) -> Result<(Rc<Caller>, ScopeSet), Refusal> {
    let token = bearer(headers)?;
    core.hear_revocations();
    let caller = if let Some(caller) = connection.remembered(token) {
        caller
    } else {
        let caller = Box::pin(caller::find(core, token)).await?;
        connection.remember(token, &caller);
        caller
    };
    let standing = caller.standing(core, now).ok_or(Refusal::InvalidToken)?;
    caller.may_call_from(connection.peer())?;
    caller.note_use(now);
    Ok((caller, standing))
}

/// The bearer token of these headers (RFC 6750 section 2.1). Tokens in the body
/// or in the query (sections 2.2 and 2.3) are not looked for: they leak.
fn bearer(headers: &HeaderMap) -> Result<&[u8], Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::Missing)?.as_bytes();
    if values.next().is_some() {
        return Err(Refusal::Malformed);
    }
    let (scheme, token) = value.split_at(value.len().min(6));
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(Refusal::Missing);
    }
    let token = token
        .strip_prefix(b" ")
        .ok_or(Refusal::Malformed)?
        .trim_ascii();
    let token68 = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if token.is_empty() || token.len() > MAX_TOKEN_LEN || !token.iter().all(token68) {
        return Err(Refusal::Malformed);
    }
    Ok(token)
}

impl Refusal {
    /// The challenge that goes with it (RFC 6750 section 3): without an error
    /// code where no credentials were sent.
    pub fn challenge(&self) -> Option<HeaderValue> {
        let text = match self {
            Self::Missing => "Bearer realm=\"api\"".to_owned(),
            Self::Malformed => "Bearer realm=\"api\", error=\"invalid_request\"".to_owned(),
            Self::InvalidToken => {
                "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"unknown, expired or revoked\""
                    .to_owned()
            }
            Self::InsufficientScope(scope) => {
                format!("Bearer realm=\"api\", error=\"insufficient_scope\", scope=\"{scope}\"")
            }
            Self::Credential(_) | Self::Address(_) | Self::Store(_) | Self::Signer(_) => {
                return None;
            }
        };
        HeaderValue::from_str(&text).ok()
    }
}

/// What a route that refuses this takes instead.
const fn takes(refused: Credential) -> &'static str {
    match refused {
        Credential::AccessToken => "API keys alone, and no application's access token",
        Credential::ApiKey => "access tokens of applications alone, and no API key",
    }
}

/// Whether this could be a token of ours at all; keeps junk from the store.
fn is_access_token(core: &Core, token: &[u8]) -> bool {
    mint::is_well_formed(token, &core.shared.config.prefixes.access)
}

/// The scopes that a caller has now; `None` if it has lost its standing.
type Standing = Option<ScopeSet>;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (header::AUTHORIZATION, HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn a_bearer_token_is_read_in_the_one_form_that_it_has() {
        for value in ["Bearer abc", "bearer abc", "BEARER abc", "Bearer  abc"] {
            assert_eq!(bearer(&headers(&[value])).unwrap(), b"abc", "{value}");
        }
        for values in [&[][..], &["Basic abc"], &["Beare abc"], &["abc"], &[""]] {
            assert!(
                matches!(bearer(&headers(values)), Err(Refusal::Missing)),
                "{values:?}"
            );
        }
        let long = format!("Bearer {}", "a".repeat(MAX_TOKEN_LEN + 1));
        for values in [
            &["Bearer"][..],
            &["Bearer "],
            &["Bearer a b"],
            &["Bearer a,b"],
            &["Bearerabc"],
            &["Bearer a", "Bearer a"],
            &[&long],
        ] {
            assert!(
                matches!(bearer(&headers(values)), Err(Refusal::Malformed)),
                "{values:?}"
            );
        }
    }

    #[test]
    fn only_a_challenge_to_bad_credentials_names_an_error() {
        let text = |refusal: Refusal| refusal.challenge().unwrap().to_str().unwrap().to_owned();
        assert_eq!(text(Refusal::Missing), "Bearer realm=\"api\"");
        assert!(text(Refusal::InvalidToken).contains("error=\"invalid_token\""));
        assert!(text(Refusal::InsufficientScope("a b".into())).contains("scope=\"a b\""));
    }
}
