//! Where the measurements happen: a control plane, and on it the namespaces, the
//! rights and the processes of one operator and one gateway.

use super::{Options, audit};
use crate::{
    error::{Doing, Error},
    peers::flightgate::Ready,
};
use flightgate_e2e::{ControlPlane, Namespace, Process, source};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The accounts, by which requests are told apart.
pub(super) const OPERATOR: &str = "flightgate-operator";
pub(super) const GATEWAY: &str = "flightgate-gateway";

/// So long a process may take until it has begun its work.
const PATIENCE: Duration = Duration::from_mins(2);

/// Builds the control plane, if it is not there and can be.
pub(super) fn control_plane_is_here() -> Result<(), Error> {
    let script = source("cluster/build.sh");
    let built = Command::new(&script)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status()
        .doing(|| format!("run {}", script.display()))?;
    if built.success() {
        return Ok(());
    }
    Err(Error::Absent {
        program: "a Kubernetes API server".to_owned(),
        remedy: "what its build said is above".to_owned(),
    })
}

/// A control plane that logs what operator and gateway ask it for.
pub(super) async fn start_control_plane() -> ControlPlane {
    ControlPlane::start_audited(audit::POLICY).await
}

/// One operator and one gateway, and what is theirs.
pub(super) struct Site<'a> {
    pub(super) control_plane: &'a ControlPlane,
    pub(super) client: Client,
    /// Where applications are.
    pub(super) owners: Namespace,
    /// What they ask of the API server.
    pub(super) audit: audit::Log,
    pub(super) certificate: &'a Path,
    options: &'a Options,
    gateways: Namespace,
    home: Namespace,
    folder: PathBuf,
    kubeconfigs: [PathBuf; 2],
}

/// A gateway that listens.
pub(super) struct Gateway {
    pub(super) process: Process,
    pub(super) public: SocketAddr,
    admin: SocketAddr,
}

impl<'a> Site<'a> {
    /// Namespaces, rights and configuration; nothing runs yet.
    pub(super) async fn new(
        control_plane: &'a ControlPlane,
        options: &'a Options,
        name: &str,
    ) -> Result<Self, Error> {
        let cluster = control_plane.cluster();
        let folder = options.work.join(name);
        fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
        let text = fs::read_to_string(&options.config)
            .doing(|| format!("read {}", options.config.display()))?;
        fs::write(folder.join("gateway.yaml"), &text).doing(|| "write gateway.yaml".to_owned())?;
        let home = cluster.namespace(&format!("{name}-home")).await;
        let site = Self {
            control_plane,
            client: cluster.client().await,
            owners: cluster.namespace(name).await,
            audit: audit::Log::new(control_plane.audit_log(), &home),
            certificate: &options.certificate,
            options,
            gateways: cluster.namespace(&format!("{name}-gateway")).await,
            kubeconfigs: [
                cluster.kubeconfig_of(&home, OPERATOR).await,
                cluster.kubeconfig_of(&home, GATEWAY).await,
            ],
            home,
            folder,
        };
        let api: Api<ConfigMap> = Api::namespaced(site.client.clone(), &site.gateways);
        let map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "gateway"},
            "data": {"gateway.yaml": text},
        });
        api.patch("gateway", &PatchParams::apply("bench"), &Patch::Apply(&map))
            .await
            .asking("write the gateway's configuration")?;
        let rights = site.rights().to_string();
        let apply = ["apply", "--server-side", "--filename", "-"];
        cluster.kubectl_with(&apply, &rights).await.ok();
        Ok(site)
    }

    /// Starts the gateway, its documents coming from the cluster.
    pub(super) async fn start_gateway(&mut self) -> Result<Gateway, Error> {
        let ready = self.folder.join("ready.json");
        let program = self.control_plane.cluster().program(GATEWAY);
        let mut process = program
            .at(&self.options.gateway)
            .args(["serve", "--source", "kubernetes"])
            .args(["--namespace", &self.gateways])
            .args([
                "--config".as_ref(),
                self.folder.join("gateway.yaml").as_os_str(),
            ])
            .args([
                "--resources".as_ref(),
                self.folder.join("resources").as_os_str(),
            ])
            .args(["--ready-file".as_ref(), ready.as_os_str()])
            .env("KUBECONFIG", &self.kubeconfigs[1])
            .start();
        let ready: Ready = until("the gateway's ready file", || {
            process.assert_runs();
            serde_json::from_slice(&fs::read(&ready).ok()?).ok()
        })
        .await?;
        Ok(Gateway {
            process,
            public: ready.public,
            admin: ready.admin,
        })
    }

    /// Starts the operator, and waits for nothing.
    pub(super) fn spawn_operator(&self, gateway: &Gateway) -> Result<Process, Error> {
        let config = json!({
            "namespaces": [&*self.owners],
            "gateways": [{
                "namespace": &*self.gateways,
                "configMap": "gateway",
                "addresses": [format!("http://{}", gateway.admin)],
            }],
            "leaderElection": {"namespace": &*self.home, "name": OPERATOR},
            "listen": "127.0.0.1:0",
        });
        let path = self.folder.join("operator.yaml");
        fs::write(&path, config.to_string()).doing(|| format!("write {}", path.display()))?;
        let program = self.control_plane.cluster().program(OPERATOR);
        Ok(program
            .at(&self.options.operator)
            .args([Path::new("run"), Path::new("--config"), &path])
            .env("KUBECONFIG", &self.kubeconfigs[0])
            // As the chart has it.
            .env("MIMALLOC_PURGE_DELAY", "0")
            .start())
    }

    /// Starts the operator, and waits until it has read everything.
    pub(super) async fn start_operator(&self, gateway: &Gateway) -> Result<Process, Error> {
        let mut process = self.spawn_operator(gateway)?;
        until("an operator that has read everything", || {
            process.assert_runs();
            process.log().contains("everything is read").then_some(())
        })
        .await?;
        Ok(process)
    }

    /// An application as a partner's team would write it.
    pub(super) fn application(&self, name: &str) -> Value {
        json!({
            "apiVersion": "flightgate.dev/v1alpha1",
            "kind": "OAuthApplication",
            "metadata": {"name": name, "namespace": &*self.owners},
            "spec": {
                "displayName": format!("Partner {name}"),
                "grantTypes": ["client_credentials"],
                "scopes": ["flights:read"],
                "plan": "bench",
            },
        })
    }

    /// What the chart grants the operator, and what the gateway needs.
    fn rights(&self) -> Value {
        let secrets = ["get", "list", "watch", "create", "patch", "delete"];
        let kinds = ["oauthapplications", "apikeys", "webhooks"];
        let events = json!(["create", "patch"]);
        let statuses = kinds.map(|kind| format!("{kind}/status"));
        let all = json!([
            rule(
                "flightgate.dev",
                &kinds,
                &json!(["get", "list", "watch", "patch"])
            ),
            rule("flightgate.dev", &statuses, &json!(["patch"])),
        ]);
        let (owners, gateways, home) = (&*self.owners, &*self.gateways, &*self.home);
        let roles = [
            (OPERATOR, None, all),
            (
                OPERATOR,
                Some(owners),
                json!([
                    rule("", &["secrets"], &json!(secrets)),
                    rule("events.k8s.io", &["events"], &events),
                ]),
            ),
            (
                OPERATOR,
                Some(gateways),
                json!([
                    rule("", &["secrets"], &json!(secrets)),
                    rule("", &["configmaps"], &json!(["get", "list", "watch"])),
                ]),
            ),
            (
                OPERATOR,
                Some(home),
                json!([rule(
                    "coordination.k8s.io",
                    &["leases"],
                    &json!(["create", "get", "update"])
                )]),
            ),
            (
                GATEWAY,
                Some(gateways),
                json!([rule("", &["secrets"], &json!(["get", "list", "watch"]))]),
            ),
        ];
        let items: Vec<_> = roles
            .into_iter()
            .flat_map(|(account, namespace, rules)| self.role(account, namespace, &rules))
            .collect();
        json!({"apiVersion": "v1", "kind": "List", "items": items})
    }

    /// A role and its binding; without a namespace, for the whole cluster.
    fn role(&self, account: &str, namespace: Option<&str>, rules: &Value) -> [Value; 2] {
        let prefix = if namespace.is_some() { "" } else { "Cluster" };
        let name = match namespace {
            Some(_) => account.to_owned(),
            None => format!("{}-{account}", &*self.home),
        };
        let api = "rbac.authorization.k8s.io";
        let metadata = json!({"name": name, "namespace": namespace});
        [
            json!({
                "apiVersion": format!("{api}/v1"),
                "kind": format!("{prefix}Role"),
                "metadata": metadata,
                "rules": rules,
            }),
            json!({
                "apiVersion": format!("{api}/v1"),
                "kind": format!("{prefix}RoleBinding"),
                "metadata": metadata,
                "roleRef": {"apiGroup": api, "kind": format!("{prefix}Role"), "name": name},
                "subjects": [{
                    "kind": "ServiceAccount",
                    "name": account,
                    "namespace": &*self.home,
                }],
            }),
        ]
    }
}

fn rule(group: &str, resources: &[impl AsRef<str>], verbs: &Value) -> Value {
    let resources: Vec<_> = resources.iter().map(AsRef::as_ref).collect();
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

/// Looks every 2 ms until there is an answer.
async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, Error> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = look() {
            return Ok(answer);
        }
        if Instant::now() > end {
            return Err(Error::Slow {
                what: what.to_owned(),
                seconds: PATIENCE.as_secs(),
            });
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Puts what the API server was asked for before what came of it.
pub(super) trait Asking<T> {
    /// Names the action, as the rest of "could not …".
    fn asking(self, what: &str) -> Result<T, Error>;
}

impl<T, E: std::error::Error + Send + Sync + 'static> Asking<T> for Result<T, E> {
    fn asking(self, what: &str) -> Result<T, Error> {
        self.map_err(|source| Error::Kubernetes {
            doing: what.to_owned(),
            source: Box::new(source),
        })
    }
}
