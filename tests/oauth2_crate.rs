//! The `oauth2` crate through every flow, with its own polling for devices.

use std::{cell::RefCell, convert::Infallible, time::Duration};

use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    DeviceAuthorizationUrl, HttpRequest, HttpResponse, IntrospectionUrl, PkceCodeChallenge,
    RedirectUrl, RequestTokenError, RevocationUrl, Scope, StandardDeviceAuthorizationResponse,
    TokenIntrospectionResponse, TokenResponse, TokenUrl,
    basic::{BasicClient, BasicErrorResponseType},
};
use url::Url;

use crate::{browser::Browser, client::Call, clients::Programme, gateway::Gateway};

/// Sends what the crate wants sent.
async fn send(gateway: &Gateway, request: HttpRequest) -> Result<HttpResponse, Infallible> {
    let (parts, body) = request.into_parts();
    assert!(parts.uri.to_string().starts_with(&gateway.origin()));
    let mut call = Call::new(parts.method.as_str(), parts.uri.path());
    for (name, value) in &parts.headers {
        call = call.header(name.as_str(), value.to_str().unwrap());
    }
    let answer = gateway.answer(call.body(body)).await;
    let mut response = http::Response::new(answer.body.to_vec());
    *response.status_mut() = answer.status.try_into().unwrap();
    *response.headers_mut() = answer.headers;
    Ok(response)
}

/// A client of the crate with all of the gateway's endpoints.
macro_rules! client {
    ($programme:expr, $id:expr) => {{
        let at = |path: &str| format!("{}/api/oauth{path}", $programme.gateway.origin());
        let device = DeviceAuthorizationUrl::new(at("/device_authorization")).unwrap();
        BasicClient::new(ClientId::new($id))
            .set_auth_uri(AuthUrl::new(at("/authorize")).unwrap())
            .set_token_uri(TokenUrl::new(at("/token")).unwrap())
            .set_introspection_url(IntrospectionUrl::new(at("/introspect")).unwrap())
            .set_revocation_url(RevocationUrl::new(at("/revoke")).unwrap())
            .set_device_authorization_url(device)
    }};
}

/// Path and query of a URL.
fn target(url: &Url) -> String {
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}

fn error<E: std::error::Error>(
    error: &RequestTokenError<E, oauth2::basic::BasicErrorResponse>,
) -> BasicErrorResponseType {
    match error {
        RequestTokenError::ServerResponse(response) => response.error().clone(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn codes_refresh_introspection_and_revocation_work_with_the_oauth2_crate() {
    let programme = Programme::start().await;
    let gateway = &programme.gateway;
    let http = |request| send(gateway, request);
    let web = programme.site.credentials("web");
    let client = client!(programme, web.id.clone())
        .set_client_secret(ClientSecret::new(web.secret.clone()))
        .set_redirect_uri(RedirectUrl::new(programme.redirect()).unwrap());

    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state) = client
        .authorize_url(CsrfToken::new_random)
        .add_scope(Scope::new("flights:read".into()))
        .set_pkce_challenge(challenge)
        .url();
    let browser = Browser::new(gateway);
    let page = browser.open_as(&target(&url), "anna").await;
    let form = page.form("scope").with("decision", "allow");
    let parameters = browser.send(&form).await.parameters();
    assert_eq!(&parameters["state"], state.secret());

    let code = AuthorizationCode::new(parameters["code"].clone());
    let tokens = client
        .exchange_code(code.clone())
        .set_pkce_verifier(verifier)
        .request_async(&http)
        .await
        .unwrap();
    assert_eq!(
        tokens.scopes().unwrap()[..],
        [Scope::new("flights:read".into())]
    );
    assert_eq!(tokens.expires_in(), Some(Duration::from_hours(1)));

    let first = tokens.refresh_token().unwrap();
    let fresh = client
        .exchange_refresh_token(first)
        .request_async(&http)
        .await
        .unwrap();
    assert_eq!(
        gateway.list_status(fresh.access_token().secret()).await,
        200
    );
    let known = client.introspect(fresh.access_token());
    let known = known.request_async(&http).await.unwrap();
    assert!(known.active());
    assert_eq!(known.sub(), Some("pilot:anna"));

    let second = fresh.refresh_token().unwrap();
    let revocation = client.revoke_token(second.into()).unwrap();
    revocation.request_async(&http).await.unwrap();
    let known = client.introspect(fresh.access_token());
    assert!(!known.request_async(&http).await.unwrap().active());
    for token in [first, second] {
        let refused = client.exchange_refresh_token(token);
        let refused = refused.request_async(&http).await.unwrap_err();
        assert_eq!(error(&refused), BasicErrorResponseType::InvalidGrant);
    }
    let again = client.exchange_code(code).request_async(&http).await;
    assert_eq!(
        error(&again.unwrap_err()),
        BasicErrorResponseType::InvalidGrant
    );
}

/// By header and by body, with the right secret and with another one.
#[tokio::test]
async fn clients_authenticate_with_the_oauth2_crate() {
    let programme = Programme::start().await;
    let http = |request| send(&programme.gateway, request);
    let web = programme.site.credentials("web");
    for way in [AuthType::BasicAuth, AuthType::RequestBody] {
        let with = |secret: &str| {
            client!(programme, web.id.clone())
                .set_client_secret(ClientSecret::new(secret.to_owned()))
                .set_auth_type(way.clone())
        };
        let client = with(&web.secret);
        let tokens = client.exchange_client_credentials();
        let tokens = tokens.request_async(&http).await.unwrap();
        assert!(tokens.refresh_token().is_none());
        let impostor = with("wrong");
        let refused = impostor.exchange_client_credentials();
        let refused = refused.request_async(&http).await.unwrap_err();
        assert_eq!(error(&refused), BasicErrorResponseType::InvalidClient);
    }
}

/// RFC 8628 section 3.5: the crate waits five seconds longer after each
/// `slow_down`, and gets its tokens when the user has approved.
#[tokio::test]
async fn a_device_polls_with_the_oauth2_crate_and_slows_down_when_told() {
    let programme = Programme::start().await;
    let gateway = &programme.gateway;
    let http = |request| send(gateway, request);
    let client = client!(programme, programme.site.client_id("television"));
    let device: StandardDeviceAuthorizationResponse = client
        .exchange_device_code()
        .add_scope(Scope::new("flights:read".into()))
        .request_async(&http)
        .await
        .unwrap();
    assert_eq!(device.interval(), Duration::from_secs(5));

    let waits = RefCell::new(Vec::new());
    let approve = async |wait| {
        waits.borrow_mut().push(wait);
        // It asks again at once, so it is told to slow down; then Anna is asked.
        if waits.borrow().len() < 3 {
            return;
        }
        let browser = Browser::new(gateway);
        let uri = Url::parse(device.verification_uri_complete().unwrap().secret()).unwrap();
        let page = browser.open_as(&target(&uri), "anna").await;
        assert!(page.has(device.user_code().secret()), "{page:?}");
        let form = page.form("scope").with("decision", "allow");
        assert_eq!(browser.send(&form).await.answer.status, 200);
    };
    let tokens = client
        .exchange_device_access_token(&device)
        .request_async(&http, approve, None)
        .await
        .unwrap();
    assert_eq!(*waits.borrow(), [5, 10, 15].map(Duration::from_secs));
    assert_eq!(
        gateway.list_status(tokens.access_token().secret()).await,
        200
    );
}
