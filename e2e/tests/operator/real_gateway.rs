//! The operator beside the gateway itself, each under its own `ServiceAccount`
//! with exactly the RBAC of the chart, and both configured by the chart.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use crds::{ApiKey, OAuthApplication, oauth_application::SecretStatus};
use flightgate_e2e::{ControlPlane, Process, eventually};
use http::{Request, StatusCode};
use jiff::Timestamp;
use kube::{
    Api, Client, Config,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{
    helm,
    setup::{Operator, Setup, text},
};

/// A gateway that runs, and how to reach it.
struct Gateway {
    process: Process,
    client: Client,
}

/// Where a gateway runs, one after the other.
struct Home {
    folder: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
    admin: Relay,
}

impl Home {
    /// Renders the chart for a gateway, applies what it may do, and writes its
    /// configuration where it and the operator look for it.
    async fn new(setup: &Setup<'_>) -> Self {
        let folder = setup.folder.path().join("gateway");
        fs::create_dir(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        let values = json!({
            "operator": {"enabled": false},
            "gateway": {"config": {
                "issuer": "https://localhost:8443",
                "workers": 1,
                "keys": {"path": path("keys")},
                "store": {"sled": {"path": path("store")}},
                "surfaces": [{"standard": {"base": "/api/oauth"}}],
                "scopes": [{"name": "flights:read", "title": "See your flights"}],
                "routes": [{
                    "path": "/flights",
                    "methods": ["GET"],
                    "scopes": ["flights:read"],
                    "upstream": "http://127.0.0.1:9",
                }],
            }},
        });
        fs::write(path("values.json"), values.to_string()).unwrap();
        let rendered = helm::render(&setup.gateways, &path("values.json"));
        setup.apply_rbac(&rendered, 3).await;
        // In a pod it has all ports for itself.
        let config = ["0.0.0.0:8443", "0.0.0.0:9900", "127.0.0.1:9901"]
            .iter()
            .fold(helm::file(&rendered, "gateway.yaml"), |text, address| {
                assert!(text.contains(address), "{text}");
                text.replace(address, "127.0.0.1:0")
            });
        setup.configure(&config).await;
        fs::write(path("gateway.yaml"), config).unwrap();
        Self {
            kubeconfig: setup
                .cluster
                .kubeconfig_of(&setup.gateways, "fg-gateway")
                .await,
            namespace: setup.gateways.to_string(),
            admin: Relay::start().await,
            folder,
        }
    }

    /// Starts a gateway, and waits until it listens.
    async fn start(&self, setup: &Setup<'_>) -> Gateway {
        let path = |name: &str| self.folder.join(name).display().to_string();
        let program = setup.cluster.program("flightgate-gateway");
        let mut process = program
            .args([
                "serve",
                "--config",
                &path("gateway.yaml"),
                "--source",
                "kubernetes",
                "--namespace",
                &self.namespace,
                "--resources",
                &path("resources"),
                "--ready-file",
                &path("ready.json"),
            ])
            .env("KUBECONFIG", &self.kubeconfig)
            .start();
        let addresses: Value = eventually("a gateway that listens", async || {
            process.assert_runs();
            let ready = fs::read(path("ready.json")).map_err(|error| error.to_string())?;
            Ok::<_, String>(serde_json::from_slice(&ready).unwrap())
        })
        .await;
        let address = |name: &str| addresses[name].as_str().unwrap().parse().unwrap();
        self.admin.lead_to(address("admin"));
        let public: SocketAddr = address("public");
        let kubeconfig: Kubeconfig = serde_json::from_value(json!({
            "clusters": [{"name": "gateway", "cluster": {
                "server": format!("https://localhost:{}", public.port()),
                "certificate-authority": path("keys/ca.crt"),
            }}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "it", "context": {"cluster": "gateway", "user": "nobody"}}],
            "current-context": "it",
        }))
        .unwrap();
        // An HTTP client that trusts the gateway's CA, whatever else it could do.
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        let client = Client::try_from(config).unwrap();
        Gateway { process, client }
    }

    fn operator(&self, setup: &Setup<'_>) -> Operator {
        let gateway = json!({
            "namespace": self.namespace,
            "configMap": "gateway",
            "addresses": [self.admin.address],
        });
        setup.start("operator", &json!({"gateways": [gateway]}))
    }
}

impl Gateway {
    /// How it answers a token request with these credentials.
    async fn token(&self, id: &str, secret: &str) -> StatusCode {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let request = Request::post("/api/oauth/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.into_bytes().into())
            .unwrap();
        self.client.send(request).await.unwrap().status()
    }

    /// How it answers a request with this token.
    async fn flights(&self, token: &str) -> StatusCode {
        let request = Request::get("/flights")
            .header("authorization", format!("Bearer {token}"))
            .body(Vec::new().into())
            .unwrap();
        self.client.send(request).await.unwrap().status()
    }

    /// Ends it as the kubelet does.
    async fn stop(mut self) {
        self.process.terminate();
        assert!(self.process.ended().await.success());
    }
}

/// An address that stays while the gateways behind it come and go.
struct Relay {
    address: String,
    target: Arc<Mutex<Option<SocketAddr>>>,
    task: JoinHandle<()>,
}

impl Relay {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let target = Arc::<Mutex<Option<SocketAddr>>>::default();
        let leads_to = target.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let Some(target) = *leads_to.lock().unwrap() else {
                    continue;
                };
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(target).await?;
                    tokio::io::copy_bidirectional(&mut near, &mut far).await
                });
            }
        });
        Self {
            address,
            target,
            task,
        }
    }

    fn lead_to(&self, target: SocketAddr) {
        *self.target.lock().unwrap() = Some(target);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Has the operator look at an application now, and returns what its status says
/// of its secrets.
async fn secrets(setup: &Setup<'_>, about: &str) -> Vec<SecretStatus> {
    setup.change("acme", &json!({"displayName": about})).await;
    setup.ready("acme").await.status.unwrap().secrets
}

fn last_used(secrets: &[SecretStatus], id: &str) -> Option<Timestamp> {
    let mut secrets = secrets.iter();
    secrets.find(|secret| secret.id == id).unwrap().last_used_at
}

#[tokio::test]
async fn a_rotation_tells_which_secret_partners_use() {
    let setup = Setup::new("real").await;
    let home = Home::new(&setup).await;
    let gateway = home.start(&setup).await;
    let operator = home.operator(&setup);
    operator.leads().await;

    setup.create("acme", &json!({})).await;
    let status = setup.ready("acme").await.status.unwrap();
    let (id, old_id) = (status.client_id.unwrap(), &status.secrets[0].id);
    let old = setup.credential("acme-credentials", "client_secret").await;
    assert_eq!(
        secrets(&setup, "Nobody was here").await[0].last_used_at,
        None
    );
    assert_eq!(
        gateway.token(&id, "nonsense").await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(gateway.token(&id, &old).await, StatusCode::OK);
    let told = secrets(&setup, "Somebody was").await;
    let first = last_used(&told, old_id);
    assert!(first.is_some(), "{told:?}");

    setup
        .annotate("acme", "flightgate.dev/rotate", Some("now"))
        .await;
    let new = setup
        .until(
            &setup.credentials(),
            "acme-credentials",
            "another secret",
            |it| text(it, "client_secret").filter(|secret| *secret != old),
        )
        .await;
    eventually("the new secret works", async || {
        match gateway.token(&id, &new).await {
            StatusCode::OK => Ok(()),
            other => Err(other),
        }
    })
    .await;
    let told = secrets(&setup, "Somebody moved on").await;
    let [new_id] = told
        .iter()
        .map(|secret| &secret.id)
        .filter(|id| *id != old_id)
        .collect::<Vec<_>>()[..]
    else {
        panic!("{told:?}")
    };
    assert!(last_used(&told, new_id).is_some(), "{told:?}");
    assert_eq!(last_used(&told, old_id), first, "it has fallen silent");
    assert_eq!(
        gateway.token(&id, &old).await,
        StatusCode::OK,
        "the overlap"
    );
}

#[tokio::test]
async fn a_key_tells_of_its_use_and_dies_with_its_resource() {
    let setup = Setup::new("real-key").await;
    let home = Home::new(&setup).await;
    let gateway = home.start(&setup).await;
    let operator = home.operator(&setup);
    operator.leads().await;
    let api: Api<ApiKey> = setup.api();
    let spec = json!({"subject": "pilot:anna", "displayName": "Anna", "scopes": ["flights:read"]});
    let key = json!({"metadata": {"name": "anna"}, "spec": spec});
    let key: ApiKey = serde_json::from_value(key).unwrap();
    api.create(&PostParams::default(), &key).await.unwrap();
    let is_served = |key: &ApiKey| {
        let conditions = &key.status.as_ref()?.conditions;
        conditions
            .iter()
            .any(|it| it.kind == "Ready" && it.reason == "Served")
            .then_some(())
    };
    setup.until(&api, "anna", "Ready", is_served).await;
    let token = setup.credential("anna-api-key", "api_key").await;
    // Nobody listens behind it; that it was let through is enough.
    assert_eq!(gateway.flights(&token).await, StatusCode::BAD_GATEWAY);
    let patch = Patch::Merge(json!({"spec": {"displayName": "Anna B"}}));
    api.patch("anna", &PatchParams::default(), &patch)
        .await
        .unwrap();
    setup
        .until(&api, "anna", "used", |key| {
            key.status.as_ref()?.keys.first()?.last_used_at
        })
        .await;
    api.delete("anna", &DeleteParams::default()).await.unwrap();
    setup.gone(&api, "anna").await;
    eventually("the key is refused", async || {
        match gateway.flights(&token).await {
            StatusCode::UNAUTHORIZED => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

#[tokio::test]
async fn the_gateway_serves_and_restarts_while_the_api_server_is_away() {
    let mut plane = ControlPlane::start().await;
    let setup = Setup::on(plane.cluster(), "real-outage").await;
    let home = Home::new(&setup).await;
    let gateway = home.start(&setup).await;
    let mut operator = home.operator(&setup);
    operator.leads().await;
    setup.create("acme", &json!({})).await;
    let id = setup.ready("acme").await.status.unwrap().client_id.unwrap();
    let secret = setup.credential("acme-credentials", "client_secret").await;
    let kept = setup.place;

    plane.stop_server();
    assert_eq!(gateway.token(&id, &secret).await, StatusCode::OK);
    let setup = Setup {
        cluster: plane.cluster(),
        place: kept,
    };
    gateway.stop().await;
    // From what it saw last.
    let gateway = home.start(&setup).await;
    assert_eq!(gateway.token(&id, &secret).await, StatusCode::OK);
    let kept = setup.place;

    plane.start_server().await;
    let setup = Setup {
        cluster: plane.cluster(),
        place: kept,
    };
    let api = setup.api::<OAuthApplication>();
    setup.create("later", &json!({})).await;
    let later = setup.ready("later").await.status.unwrap().client_id;
    let password = setup.credential("later-credentials", "client_secret").await;
    assert_eq!(
        gateway.token(&later.unwrap(), &password).await,
        StatusCode::OK
    );
    let told = secrets(&setup, "Served through an outage").await;
    assert!(told[0].last_used_at.is_some(), "{told:?}");
    api.delete("acme", &DeleteParams::default()).await.unwrap();
    setup.gone(&api, "acme").await;
    eventually("the client is refused", async || {
        match gateway.token(&id, &secret).await {
            StatusCode::UNAUTHORIZED => Ok(()),
            other => Err(other),
        }
    })
    .await;
    operator.process.assert_runs();
}
