//! A request into the permission that its handler demands.
//!
//! A handler names `Permit<Read>`, `Permit<Write>` or `Permit<Delete>` among its
//! arguments, because the store will not work without. Naming it is what makes
//! the identity be verified and the scope be asked for.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::App;
use super::problem::{Code, Problem};
use crate::identity::verify::IdentityError;
use crate::identity::{Caller, HEADER, Permit, Scope};

impl<S: Scope> FromRequestParts<Arc<App>> for Permit<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Permit<S>, Problem> {
        let caller = caller(parts, app).await?;
        caller
            .permit()
            .map_err(|missing| Problem::new(Code::InsufficientScope, missing.to_string()))
    }
}

/// The verified identity of a request, whatever it may do.
///
/// # Errors
/// A problem with 401 if there is no good identity, 503 if that cannot be told.
pub async fn caller(parts: &Parts, app: &App) -> Result<Arc<Caller>, Problem> {
    let token = token(parts)?;
    let caller = app
        .verifier
        .verify(token)
        .await
        .map_err(|error| match error {
            IdentityError::Invalid(_) => refused(&error),
            IdentityError::KeysUnavailable => {
                Problem::new(Code::KeysUnavailable, error.to_string()).retry_after(3)
            }
        })?;
    tracing::debug!(
        client = caller.client_id(),
        grant = caller.grant(),
        "identified"
    );
    Ok(caller)
}

fn token(parts: &Parts) -> Result<&str, Problem> {
    let mut values = parts.headers.get_all(HEADER).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().map_err(|_| refused(&"it is not a JWT")),
        // One of them may be the gateway's, and nobody can tell which.
        (Some(_), Some(_)) => Err(refused(&"expected the header once, found it more often")),
        (None, _) => Err(refused(&"found no such header")),
    }
}

fn refused(why: &dyn std::fmt::Display) -> Problem {
    Problem::new(
        Code::IdentityRequired,
        format!(
            "this is an API behind a gateway: expected the header Flightgate-Identity as the gateway sets it; {why}. \
             Call the gateway's address, with an access token."
        ),
    )
}
