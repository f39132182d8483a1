//! The account page: what is connected, and how to end it (FCV-101, AF-50).

use std::time::Duration;

use crds::{gateway_config::Surface, secret::Secret};
use http::StatusCode;

use super::{
    sign_in::{self, LEAVING},
    visit::{Answer, Failure, Fields, Visit, html, see},
};
use crate::{
    oauth::passkey,
    pages::{
        account::{Account, Connection, Notice, Problem},
        form::Form,
        headers::Policy,
        link::Link,
        passkey::PasskeyFresh,
    },
    telemetry::audit,
    user::{
        UserError, cookie,
        password::{MIN_CHARS, PasswordError},
        session::SignedIn,
        sign_in::SignInError,
    },
};

/// What the tokens of these forms are for.
const PURPOSE: &str = "account";

/// What has just been done, or could not be.
pub(super) enum News {
    /// This application was disconnected.
    Disconnected(String),
    /// The new password counts.
    PasswordChanged,
    /// It does not.
    Problem(Problem),
}

/// Shows the account page.
pub(super) async fn show(visit: &Visit, news: Option<News>) -> Result<Answer, Failure> {
    match visit.signed_in().await? {
        Some(who) => page(visit, &who, news.as_ref()).await,
        None => Ok(sign_in::first(visit, &visit.page("/account"))),
    }
}

/// Takes one of its forms.
pub(super) async fn take(visit: &Visit) -> Result<Answer, Failure> {
    let Some(who) = visit.signed_in().await? else {
        return Ok(sign_in::first(visit, &visit.page("/account")));
    };
    let fields = visit.form(PURPOSE, Some(&who))?;
    match fields.get("action") {
        Some("disconnect") => disconnect(visit, &who, &fields).await,
        Some("passkey") => make_passkey(visit, &who).await,
        Some("password") => change_password(visit, &who, &fields).await,
        Some("sign-out-everywhere") => leave_everywhere(visit, &who).await,
        _ => Err(Failure::Form),
    }
}

async fn disconnect(visit: &Visit, who: &SignedIn, fields: &Fields) -> Result<Answer, Failure> {
    let client = fields.get("client").unwrap_or_default();
    let (gateway, subject) = (&visit.gateway, &who.user.subject);
    if gateway.grants.revoke(subject, client, None).await? {
        audit::event("grant_revoked_by_user", subject, client);
    }
    let news = News::Disconnected(name_of(visit, client));
    page(visit, who, Some(&news)).await
}

async fn make_passkey(visit: &Visit, who: &SignedIn) -> Result<Answer, Failure> {
    let (fresh, lifetime) = passkey::create(&visit.gateway, &who.user).await?;
    let account = Link::path(&visit.page("/account"))
        .map_err(|error| Failure::Internal(error.to_string()))?;
    let view = PasskeyFresh {
        brand: visit.brand(),
        passkey: fresh.expose(),
        lifetime: Duration::from_secs(lifetime),
        expires: visit.gateway.clock.now() + lifetime,
        account: &account,
    };
    html(StatusCode::OK, &Policy::default(), &view)
}

async fn change_password(
    visit: &Visit,
    who: &SignedIn,
    fields: &Fields,
) -> Result<Answer, Failure> {
    let field = |name| fields.get(name).unwrap_or_default();
    let (users, name) = (&visit.gateway.users, &who.user.username);
    if field("new_password") != field("repeated_password") {
        return page(visit, who, Some(&News::Problem(Problem::Different))).await;
    }
    let current = Secret::new(field("current_password").to_owned());
    // Whoever sits at an open session still has to know the password, and is
    // throttled as at the sign-in. It begins a session anew.
    let started = users
        .sign_in(name, &current, visit.peer, &visit.headers)
        .await;
    let started = match started {
        Ok(started) => started,
        Err(SignInError::User(error)) => return Err(error.into()),
        Err(SignInError::Wait(wait)) => {
            let wait = Duration::from_secs(wait.0);
            let problem = Problem::Throttled { wait };
            return page(visit, who, Some(&News::Problem(problem))).await;
        }
        Err(SignInError::Wrong | SignInError::Off) => {
            return page(visit, who, Some(&News::Problem(Problem::WrongPassword))).await;
        }
    };
    let fresh = Secret::new(field("new_password").to_owned());
    let (started, news) = match users.reset_password(name, &fresh).await {
        Ok(()) => {
            audit::event("password_changed", &who.user.subject, "");
            // All sessions are over, this one too: another for who changed it.
            let again = users
                .sign_in(name, &fresh, visit.peer, &visit.headers)
                .await;
            let Ok(again) = again else {
                return Ok(sign_in::first(visit, &visit.page("/account")));
            };
            (again, News::PasswordChanged)
        }
        Err(UserError::Password(error)) => {
            let problem = match error {
                PasswordError::Short => Problem::TooShort,
                PasswordError::Long => Problem::TooLong,
                PasswordError::OwnName => Problem::OwnName,
                PasswordError::Common => Problem::TooCommon,
                PasswordError::Hash(_) => return Err(UserError::Password(error).into()),
            };
            (started, News::Problem(problem))
        }
        Err(error) => return Err(error.into()),
    };
    let who = SignedIn {
        user: started.user,
        session: who.session.clone(),
        cookie: started.session,
    };
    let answer = page(visit, &who, Some(&news)).await?;
    Ok(sign_in::with_cookies(answer, started.cookies))
}

async fn leave_everywhere(visit: &Visit, who: &SignedIn) -> Result<Answer, Failure> {
    visit.gateway.users.end_sessions(&who.user.username).await?;
    audit::event("signed_out_everywhere", &who.user.subject, "");
    let answer = see(&visit.page("/sign-in"));
    Ok(sign_in::with_cookies(
        answer,
        cookie::clear(cookie::SESSION),
    ))
}

fn name_of(visit: &Visit, client: &str) -> String {
    let registry = visit.gateway.registry.load();
    let known = registry.client(client);
    known.map_or_else(|| client.to_owned(), |client| client.display_name.clone())
}

async fn page(visit: &Visit, who: &SignedIn, news: Option<&News>) -> Result<Answer, Failure> {
    let gateway = &visit.gateway;
    let action = visit.page("/account");
    let csrf = visit.csrf(PURPOSE, Some(who))?;
    let leave = visit.csrf(LEAVING, Some(who))?;
    let grants = gateway.grants.list(&who.user.subject).await?;
    let shown: Vec<_> = grants
        .iter()
        .map(|grant| {
            let scopes = gateway.config.scopes.iter();
            let titles = scopes.filter(|scope| grant.scopes.contains(&scope.name));
            let titles: Vec<_> = titles.map(|scope| scope.title.as_str()).collect();
            let hidden = [("action", "disconnect"), ("client", grant.client.as_str())];
            (grant, name_of(visit, &grant.client), titles, hidden)
        })
        .collect();
    let connections: Vec<_> = shown
        .iter()
        .map(|(grant, name, titles, hidden)| Connection {
            name,
            since: grant.created_at,
            last_used: None,
            scopes: titles,
            disconnect: Form {
                action: &action,
                csrf: &csrf.token,
                hidden,
            },
        })
        .collect();
    let form = |hidden| Form {
        action: &action,
        csrf: &csrf.token,
        hidden,
    };
    let has_passkeys = gateway
        .config
        .surfaces
        .iter()
        .any(|surface| matches!(surface, Surface::Logbook(_)));
    let view = Account {
        brand: visit.brand(),
        user: &who.user.username,
        notice: match news {
            Some(News::Disconnected(name)) => Some(Notice::Disconnected(name)),
            Some(News::PasswordChanged) => Some(Notice::PasswordChanged),
            _ => None,
        },
        connections: &connections,
        make_passkey: has_passkeys.then(|| form(&[("action", "passkey")])),
        change_password: who
            .user
            .has_password()
            .then(|| form(&[("action", "password")])),
        password_min: MIN_CHARS,
        problem: match news {
            Some(News::Problem(problem)) => Some(*problem),
            _ => None,
        },
        sign_out: Form {
            action: &visit.page("/sign-out"),
            csrf: &leave.token,
            hidden: &[],
        },
        sign_out_everywhere: form(&[("action", "sign-out-everywhere")]),
    };
    let status = match news {
        Some(News::Problem(_)) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    Ok(csrf.on(html(status, &Policy::default(), &view)?))
}
