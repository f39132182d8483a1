//! Who may take a route: RFC 6750 (WF-34, WF-54 to WF-56) and API keys (WF-9,
//! WF-10).

use bytes::Bytes;

use crate::{
    client::{Call, Protocol, stream_of},
    gateway::Gateway,
    harness::{ACME, ANNA, Credentials, Site, eventually, said},
    oauth::{FLIGHTS, made_up},
    upstream::Upstream,
};

async fn running() -> (Upstream, Site, Gateway, Credentials) {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let acme = site.credentials("acme");
    (upstream, site, gateway, acme)
}

/// WF-56, RFC 6750 section 3.
#[tokio::test]
async fn without_credentials_there_is_a_challenge_and_no_error_code() {
    let (upstream, _site, gateway, acme) = running().await;
    let basic = Call::get(FLIGHTS).basic(&acme.id, &acme.secret);
    for call in [Call::get(FLIGHTS), basic] {
        let answer = gateway.answer(call).await;
        assert_eq!((answer.status, &*answer.problem()), (401, "missing-token"));
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"api\"")
        );
    }
    assert!(upstream.requests().is_empty());
}

/// RFC 6750 section 3.1: `invalid_request`.
#[tokio::test]
async fn malformed_credentials_are_a_bad_request() {
    let (upstream, _site, gateway, acme) = running().await;
    let token = gateway.token(&acme).await;
    let long = "a".repeat(256);
    for value in [
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Bearer a,b",
        "Bearer \"a\"",
        &format!("Bearer {long}"),
    ] {
        let answer = gateway
            .answer(Call::get(FLIGHTS).header("authorization", value))
            .await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "bad-authorization"),
            "{value}"
        );
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(
            challenge.contains("error=\"invalid_request\""),
            "{challenge}"
        );
    }
    let twice = Call::get(FLIGHTS).bearer(&token).bearer(&token);
    assert_eq!(gateway.answer(twice).await.status, 400);
    assert!(upstream.requests().is_empty());
}

/// WF-54: unknown, mistyped, of another kind, or with more behind it.
#[tokio::test]
async fn a_token_that_was_never_issued_is_refused() {
    let (upstream, site, gateway, acme) = running().await;
    let token = gateway.token(&acme).await;
    let swapped = format!("{}{}", &token[..20], token[20..].to_uppercase());
    for token in [
        made_up("wf_at_"),
        made_up("wf_rt_"),
        made_up("wf_pat_"),
        format!("{token}x"),
        token[..token.len() - 1].to_owned(),
        swapped,
        acme.secret.clone(),
        acme.id.clone(),
        format!("{}x", site.api_key("anna")),
        "garbage".to_owned(),
    ] {
        let answer = gateway.answer(Call::get(FLIGHTS).bearer(&token)).await;
        assert_eq!((answer.status, &*answer.problem()), (401, "invalid-token"));
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert!(
            !answer.text().contains(&token),
            "a refusal repeats no token"
        );
    }
    assert!(upstream.requests().is_empty());
}

/// WF-32, WF-55, RFC 6750 section 3.1: the answer arrives however much the
/// client was about to send.
#[tokio::test]
async fn a_token_without_the_scope_is_told_which_one_it_needs() {
    let (upstream, _site, gateway, acme) = running().await;
    let token = gateway.token_for(&acme, "flights:read").await;
    let sizes = [
        (Protocol::H1, 0),
        (Protocol::H1, 4),
        (Protocol::H2, 0),
        (Protocol::H2, 4),
        (Protocol::H2, 24),
    ];
    for (protocol, mib) in sizes {
        let piece = Bytes::from(vec![b'x'; 1 << 20]);
        for body in [
            Call::post(FLIGHTS).body(vec![b'x'; mib << 20]),
            Call::post(FLIGHTS).payload(stream_of(vec![piece; mib])),
        ] {
            let answer = gateway
                .connect(protocol)
                .await
                .answer(body.bearer(&token))
                .await;
            assert_eq!(
                (answer.status, &*answer.problem()),
                (403, "insufficient-scope")
            );
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(
                challenge.contains("error=\"insufficient_scope\""),
                "{challenge}"
            );
            assert!(challenge.contains("scope=\"flights:write\""), "{challenge}");
        }
    }
    let delete = Call::new("DELETE", &format!("{FLIGHTS}/1")).bearer(&token);
    let answer = gateway.answer(delete).await;
    assert_eq!(answer.status, 403);
    assert!(
        answer
            .header("www-authenticate")
            .unwrap()
            .contains("scope=\"flights:delete\"")
    );
    assert!(upstream.requests().is_empty());
    assert_eq!(
        gateway.list_status(&token).await,
        200,
        "reading is what it may"
    );
}

/// RFC 6750 sections 2.2 and 2.3 are not offered: such tokens leak.
#[tokio::test]
async fn a_token_in_the_query_or_in_the_body_is_no_token() {
    let (upstream, _site, gateway, acme) = running().await;
    let token = gateway.token(&acme).await;
    let query = Call::get(&format!("{FLIGHTS}?access_token={token}"));
    let body = Call::form(FLIGHTS, &[("access_token", &token)]);
    for call in [query, body] {
        let answer = gateway.answer(call).await;
        assert_eq!((answer.status, &*answer.problem()), (401, "missing-token"));
    }
    assert!(upstream.requests().is_empty());
}

/// A path or method that no route has is nobody's, whatever the token.
#[tokio::test]
async fn what_no_route_names_is_not_there() {
    let (upstream, _site, gateway, acme) = running().await;
    let token = gateway.token(&acme).await;
    for path in [
        "/",
        "/api",
        "/api/v1/flights/",
        "/api/v1/flights/1/2",
        "/healthz",
        "/metrics",
        "/registry",
    ] {
        let answer = gateway.answer(Call::get(path).bearer(&token)).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (404, "not-found"),
            "{path}"
        );
    }
    let put = gateway
        .answer(Call::new("PUT", FLIGHTS).bearer(&token))
        .await;
    assert_eq!((put.status, &*put.problem()), (405, "method-not-allowed"));
    let mut allowed: Vec<_> = put.header("allow").unwrap().split(", ").collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    assert!(upstream.requests().is_empty());
}

/// A partner that leaves takes its tokens along, and nobody else's.
#[tokio::test]
async fn the_tokens_of_a_deleted_application_die_and_others_live_on() {
    let (_upstream, site, gateway, acme) = running().await;
    let globex = site.credentials("globex");
    let (gone, kept) = (gateway.token(&acme).await, gateway.token(&globex).await);
    let mut connection = gateway.connect(Protocol::H2).await;
    let mut status = async |token: &str| {
        connection
            .answer(Call::get(FLIGHTS).bearer(token))
            .await
            .status
    };
    assert_eq!((status(&gone).await, status(&kept).await), (200, 200));
    site.without_manifest("acme");
    site.compile();
    eventually("the token dies with its application", async || {
        status(&gone).await == 401
    })
    .await;
    assert_eq!(status(&kept).await, 200);
    assert_eq!(gateway.list_status(&gone).await, 401);
    assert_eq!(gateway.list_status(&kept).await, 200);
}

/// What an application may no longer do, its tokens may no longer do.
#[tokio::test]
async fn a_scope_that_is_taken_away_is_gone_from_tokens_too() {
    let (upstream, site, gateway, acme) = running().await;
    let token = gateway.token(&acme).await;
    let upload = async || {
        gateway
            .answer(Call::post(FLIGHTS).bearer(&token).body("x"))
            .await
            .status
    };
    assert_eq!(upload().await, 200);
    site.manifest("acme", &ACME.replace(", \"flights:write\"", ""));
    site.compile();
    eventually("the scope is gone", async || upload().await == 403).await;
    assert_eq!(gateway.list_status(&token).await, 200);
    let identity = upstream.requests().pop().unwrap();
    assert_eq!(identity.line(), format!("GET {FLIGHTS} HTTP/1.1"));
    let document = gateway.introspect(&acme, &token).await;
    assert_eq!(
        (&document["active"], &document["scope"]),
        (&true.into(), &"flights:read".into())
    );
}

/// WF-9, WF-11: and DESIGN section 3, `allowedCidrs`.
#[tokio::test]
async fn an_api_key_works_from_where_it_may_be_used() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        for (name, cidrs) in [
            ("near", "[\"127.0.0.0/8\", \"::1/128\"]"),
            ("far", "[\"10.0.0.0/8\", \"2001:db8::/32\"]"),
        ] {
            let key = ANNA.replace("name: anna", &format!("name: {name}"));
            site.manifest(name, &format!("{key}  allowedCidrs: {cidrs}\n"));
        }
    })
    .await;
    let key = site.api_key("anna");
    assert!(key.starts_with("wf_pat_") && key.len() <= 255, "{key}");
    assert_eq!(gateway.list_status(&key).await, 200);
    assert_eq!(gateway.list_status(&site.api_key("near")).await, 200);
    let call = Call::get(FLIGHTS).bearer(&site.api_key("far"));
    let answer = gateway
        .answer(call.header("x-forwarded-for", "10.1.2.3"))
        .await;
    assert_eq!(
        (answer.status, &*answer.problem()),
        (403, "address-not-allowed")
    );
    let upload = Call::post(FLIGHTS).bearer(&key).body("x");
    assert_eq!(gateway.answer(upload).await.status, 403);
    assert_eq!(upstream.requests().len(), 2);

    site.without_manifest("anna");
    site.compile();
    eventually("the key dies with its resource", async || {
        gateway.list_status(&key).await == 401
    })
    .await;
}

/// WF-10: neither the operator nor the gateway lets it through.
#[tokio::test]
async fn an_api_key_never_carries_a_destructive_scope() {
    let upstream = Upstream::ok().await;
    let site = Site::new(upstream.address);
    let greedy = ANNA.replace("\"flights:read\"", "\"flights:read\", \"flights:delete\"");
    site.manifest("anna", &greedy);
    let output = site.try_compile();
    assert!(!output.status.success());
    assert!(
        said(&output).contains("flights:delete"),
        "{}",
        said(&output)
    );

    site.manifest("anna", ANNA);
    site.compile();
    let path = site.resources().join("apikey.partners.anna.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let forged = text.replace("\"flights:read\"", "\"flights:read\", \"flights:delete\"");
    assert_ne!(forged, text);
    std::fs::write(&path, forged).unwrap();
    let gateway = site.start().await;
    let key = site.api_key("anna");
    let delete = Call::new("DELETE", &format!("{FLIGHTS}/1")).bearer(&key);
    assert_ne!(gateway.answer(delete).await.status, 200);
    assert!(upstream.requests().is_empty());
}

/// Nothing acknowledged is lost: not even by a crash.
#[tokio::test]
async fn a_token_survives_a_restart_and_a_revoked_one_does_not() {
    let (_upstream, site, gateway, acme) = running().await;
    let (kept, dead) = (gateway.token(&acme).await, gateway.token(&acme).await);
    gateway.revoke(&acme, &dead).await;
    gateway.kill();
    let gateway = site.start().await;
    assert_eq!(gateway.list_status(&kept).await, 200);
    assert_eq!(gateway.list_status(&dead).await, 401);
    assert_eq!(gateway.introspect(&acme, &kept).await["active"], true);
    gateway.terminate();
    assert_eq!(gateway.ended().await.code(), Some(0), "{}", site.log());
    let gateway = site.start().await;
    assert_eq!(gateway.list_status(&kept).await, 200);
}
