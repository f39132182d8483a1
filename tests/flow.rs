//! An application of an example, and the way of its users through the browser.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    browser::{Browser, Page},
    client::{Answer, Call},
    gateway::Gateway,
    harness::Site,
};

/// The verifier of every request.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// What every request wants to have back.
pub(crate) const STATE: &str = "a&b c";

/// An application.
pub(crate) struct App<'a> {
    gateway: &'a Gateway,
    /// Where its endpoints begin.
    base: &'static str,
    pub(crate) id: String,
    secret: Option<String>,
    /// Where its users come back to, if they leave.
    callback: &'static str,
}

/// The S256 challenge of a verifier.
pub(crate) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// A member of an answer that must be text.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {value}"))
}

impl<'a> App<'a> {
    /// One that authenticates with its secret.
    pub(crate) fn confidential(
        (site, gateway): (&Site, &'a Gateway),
        name: &str,
        base: &'static str,
        callback: &'static str,
    ) -> Self {
        let credentials = site.credentials(name);
        Self {
            gateway,
            base,
            id: credentials.id,
            secret: Some(credentials.secret),
            callback,
        }
    }

    /// One that has none.
    pub(crate) fn public(
        (site, gateway): (&Site, &'a Gateway),
        name: &str,
        base: &'static str,
        callback: &'static str,
    ) -> Self {
        Self {
            gateway,
            base,
            id: site.client_id(name),
            secret: None,
            callback,
        }
    }

    /// The path of an authorization request, with these parameters in the place
    /// of the usual ones; those that are empty are left out.
    pub(crate) fn request(&self, more: &[(&str, &str)]) -> String {
        let challenge = challenge(VERIFIER);
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", self.id.as_str()),
            ("redirect_uri", self.callback),
            ("state", STATE),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        parameters.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        parameters.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        format!("{}/authorize?{query}", self.base)
    }

    /// A request to one of the OAuth endpoints, authenticated as it can.
    pub(crate) fn call(&self, endpoint: &str, form: &[(&str, &str)]) -> Call {
        let path = format!("{}/{endpoint}", self.base);
        if let Some(secret) = &self.secret {
            return Call::form(&path, form).basic(&self.id, secret);
        }
        let mut form = form.to_vec();
        form.push(("client_id", &self.id));
        Call::form(&path, &form)
    }

    /// A request to the token endpoint.
    pub(crate) async fn ask(&self, form: &[(&str, &str)]) -> Answer {
        self.gateway.answer(self.call("token", form)).await
    }

    /// Exchanges a code, with these parameters in the place of the usual ones;
    /// those that are empty are left out.
    pub(crate) async fn exchange(&self, code: &str, more: &[(&str, &str)]) -> Answer {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.callback),
            ("code_verifier", VERIFIER),
        ];
        form.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        form.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        self.ask(&form).await
    }

    /// Refreshes.
    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.ask(&[("grant_type", "refresh_token"), ("refresh_token", token)])
            .await
    }

    /// What comes of the page: the code, after an "Allow" where it asks.
    pub(crate) async fn code(&self, browser: &Browser<'_>, page: Page) -> String {
        let page = match page.left_for {
            Some(_) => page,
            None => {
                browser
                    .send(&page.form("scope").with("decision", "allow"))
                    .await
            }
        };
        let left_for = page.left_for.as_ref().map(url::Url::as_str);
        assert!(left_for.is_some_and(|url| url.starts_with(self.callback)));
        page.parameters()
            .remove("code")
            .unwrap_or_else(|| panic!("no code: {page:?}"))
    }

    /// A code that this user allows, in a browser of their own.
    pub(crate) async fn code_of(&self, user: &str, scope: &str) -> String {
        let browser = Browser::new(self.gateway);
        let page = browser
            .open_as(&self.request(&[("scope", scope)]), user)
            .await;
        self.code(&browser, page).await
    }

    /// The tokens that this user allows, in a browser of their own.
    pub(crate) async fn tokens_of(&self, user: &str, scope: &str) -> Value {
        let code = self.code_of(user, scope).await;
        let answer = self.exchange(&code, &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}
