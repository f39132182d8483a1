//! The authorization endpoint (RFC 6749 section 3.1): who the user is, and what
//! they allow.

use http::StatusCode;

use super::{
    destination::after_sign_in,
    visit::{Answer, Failure, Shown, Visit, html, see, with_query},
};
use crate::{
    oauth::authorize::{Dialect, Fault, Refused, Request, Unverified},
    pages::{
        consent::{Consent, Problem},
        destination::Destination,
        form::Form,
        headers::{Opener, Policy},
    },
    scopes::ScopeSet,
    telemetry::audit,
    user::session::SignedIn,
};

/// What the token of a consent form is for: this one request, which only a page
/// that was shown to a recent enough sign-in carries. So nobody has to sign in
/// again for having thought for a while.
fn purpose(target: &str) -> String {
    format!("consent {target}")
}

/// Answers the authorization request: with the client's redirect URI if there
/// is nothing to ask the user, else with a page.
pub(super) async fn ask(visit: &Visit) -> Result<Answer, Failure> {
    let request = match Request::parse(&visit.gateway, &visit.query, Dialect::Standard) {
        Ok(request) => request,
        Err(refused) => return refuse(visit, refused),
    };
    let Some(who) = recent(visit, &request).await? else {
        return Ok(sign_in_first(visit, &request));
    };
    let gateway = &visit.gateway;
    let grantable = request.grantable(gateway, who.user.is_admin);
    if grantable.is_empty() {
        return Ok(see(&request.refusal(gateway, Fault::NOTHING_TO_GRANT)));
    }
    let granted = granted(visit, &request, &who).await?;
    if granted.contains(grantable) && !request.always_asks() {
        return approve(visit, &request, &who, grantable).await;
    }
    if request.prompt.none {
        return Ok(see(&request.refusal(gateway, Fault::CONSENT_REQUIRED)));
    }
    page(visit, &request, &who, granted, None)
}

/// Takes what the user decided.
pub(super) async fn decide(visit: &Visit) -> Result<Answer, Failure> {
    let request = match Request::parse(&visit.gateway, &visit.query, Dialect::Standard) {
        Ok(request) => request,
        Err(refused) => return refuse(visit, refused),
    };
    let Some(who) = visit.signed_in().await? else {
        return Ok(sign_in_first(visit, &request));
    };
    let fields = visit.form(&purpose(&visit.target()), Some(&who))?;
    let gateway = &visit.gateway;
    if fields.get("decision") != Some("allow") {
        audit::event("consent_denied", &who.user.subject, &request.client.id);
        return Ok(see(&request.refusal(gateway, Fault::DENIED)));
    }
    let grantable = request.grantable(gateway, who.user.is_admin);
    let ticked = gateway.catalogue.set(fields.all("scope")).and(grantable);
    if ticked.is_empty() {
        let granted = granted(visit, &request, &who).await?;
        return page(visit, &request, &who, granted, Some(Problem::NothingTicked));
    }
    approve(visit, &request, &who, ticked).await
}

/// Says why nobody is sent on, or sends the client its error.
pub(super) fn refuse(visit: &Visit, refused: Refused) -> Result<Answer, Failure> {
    match refused {
        Refused::Redirect(url) => Ok(see(&url)),
        Refused::Page(unverified) => {
            let heading = match unverified {
                Unverified::Client => "This application is not known here",
                Unverified::RedirectUri => "This link leads to a strange place",
                Unverified::Malformed => "This link is not complete",
            };
            let text = format!(
                "{unverified} Nothing was shared with anybody. Go back to the application and tell those who run it."
            );
            visit.message(StatusCode::BAD_REQUEST, heading, &text, None)
        }
    }
}

/// Who is signed in, if recently enough for this request, `slack` seconds ago.
async fn recent(visit: &Visit, request: &Request) -> Result<Option<SignedIn>, Failure> {
    if request.prompt.login {
        return Ok(None);
    }
    let now = visit.gateway.clock.now();
    let who = visit.signed_in().await?;
    Ok(who.filter(|who| request.accepts_sign_in(who.session.auth_time, now)))
}

fn sign_in_first(visit: &Visit, request: &Request) -> Answer {
    if request.prompt.none {
        return see(&request.refusal(&visit.gateway, Fault::LOGIN_REQUIRED));
    }
    let back = with_query(&visit.path, &after_sign_in(&visit.query));
    super::sign_in::first(visit, &back)
}

async fn granted(visit: &Visit, request: &Request, who: &SignedIn) -> Result<ScopeSet, Failure> {
    let gateway = &visit.gateway;
    let grant = gateway
        .grants
        .find(&who.user.subject, &request.client.id)
        .await?;
    Ok(grant.map_or(ScopeSet::EMPTY, |grant| {
        gateway
            .catalogue
            .set(grant.value.scopes.iter().map(String::as_str))
    }))
}

async fn approve(
    visit: &Visit,
    request: &Request,
    who: &SignedIn,
    scopes: ScopeSet,
) -> Result<Answer, Failure> {
    let gateway = &visit.gateway;
    let place = match request
        .approve(gateway, &who.user.subject, scopes, None)
        .await
    {
        Ok(place) => place,
        Err(error) => {
            tracing::error!(?error, request_id = visit.request_id, "consent not stored");
            request.refusal(gateway, Fault::UNAVAILABLE)
        }
    };
    Ok(see(&place))
}

fn page(
    visit: &Visit,
    request: &Request,
    who: &SignedIn,
    granted: ScopeSet,
    problem: Option<Problem>,
) -> Result<Answer, Failure> {
    // Such an application cannot be registered; the page would lead nowhere.
    let destination = Destination::parse(&request.redirect_uri)
        .map_err(|error| Failure::Internal(error.to_string()))?;
    let target = with_query(&visit.path, &after_sign_in(&visit.query));
    let csrf = visit.csrf(&purpose(&target), Some(who))?;
    let leave = visit.csrf(super::sign_in::LEAVING, Some(who))?;
    let scopes = visit.scopes(
        request.grantable(&visit.gateway, who.user.is_admin),
        granted,
    );
    let shown = Shown::of(&request.client);
    let view = Consent {
        brand: visit.brand(),
        application: shown.application(),
        user: &who.user.username,
        sign_out: Form {
            action: &visit.page("/sign-out"),
            csrf: &leave.token,
            hidden: &[("continue", &target)],
        },
        form: Form {
            action: &target,
            csrf: &csrf.token,
            hidden: &[],
        },
        scopes: &scopes,
        destination: &destination,
        problem,
    };
    let policy = Policy {
        form_action: vec![destination.source().clone()],
        opener: Opener::Kept,
        ..shown.policy()
    };
    Ok(csrf.on(html(StatusCode::OK, &policy, &view)?))
}
