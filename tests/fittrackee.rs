//! FitTrackee's third-party applications, as `examples/fittrackee` configures
//! them, line by line (FT-3 to FT-18, FT-20).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::{
    browser::{Browser, Page, add_user},
    client::{Answer, Call},
    gateway::Gateway,
    harness::{Credentials, Site},
    oauth::TOKEN,
    upstream::Upstream,
};

mod endpoints;
mod flow;
mod scopes;

const AUTHORIZE: &str = "/api/oauth/authorize";
const REVOKE: &str = "/api/oauth/revoke";
const WORKOUTS: &str = "/api/workouts";

const CALLBACK: &str = "https://wattboard.example/oauth/callback";
const STEWARD_CALLBACK: &str = "https://steward.example/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A server with the example's two applications, an administrator and two
/// other users.
struct Tracker {
    upstream: Upstream,
    site: Site,
    gateway: Gateway,
    wattboard: Credentials,
    steward: Credentials,
}

impl Tracker {
    async fn running() -> Self {
        Self::running_with(|_| {}).await
    }

    async fn running_with(change: impl FnOnce(&mut Site)) -> Self {
        let upstream = Upstream::ok().await;
        let mut site = Site::of_example("fittrackee", upstream.address);
        change(&mut site);
        site.compile();
        let gateway = site.start().await;
        add_user(&site, "anna", &[]).await;
        add_user(&site, "berta", &[]).await;
        add_user(&site, "root", &["--admin"]).await;
        Self {
            wattboard: site.credentials("wattboard"),
            steward: site.credentials("steward"),
            upstream,
            site,
            gateway,
        }
    }

    /// A POST by an application, which authenticates in the body (FT-18).
    async fn ask(&self, client: &Credentials, path: &str, form: &[(&str, &str)]) -> Answer {
        let mut form = form.to_vec();
        form.push(("client_id", &client.id));
        form.push(("client_secret", &client.secret));
        self.gateway.answer(Call::form(path, &form)).await
    }

    async fn exchange(&self, client: &Credentials, code: &str, more: &[(&str, &str)]) -> Answer {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.callback(client)),
        ];
        form.extend(more);
        self.ask(client, TOKEN, &form).await
    }

    async fn refresh(&self, client: &Credentials, token: &str, scope: &str) -> Answer {
        let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        form.extend(Some(("scope", scope)).filter(|_| !scope.is_empty()));
        self.ask(client, TOKEN, &form).await
    }

    fn callback(&self, client: &Credentials) -> &'static str {
        if client.id == self.wattboard.id {
            CALLBACK
        } else {
            STEWARD_CALLBACK
        }
    }

    /// The path of an authorization request.
    fn link(&self, client: &Credentials, more: &[(&str, &str)]) -> String {
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", client.id.as_str()),
            ("redirect_uri", self.callback(client)),
            ("state", "s-1"),
        ];
        query.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        query.extend(more);
        let mut form = form_urlencoded::Serializer::new(String::new());
        format!("{AUTHORIZE}?{}", form.extend_pairs(query).finish())
    }

    /// A user signs in and allows the application these scopes: the code.
    async fn code(&self, client: &Credentials, user: &str, more: &[(&str, &str)]) -> String {
        let browser = Browser::new(&self.gateway);
        let page = browser.open_as(&self.link(client, more), user).await;
        let back = if page.left_for.is_some() {
            page
        } else {
            allow(&browser, &page).await
        };
        back.parameters().remove("code").unwrap()
    }

    /// What a user's permission gives the application.
    async fn tokens(&self, client: &Credentials, user: &str, scope: &str) -> Tokens {
        let code = self.code(client, user, &[("scope", scope)]).await;
        Tokens::of(&self.exchange(client, &code, &[]).await)
    }

    async fn status(&self, method: &str, path: &str, token: &str) -> u16 {
        let call = Call::new(method, path).bearer(token);
        self.gateway.answer(call).await.status
    }
}

/// What an application got.
#[derive(Clone, Debug)]
struct Tokens {
    access: String,
    refresh: String,
    scope: String,
}

impl Tokens {
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let document = answer.json();
        let text = |name: &str| document[name].as_str().unwrap().to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
            scope: text("scope"),
        }
    }
}

/// Presses "Allow" with every box ticked.
async fn allow(browser: &Browser<'_>, page: &Page) -> Page {
    let form = page.form("scope").with("decision", "allow");
    browser.send(&form).await
}

/// RFC 7636 section 4.2.
fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER))
}
