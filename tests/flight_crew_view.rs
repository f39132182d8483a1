//! Flight Crew View's logbook API, as `examples/flight-crew-view` configures it,
//! line by line (FCV-1 to FCV-61 and FCV-101 to FCV-115).

use std::time::Duration;

use serde_json::json;

use crate::{
    browser::{Browser, Page, add_user},
    client::{Answer, Call},
    gateway::Gateway,
    harness::{Credentials, Site, eventually},
    upstream::Upstream,
};

mod authorization;
mod portal;
mod revocation;
mod tokens;
mod transport;

const AUTHORIZE: &str = "/logbook/logbookuserauth/";
const TOKEN: &str = "/logbook/api/token/";
const REVOKE: &str = "/logbook/api/revokeToken/";
const FLIGHTS: &str = "/logbook/api/flights/";

const CALLBACK: &str = "https://flightbridge.example/callback";
const STAGING: &str = "https://staging.flightbridge.example/callback";
/// The passkey that partners test with.
const TEST_PASSKEY: &str = "TEST1234";

/// Another partner, with the same redirect URI: what keeps the two apart is
/// nothing but who they are.
const SKYLOG: &str = "\
apiVersion: flightgate.dev/v1alpha1
kind: OAuthApplication
metadata: {name: skylog, namespace: partners}
spec:
  displayName: Skylog
  grantTypes: [passkey, refresh_token]
  redirectUris: [\"https://flightbridge.example/callback\"]
  scopes: [\"logbook:read\"]
  profile: logbook
";

/// The programme, with its example's partner and another one.
struct Programme {
    _upstream: Upstream,
    site: Site,
    gateway: Gateway,
    bridge: Credentials,
    skylog: Credentials,
}

/// What a partner got.
#[derive(Clone, Debug)]
struct Tokens {
    access: String,
    refresh: String,
}

impl Tokens {
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let document = answer.json();
        let text = |name: &str| document[name].as_str().unwrap().to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }
}

impl Programme {
    async fn running() -> Self {
        Self::running_with(|_| {}).await
    }

    /// With a profile that differs in this, since nobody outside can move the
    /// gateway's clock.
    async fn running_in_haste(pointer: &str, period: &str) -> Self {
        Self::running_with(|site| {
            let profile = &mut site.config["profiles"]["logbook"];
            *profile.pointer_mut(pointer).unwrap() = json!(period);
        })
        .await
    }

    async fn running_with(change: impl FnOnce(&mut Site)) -> Self {
        let upstream = Upstream::ok().await;
        let mut site = Site::of_example("flight-crew-view", upstream.address);
        site.manifest("skylog", SKYLOG);
        change(&mut site);
        site.compile();
        let gateway = site.start().await;
        Self {
            _upstream: upstream,
            bridge: site.credentials("flightbridge"),
            skylog: site.credentials("skylog"),
            site,
            gateway,
        }
    }

    /// Somebody follows a partner's link.
    async fn follow(&self, browser: &Browser<'_>, client: &Credentials) -> Page {
        let query = [
            ("client_id", client.id.as_str()),
            ("redirect_uri", CALLBACK),
            ("state", "s-1"),
        ];
        browser.open(&link(&query)).await
    }

    /// What comes of a passkey that is typed for a partner, in a browser that
    /// was never here.
    async fn type_passkey(&self, client: &Credentials, passkey: &str) -> Page {
        let browser = Browser::new(&self.gateway);
        let page = self.follow(&browser, client).await;
        browser.send(&filled(&page, passkey)).await
    }

    /// The code that a passkey gives.
    async fn code(&self, client: &Credentials, passkey: &str) -> String {
        let page = self.type_passkey(client, passkey).await;
        page.parameters().remove("code").unwrap()
    }

    /// A POST by a partner, who authenticates by the header.
    async fn ask(&self, client: &Credentials, path: &str, form: &[(&str, &str)]) -> Answer {
        let call = Call::form(path, form).basic(&client.id, &client.secret);
        self.gateway.answer(call).await
    }

    /// The same, who authenticates in the body.
    async fn ask_in_body(&self, client: &Credentials, path: &str, form: &[(&str, &str)]) -> Answer {
        let mut form = form.to_vec();
        form.push(("client_id", &client.id));
        form.push(("client_secret", &client.secret));
        self.gateway.answer(Call::form(path, &form)).await
    }

    async fn exchange(&self, client: &Credentials, code: &str) -> Answer {
        self.ask(client, TOKEN, &exchange(code)).await
    }

    async fn refresh(&self, client: &Credentials, token: &str) -> Answer {
        self.ask(client, TOKEN, &refresh(token)).await
    }

    /// From a passkey to tokens.
    async fn tokens(&self, client: &Credentials, passkey: &str) -> Tokens {
        let code = self.code(client, passkey).await;
        Tokens::of(&self.exchange(client, &code).await)
    }

    /// The status of a call with this access token.
    async fn flights(&self, token: &str) -> u16 {
        let call = Call::get(FLIGHTS).bearer(token);
        self.gateway.answer(call).await.status
    }

    /// A pilot, who signs in on the account page.
    async fn pilot(&self, name: &str) -> Browser<'_> {
        add_user(&self.site, name, &["--subject", &format!("pilot:{name}")]).await;
        let browser = Browser::new(&self.gateway);
        let account = browser.open_as("/account", name).await;
        assert_eq!(account.answer.status, 200, "{account:?}");
        browser
    }
}

/// The link that a partner sends people to.
fn link(query: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    format!("{AUTHORIZE}?{}", form.extend_pairs(query).finish())
}

/// The form of the authorization page with this passkey.
fn filled(page: &Page, passkey: &str) -> crate::browser::Form {
    let form = page.form("passkey").with("passkey", passkey);
    form.with("decision", "allow")
}

fn exchange(code: &str) -> [(&str, &str); 2] {
    [("grant_type", "authorization_code"), ("code", code)]
}

fn refresh(token: &str) -> [(&str, &str); 2] {
    [("grant_type", "refresh_token"), ("refresh_token", token)]
}

/// A fresh passkey, made on the account page.
async fn make_passkey(browser: &Browser<'_>) -> String {
    let account = browser.open("/account").await;
    let fresh = account.form("action").with("action", "passkey");
    let page = browser.send(&fresh).await;
    let html = page.answer.text();
    let shown = html.split("<p class=\"compare code\">").nth(1);
    let shown = shown.unwrap_or_else(|| panic!("no passkey: {html}"));
    let shown = shown.split('<').next().unwrap();
    shown.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// Waits until a life of one second is over for certain.
async fn a_second_and_more() {
    tokio::time::sleep(Duration::from_millis(2_100)).await;
}
