//! What browsers ask for: sign-in, consent, device codes, passkeys, the account.
//! The views are in `pages`; who may see what, and what a form does, is here.
//!
//! All of it runs on the slow runtime, for it reads, hashes and renders more
//! than a request on its way to the API may wait for. Every form that changes
//! something is checked twice: by what the browser says of where it comes from,
//! and by a token that hangs on a cookie.

use bytes::Bytes;
use http::{Method, Response};

use crate::{body::Body, core::Core, surface::Endpoint};

mod account;
mod authorize;
mod destination;
mod device;
mod logbook;
mod sign_in;
mod visit;

use visit::{Answer, Failure, see};

pub(crate) use visit::Visit;

/// Answers the request of a browser, on the slow runtime.
pub(crate) async fn answer(core: &Core, endpoint: Endpoint, visit: Visit) -> Response<Body> {
    let answering = async move {
        match route(endpoint, &visit).await {
            Ok(answer) => answer,
            Err(failure) => visit.failed(failure),
        }
    };
    let answer = match core.shared.slow.get() {
        Some(slow) => slow.spawn(answering).await,
        None => tokio::spawn(answering).await,
    };
    let answer = answer.unwrap_or_else(|error| {
        tracing::error!(%error, "a page was not finished");
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        answer
    });
    answer.map(Body::full)
}

async fn route(endpoint: Endpoint, visit: &Visit) -> Result<Answer, Failure> {
    let posted = visit.method == Method::POST;
    match endpoint {
        Endpoint::Authorize if posted => authorize::decide(visit).await,
        Endpoint::Authorize => authorize::ask(visit).await,
        Endpoint::LogbookAuthorize if posted => logbook::take(visit).await,
        Endpoint::LogbookAuthorize => logbook::ask(visit),
        Endpoint::SignIn if posted => sign_in::take(visit).await,
        Endpoint::SignIn => sign_in::ask(visit),
        Endpoint::SignInReturn => sign_in::come_back(visit).await,
        Endpoint::SignOut if posted => sign_in::leave(visit).await,
        Endpoint::SignOut => Ok(see(&visit.page("/account"))),
        Endpoint::Device if posted => device::take(visit).await,
        Endpoint::Device => device::ask(visit).await,
        Endpoint::Account if posted => account::take(visit).await,
        Endpoint::Account => account::show(visit, None).await,
        _ => Err(Failure::Internal("no page has this endpoint".into())),
    }
}
