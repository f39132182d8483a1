//! How applications get tokens that act for Anna, grant by grant.

use crate::{
    authorization::{allow, exchange, request},
    browser::Browser,
    client::{Answer, Call},
    gateway::Gateway,
    harness::Credentials,
    oauth::TOKEN,
};

pub(crate) use crate::flow::VERIFIER;

pub(crate) const AUTHORIZE: &str = "/api/oauth/authorize";
pub(crate) const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
pub(crate) const DEVICE_AUTHORIZATION: &str = "/api/oauth/device_authorization";
pub(crate) const CALLBACK: &str = "https://logbook.example/cb";

/// An application with these grants, and with lines of its own in the place of
/// what all have.
pub(crate) fn application(name: &str, grants: &str, more: &str) -> String {
    let head = format!(
        "apiVersion: flightgate.dev/v1alpha1
kind: OAuthApplication
metadata: {{name: {name}, namespace: partners}}
spec:
  displayName: Acme {name}
  grantTypes: [{grants}]
"
    );
    let uris = "  redirectUris: [\"https://logbook.example/cb\"]\n";
    let scopes = "  scopes: [\"flights:read\", \"flights:write\"]\n";
    let redirects = grants.contains("authorization_code") || grants.contains("passkey");
    let uris = uris.repeat(usize::from(redirects && !more.contains("redirectUris")));
    let scopes = scopes.repeat(usize::from(!more.contains("scopes")));
    head + &uris + &scopes + more
}

/// What a client gets for a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Pair {
    pub(crate) fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let tokens = answer.json();
        let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
        Self {
            access: token("access_token"),
            refresh: token("refresh_token"),
        }
    }
}

/// Anna's browser, signed in.
pub(crate) async fn annas(gateway: &Gateway) -> Browser<'_> {
    let browser = Browser::new(gateway);
    let page = browser.open_as("/account", "anna").await;
    assert!(page.has("Your account"), "{page:?}");
    browser
}

/// A code for this client, with Anna's consent if she is asked for it.
pub(crate) async fn code(browser: &Browser<'_>, client: &Credentials) -> String {
    code_for(browser, client, &[]).await
}

/// The same, for a request that is different in these parameters.
pub(crate) async fn code_for(
    browser: &Browser<'_>,
    client: &Credentials,
    more: &[(&str, &str)],
) -> String {
    let mut page = browser.open(&request(client, more)).await;
    if page.left_for.is_none() {
        page = allow(browser, &page).await;
    }
    page.parameters()["code"].clone()
}

/// A pair for this client.
pub(crate) async fn pair(gateway: &Gateway, browser: &Browser<'_>, client: &Credentials) -> Pair {
    let code = code(browser, client).await;
    Pair::of(&exchange(gateway, client, &code).await)
}

/// The exchange of a code.
pub(crate) fn code_call(client: &Credentials, code: &str) -> Call {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    Call::form(TOKEN, &form).basic(&client.id, &client.secret)
}

/// The exchange of a refresh token.
pub(crate) fn refresh_call(client: &Credentials, token: &str) -> Call {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    Call::form(TOKEN, &form).basic(&client.id, &client.secret)
}

/// What a device asks again and again.
pub(crate) fn device_call(client: &Credentials, code: &str) -> Call {
    let form = [("grant_type", DEVICE), ("device_code", code)];
    Call::form(TOKEN, &form).basic(&client.id, &client.secret)
}

/// With what a device begins.
pub(crate) fn device_begins(client: &Credentials) -> Call {
    Call::form(DEVICE_AUTHORIZATION, &[]).basic(&client.id, &client.secret)
}

/// Device code and user code.
pub(crate) fn device_codes(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let codes = answer.json();
    let code = |name: &str| codes[name].as_str().unwrap().to_owned();
    (code("device_code"), code("user_code"))
}

/// Anna types the code of a device and decides; `None` if the gateway goes away.
pub(crate) async fn decide(browser: &Browser<'_>, code: &str, decision: &str) -> Option<()> {
    let page = browser
        .try_open(&format!("/device?user_code={code}"))
        .await?;
    let form = page.form("scope").with("decision", decision);
    let done = browser.try_send(&form).await?;
    let said = match decision {
        "allow" => "Your device is connected",
        _ => "Your device is not connected",
    };
    assert!(done.has(said), "{done:?}");
    Some(())
}

/// A passkey of Anna's; `None` if the gateway goes away.
pub(crate) async fn passkey(browser: &Browser<'_>) -> Option<String> {
    let account = browser.try_open("/account").await?;
    let form = account.form_with("value=\"passkey\"");
    let html = browser.try_send(&form).await?.answer.text();
    let marked = html.split_once("<p class=\"compare code\">").unwrap().1;
    Some(marked.split('<').next().unwrap().to_owned())
}
