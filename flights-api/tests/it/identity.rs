//! Who is let in (DESIGN section 8; RFC 7515, 7519, 8037).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{ALL, Api, Jwks, Signer, claims, problem, signing_input};

#[tokio::test]
async fn without_an_identity_nothing_below_api_answers() {
    let api = Api::start().await;
    for (method, path) in [
        (Method::GET, "/api/v1/flights"),
        (Method::POST, "/api/v1/flights"),
        (Method::DELETE, "/api/v1/flights/01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        (Method::PUT, "/api/v1/flights"),
        (Method::GET, "/api/v1/nothing"),
    ] {
        let response = api.request(method, path).send().await.unwrap();
        assert_eq!(
            response.headers()["www-authenticate"],
            "Flightgate-Identity"
        );
        let problem = problem(response, 401, "identity-required").await;
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("behind a gateway"),
            "{problem}"
        );
    }
    assert_eq!(api.gateway.fetches(), 0);
}

#[tokio::test]
async fn an_identity_that_comes_twice_is_refused_although_both_are_good() {
    let api = Api::start().await;
    let pilot = api.pilot("anna");
    let twice = pilot
        .request(Method::GET, "/api/v1/flights")
        .header("flightgate-identity", &pilot.token);
    problem(twice.send().await.unwrap(), 401, "identity-required").await;
    assert_eq!(pilot.get("/api/v1/flights").await.status(), 200);
}

#[tokio::test]
async fn only_eddsa_is_accepted() {
    let api = Api::start().await;
    let claims = claims(api.clock.seconds(), "anna", ALL);
    assert_eq!(api.status_with(&api.signer.sign(&claims)).await, 200);

    for none in ["none", "None", "NONE"] {
        let unsigned = format!(
            "{}.",
            signing_input(&json!({"alg": none, "kid": "key-1"}), &claims)
        );
        assert_eq!(api.status_with(&unsigned).await, 401, "{none}");
    }
    // The classic: the public key as the secret of an HMAC.
    let input = signing_input(&json!({"alg": "HS256", "kid": "key-1"}), &claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, api.signer.public_key());
    let tag = URL_SAFE_NO_PAD.encode(hmac::sign(&key, input.as_bytes()));
    assert_eq!(api.status_with(&format!("{input}.{tag}")).await, 401);
    for alg in ["RS256", "ES256", "PS256"] {
        let token = api
            .signer
            .sign_with(&json!({"alg": alg, "kid": "key-1"}), &claims);
        assert_eq!(api.status_with(&token).await, 401, "{alg}");
    }
    let critical = json!({"alg": "EdDSA", "kid": "key-1", "crit": ["b64"], "b64": true});
    assert_eq!(
        api.status_with(&api.signer.sign_with(&critical, &claims))
            .await,
        401
    );
    assert_eq!(
        api.status_with(&api.signer.sign_with(&json!({"alg": "EdDSA"}), &claims))
            .await,
        401
    );
}

#[tokio::test]
async fn a_forged_or_mangled_token_is_refused() {
    let api = Api::start().await;
    let claims = claims(api.clock.seconds(), "anna", ALL);
    let good = api.signer.sign(&claims);
    let forged = Signer::new("key-1").sign(&claims);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let anna_as_otto = {
        let header = signed.split_once('.').unwrap().0;
        let mut claims = claims.clone();
        claims["sub"] = json!("otto");
        format!(
            "{header}.{}.{signature}",
            URL_SAFE_NO_PAD.encode(claims.to_string())
        )
    };
    for token in [
        "",
        "x",
        "a.b.c",
        "...",
        signed,
        &forged,
        &anna_as_otto,
        &"a".repeat(9000),
    ] {
        assert_eq!(api.status_with(token).await, 401, "{token:.40}");
    }
}

#[tokio::test]
async fn every_claim_is_required_and_the_issuer_is_the_gateway() {
    let api = Api::start().await;
    let good = claims(api.clock.seconds(), "anna", ALL);
    for claim in [
        "iss",
        "sub",
        "client_id",
        "scope",
        "grant",
        "jti",
        "iat",
        "exp",
    ] {
        for wrong in [None, Some(json!(null)), Some(json!([]))] {
            let mut claims = good.clone();
            match wrong {
                None => drop(claims.as_object_mut().unwrap().remove(claim)),
                Some(value) => claims[claim] = value,
            }
            assert_eq!(
                api.status_with(&api.signer.sign(&claims)).await,
                401,
                "{claim}"
            );
        }
    }
    for (claim, wrong) in [("iss", json!("https://evil.example")), ("sub", json!(""))] {
        let mut claims = good.clone();
        claims[claim] = wrong;
        assert_eq!(
            api.status_with(&api.signer.sign(&claims)).await,
            401,
            "{claim}"
        );
    }
}

#[tokio::test]
async fn a_token_ends_thirty_seconds_after_its_time_even_if_it_is_remembered() {
    let api = Api::start().await;
    let token = api.pilot("anna").token;
    assert_eq!(api.status_with(&token).await, 200);
    api.clock.advance(3600 + 29);
    assert_eq!(api.status_with(&token).await, 200);
    api.clock.advance(1);
    assert_eq!(api.status_with(&token).await, 401);

    let in_a_minute = claims(api.clock.seconds() + 60, "anna", ALL);
    assert_eq!(api.status_with(&api.signer.sign(&in_a_minute)).await, 401);
}

#[tokio::test]
async fn a_scope_is_asked_for_by_every_method() {
    let api = Api::start().await;
    let flight = api
        .pilot("anna")
        .upload(crate::support::short_flight(36000, 1))
        .await;
    let path = format!("/api/v1/flights/{}", flight["id"].as_str().unwrap());
    let list = "/api/v1/flights".to_owned();
    for (method, path, scope) in [
        (Method::GET, &list, "flights:read"),
        (Method::HEAD, &path, "flights:read"),
        (Method::GET, &path, "flights:read"),
        (Method::POST, &list, "flights:write"),
        (Method::DELETE, &path, "flights:delete"),
    ] {
        let others: String = ALL.replace(scope, "flights:readonly");
        let refused = api
            .pilot_with("anna", &others)
            .request(method.clone(), path)
            .send()
            .await
            .unwrap();
        assert_eq!(refused.status(), 403, "{method} {path}");
        if method != Method::HEAD {
            let problem = problem(refused, 403, "insufficient-scope").await;
            assert!(
                problem["detail"].as_str().unwrap().contains(scope),
                "{problem}"
            );
        }
    }
    let reader = api.pilot_with("anna", "flights:read");
    assert_eq!(reader.get(&path).await.status(), 200);
}

#[tokio::test]
async fn a_flood_of_unknown_keys_makes_for_one_fetch_every_three_seconds() {
    let api = Api::start().await;
    assert_eq!(api.pilot("anna").get("/api/v1/flights").await.status(), 200);
    assert_eq!(api.gateway.fetches(), 1);
    api.clock.advance(3);
    let flood = (0..64).map(|n| {
        let token =
            Signer::new(&format!("invented-{n}")).sign(&claims(api.clock.seconds(), "anna", ALL));
        let api = &api;
        async move { api.status_with(&token).await }
    });
    assert_eq!(futures_util::future::join_all(flood).await, [401; 64]);
    assert_eq!(api.gateway.fetches(), 2);
}

#[tokio::test]
async fn a_new_key_of_the_gateway_is_found_within_three_seconds() {
    let api = Api::start().await;
    assert_eq!(api.pilot("anna").get("/api/v1/flights").await.status(), 200);
    let next = Signer::new("key-2");
    api.gateway
        .answer_with(Jwks::Keys(vec![api.signer.jwk(), next.jwk()]));
    let token = next.sign(&claims(api.clock.seconds(), "anna", ALL));
    assert_eq!(api.status_with(&token).await, 401);
    api.clock.advance(3);
    assert_eq!(api.status_with(&token).await, 200);
    assert_eq!(api.status_with(&api.pilot("otto").token).await, 200);
}

#[tokio::test]
async fn a_key_that_the_gateway_withdrew_is_forgotten_after_ten_minutes() {
    let api = Api::start().await;
    assert_eq!(api.pilot("anna").get("/api/v1/flights").await.status(), 200);
    api.gateway
        .answer_with(Jwks::Keys(vec![Signer::new("key-2").jwk()]));
    api.clock.advance(601);
    assert_eq!(api.status_with(&api.pilot("otto").token).await, 401);
}

#[tokio::test]
async fn a_gateway_that_cannot_be_asked_is_503_and_not_the_callers_fault() {
    let api = Api::start().await;
    for answer in [
        Jwks::Status(500),
        Jwks::Status(302),
        Jwks::Body("{}".into()),
        Jwks::Body(format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(70_000))),
        Jwks::Keys(vec![
            json!({"kty": "RSA", "kid": "key-1", "n": "AQAB", "e": "AQAB"}),
        ]),
        Jwks::Keys(vec![]),
    ] {
        api.clock.advance(3);
        api.gateway.answer_with(answer);
        let response = api.pilot("anna").get("/api/v1/flights").await;
        assert_eq!(response.headers()["retry-after"], "3");
        problem(response, 503, "keys-unavailable").await;
    }
    // It comes back; a key that is known then outlives it.
    api.gateway.answer_with(Jwks::Keys(vec![api.signer.jwk()]));
    api.clock.advance(3);
    assert_eq!(api.pilot("anna").get("/api/v1/flights").await.status(), 200);
    api.gateway.answer_with(Jwks::Status(500));
    api.clock.advance(900);
    assert_eq!(api.pilot("otto").get("/api/v1/flights").await.status(), 200);
}

#[tokio::test]
async fn a_key_for_something_else_is_no_key() {
    let api = Api::start().await;
    let with = |name: &str, value: Value| {
        let mut jwk = api.signer.jwk();
        jwk[name] = value;
        jwk
    };
    for jwk in [
        with("use", json!("enc")),
        with("alg", json!("ES256")),
        with("crv", json!("X25519")),
    ] {
        api.gateway
            .answer_with(Jwks::Keys(vec![jwk, Signer::new("other").jwk()]));
        api.clock.advance(3);
        assert_eq!(api.status_with(&api.pilot("anna").token).await, 401);
    }
}
