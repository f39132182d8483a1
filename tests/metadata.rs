//! Authorization server metadata (RFC 8414) and keys (RFC 7517).

use serde_json::{Value, json};

use crate::{
    client::{Call, Protocol},
    gateway::plain,
    harness::{Credentials, Site},
    oauth::TOKEN,
    upstream::Upstream,
};

const METADATA: &str = "/.well-known/oauth-authorization-server";

/// WF-41, WF-60, RFC 8414 sections 2 and 3.
#[tokio::test]
async fn metadata_names_the_issuer_by_its_url_and_endpoints_that_answer() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let acme = site.credentials("acme");
    for protocol in Protocol::BOTH {
        let answer = gateway
            .connect(protocol)
            .await
            .answer(Call::get(METADATA))
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let document = answer.json();
        assert_eq!(document["issuer"], gateway.origin());
        assert_eq!(document["response_types_supported"], json!(["code"]));
        assert_eq!(
            document["scopes_supported"],
            json!([
                "flights:read",
                "flights:write",
                "flights:delete",
                "pilots:read"
            ])
        );
        for endpoint in ["token", "revocation", "introspection"] {
            let methods = &document[format!("{endpoint}_endpoint_auth_methods_supported")];
            let mut expected = vec!["client_secret_basic", "client_secret_post"];
            // Public clients name themselves alone, and introspect nothing.
            if endpoint != "introspection" {
                expected.push("none");
            }
            assert_eq!(methods, &json!(expected));
            let url = document[format!("{endpoint}_endpoint")].as_str().unwrap();
            let path = url.strip_prefix(&gateway.origin()).unwrap();
            let answer = gateway.answer(Call::form(path, &[])).await;
            assert_eq!(
                (answer.status, &*answer.oauth_error()),
                (401, "invalid_client"),
                "{url}"
            );
        }
        let keys = document["jwks_uri"].as_str().unwrap();
        let path = keys.strip_prefix(&gateway.origin()).unwrap();
        assert_eq!(gateway.answer(Call::get(path)).await.status, 200);
    }
    let token = gateway.token(&acme).await;
    assert_eq!(
        gateway.introspect(&acme, &token).await["iss"],
        gateway.origin()
    );
}

/// RFC 8414 section 3.1: the issuer's path follows the well-known one, and the
/// operator tells partners the same addresses.
#[tokio::test]
async fn an_issuer_with_a_path_has_its_metadata_behind_the_well_known_one() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        site.config["issuer"] = json!("https://localhost:0/partners");
        site.config["scopes"][2]["reserved"] = json!(true);
        site.config["profiles"]["default"]["clientAuth"] = json!(["basic"]);
    })
    .await;
    let path = format!("{METADATA}/partners");
    let document = gateway.answer(Call::get(&path)).await.json();
    let origin = gateway.origin();
    assert_eq!(document["issuer"], format!("{origin}/partners"));
    assert_eq!(
        document["token_endpoint"],
        format!("{origin}/api/oauth/token")
    );
    assert!(
        !document["scopes_supported"]
            .to_string()
            .contains("flights:delete")
    );
    assert_eq!(
        document["token_endpoint_auth_methods_supported"],
        json!(["client_secret_basic", "none"])
    );
    assert_eq!(gateway.answer(Call::get(METADATA)).await.status, 404);
    let Credentials { id, secret, .. } = site.credentials("acme");
    assert!(!id.is_empty() && !secret.is_empty());
}

/// RFC 8037: one Ed25519 key, the same inside and outside, and after a restart.
#[tokio::test]
async fn the_keys_are_public_and_survive_a_restart() {
    const JWKS: &str = "/.well-known/jwks.json";
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let document = gateway.answer(Call::get(JWKS)).await.json();
    let [key] = &document["keys"].as_array().unwrap()[..] else {
        panic!("{document}")
    };
    for (name, value) in [
        ("kty", "OKP"),
        ("crv", "Ed25519"),
        ("use", "sig"),
        ("alg", "EdDSA"),
    ] {
        assert_eq!(key[name], value);
    }
    assert!(key["kid"].is_string() && key["x"].is_string());
    assert_eq!(key.get("d"), None, "the private half stays inside");
    assert_eq!(plain(gateway.internal, JWKS).await.json(), document);

    gateway.kill();
    let gateway = site.start().await;
    let again: Value = gateway.answer(Call::get(JWKS)).await.json();
    assert_eq!(again, document);
}

#[tokio::test]
async fn scripts_of_any_site_may_get_tokens_and_never_a_page() {
    let (_site, gateway) = Site::running(Upstream::ok().await.address).await;
    let preflight = |path| {
        Call::new("OPTIONS", path)
            .header("origin", "https://spa.example")
            .header("access-control-request-method", "POST")
    };
    for path in [TOKEN, "/api/oauth/userinfo", "/.well-known/jwks.json"] {
        let answer = gateway.answer(preflight(path)).await;
        assert_eq!(answer.status, 204, "{path}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let headers = answer.header("access-control-allow-headers").unwrap();
        assert!(headers.contains("Authorization"), "{headers}");
        assert!(
            !answer
                .headers
                .contains_key("access-control-allow-credentials")
        );
    }
    let refused = gateway.answer(Call::form(TOKEN, &[("a", "b")])).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    for path in [
        "/api/oauth/authorize",
        "/api/oauth/introspect",
        "/sign-in",
        "/account",
    ] {
        let answer = gateway.answer(preflight(path)).await;
        assert_eq!(answer.status, 405, "{path}");
        assert!(
            !answer.headers.contains_key("access-control-allow-origin"),
            "{path}"
        );
    }
}
