//! Metrics, health, registry and logs: what the platform sees.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    client::{Call, Protocol},
    harness::{ACME, Site, eventually, hex},
    oauth::{FLIGHTS, INTROSPECT, TOKEN, made_up, token_about, token_call},
    upstream::{Upstream, nobody},
};

/// One sample: name, labels, value.
type Samples = BTreeMap<String, f64>;

/// Reads the text format (version 0.0.4), and fails on what Prometheus would
/// not take.
fn parse(text: &str) -> Samples {
    assert!(text.ends_with('\n'));
    let (mut kinds, mut helps) = (HashMap::new(), HashSet::new());
    let mut samples = Samples::new();
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(is_name(name) && !help.is_empty(), "{line}");
            assert!(helps.insert(name.to_owned()), "{name} twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(helps.contains(name), "{name} has no HELP before its TYPE");
            assert!(
                kinds.insert(name.to_owned(), kind.to_owned()).is_none(),
                "{name} twice"
            );
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(value.is_finite() && value >= 0.0, "{line}");
            let (name, labels) = series
                .split_once('{')
                .map_or((series, None), |(name, labels)| {
                    (name, Some(labels.strip_suffix('}').unwrap()))
                });
            assert!(is_name(name), "{line}");
            for label in labels.into_iter().flat_map(|labels| labels.split("\",")) {
                let (key, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
                assert!(is_name(key) && !value.contains('\n'), "{line}");
            }
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
                let family = name.strip_suffix(end)?;
                (kinds.get(family)? == "histogram").then_some(family)
            });
            assert!(
                kinds.contains_key(family.unwrap_or(name)),
                "{name} has no TYPE"
            );
            assert!(
                samples.insert(series.to_owned(), value).is_none(),
                "{series} twice"
            );
        }
    }
    for (name, kind) in kinds {
        assert!(name.starts_with("flightgate_"), "{name}");
        assert_eq!(
            name.ends_with("_total"),
            kind == "counter",
            "{name} is a {kind}"
        );
        if kind == "histogram" {
            let infinite = samples.get(&format!("{name}_bucket{{le=\"+Inf\"}}"));
            assert_eq!(infinite, samples.get(&format!("{name}_count")), "{name}");
            assert!(samples.contains_key(&format!("{name}_sum")));
        }
    }
    samples
}

/// What [`metrics_are_well_formed_and_agree_with_what_was_sent`] sends.
const COUNTED: &[(&str, u32)] = &[
    // GET and POST share the path, and thereby the name of the route.
    (
        "flightgate_requests_total{route=\"/api/v1/flights\",status=\"200\"}",
        24,
    ),
    (
        "flightgate_requests_total{route=\"/api/v1/flights\",status=\"400\"}",
        6,
    ),
    (
        "flightgate_requests_total{route=\"/api/v1/flights\",status=\"401\"}",
        12,
    ),
    (
        "flightgate_requests_total{route=\"/api/v1/flights\",status=\"403\"}",
        6,
    ),
    (
        "flightgate_requests_total{route=\"/api/v1/flights/{id}\",status=\"502\"}",
        6,
    ),
    (
        "flightgate_requests_total{route=\"none\",status=\"404\"}",
        6,
    ),
    (
        "flightgate_requests_total{route=\"none\",status=\"405\"}",
        6,
    ),
    (
        "flightgate_oauth_requests_total{endpoint=\"token\",status=\"200\"}",
        7,
    ),
    (
        "flightgate_oauth_requests_total{endpoint=\"token\",status=\"400\"}",
        6,
    ),
    (
        "flightgate_oauth_requests_total{endpoint=\"token\",status=\"401\"}",
        6,
    ),
    (
        "flightgate_oauth_requests_total{endpoint=\"introspect\",status=\"200\"}",
        6,
    ),
    (
        "flightgate_oauth_requests_total{endpoint=\"revoke\",status=\"200\"}",
        1,
    ),
    (
        "flightgate_oauth_errors_total{code=\"invalid_scope\",endpoint=\"token\"}",
        6,
    ),
    (
        "flightgate_oauth_errors_total{code=\"invalid_client\",endpoint=\"token\"}",
        6,
    ),
    ("flightgate_refused_total{reason=\"missing_token\"}", 6),
    ("flightgate_refused_total{reason=\"invalid_token\"}", 6),
    ("flightgate_refused_total{reason=\"malformed\"}", 6),
    ("flightgate_refused_total{reason=\"insufficient_scope\"}", 6),
    ("flightgate_refused_total{reason=\"address\"}", 0),
    ("flightgate_tokens_issued_total", 7),
    ("flightgate_tokens_revoked_total", 1),
    ("flightgate_connections_total", 8),
    ("flightgate_connections_failed_total", 0),
    ("flightgate_gateway_seconds_count", 24),
    ("flightgate_upstream_seconds_count", 24),
    ("flightgate_registry_documents", 3),
    ("flightgate_registry_generation", 1),
    ("flightgate_registry_rejected_total", 0),
    ("flightgate_store_backlog", 0),
];

/// What was sent is what was counted, over all threads.
#[tokio::test]
async fn metrics_are_well_formed_and_agree_with_what_was_sent() {
    let upstream = Upstream::ok().await;
    let (_socket, dead) = nobody();
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        site.config["workers"] = json!(3);
        site.config["routes"][1]["upstream"] = json!(format!("http://{dead}"));
    })
    .await;
    let (acme, key) = (site.credentials("acme"), site.api_key("anna"));
    let token = gateway.token(&acme).await;
    for index in 0..6 {
        let mut connection = gateway.connect(Protocol::BOTH[index % 2]).await;
        for call in [
            Call::get(FLIGHTS).bearer(&token),
            Call::get(FLIGHTS).bearer(&key),
            Call::new("HEAD", FLIGHTS).bearer(&token),
            Call::post(FLIGHTS).bearer(&token).body("x"),
            Call::get(&format!("{FLIGHTS}/1")).bearer(&token),
            Call::get(FLIGHTS),
            Call::get(FLIGHTS).bearer(&made_up("wf_at_")),
            Call::get(FLIGHTS).header("authorization", "Bearer"),
            Call::post(FLIGHTS).bearer(&key).body("x"),
            Call::get("/nowhere"),
            Call::new("PUT", FLIGHTS),
            token_call(&acme, &[]),
            token_call(&acme, &[("scope", "none")]),
            Call::form(TOKEN, &[("grant_type", "client_credentials")]),
            token_about(INTROSPECT, &acme, &token),
        ] {
            connection.answer(call).await;
        }
    }
    gateway.revoke(&acme, &token).await;
    let answer = gateway.ask_admin("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    let samples = parse(&answer.text());
    for &(series, value) in COUNTED {
        let found = samples.get(series).copied();
        assert_eq!(found, Some(f64::from(value)), "{series}");
    }
    for prefix in [
        "flightgate_requests_total",
        "flightgate_oauth_requests_total",
        "flightgate_oauth_errors_total",
    ] {
        let known = COUNTED
            .iter()
            .filter(|(series, _)| series.starts_with(prefix))
            .count();
        let found = samples
            .keys()
            .filter(|series| series.starts_with(prefix))
            .count();
        assert_eq!(found, known, "{prefix}: nothing else was counted");
    }
    assert!(samples["flightgate_store_operations_total"] >= 8.0);
    eventually("closed connections are no longer open", async || {
        gateway.metric("flightgate_connections_open").await == 0
    })
    .await;
}

#[tokio::test]
async fn health_readiness_and_registry_say_what_is_served() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    assert_eq!(gateway.ask_admin("/healthz").await.text(), "ok\n");
    assert_eq!(gateway.ask_admin("/readyz").await.text(), "ok\n");
    assert_eq!(gateway.ask_admin("/").await.status, 404);
    let served = async || gateway.ask_admin("/registry").await.json();
    let expected = || {
        let mut hashes = BTreeMap::new();
        for entry in fs::read_dir(site.resources()).unwrap() {
            let path = entry.unwrap().path();
            let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(fs::read(&path).unwrap()));
            hashes.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), hash);
        }
        json!(hashes)
    };
    assert_eq!(expected().as_object().unwrap().len(), 3);
    assert_eq!(
        served().await,
        json!({"generation": 1, "documents": expected(), "rejected": {}, "lastUsed": {}})
    );
    site.manifest("acme", &ACME.replace("Acme Soaring", "Acme"));
    site.compile();
    eventually("the new hash is served", async || {
        served().await["documents"] == expected()
    })
    .await;
    assert_eq!(served().await["generation"], 2);
}

/// Admin and internal listeners stand for the platform and the upstream alone.
#[tokio::test]
async fn the_public_listener_tells_nothing_of_the_others() {
    let upstream = Upstream::ok().await;
    let (_site, gateway) = Site::running(upstream.address).await;
    for path in ["/metrics", "/healthz", "/readyz", "/registry"] {
        assert_eq!(gateway.answer(Call::get(path)).await.status, 404, "{path}");
    }
}

/// Not even where everything is logged.
#[tokio::test]
async fn nothing_secret_is_ever_logged() {
    let upstream = Upstream::ok().await;
    for format in ["text", "json"] {
        let (site, gateway) = Site::running_with(upstream.address, |site| {
            site.config["log"] = json!({"level": "trace", "format": format});
        })
        .await;
        let (acme, key) = (site.credentials("acme"), site.api_key("anna"));
        let mut secrets = vec![acme.secret.clone(), key.clone()];
        for protocol in Protocol::BOTH {
            let mut connection = gateway.connect(protocol).await;
            let answer = connection.answer(token_call(&acme, &[])).await;
            let token = crate::oauth::issued(&answer);
            let odd = made_up("wf_at_");
            for call in [
                Call::get(FLIGHTS).bearer(&token),
                Call::get(FLIGHTS).bearer(&key),
                Call::get(FLIGHTS).bearer(&odd),
                Call::get(&format!("{FLIGHTS}/{token}")).bearer(&token),
                Call::get(&format!("{FLIGHTS}?access_token={token}")).bearer(&token),
                Call::get(&format!("/nowhere?access_token={token}")),
                Call::form(
                    TOKEN,
                    &[
                        ("grant_type", "client_credentials"),
                        ("client_id", &acme.id),
                        ("client_secret", &acme.secret),
                    ],
                ),
                Call::form(
                    TOKEN,
                    &[
                        ("grant_type", "client_credentials"),
                        ("client_id", &acme.id),
                        ("client_secret", &format!("{}x", acme.secret)),
                    ],
                ),
                token_about(INTROSPECT, &acme, &token),
                token_about(crate::oauth::REVOKE, &acme, &token),
                token_about(crate::oauth::REVOKE, &acme, "garbage-that-was-sent"),
            ] {
                let answer = connection.answer(call).await;
                if let Ok(document) = serde_json::from_slice::<serde_json::Value>(&answer.body)
                    && let Some(token) = document["access_token"].as_str()
                {
                    secrets.push(token.to_owned());
                }
            }
            secrets.extend([token, odd, "garbage-that-was-sent".to_owned()]);
        }
        for request in upstream.requests() {
            secrets.push(request.values("flightgate-identity")[0].to_owned());
        }
        secrets.push(STANDARD.encode(format!("{}:{}", acme.id, acme.secret)));
        for name in ["pepper", "identity.seed"] {
            let bytes = fs::read(site.path(&format!("keys/{name}"))).unwrap();
            let hex = hex(&bytes);
            secrets.extend([
                hex,
                STANDARD.encode(&bytes),
                URL_SAFE_NO_PAD.encode(&bytes),
                format!("{bytes:?}"),
            ]);
        }
        gateway.terminate();
        assert!(gateway.ended().await.success());
        let log = site.log();
        assert!(
            log.contains("TRACE") && log.contains("ready"),
            "something was logged"
        );
        for secret in secrets {
            assert!(!log.contains(&secret), "the log has {secret}");
        }
    }
}
