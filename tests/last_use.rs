//! The platform sees when each secret was last used: during a rotation it tells
//! when the old one has fallen silent.

use std::{
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::{
    client::{Call, Protocol},
    gateway::Gateway,
    harness::{ACME, ANNA, Credentials, Site, eventually},
    oauth::{FLIGHTS, INTROSPECT, token_about, token_call},
    upstream::Upstream,
};

/// The ids of the secrets that a document names: the one that works on, then the
/// one that is to go.
fn ids(document: &Path) -> Vec<String> {
    let document: Value = serde_json::from_slice(&fs::read(document).unwrap()).unwrap();
    let resource = &document["resource"];
    let secrets = [
        &resource["oauthApplication"]["secrets"],
        &resource["apiKey"]["keys"],
    ];
    let secrets = secrets.into_iter().find_map(Value::as_array).unwrap();
    let mut secrets: Vec<_> = secrets.iter().collect();
    secrets.sort_by_key(|secret| secret["expiresAt"].is_string());
    let id = |secret: &&Value| secret["id"].as_str().unwrap().to_owned();
    secrets.iter().map(id).collect()
}

fn id(site: &Site, document: &str) -> String {
    ids(&site.resources().join(format!("{document}.json"))).remove(0)
}

async fn last_used(gateway: &Gateway) -> Value {
    gateway.ask_admin("/registry").await.json()["lastUsed"].clone()
}

/// Waits until the clock shows a later second.
async fn a_second_passes() {
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    let before = now();
    eventually("a later second", async || now() > before).await;
}

async fn status(gateway: &Gateway, call: Call) -> u16 {
    gateway.answer(call).await.status
}

#[tokio::test]
async fn a_use_counts_where_the_secret_was_accepted() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        let far = ANNA.replace("name: anna", "name: far");
        site.manifest("far", &format!("{far}  allowedCidrs: [\"10.0.0.0/8\"]\n"));
    })
    .await;
    assert_eq!(last_used(&gateway).await, json!({}));

    let (acme, globex) = (site.credentials("acme"), site.credentials("globex"));
    let wrong = Credentials {
        secret: format!("{}x", acme.secret),
        ..acme.clone()
    };
    assert_eq!(status(&gateway, token_call(&wrong, &[])).await, 401);
    assert_eq!(gateway.list_status(&site.api_key("far")).await, 403);
    assert_eq!(gateway.list_status("wf_pat_unknown").await, 401);
    assert_eq!(last_used(&gateway).await, json!({}), "none was accepted");

    // Whatever else comes of the request.
    let greedy = token_call(&acme, &[("scope", "flights:delete")]);
    assert_eq!(status(&gateway, greedy).await, 400);
    let of_globex = token_about(INTROSPECT, &globex, "unknown");
    assert_eq!(status(&gateway, of_globex).await, 200);
    let upload = Call::post(FLIGHTS).bearer(&site.api_key("anna")).body("x");
    assert_eq!(status(&gateway, upload).await, 403);
    let told = last_used(&gateway).await;
    let mut used: Vec<_> = told.as_object().unwrap().keys().cloned().collect();
    used.sort();
    let mut expected = [
        "oauthapplication.partners.acme",
        "oauthapplication.partners.globex",
        "apikey.partners.anna",
    ]
    .map(|document| id(&site, document));
    expected.sort();
    assert_eq!(used, expected);
    let is_a_time = |at: &Value| {
        let at = at.as_str().unwrap();
        at.len() == "2026-01-02T03:04:05Z".len() && at.ends_with('Z')
    };
    assert!(told.as_object().unwrap().values().all(is_a_time), "{told}");
}

/// A connection remembers who is behind a key, and the use counts all the same.
#[tokio::test]
async fn a_remembered_caller_counts_as_well() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let (key, id) = (site.api_key("anna"), id(&site, "apikey.partners.anna"));
    for protocol in Protocol::BOTH {
        let mut connection = gateway.connect(protocol).await;
        let mut before = Value::Null;
        for _ in 0..2 {
            let call = Call::get(FLIGHTS).bearer(&key);
            assert_eq!(connection.answer(call).await.status, 200);
            let now = last_used(&gateway).await[&id].clone();
            assert!(now.is_string());
            assert_ne!(now, before, "{protocol:?}");
            before = now;
            a_second_passes().await;
        }
    }
}

#[tokio::test]
async fn a_rotation_shows_which_secret_is_in_use() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let old = site.credentials("acme");
    let old_key = site.api_key("anna");
    gateway.token(&old).await;
    assert_eq!(gateway.list_status(&old_key).await, 200);
    let before = last_used(&gateway).await;
    let rotated = "partners, annotations: {flightgate.dev/rotate: now}}";
    for (name, text) in [("acme", ACME), ("anna", ANNA)] {
        site.manifest(name, &text.replace("partners}", rotated));
    }
    site.compile();
    let acme = ids(&site.document("acme"));
    let anna = ids(&site.resources().join("apikey.partners.anna.json"));
    assert_eq!((acme.len(), anna.len()), (2, 2));
    let (new, new_key) = (site.credentials("acme"), site.api_key("anna"));
    eventually("the new key works", async || {
        gateway.list_status(&new_key).await == 200
    })
    .await;
    eventually("the new secret works", async || {
        gateway.answer(token_call(&new, &[])).await.status == 200
    })
    .await;
    let told = last_used(&gateway).await;
    for [new, old] in [acme.clone(), anna.clone()].map(|it| <[_; 2]>::try_from(it).unwrap()) {
        assert!(told[&new].is_string(), "{told}");
        assert_eq!(told[&old], before[&old], "it came over, and fell silent");
    }
    a_second_passes().await;
    gateway.token(&old).await;
    assert_eq!(gateway.list_status(&old_key).await, 200);
    let now = last_used(&gateway).await;
    for id in [&acme[1], &anna[1]] {
        assert_ne!(now[id], told[id], "it works still, and tells so");
    }
    for id in [&acme[0], &anna[0]] {
        assert_eq!(now[id], told[id]);
    }
}

#[tokio::test]
async fn last_uses_outlive_the_process_and_not_the_secret() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    for name in ["acme", "globex"] {
        gateway.token(&site.credentials(name)).await;
    }
    let told = last_used(&gateway).await;
    gateway.terminate();
    assert!(gateway.ended().await.success());
    let gateway = site.start().await;
    assert_eq!(last_used(&gateway).await, told);

    let globex = id(&site, "oauthapplication.partners.globex");
    site.without_manifest("globex");
    site.compile();
    eventually("its secret is gone", async || {
        last_used(&gateway).await[&globex].is_null()
    })
    .await;
    gateway.terminate();
    assert!(gateway.ended().await.success());
    let kept = fs::read_to_string(site.path("keys/last-used.json")).unwrap();
    let acme = id(&site, "oauthapplication.partners.acme");
    assert!(kept.contains(&acme) && !kept.contains(&globex), "{kept}");

    fs::write(site.path("keys/last-used.json"), "{").unwrap();
    let gateway = site.start().await;
    assert_eq!(last_used(&gateway).await, json!({}));
    assert!(site.log().contains("last uses of secrets not read"));
    gateway.token(&site.credentials("acme")).await;
}
