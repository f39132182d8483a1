//! Documents and certificates that change under a running gateway.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::json;

use crate::{
    client::{Call, Protocol},
    harness::{Site, eventually, like_acme},
    oauth::{FLIGHTS, token_call},
    upstream::Upstream,
};

/// `kubectl apply` to first token, without a restart.
#[tokio::test]
async fn a_new_application_is_served_without_a_restart() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let mut connection = gateway.connect(Protocol::H1).await;
    for name in ["one", "two", "three"] {
        site.manifest(name, &like_acme(name));
        site.compile();
        let client = site.credentials(name);
        eventually("the new application is served", async || {
            connection.answer(token_call(&client, &[])).await.status == 200
        })
        .await;
    }
    let rejected = gateway.metric("flightgate_registry_rejected_total").await;
    assert_eq!(rejected, 0, "no document was ever seen half written");
}

/// DESIGN section 4: the last good one stays, and the fault is told.
#[tokio::test]
async fn a_document_that_cannot_be_read_leaves_its_last_good_form_in_force() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let acme = site.credentials("acme");
    let token = gateway.token(&acme).await;
    let path = site.document("acme");
    let good = fs::read_to_string(&path).unwrap();
    let name = path.file_stem().unwrap().to_str().unwrap();
    let broken = [
        "{".to_owned(),
        "[]".to_owned(),
        good.replace("contract/v1", "contract/v2"),
        good.replace("\"profile\": \"default\"", "\"profile\": \"none\""),
        good.replacen("\"clientId\"", "\"unknown\": 1, \"clientId\"", 1),
        format!("{good}{}", " ".repeat(2 << 20)),
    ];
    let before = gateway.ask_admin("/registry").await.json();
    for (count, text) in (1..).zip(&broken) {
        assert_ne!(*text, good);
        replace(&path, text);
        eventually("the fault is counted", async || {
            gateway.metric("flightgate_registry_rejected_total").await >= count
        })
        .await;
        let registry = gateway.ask_admin("/registry").await.json();
        assert!(registry["rejected"][name].is_string(), "{registry}");
        assert_eq!(
            registry["documents"], before["documents"],
            "what is in force"
        );
        assert_eq!(gateway.list_status(&token).await, 200);
        gateway.token(&acme).await;
    }
    assert!(site.log().contains("document not read"), "{}", site.log());
    replace(&path, &good);
    eventually("the document is good again", async || {
        gateway.ask_admin("/registry").await.json()["rejected"] == json!({})
    })
    .await;
    let bad = site.resources().join("oauthapplication.partners.new.json");
    replace(&bad, "{");
    eventually("a new one that is bad is listed", async || {
        let registry = gateway.ask_admin("/registry").await.json();
        registry["rejected"]["oauthapplication.partners.new"].is_string()
    })
    .await;
    assert_eq!(gateway.list_status(&token).await, 200);
}

/// A bad document at the start keeps nobody else out.
#[tokio::test]
async fn a_gateway_starts_beside_a_document_that_cannot_be_read() {
    let upstream = Upstream::ok().await;
    let site = Site::new(upstream.address);
    site.compile();
    fs::write(site.document("acme"), "{").unwrap();
    let gateway = site.start().await;
    let (acme, globex) = (site.credentials("acme"), site.credentials("globex"));
    assert_eq!(gateway.answer(token_call(&acme, &[])).await.status, 401);
    gateway.token(&globex).await;
    assert_eq!(
        gateway.metric("flightgate_registry_rejected_total").await,
        1
    );
}

/// What is deleted is gone, and comes back as it was.
#[tokio::test]
async fn a_deleted_document_ends_its_client_until_it_is_back() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let acme = site.credentials("acme");
    let token = gateway.token(&acme).await;
    let path = site.document("acme");
    let good = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    eventually("the client is gone", async || {
        gateway.answer(token_call(&acme, &[])).await.status == 401
    })
    .await;
    assert_eq!(gateway.list_status(&token).await, 401);
    replace(&path, &good);
    eventually("the client is back", async || {
        gateway.answer(token_call(&acme, &[])).await.status == 200
    })
    .await;
    assert_eq!(
        gateway.list_status(&token).await,
        200,
        "its tokens were not revoked"
    );
}

/// Renewed certificates need no restart, and cut nobody off.
#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections() {
    let upstream = Upstream::ok().await;
    let mut site = Site::new(upstream.address);
    site.config["tls"] = json!({"certificate": "tls.crt", "key": "tls.key"});
    site.compile();
    let ca = authority();
    fs::write(site.path("ca.pem"), ca.pem()).unwrap();
    let first = certify(&ca, &site.path(""));
    let gateway = site.start().await;
    let shown = async || {
        let stream = gateway.tls("http/1.1").await;
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    assert_eq!(shown().await, first);
    let acme = site.credentials("acme");
    let token = gateway.token(&acme).await;
    let mut connections = [
        gateway.connect(Protocol::H1).await,
        gateway.connect(Protocol::H2).await,
    ];

    // A file that is no certificate leaves the last good one in force.
    replace(&site.path("tls.crt"), "nonsense");
    eventually("the fault is logged", async || {
        site.log().contains("certificate not loaded")
    })
    .await;
    assert_eq!(shown().await, first);

    let second = certify(&ca, &site.path(""));
    assert_ne!(second, first);
    eventually("the new certificate is shown", async || {
        shown().await == second
    })
    .await;
    for connection in &mut connections {
        let answer = connection.answer(Call::get(FLIGHTS).bearer(&token)).await;
        assert_eq!(answer.status, 200, "old connections live on");
    }
    assert_eq!(gateway.list_status(&token).await, 200);
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "Test CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Puts a fresh certificate and its key into the folder.
fn certify(ca: &CertifiedIssuer<'static, KeyPair>, folder: &Path) -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    replace(&folder.join("tls.crt"), &certificate.pem());
    replace(&folder.join("tls.key"), &key.serialize_pem());
    certificate.der().to_vec()
}

/// Writes a file as a whole, as the kubelet and the operator do.
fn replace(path: &Path, text: &str) {
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, text).unwrap();
    fs::rename(fresh, path).unwrap();
}
