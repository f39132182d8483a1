//! What the upstream hears of the caller: from the gateway alone (DESIGN
//! section 8).

use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};

use crate::{
    client::{Call, Protocol},
    gateway::{Gateway, plain},
    harness::{Credentials, Site},
    oauth::FLIGHTS,
    raw::exchange,
    upstream::{Recorded, Upstream},
};

async fn running() -> (Upstream, Site, Gateway, Credentials) {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let acme = site.credentials("acme");
    (upstream, site, gateway, acme)
}

/// The claims of the identity that this request brought, verified as the
/// upstream would.
async fn verified(gateway: &Gateway, request: &Recorded) -> Value {
    let [identity] = request.values("flightgate-identity")[..] else {
        panic!("{}", request.head)
    };
    let keys = plain(gateway.internal, "/.well-known/jwks.json").await;
    let keys: JwkSet = serde_json::from_slice(&keys.body).unwrap();
    let header = jsonwebtoken::decode_header(identity).unwrap();
    assert_eq!(header.alg, Algorithm::EdDSA);
    let key = keys.find(header.kid.as_deref().unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[gateway.origin()]);
    validation.validate_aud = false;
    let key = DecodingKey::from_jwk(key).unwrap();
    jsonwebtoken::decode::<Value>(identity, &key, &validation)
        .unwrap()
        .claims
}

fn without_what_varies(mut claims: Value) -> Value {
    for name in ["iat", "exp", "jti", "grant"] {
        let claim = claims.as_object_mut().unwrap().remove(name).unwrap();
        assert!(claim.is_u64() || claim.as_str().is_some_and(|text| !text.is_empty()));
    }
    claims
}

/// WF-6: a client acts on its own account.
#[tokio::test]
async fn the_upstream_gets_a_signed_identity_with_exactly_these_claims() {
    let (upstream, site, gateway, acme) = running().await;
    let token = gateway.token_for(&acme, "flights:read").await;
    assert_eq!(gateway.list_status(&token).await, 200);
    let claims = verified(&gateway, &upstream.only()).await;
    let seconds = |name: &str| claims[name].as_u64().unwrap();
    assert!(
        (1..=600).contains(&(seconds("exp") - seconds("iat"))),
        "{claims}"
    );
    let expected = json!({
        "iss": gateway.origin(), "sub": acme.id, "client_id": acme.id, "scope": "flights:read",
    });
    assert_eq!(without_what_varies(claims), expected);

    assert_eq!(gateway.list_status(&site.api_key("anna")).await, 200);
    let claims = verified(&gateway, upstream.requests().last().unwrap()).await;
    let id = claims["client_id"].as_str().unwrap().to_owned();
    let expected = json!({
        "iss": gateway.origin(), "sub": "pilot:anna", "client_id": id, "scope": "flights:read",
    });
    assert_eq!(without_what_varies(claims), expected);
    assert!(
        !site.api_key("anna").contains(&id),
        "the id is public, the key is not"
    );
}

/// DESIGN section 8: cached per token, so that the upstream can cache it too.
#[tokio::test]
async fn the_identity_of_a_token_stays_the_same() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        site.config["workers"] = json!(1);
    })
    .await;
    let acme = site.credentials("acme");
    let (one, two) = (gateway.token(&acme).await, gateway.token(&acme).await);
    for token in [&one, &one, &two, &one] {
        assert_eq!(gateway.list_status(token).await, 200);
    }
    let requests = upstream.requests();
    let identities: Vec<_> = requests
        .iter()
        .map(|request| request.values("flightgate-identity")[0])
        .collect();
    assert_eq!(identities[0], identities[1]);
    assert_eq!(identities[0], identities[3]);
    assert_ne!(identities[0], identities[2], "another token, another grant");
}

/// Nothing that a client sends reaches the upstream as identity.
#[tokio::test]
async fn a_forged_identity_never_reaches_the_upstream() {
    let (upstream, _site, gateway, acme) = running().await;
    let token = gateway.token(&acme).await;
    let names = [
        "Flightgate-Identity",
        "FLIGHTGATE-IDENTITY",
        "flightgate-identity",
        "Flightgate_Identity",
        "flightgate-identity_",
        "Flightgate-Subject",
        "X-Forwarded-For",
        "x_forwarded_for",
        "X-Forwarded_For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Anything",
        "Forwarded",
        "X-Real-IP",
        "X_Real_Ip",
        "X-Request-Id",
        "X_Request_Id",
    ];
    let nominations = [
        "",
        "close",
        "flightgate-identity",
        "keep-alive, Flightgate-Identity, x-forwarded-for",
    ];
    for (round, nomination) in nominations.iter().enumerate() {
        let mut head = format!(
            "GET {FLIGHTS} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n",
            gateway.authority()
        );
        for name in names {
            for value in ["forged-203.0.113.9", "forged-twice"] {
                head.extend([
                    name, ": ", value, "
",
                ]);
            }
        }
        if !nomination.is_empty() {
            head.extend(["Connection: ", nomination, "\r\n"]);
        }
        head.push_str("Connection: close\r\n\r\n");
        let answers = exchange(&gateway, head).await;
        assert_eq!(answers[0].status, 200, "{answers:?}");
        assert_eq!(upstream.requests().len(), round + 1);
    }
    let mut connection = gateway.connect(Protocol::H2).await;
    let mut call = Call::get(FLIGHTS).bearer(&token);
    for name in names {
        call = call.header(name, "forged-203.0.113.9");
    }
    assert_eq!(connection.answer(call).await.status, 200);

    let requests = upstream.requests();
    assert_eq!(requests.len(), nominations.len() + 1);
    for request in requests {
        assert!(!request.head.contains("forged"), "{}", request.head);
        assert!(!request.head.contains(&token), "{}", request.head);
        let mut names = request.names();
        names.sort_unstable();
        let expected = [
            "flightgate-identity",
            "host",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-request-id",
        ];
        assert_eq!(names, expected, "{}", request.head);
        assert_eq!(request.values("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(request.values("x-forwarded-proto"), ["https"]);
        verified(&gateway, &request).await;
    }
}

/// The other way round: what is meant for the upstream stays there.
#[tokio::test]
async fn an_identity_never_reaches_the_client() {
    let upstream = Upstream::scripted(|request| {
        let identity = request.values("flightgate-identity")[0];
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nFlightgate-Identity: {identity}\r\nKeep-Alive: timeout=5\r\n\
             Connection: x-hop\r\nX-Hop: 1\r\nX-Kept: 1\r\n\r\n"
        );
        crate::upstream::Reply::Keep(head.into_bytes())
    })
    .await;
    let (site, gateway) = Site::running(upstream.address).await;
    let token = gateway.token(&site.credentials("acme")).await;
    for protocol in Protocol::BOTH {
        let call = Call::get(FLIGHTS).bearer(&token);
        let answer = gateway.connect(protocol).await.answer(call).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-kept"), Some("1"));
        for name in ["flightgate-identity", "x-hop", "keep-alive", "connection"] {
            assert_eq!(answer.header(name), None, "{name}");
        }
    }
}
