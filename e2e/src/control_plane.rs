//! etcd, kube-apiserver and kube-controller-manager, of a test's own.

use std::{ffi::OsString, path::PathBuf};

use http::Request;

use crate::{
    cluster::Cluster,
    folder::Folder,
    kubeconfig::Access,
    patience::eventually,
    pki::{Authority, TokenKey},
    port::Port,
    process::Process,
    program::kube,
};

/// The controllers that an operator's objects meet: owners and what they own,
/// namespaces that end, accounts, aggregated roles.
const CONTROLLERS: &str = "garbage-collector-controller,namespace-controller,serviceaccount-controller,root-ca-certificate-publisher-controller,clusterrole-aggregation-controller";

const CA: &str = "ca.crt";
const SERVER: [&str; 2] = ["server.crt", "server.key"];
const TOKENS: [&str; 2] = ["token.pub", "token.key"];
const AUDIT_POLICY: &str = "audit-policy.json";
const CONTROLLERS_ACCESS: &str = "controllers.kubeconfig";

/// A control plane without nodes. Dropping it ends it.
pub struct ControlPlane {
    // In the order in which they are to end.
    controllers: Option<Process>,
    server: Option<Process>,
    etcd: Process,
    cluster: Cluster,
    port: Port,
    is_audited: bool,
    /// Keys, certificates and logs.
    folder: Folder,
    /// What etcd keeps, and its sockets.
    data: Folder,
}

impl ControlPlane {
    /// Starts one, with the definitions installed and the controllers running.
    pub async fn start() -> Self {
        Self::start_whole(None).await
    }

    /// The same, with an API server that logs requests by this audit policy
    /// (`audit.k8s.io/v1`) to [`ControlPlane::audit_log`].
    pub async fn start_audited(policy: &str) -> Self {
        Self::start_whole(Some(policy)).await
    }

    async fn start_whole(audit_policy: Option<&str>) -> Self {
        let mut plane = Self::start_server_alone(audit_policy).await;
        // First, because the garbage collector looks for new kinds every 30 s.
        plane.cluster.install_definitions().await;
        plane.start_controllers().await;
        plane
    }

    /// Starts etcd and the API server: no definitions, and nobody who removes
    /// what a deleted owner or namespace leaves behind.
    pub async fn start_without_controllers() -> Self {
        Self::start_server_alone(None).await
    }

    async fn start_server_alone(audit_policy: Option<&str>) -> Self {
        let (folder, data, port) = (Folder::new(), Folder::in_memory(), Port::reserve());
        let etcd = start_etcd(&folder, &data);
        let admin = write_keys(&folder, port.number());
        if let Some(policy) = audit_policy {
            folder.write(AUDIT_POLICY, policy);
        }
        let mut plane = Self {
            controllers: None,
            server: None,
            etcd,
            cluster: Cluster::own(admin),
            port,
            is_audited: audit_policy.is_some(),
            folder,
            data,
        };
        plane.start_server().await;
        plane
    }

    /// The cluster that it is.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Kills the API server, as when its machine goes. Connections to it are
    /// refused from then on, and nobody else gets its port.
    pub fn stop_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// Starts the API server, again if it was stopped, on the same port and on
    /// what etcd has kept, and waits until it is ready.
    pub async fn start_server(&mut self) {
        let flags = self.server_flags();
        let flags: Vec<_> = flags.iter().map(|(it, value)| (*it, &value[..])).collect();
        let server = start(&self.folder, "kube-apiserver", &flags);
        let server = self.server.insert(server);
        let client = self.cluster.client().await;
        eventually("an API server that is ready", async || {
            self.etcd.assert_runs();
            server.assert_runs();
            let request = Request::get("/readyz").body(Vec::new()).unwrap();
            let answer = client.request_text(request).await;
            answer.map_err(|error| Unready {
                error: error.to_string(),
                said: [self.etcd.last_words(), server.last_words()],
            })
        })
        .await;
    }

    fn server_flags(&self) -> Vec<(&'static str, String)> {
        let path = |name| self.path(name);
        let mut flags = vec![
            ("etcd-servers", socket(&self.data, "client")),
            ("bind-address", "127.0.0.1".into()),
            ("advertise-address", "127.0.0.1".into()),
            ("endpoint-reconciler-type", "none".into()),
            ("secure-port", self.port.number().to_string()),
            ("permit-port-sharing", "true".into()),
            ("tls-cert-file", path(SERVER[0])),
            ("tls-private-key-file", path(SERVER[1])),
            ("client-ca-file", path(CA)),
            (
                "service-account-issuer",
                "https://kubernetes.default.svc".into(),
            ),
            ("service-account-key-file", path(TOKENS[0])),
            ("service-account-signing-key-file", path(TOKENS[1])),
            ("service-cluster-ip-range", "10.96.0.0/16".into()),
            ("authorization-mode", "RBAC".into()),
            ("allow-privileged", "true".into()),
            ("profiling", "false".into()),
        ];
        if self.is_audited {
            let log = self.audit_log().display().to_string();
            flags.push(("audit-policy-file", path(AUDIT_POLICY)));
            flags.push(("audit-log-path", log));
            // One file, however long it gets.
            flags.push(("audit-log-maxsize", "100000".into()));
        }
        flags
    }

    /// Starts kube-controller-manager, and waits for its first work, the default
    /// `ServiceAccount`.
    pub async fn start_controllers(&mut self) {
        let path = |name| self.path(name);
        let controllers = start(
            &self.folder,
            "kube-controller-manager",
            &[
                ("kubeconfig", &path(CONTROLLERS_ACCESS)),
                ("controllers", CONTROLLERS),
                ("use-service-account-credentials", "true"),
                ("service-account-private-key-file", &path(TOKENS[1])),
                ("root-ca-file", &path(CA)),
                ("leader-elect", "false"),
                ("secure-port", "0"),
                // Its own limits would make it slower than the tests.
                ("kube-api-qps", "300"),
                ("kube-api-burst", "600"),
            ],
        );
        let controllers = self.controllers.insert(controllers);
        self.cluster.default_account(controllers).await;
    }

    /// Where the requests are that the audit policy has logged, one JSON object
    /// on each line.
    pub fn audit_log(&self) -> PathBuf {
        self.data.path("audit.log")
    }

    /// The process ids of what runs: etcd, API server, controllers.
    pub fn pids(&self) -> Vec<u32> {
        let others = [&self.server, &self.controllers];
        let others = others.into_iter().flatten().map(Process::pid);
        [self.etcd.pid()].into_iter().chain(others).collect()
    }

    fn path(&self, name: &str) -> String {
        self.folder.path(name).display().to_string()
    }
}

/// What stands between an API server and being ready.
#[derive(Debug)]
#[expect(dead_code, reason = "it is shown by its Debug")]
struct Unready {
    error: String,
    said: [String; 2],
}

fn start_etcd(folder: &Folder, data: &Folder) -> Process {
    // Of a cluster of one, nobody asks for its addresses.
    let nowhere = "http://127.0.0.1:1";
    start(
        folder,
        "etcd",
        &[
            ("name", "e2e"),
            ("data-dir", &data.path("etcd").display().to_string()),
            ("listen-client-urls", &socket(data, "client")),
            ("advertise-client-urls", nowhere),
            ("listen-peer-urls", &socket(data, "peer")),
            ("initial-advertise-peer-urls", nowhere),
            ("initial-cluster", &format!("e2e={nowhere}")),
            ("unsafe-no-fsync", "true"),
            ("log-level", "warn"),
        ],
    )
}

/// A socket in a folder of our own: unlike a port, nobody else can reach it.
fn socket(data: &Folder, name: &str) -> String {
    format!("unix://{}", data.path(name).display())
}

/// Writes what the processes read, and says how an administrator gets in.
fn write_keys(folder: &Folder, port: u16) -> Access {
    let authority = Authority::new();
    let server = authority.server(&["127.0.0.1", "localhost", "kubernetes.default.svc"]);
    let tokens = TokenKey::new();
    folder.write(CA, authority.certificate());
    folder.write(SERVER[0], server.certificate);
    folder.write(SERVER[1], server.key);
    folder.write(TOKENS[0], tokens.public);
    folder.write(TOKENS[1], tokens.private);
    let url = format!("https://127.0.0.1:{port}");
    let access = |user, group| {
        let identity = authority.client(user, group);
        Access::new(&url, &authority.certificate(), &identity)
    };
    let controllers = access("system:kube-controller-manager", None);
    folder.write(CONTROLLERS_ACCESS, controllers.text());
    access("admin", Some("system:masters"))
}

fn start(folder: &Folder, program: &str, flags: &[(&str, &str)]) -> Process {
    let flags = flags
        .iter()
        .map(|(name, value)| format!("--{name}={value}"));
    let arguments: Vec<_> = [program.to_owned()].into_iter().chain(flags).collect();
    let arguments: Vec<_> = arguments.into_iter().map(OsString::from).collect();
    let log = folder.path(&format!("{program}.log"));
    Process::start(program, kube(), &arguments, &[], log)
}
