//! The token endpoint: RFC 6749 sections 2.3, 3.2, 4.4 and 5 (WF-25 to WF-30).

use std::collections::HashSet;

use serde_json::json;

use crate::{
    client::{Answer, Call, Protocol},
    gateway::Gateway,
    harness::{ACME, Credentials, Site, eventually, like_acme},
    oauth::{FLIGHTS, TOKEN, issued, token_call},
    upstream::Upstream,
};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

async fn running() -> (Upstream, Site, Gateway, Credentials) {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let acme = site.credentials("acme");
    (upstream, site, gateway, acme)
}

fn by_body(client: &Credentials, more: &[(&str, &str)]) -> Call {
    let mut parameters = vec![
        GRANT,
        ("client_id", client.id.as_str()),
        ("client_secret", client.secret.as_str()),
    ];
    parameters.extend(more);
    Call::form(TOKEN, &parameters)
}

/// WF-26 to WF-30, WF-49, RFC 6749 sections 2.3.1 and 5.1, FCV-42.
#[tokio::test]
async fn basic_and_body_authentication_give_the_same_answer() {
    let (_upstream, _site, gateway, acme) = running().await;
    assert!(acme.id.starts_with("wf_app_"), "{}", acme.id);
    assert!(acme.secret.starts_with("wf_secret_"));
    for protocol in Protocol::BOTH {
        let scope = [("scope", "flights:read")];
        let mut answers = Vec::new();
        for call in [token_call(&acme, &scope), by_body(&acme, &scope)] {
            let answer = gateway.connect(protocol).await.answer(call).await;
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("pragma"), Some("no-cache"));
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let token = issued(&answer);
            assert!(token.starts_with("wf_at_") && token.len() <= 255, "{token}");
            let mut document = answer.json();
            document["access_token"] = json!("");
            answers.push(document);
        }
        let expected = json!({
            "access_token": "", "token_type": "Bearer", "expires_in": 3600, "scope": "flights:read",
        });
        assert_eq!(answers, [expected.clone(), expected]);
    }
}

/// WF-31: what is issued works at once, over the same connection or another.
#[tokio::test]
async fn a_token_works_as_soon_as_it_is_issued() {
    let (_upstream, _site, gateway, acme) = running().await;
    let mut connection = gateway.connect(Protocol::H1).await;
    let token = issued(&connection.answer(token_call(&acme, &[])).await);
    let here = connection.answer(Call::get(FLIGHTS).bearer(&token)).await;
    assert_eq!((here.status, gateway.list_status(&token).await), (200, 200));
}

/// RFC 6749 section 3.3.
#[tokio::test]
async fn the_scope_is_what_was_asked_for_or_else_all_that_the_client_has() {
    let (_upstream, _site, gateway, acme) = running().await;
    for (asked, expected) in [
        (&[][..], "flights:read flights:write"),
        (&[("scope", "")], "flights:read flights:write"),
        (&[("scope", "flights:write")], "flights:write"),
        (
            &[("scope", "flights:write flights:read")],
            "flights:read flights:write",
        ),
        (&[("scope", "flights:read flights:read")], "flights:read"),
    ] {
        let answer = gateway.answer(token_call(&acme, asked)).await;
        assert_eq!(answer.json()["scope"], expected, "{asked:?}");
    }
    for asked in [
        "flights:delete",
        "flights:read flights:delete",
        "flights:fly",
        "flights:read flights:fly",
        "FLIGHTS:READ",
        "flights:read,flights:write",
        "flights:read\tflights:write",
        " ",
    ] {
        let answer = gateway.answer(token_call(&acme, &[("scope", asked)])).await;
        assert_eq!(answer.status, 400, "{asked:?}");
        assert_eq!(answer.oauth_error(), "invalid_scope", "{asked:?}");
    }
}

/// WF-50, RFC 6749 section 5.2: and nobody learns which clients exist.
#[tokio::test]
async fn every_failed_client_authentication_looks_the_same() {
    const PUBLIC: &str = "\
apiVersion: flightgate.dev/v1alpha1
kind: OAuthApplication
metadata: {name: pocket, namespace: partners}
spec:
  displayName: Pocket
  clientType: public
  grantTypes: [device_code]
  scopes: [\"flights:read\"]
";
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        site.config["profiles"]["strict"] = json!({"clientAuth": ["basic"]});
        site.config["profiles"]["lax"] = json!({"clientAuth": ["post"]});
        for profile in ["strict", "lax"] {
            let text =
                like_acme(profile).replace("  plan:", &format!("  profile: {profile}\n  plan:"));
            site.manifest(profile, &text);
        }
        site.manifest("pocket", PUBLIC);
    })
    .await;
    let (acme, strict, lax) = (
        site.credentials("acme"),
        site.credentials("strict"),
        site.credentials("lax"),
    );
    let public = site.client_id("pocket");
    let with = |id: &str, secret: &str| Credentials {
        id: id.to_owned(),
        secret: secret.to_owned(),
        previous: None,
    };
    let wrong = with(&acme.id, "wf_secret_wrong");
    let another = with(&acme.id, &strict.secret);
    let unknown = with("wf_app_unknown", &acme.secret);
    let of_public = with(&public, &acme.secret);
    let longer = with(&acme.id, &format!("{}x", acme.secret));
    let shorter = with(&acme.id, &acme.secret[..acme.secret.len() - 1]);
    let by_basic = [
        &wrong, &another, &unknown, &of_public, &longer, &shorter, &lax,
    ];
    let in_body = [
        &wrong, &another, &unknown, &of_public, &longer, &shorter, &strict,
    ];

    let check = |answer: &Answer| {
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(answer.oauth_error(), "invalid_client");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Basic realm="), "{challenge}");
    };
    let mut bodies = HashSet::new();
    for client in by_basic {
        let answer = gateway.answer(token_call(client, &[])).await;
        check(&answer);
        bodies.insert(answer.text());
    }
    for client in in_body {
        let answer = gateway.answer(by_body(client, &[])).await;
        check(&answer);
        bodies.insert(answer.text());
    }
    for call in [
        Call::form(TOKEN, &[GRANT]),
        Call::form(TOKEN, &[GRANT, ("client_id", &acme.id)]),
        Call::form(TOKEN, &[GRANT]).header("authorization", "Basic !!!"),
        Call::form(TOKEN, &[GRANT]).header("authorization", "Basic"),
        Call::form(TOKEN, &[GRANT]).header("authorization", "Bearer abc"),
        Call::form(TOKEN, &[GRANT]).basic("", ""),
        Call::form(TOKEN, &[GRANT]).basic(&acme.id, ""),
    ] {
        let answer = gateway.answer(call).await;
        check(&answer);
        bodies.insert(answer.text());
    }
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    // Who a public client is needs no proof; it has nothing of its own.
    let bare = Call::form(TOKEN, &[GRANT, ("client_id", &public)]);
    let answer = gateway.answer(bare).await;
    assert_eq!(
        (answer.status, &*answer.oauth_error()),
        (400, "unauthorized_client")
    );
    issued(&gateway.answer(token_call(&strict, &[])).await);
    issued(&gateway.answer(by_body(&lax, &[])).await);
}

/// RFC 6749 section 2.3: one method per request.
#[tokio::test]
async fn a_client_that_authenticates_twice_is_refused() {
    let (_upstream, site, gateway, acme) = running().await;
    let globex = site.credentials("globex");
    let twice = by_body(&acme, &[]).basic(&acme.id, &acme.secret);
    let two_headers = token_call(&acme, &[]).basic(&acme.id, &acme.secret);
    let other_id = token_call(&acme, &[("client_id", &globex.id)]);
    for call in [twice, two_headers, other_id] {
        let answer = gateway.answer(call).await;
        assert_eq!(
            (answer.status, &*answer.oauth_error()),
            (400, "invalid_request")
        );
    }
    let same_id = token_call(&acme, &[("client_id", &acme.id)]);
    issued(&gateway.answer(same_id).await);
}

/// RFC 6749 section 3.2, WF-52.
#[tokio::test]
async fn a_malformed_token_request_is_refused_by_its_name() {
    let (_upstream, _site, gateway, acme) = running().await;
    let form = |body: &str| Call::raw_form(TOKEN, body.to_owned()).basic(&acme.id, &acme.secret);
    let typed = |kind: &str| {
        let call = Call::post(TOKEN).basic(&acme.id, &acme.secret);
        call.header("content-type", kind)
            .body("grant_type=client_credentials")
    };
    let many: String = (0..65).fold("grant_type=client_credentials".into(), |all, i| {
        format!("{all}&p{i}=1")
    });
    for (why, call) in [
        ("no grant_type", form("scope=flights:read")),
        ("an empty grant_type", form("grant_type=")),
        ("an empty body", form("")),
        (
            "a repeated parameter",
            form("grant_type=client_credentials&scope=flights:read&scope=flights:write"),
        ),
        (
            "the same twice",
            form("grant_type=client_credentials&grant_type=client_credentials"),
        ),
        (
            "a repeated unknown parameter",
            form("grant_type=client_credentials&x=1&x=2"),
        ),
        (
            "one repeated under encoding",
            form("grant_type=client_credentials&scope=flights:read&%73cope=flights:read"),
        ),
        (
            "NUL",
            form("grant_type=client_credentials&scope=flights:read%00"),
        ),
        (
            "no UTF-8",
            form("grant_type=client_credentials&scope=%ff%fe"),
        ),
        ("too many parameters", form(&many)),
        ("JSON", typed("application/json")),
        ("multipart", typed("multipart/form-data; boundary=x")),
        (
            "a type that only begins alike",
            typed("application/x-www-form-urlencoded2"),
        ),
        (
            "no type",
            Call::post(TOKEN)
                .basic(&acme.id, &acme.secret)
                .body("grant_type=client_credentials"),
        ),
        (
            "two types",
            typed("application/x-www-form-urlencoded").header("content-type", "text/plain"),
        ),
    ] {
        let answer = gateway.answer(call).await;
        assert_eq!(answer.status, 400, "{why}: {answer:?}");
        assert_eq!(answer.oauth_error(), "invalid_request", "{why}");
    }
    let charset = typed("Application/X-WWW-Form-Urlencoded; charset=UTF-8");
    issued(&gateway.answer(charset).await);
}

/// WF-52: and a client gets no grant that it was not given.
#[tokio::test]
async fn a_grant_is_refused_that_does_not_exist_or_that_the_client_lacks() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        let code = "[authorization_code]\n  redirectUris: [\"https://logbook.example/cb\"]";
        let text = like_acme("logbook").replace("[client_credentials]", code);
        site.manifest("logbook", &text);
    })
    .await;
    let (acme, logbook) = (site.credentials("acme"), site.credentials("logbook"));
    for grant in [
        "password",
        "implicit",
        "Client_Credentials",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
    ] {
        let call = Call::form(TOKEN, &[("grant_type", grant)]).basic(&acme.id, &acme.secret);
        let answer = gateway.answer(call).await;
        assert_eq!(
            (answer.status, &*answer.oauth_error()),
            (400, "unsupported_grant_type")
        );
    }
    let answer = gateway.answer(token_call(&logbook, &[])).await;
    assert_eq!(
        (answer.status, &*answer.oauth_error()),
        (400, "unauthorized_client")
    );
}

/// RFC 6749 section 3.2: the token endpoint takes POST alone.
#[tokio::test]
async fn the_token_endpoint_takes_post_alone() {
    let (_upstream, _site, gateway, acme) = running().await;
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        let path = format!("{TOKEN}?grant_type=client_credentials");
        let call = Call::new(method, &path).basic(&acme.id, &acme.secret);
        let answer = gateway.answer(call).await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("POST, OPTIONS"));
    }
}

/// A body that no request needs is not read to its end.
#[tokio::test]
async fn an_oversized_body_is_refused_however_it_is_sent() {
    let (_upstream, _site, gateway, acme) = running().await;
    let body = format!("grant_type=client_credentials&x={}", "y".repeat(64 * 1024));
    for protocol in Protocol::BOTH {
        let stated = Call::raw_form(TOKEN, body.clone());
        let streamed = Call::post(TOKEN)
            .header("content-type", "application/x-www-form-urlencoded")
            .payload(crate::client::stream_of(vec![body.clone().into()]));
        for call in [stated, streamed] {
            let call = call.basic(&acme.id, &acme.secret);
            let answer = gateway.connect(protocol).await.answer(call).await;
            assert_eq!(answer.status, 413, "{protocol:?}: {answer:?}");
            assert_eq!(answer.oauth_error(), "invalid_request");
        }
    }
    issued(&gateway.answer(token_call(&acme, &[])).await);
}

/// 256 bits of randomness do not repeat.
#[tokio::test]
async fn no_two_tokens_are_alike() {
    let (_upstream, _site, gateway, acme) = running().await;
    let mut connections = [
        gateway.connect(Protocol::H1).await,
        gateway.connect(Protocol::H2).await,
        gateway.connect(Protocol::H1).await,
    ];
    let mut tokens = HashSet::new();
    for _ in 0..50 {
        for connection in &mut connections {
            tokens.insert(issued(&connection.answer(token_call(&acme, &[])).await));
        }
    }
    assert_eq!(tokens.len(), 150);
}

/// DESIGN section 3: both secrets work during the overlap of a rotation, and
/// tokens outlive it.
#[tokio::test]
async fn a_rotated_secret_works_beside_its_predecessor() {
    let (_upstream, site, gateway, old) = running().await;
    let token = gateway.token(&old).await;
    let annotated = "partners, annotations: {flightgate.dev/rotate: now}}";
    site.manifest("acme", &ACME.replace("partners}", annotated));
    site.compile();
    let new = site.credentials("acme");
    assert_ne!(new.secret, old.secret);
    assert_eq!(
        (&new.id, new.previous.as_ref()),
        (&old.id, Some(&old.secret))
    );
    eventually("the new secret works", async || {
        gateway.answer(token_call(&new, &[])).await.status == 200
    })
    .await;
    issued(&gateway.answer(token_call(&old, &[])).await);
    assert_eq!(gateway.list_status(&token).await, 200);
}

/// RFC 6749 section 2.3.1: id and secret are form-encoded inside of Basic.
#[tokio::test]
async fn a_brought_secret_with_odd_characters_works_in_every_encoding() {
    const SECRET: &str = "a+b%20c:d &e=f/g?h#i 0123456789abcdef";
    let upstream = Upstream::ok().await;
    let (_site, gateway) = Site::running_with(upstream.address, |site| {
        let brought = "  secret: {name: mine, existing: true}\n";
        site.manifest("mine", &format!("{}{brought}", like_acme("mine")));
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "mine", "namespace": "partners"},
            "stringData": {"client_id": "my-client", "client_secret": SECRET},
        });
        site.manifest("secret", &secret.to_string());
    })
    .await;
    let encoded: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let call = || Call::form(TOKEN, &[GRANT]);
    issued(&gateway.answer(call().basic("my-client", &encoded)).await);
    issued(&gateway.answer(call().basic("my-client", SECRET)).await);
    issued(&gateway.answer(call().basic("my%2Dclient", &encoded)).await);
    let body = [GRANT, ("client_id", "my-client"), ("client_secret", SECRET)];
    issued(&gateway.answer(Call::form(TOKEN, &body)).await);
}
