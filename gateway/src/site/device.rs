//! Where users type the code of a device (RFC 8628 section 3.3).

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};

use super::{
    sign_in::{self, LEAVING, parameter},
    visit::{Answer, Failure, Fields, Shown, Visit, html},
};
use crate::{
    oauth::device::{self, Waiting},
    pages::{
        consent,
        device::{DeviceConfirm, DeviceDone, DeviceEntry, Outcome, Problem},
        form::Form,
        headers::Policy,
    },
    scopes::ScopeSet,
    user::{
        session::SignedIn,
        throttle::{Purpose, Who},
    },
};

/// What the tokens of these forms are for.
const PURPOSE: &str = "device";

/// Shows where to type the code, or, for a link that brings it, what the device
/// asks for.
pub(super) async fn ask(visit: &Visit) -> Result<Answer, Failure> {
    let Some(who) = visit.signed_in().await? else {
        return Ok(sign_in::first(visit, &visit.target()));
    };
    match parameter(&visit.query, "user_code") {
        Some(code) => look_up(visit, &who, &code).await,
        None => entry(visit, &who, "", None),
    }
}

/// Takes the code, and then the decision.
pub(super) async fn take(visit: &Visit) -> Result<Answer, Failure> {
    let Some(who) = visit.signed_in().await? else {
        return Ok(sign_in::first(visit, &visit.target()));
    };
    let fields = visit.form(PURPOSE, Some(&who))?;
    let code = fields.get("user_code").unwrap_or_default();
    if fields.get("decision").is_none() {
        return look_up(visit, &who, code).await;
    }
    match find(visit, &who, code).await? {
        Ok(waiting) => decide(visit, &who, &waiting, &fields).await,
        Err(problem) => entry(visit, &who, code, Some(problem)),
    }
}

async fn look_up(visit: &Visit, who: &SignedIn, code: &str) -> Result<Answer, Failure> {
    match find(visit, who, code).await? {
        Ok(waiting) => confirm(visit, who, &waiting, None),
        Err(problem) => entry(visit, who, code, Some(problem)),
    }
}

/// The device that shows this code. Wrong ones are counted (section 5.1).
async fn find(
    visit: &Visit,
    who: &SignedIn,
    code: &str,
) -> Result<Result<Waiting, Problem>, Failure> {
    let throttle = &visit.gateway.users.throttle;
    let attempt = throttle.attempt(&[
        (Purpose::UserCode, Who::Address(visit.peer)),
        (Purpose::UserCode, Who::Text(&who.user.subject)),
    ]);
    let attempt = match attempt {
        Ok(attempt) => attempt,
        Err(wait) => {
            let wait = Duration::from_secs(wait.0);
            return Ok(Err(Problem::Throttled { wait }));
        }
    };
    Ok(match device::find(&visit.gateway, code).await? {
        Some(waiting) => {
            attempt.succeeded();
            Ok(waiting)
        }
        None => Err(Problem::Unknown),
    })
}

async fn decide(
    visit: &Visit,
    who: &SignedIn,
    waiting: &Waiting,
    fields: &Fields,
) -> Result<Answer, Failure> {
    let gateway = &visit.gateway;
    let grantable = grantable(visit, who, waiting);
    let approved = match fields.get("decision") {
        Some("allow") => {
            let ticked = gateway.catalogue.set(fields.all("scope")).and(grantable);
            if ticked.is_empty() {
                let problem = Some(consent::Problem::NothingTicked);
                return confirm(visit, who, waiting, problem);
            }
            Some(ticked)
        }
        _ => None,
    };
    if !device::decide(gateway, waiting, &who.user.subject, approved).await? {
        return entry(visit, who, "", Some(Problem::Expired));
    }
    let view = DeviceDone {
        brand: visit.brand(),
        application: &waiting.client.display_name,
        outcome: if approved.is_some() {
            Outcome::Approved
        } else {
            Outcome::Denied
        },
    };
    html(StatusCode::OK, &Policy::default(), &view)
}

fn grantable(visit: &Visit, who: &SignedIn, waiting: &Waiting) -> ScopeSet {
    if who.user.is_admin {
        waiting.scopes
    } else {
        waiting.scopes.without(visit.gateway.catalogue.admin_only())
    }
}

fn entry(
    visit: &Visit,
    who: &SignedIn,
    code: &str,
    problem: Option<Problem>,
) -> Result<Answer, Failure> {
    let csrf = visit.csrf(PURPOSE, Some(who))?;
    let view = DeviceEntry {
        brand: visit.brand(),
        form: Form {
            action: &visit.page("/device"),
            csrf: &csrf.token,
            hidden: &[],
        },
        code,
        problem,
    };
    let status = match problem {
        Some(Problem::Throttled { .. }) => StatusCode::TOO_MANY_REQUESTS,
        Some(_) => StatusCode::BAD_REQUEST,
        None => StatusCode::OK,
    };
    let mut answer = html(status, &Policy::default(), &view)?;
    if let Some(Problem::Throttled { wait }) = problem {
        let wait = HeaderValue::from(wait.as_secs());
        answer.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    Ok(csrf.on(answer))
}

fn confirm(
    visit: &Visit,
    who: &SignedIn,
    waiting: &Waiting,
    problem: Option<consent::Problem>,
) -> Result<Answer, Failure> {
    let csrf = visit.csrf(PURPOSE, Some(who))?;
    let leave = visit.csrf(LEAVING, Some(who))?;
    let scopes = visit.scopes(grantable(visit, who, waiting), ScopeSet::EMPTY);
    let shown = Shown::of(&waiting.client);
    let here = visit.page("/device");
    let view = DeviceConfirm {
        brand: visit.brand(),
        application: shown.application(),
        code: &waiting.user_code,
        user: &who.user.username,
        sign_out: Form {
            action: &visit.page("/sign-out"),
            csrf: &leave.token,
            hidden: &[(
                "continue",
                &format!("{here}?user_code={}", waiting.user_code),
            )],
        },
        form: Form {
            action: &here,
            csrf: &csrf.token,
            hidden: &[("user_code", &waiting.user_code)],
        },
        scopes: &scopes,
        problem,
    };
    Ok(csrf.on(html(StatusCode::OK, &shown.policy(), &view)?))
}
