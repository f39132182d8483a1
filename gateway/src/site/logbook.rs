//! The authorization page of the logbook surface (FCV-12 to FCV-24): who types
//! a passkey need not be signed in, for the passkey says who they are.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};

use super::visit::{Answer, Failure, Shown, Visit, html, see};
use crate::{
    oauth::{
        authorize::{Dialect, Fault, Request},
        passkey,
    },
    pages::{
        destination::Destination,
        form::Form,
        headers::{Opener, Policy},
        link::Link,
        passkey::{PasskeyEntry, Problem},
    },
    scopes::ScopeSet,
    telemetry::audit,
    user::throttle::{Purpose, Who},
};

/// What the tokens of this form are for.
const PURPOSE: &str = "passkey";

/// Shows where to type the passkey.
pub(super) fn ask(visit: &Visit) -> Result<Answer, Failure> {
    match Request::parse(&visit.gateway, &visit.query, Dialect::Logbook) {
        Ok(request) => page(visit, &request, None),
        Err(refused) => super::authorize::refuse(visit, refused),
    }
}

/// Takes the passkey.
pub(super) async fn take(visit: &Visit) -> Result<Answer, Failure> {
    let gateway = &visit.gateway;
    let request = match Request::parse(gateway, &visit.query, Dialect::Logbook) {
        Ok(request) => request,
        Err(refused) => return super::authorize::refuse(visit, refused),
    };
    let fields = visit.form(PURPOSE, None)?;
    let client = &request.client;
    if fields.get("decision") == Some("deny") {
        audit::event("consent_denied", "", &client.id);
        return Ok(see(&request.refusal(gateway, Fault::DENIED)));
    }
    let attempt = gateway.users.throttle.attempt(&[
        (Purpose::Passkey, Who::Address(visit.peer)),
        (Purpose::PasskeyClient, Who::Text(&client.id)),
    ]);
    let attempt = match attempt {
        Ok(attempt) => attempt,
        Err(wait) => {
            let wait = Duration::from_secs(wait.0);
            return page(visit, &request, Some(Problem::Throttled { wait }));
        }
    };
    let typed = fields.get("passkey").unwrap_or_default();
    let Some(holder) = passkey::take(gateway, client, typed).await? else {
        audit::from("passkey_refused", visit.peer, &client.id);
        return page(visit, &request, Some(Problem::Refused));
    };
    attempt.succeeded();
    let (subject, ttl) = (&holder.subject, holder.code_ttl);
    let place = request
        .approve(gateway, subject, request.scopes, ttl)
        .await?;
    Ok(see(&place))
}

fn page(visit: &Visit, request: &Request, problem: Option<Problem>) -> Result<Answer, Failure> {
    let destination = Destination::parse(&request.redirect_uri)
        .map_err(|error| Failure::Internal(error.to_string()))?;
    let csrf = visit.csrf(PURPOSE, None)?;
    let shown = Shown::of(&request.client);
    let account = Link::path(&visit.page("/account")).ok();
    let scopes = visit.scopes(request.scopes, ScopeSet::EMPTY);
    let view = PasskeyEntry {
        brand: visit.brand(),
        application: shown.application(),
        scopes: &scopes,
        form: Form {
            action: &visit.target(),
            csrf: &csrf.token,
            hidden: &[],
        },
        account: account.as_ref(),
        destination: &destination,
        problem,
    };
    let policy = Policy {
        form_action: vec![destination.source().clone()],
        opener: Opener::Kept,
        ..shown.policy()
    };
    let status = match problem {
        Some(Problem::Throttled { .. }) => StatusCode::TOO_MANY_REQUESTS,
        Some(Problem::Refused) => StatusCode::UNAUTHORIZED,
        None => StatusCode::OK,
    };
    let mut answer = html(status, &policy, &view)?;
    if let Some(Problem::Throttled { wait }) = problem {
        let wait = HeaderValue::from(wait.as_secs());
        answer.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    Ok(csrf.on(answer))
}
