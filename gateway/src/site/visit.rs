//! The request of a browser, and what every page does with it.

use std::{net::IpAddr, sync::Arc};

use askama::Template;
use bytes::Bytes;
use crds::gateway_config::Scope as Marks;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use crate::{
    clock::NoRandomness,
    gateway::Gateway,
    oauth::error::Error,
    pages::{
        application::Application, headers::Policy, link::Link, message::Message, scope::Scope,
    },
    registry::Client,
    scopes::ScopeSet,
    store::StoreError,
    user::{UserError, cross_site, csrf::FormCookie, session::SignedIn},
};

/// An answer to a browser.
pub(super) type Answer = Response<Bytes>;

/// Parameters that a form may have: scopes are one each.
const MAX_FIELDS: usize = 256;

/// The request of a browser.
pub(crate) struct Visit {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) peer: IpAddr,
    pub(crate) request_id: String,
}

/// Why there is no page.
pub(super) enum Failure {
    /// Something does not work now.
    Unavailable(String),
    /// Something is wrong here.
    Internal(String),
    /// The form is not one of ours, or too old.
    Form,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<UserError> for Failure {
    fn from(error: UserError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<NoRandomness> for Failure {
    fn from(error: NoRandomness) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Unavailable(format!("{error:?}"))
    }
}

impl From<askama::Error> for Failure {
    fn from(error: askama::Error) -> Self {
        Self::Internal(format!("a page could not be rendered: {error}"))
    }
}

/// What a form brought.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// A field; an empty one is treated as left out.
    pub(super) fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).find(|value| !value.is_empty())
    }

    /// Every value of a field.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.0.iter().filter(move |(known, _)| known == name);
        fields.map(|(_, value)| value.as_str())
    }
}

/// The token of a form, and the cookie that goes out with it.
pub(super) struct Csrf {
    pub(super) token: String,
    cookie: Option<HeaderValue>,
}

impl Csrf {
    /// The page with the cookie.
    pub(super) fn on(&self, mut answer: Answer) -> Answer {
        if let Some(cookie) = &self.cookie {
            answer
                .headers_mut()
                .append(header::SET_COOKIE, cookie.clone());
        }
        answer
    }
}

impl Visit {
    /// Path and query.
    pub(super) fn target(&self) -> String {
        with_query(&self.path, &self.query)
    }

    /// A page of the gateway by its name.
    pub(super) fn page(&self, name: &str) -> String {
        format!("{}{name}", self.gateway.config.pages.base)
    }

    /// What stands at the head of each page.
    pub(super) fn brand(&self) -> &str {
        let pages = &self.gateway.config.pages;
        let host = || self.gateway.config.issuer.host_str().unwrap_or_default();
        pages.brand.as_deref().unwrap_or_else(host)
    }

    /// Who is signed in.
    pub(super) async fn signed_in(&self) -> Result<Option<SignedIn>, Failure> {
        Ok(self.gateway.users.signed_in(&self.headers).await?)
    }

    /// The token for a form of this purpose.
    pub(super) fn csrf(&self, purpose: &str, who: Option<&SignedIn>) -> Result<Csrf, Failure> {
        let users = &self.gateway.users;
        let session = who.map(|who| &who.cookie);
        let cookie = users.form_cookie(&self.headers, session)?;
        Ok(Csrf {
            token: users.csrf_token(purpose, cookie.value()),
            cookie: match &cookie {
                FormCookie::New(value) => value.set(crate::user::cookie::VISITOR, None),
                FormCookie::Held(_) => None,
            },
        })
    }

    /// The fields of a form that came from a page of this gateway, in this
    /// browser, with this purpose.
    pub(super) fn form(&self, purpose: &str, who: Option<&SignedIn>) -> Result<Fields, Failure> {
        let fields = self.fields()?;
        let users = &self.gateway.users;
        let session = who.map(|who| &who.cookie);
        let token = fields.get("csrf").unwrap_or_default();
        users
            .check_csrf(purpose, &self.headers, session, token)
            .map_err(|_| Failure::Form)?;
        Ok(fields)
    }

    fn fields(&self) -> Result<Fields, Failure> {
        cross_site::check(&self.headers, &self.gateway.public_url).map_err(|_| Failure::Form)?;
        let kind = self.headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("application/x-www-form-urlencoded") {
            return Err(Failure::Form);
        }
        let fields = form_urlencoded::parse(&self.body).into_owned();
        Ok(Fields(fields.take(MAX_FIELDS).collect()))
    }

    /// A page that says what happened.
    pub(super) fn message(
        &self,
        status: StatusCode,
        heading: &str,
        text: &str,
        back: Option<(&str, &Link)>,
    ) -> Result<Answer, Failure> {
        let view = Message {
            brand: self.brand(),
            heading,
            text,
            request_id: Some(&self.request_id),
            back,
        };
        html(status, &Policy::default(), &view)
    }

    /// What is said when there is no page.
    pub(super) fn failed(&self, failure: Failure) -> Answer {
        let account = Link::path(&self.page("/account")).ok();
        let back = account.as_ref().map(|link| ("your account", link));
        let answer = match failure {
            Failure::Form => self.message(
                StatusCode::FORBIDDEN,
                "This form can no longer be sent",
                "It was open for too long, was sent from another site, or cookies are turned off. Go back, load the page again, and send it from there.",
                back,
            ),
            Failure::Unavailable(error) => {
                tracing::error!(error, request_id = self.request_id, "page");
                self.message(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "This does not work at the moment",
                    "Nothing was changed. Try again in a minute.",
                    None,
                )
            }
            Failure::Internal(error) => {
                tracing::error!(error, request_id = self.request_id, "page");
                self.message(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "Something is wrong here",
                    "It is not your fault. Tell the people who run this service.",
                    None,
                )
            }
        };
        answer.unwrap_or_else(|_| {
            let mut answer = Response::new(Bytes::new());
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            answer
        })
    }

    /// A set of scopes as a page shows them.
    pub(super) fn scopes(&self, scopes: ScopeSet, granted: ScopeSet) -> Vec<Scope<'_>> {
        let catalogue = &self.gateway.catalogue;
        let named = |scope: &&Marks| scopes.contains(catalogue.set([scope.name.as_str()]));
        let known = |scope: &&Marks| catalogue.names().contains(&scope.name);
        let all = self.gateway.config.scopes.iter();
        all.filter(known)
            .filter(named)
            .map(|scope| Scope {
                name: &scope.name,
                title: &scope.title,
                sensitive: scope.sensitive,
                destructive: scope.destructive,
                granted: granted.contains(catalogue.set([scope.name.as_str()])),
            })
            .collect()
    }
}

/// A page.
pub(super) fn html(
    status: StatusCode,
    policy: &Policy,
    view: &impl Template,
) -> Result<Answer, Failure> {
    let mut answer = Response::new(Bytes::from(view.render()?));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    policy.put(answer.headers_mut());
    Ok(answer)
}

/// On to another place, with GET (RFC 9700 section 4.12).
pub(super) fn see(place: &str) -> Answer {
    let mut answer = Response::new(Bytes::new());
    match HeaderValue::from_str(place) {
        Ok(location) => {
            *answer.status_mut() = StatusCode::SEE_OTHER;
            answer.headers_mut().insert(header::LOCATION, location);
        }
        Err(_) => *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    Policy::default().put(answer.headers_mut());
    answer
}

/// What is shown of an application.
pub(super) struct Shown<'a> {
    client: &'a Client,
    homepage: Option<Link>,
    logo: Option<Link>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(client: &'a Client) -> Self {
        let link = |url: &Option<String>| Link::https(url.as_deref()?).ok();
        Self {
            client,
            homepage: link(&client.homepage_url),
            logo: link(&client.logo_url),
        }
    }

    pub(super) fn application(&self) -> Application<'_> {
        Application {
            name: &self.client.display_name,
            description: self.client.description.as_deref(),
            homepage: self.homepage.as_ref(),
            logo: self.logo.as_ref(),
        }
    }

    /// A policy under which its logo is shown.
    pub(super) fn policy(&self) -> Policy {
        Policy {
            image: self.logo.as_ref().and_then(Link::source),
            ..Policy::default()
        }
    }
}

/// A path with this query.
pub(super) fn with_query(path: &str, query: &str) -> String {
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}
