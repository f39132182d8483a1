//! Signing in, here or at a provider, and out.

use std::time::Duration;

use crds::secret::Secret;
use form_urlencoded::Serializer;
use http::{HeaderValue, StatusCode, header};

use super::{
    destination::Destination,
    visit::{Answer, Failure, Visit, html, see},
};
use crate::{
    pages::{
        destination::Destination as Place,
        form::Form,
        headers::{Opener, Policy},
        link::Link,
        sign_in::{Problem, Provider, SignIn},
        signed_out::SignedOut,
    },
    telemetry::audit,
    user::{cookie, sign_in::SignInError, upstream::UpstreamError},
};

/// What the tokens of sign-in forms are for.
const PURPOSE: &str = "sign-in";
/// What the tokens of sign-out forms are for.
pub(super) const LEAVING: &str = "sign-out";

/// Sends a browser to the sign-in, and from there on to `back`.
pub(super) fn first(visit: &Visit, back: &str) -> Answer {
    let query = Serializer::new(String::new())
        .append_pair("continue", back)
        .finish();
    see(&format!("{}?{query}", visit.page("/sign-in")))
}

/// Shows the sign-in page.
pub(super) fn ask(visit: &Visit) -> Result<Answer, Failure> {
    let back = parameter(&visit.query, "continue");
    page(visit, &Destination::parse(visit, back.as_deref()), "", None)
}

/// Takes user name and password, or the choice of a provider.
pub(super) async fn take(visit: &Visit) -> Result<Answer, Failure> {
    let users = &visit.gateway.users;
    // The page's token is a visitor's even where somebody is signed in: with
    // `prompt=login` they are to sign in again.
    let fields = match visit.form(PURPOSE, None) {
        Ok(fields) => fields,
        Err(Failure::Form) => {
            let nowhere = Destination::parse(visit, None);
            return page(visit, &nowhere, "", Some(Problem::Expired));
        }
        Err(failure) => return Err(failure),
    };
    let destination = Destination::parse(visit, fields.get("continue"));
    if let Some(provider) = fields.get("provider") {
        return begin(visit, provider, &destination).await;
    }
    let name = fields.get("username").unwrap_or_default();
    let password = Secret::new(fields.get("password").unwrap_or_default().to_owned());
    match users
        .sign_in(name, &password, visit.peer, &visit.headers)
        .await
    {
        Ok(started) => {
            audit::event("signed_in", &started.user.subject, "");
            Ok(with_cookies(see(&destination.target), started.cookies))
        }
        Err(SignInError::Wrong) => {
            audit::from("sign_in_failed", visit.peer, "");
            page(visit, &destination, name, Some(Problem::Refused))
        }
        Err(SignInError::Wait(wait)) => {
            let wait = Duration::from_secs(wait.0);
            page(visit, &destination, name, Some(Problem::Throttled { wait }))
        }
        Err(SignInError::Off) => page(visit, &destination, name, None),
        Err(SignInError::User(error)) => Err(error.into()),
    }
}

async fn begin(
    visit: &Visit,
    provider: &str,
    destination: &Destination,
) -> Result<Answer, Failure> {
    let users = &visit.gateway.users;
    let begun = users
        .begin_upstream(provider, &destination.target, visit.peer, &visit.headers)
        .await;
    match begun {
        Ok(begun) => Ok(with_cookies(see(begun.redirect.as_str()), begun.cookies)),
        Err(UpstreamError::Wait(wait)) => {
            let wait = Duration::from_secs(wait.0);
            page(visit, destination, "", Some(Problem::Throttled { wait }))
        }
        Err(error) => {
            tracing::warn!(%error, provider, request_id = visit.request_id, "sign-in at a provider");
            page(visit, destination, "", Some(Problem::Provider))
        }
    }
}

/// Takes what a provider sent back.
pub(super) async fn come_back(visit: &Visit) -> Result<Answer, Failure> {
    let parts: Vec<_> = visit.path.rsplit('/').collect();
    let provider = parts.get(1).copied().unwrap_or_default();
    let users = &visit.gateway.users;
    match users
        .finish_upstream(provider, &visit.query, &visit.headers)
        .await
    {
        Ok(finished) => {
            audit::event("signed_in_upstream", &finished.user.subject, "");
            let destination = Destination::parse(visit, Some(&finished.continue_to));
            Ok(with_cookies(see(&destination.target), finished.cookies))
        }
        Err(unfinished) => {
            audit::from("sign_in_upstream_failed", visit.peer, "");
            tracing::warn!(error = %unfinished.error, provider, request_id = visit.request_id, "sign-in at a provider");
            let destination = Destination::parse(visit, unfinished.continue_to.as_deref());
            page(visit, &destination, "", Some(Problem::Provider))
        }
    }
}

/// Ends the session.
pub(super) async fn leave(visit: &Visit) -> Result<Answer, Failure> {
    let who = visit.signed_in().await?;
    let Some(who) = who else {
        return Ok(see(&visit.page("/sign-in")));
    };
    let fields = visit.form(LEAVING, Some(&who))?;
    visit.gateway.users.end_session(&who.cookie).await?;
    audit::event("signed_out", &who.user.subject, "");
    let answer = if let Some(back) = fields.get("continue") {
        first(visit, &Destination::parse(visit, Some(back)).target)
    } else {
        let sign_in = Link::path(&visit.page("/sign-in")).ok();
        let view = SignedOut {
            brand: visit.brand(),
            sign_in: sign_in.as_ref(),
        };
        html(StatusCode::OK, &Policy::default(), &view)?
    };
    Ok(with_cookies(answer, cookie::clear(cookie::SESSION)))
}

pub(super) fn with_cookies(
    mut answer: Answer,
    cookies: impl IntoIterator<Item = HeaderValue>,
) -> Answer {
    for cookie in cookies {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    answer
}

fn page(
    visit: &Visit,
    destination: &Destination,
    username: &str,
    problem: Option<Problem>,
) -> Result<Answer, Failure> {
    let gateway = &visit.gateway;
    let request = destination.request.as_ref();
    let csrf = visit.csrf(PURPOSE, None)?;
    let hint = request.and_then(|request| request.login_hint.as_deref());
    let providers = gateway.users.providers();
    let providers: Vec<_> = providers
        .map(|(name, title)| Provider { name, title })
        .collect();
    let action = visit.page("/sign-in");
    let form = Form {
        action: &action,
        csrf: &csrf.token,
        hidden: &[("continue", &destination.target)],
    };
    let view = SignIn {
        brand: visit.brand(),
        application: request.map(|request| request.client.display_name.as_str()),
        local: gateway.config.users.local,
        form,
        username: if username.is_empty() {
            hint.unwrap_or_default()
        } else {
            username
        },
        provider_form: form,
        providers: &providers,
        problem,
        back: None,
    };
    let place = request.and_then(|request| Place::parse(&request.redirect_uri).ok());
    let policy = Policy {
        // What follows the sign-in may redirect there at once.
        form_action: place
            .iter()
            .map(Place::source)
            .cloned()
            .chain(gateway.users.provider_sources())
            .collect(),
        opener: if request.is_some() {
            Opener::Kept
        } else {
            Opener::Severed
        },
        ..Policy::default()
    };
    let status = match problem {
        Some(Problem::Throttled { .. }) => StatusCode::TOO_MANY_REQUESTS,
        Some(Problem::Refused) => StatusCode::UNAUTHORIZED,
        Some(Problem::Expired) => StatusCode::FORBIDDEN,
        Some(Problem::Provider) => StatusCode::BAD_GATEWAY,
        None => StatusCode::OK,
    };
    let mut answer = html(status, &policy, &view)?;
    if let Some(Problem::Throttled { wait }) = problem {
        let wait = HeaderValue::from(wait.as_secs());
        answer.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    Ok(csrf.on(answer))
}

/// A parameter of a query.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let found = parameters.find(|(known, _)| known == name);
    found.map(|(_, value)| value.into_owned())
}
