//! Who the user behind a token is (AF-38 to AF-40; the response of `OpenID`
//! Connect Core section 5.3.2).

use crds::gateway_config::Claim;
use http::Response;
use serde::Serialize;

use super::{error::Error, private_json};
use crate::{body::Body, core::Core, permit::Bearer, scopes::ScopeSet, user::User};

/// What is told, each if a scope of the token has the claim.
#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_admin: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    github_email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    discord_username: Option<&'a str>,
}

/// The scopes that tell something.
pub(crate) fn telling(core: &Core) -> ScopeSet {
    let scopes = core.shared.config.scopes.iter();
    let telling = scopes.filter(|scope| !scope.claims.is_empty());
    core.shared
        .catalogue
        .set(telling.map(|scope| scope.name.as_str()))
}

/// Answers who brings a token with such a scope.
pub(crate) async fn answer(core: &Core, bearer: &Bearer) -> Result<Response<Body>, Error> {
    let users = &core.shared.users;
    let found = users.by_subject(&bearer.subject).await;
    let found = found.map_err(|error| {
        tracing::error!(%error, "user");
        Error::unavailable()
    })?;
    let user = found.as_ref().map(|found| &found.value);
    private_json(&claims(core, bearer, user))
}

fn claims<'a>(core: &Core, bearer: &'a Bearer, user: Option<&'a User>) -> Claims<'a> {
    let catalogue = &core.shared.catalogue;
    let carried = core.shared.config.scopes.iter().filter(|scope| {
        let set = catalogue.set([scope.name.as_str()]);
        !set.is_empty() && bearer.scopes.contains(set)
    });
    let told: Vec<Claim> = carried
        .flat_map(|scope| scope.claims.iter().copied())
        .collect();
    let of = |claim| user.filter(|_| told.contains(&claim));
    Claims {
        sub: &bearer.subject,
        id: of(Claim::Id).map(|user| user.id.as_str()),
        username: of(Claim::Username).map(|user| user.username.as_str()),
        // Whoever has none of their own is under the one that exists always.
        plan: of(Claim::Plan).map(|user| user.plan.as_deref().unwrap_or("default")),
        is_admin: of(Claim::IsAdmin).map(|user| user.is_admin),
        // Absent unless it is known to be theirs.
        email: of(Claim::Email)
            .filter(|user| user.email_verified)
            .and_then(|user| user.email.as_deref()),
        email_verified: of(Claim::EmailVerified).map(|user| user.email_verified),
        github_email: of(Claim::GithubEmail).and_then(|user| user.github_email.as_deref()),
        discord_username: of(Claim::DiscordUsername)
            .and_then(|user| user.discord_username.as_deref()),
    }
}
