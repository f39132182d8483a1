//! A place with an operator in it: namespaces, configuration, RBAC, gateway.

use std::{
    fmt::Debug,
    ops::Deref,
    path::{Path, PathBuf},
};

use crds::{OAuthApplication, condition::Condition};
use flightgate_e2e::{Cluster, Namespace, Process, eventually};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::{
    core::v1::{ConfigMap, Secret},
    events::v1::Event,
};
use kube::{
    Api, Client, Resource,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{gateway::FakeGateway, helm};

pub(super) const GATEWAY_YAML: &str = "\
issuer: https://gateway.example
tls: {selfSigned: true}
store: {sled: {path: data}}
surfaces: [{standard: {base: /api/oauth}}]
scopes:
  - {name: \"flights:read\", title: \"See your flights\"}
  - {name: \"flights:write\", title: \"Upload flights\"}
";

/// Where a test runs its operators, and the cluster that it is in.
pub(super) struct Setup<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) place: Place,
}

/// Where a test runs its operators.
pub(super) struct Place {
    pub(super) client: Client,
    /// Where applications are.
    pub(super) owners: Namespace,
    /// Where the gateway is.
    pub(super) gateways: Namespace,
    /// Where the operator's account and Lease are.
    pub(super) home: Namespace,
    pub(super) gateway: FakeGateway,
    pub(super) folder: TempDir,
    kubeconfig: PathBuf,
}

impl Deref for Setup<'_> {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

/// An operator that runs.
pub(super) struct Operator {
    pub(super) process: Process,
    log_before: usize,
}

impl<'a> Setup<'a> {
    /// On the cluster of all tests.
    pub(super) async fn new(about: &str) -> Setup<'static> {
        Setup::on(Cluster::shared().await, about).await
    }

    pub(super) async fn on(cluster: &'a Cluster, about: &str) -> Self {
        let client = cluster.client().await;
        let owners = cluster.namespace(about).await;
        let gateways = cluster.namespace(&format!("{about}-gw")).await;
        let home = cluster.namespace(&format!("{about}-op")).await;
        let gateway = FakeGateway::start(client.clone(), &gateways).await;
        let place = Place {
            kubeconfig: cluster.kubeconfig_of(&home, "fg-operator").await,
            client,
            owners,
            gateways,
            home,
            gateway,
            folder: TempDir::new().unwrap(),
        };
        let setup = Self { cluster, place };
        setup.configure(GATEWAY_YAML).await;
        setup.grant(&json!([&*setup.owners])).await;
        setup
    }

    /// Writes the gateway's configuration.
    pub(super) async fn configure(&self, text: &str) {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.gateways);
        let map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "gateway"},
            "data": {"gateway.yaml": text},
        });
        let params = PatchParams::apply("e2e").force();
        api.patch("gateway", &params, &Patch::Apply(&map))
            .await
            .unwrap();
    }

    /// Grants what the chart grants for these namespaces.
    pub(super) async fn grant(&self, namespaces: &Value) {
        self.apply_rbac(&self.render(namespaces), 5).await;
    }

    /// Applies the accounts and rights of these manifests, at least so many.
    pub(super) async fn apply_rbac(&self, rendered: &str, at_least: usize) {
        let is_rbac = |text: &&str| {
            text.contains("apiVersion: rbac.authorization.k8s.io/")
                || text.contains("kind: ServiceAccount\n")
        };
        let rbac: Vec<_> = rendered.split("\n---").filter(is_rbac).collect();
        assert!(rbac.len() >= at_least, "{rendered}");
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--filename",
            "-",
        ];
        self.cluster
            .kubectl_with(&apply, &rbac.join("\n---"))
            .await
            .ok();
    }

    /// The chart, as it is rendered for these namespaces.
    pub(super) fn render(&self, namespaces: &Value) -> String {
        let values = self.folder.path().join("values.yaml");
        let text = json!({
            "namespaces": namespaces,
            "gateways": [{
                "name": "default",
                "namespace": &*self.gateways,
                "configMap": "gateway",
                "addresses": [self.gateway.address],
            }],
            "gateway": {"enabled": false},
        });
        std::fs::write(&values, text.to_string()).unwrap();
        helm::render(&self.home, &values)
    }

    /// Starts an operator, and waits until it leads.
    pub(super) async fn operator(&self) -> Operator {
        let operator = self.start("operator", &json!({}));
        operator.leads().await;
        operator
    }

    /// Starts an operator with these settings beside the usual ones.
    pub(super) fn start(&self, name: &str, more: &Value) -> Operator {
        self.start_in(name, more, &[])
    }

    /// The same, with these variables in its environment.
    pub(super) fn start_in(
        &self,
        name: &str,
        more: &Value,
        variables: &[(&str, &str)],
    ) -> Operator {
        let mut config = json!({
            "namespaces": [&*self.owners],
            "gateways": [{
                "namespace": &*self.gateways,
                "configMap": "gateway",
                "addresses": [self.gateway.address],
            }],
            "leaderElection": {"namespace": &*self.home, "name": "fg-operator"},
            "listen": "127.0.0.1:0",
            "log": {"format": "json", "level": "info,flightgate_operator=debug"},
        });
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        let path = self.folder.path().join(format!("{name}.yaml"));
        std::fs::write(&path, config.to_string()).unwrap();
        self.run(&path, variables)
    }

    fn run(&self, config: &Path, variables: &[(&str, &str)]) -> Operator {
        let program = self.cluster.program("flightgate-operator");
        let program = program
            .args([Path::new("run"), Path::new("--config"), config])
            .env("KUBECONFIG", &self.kubeconfig);
        let variables = variables.iter();
        let process = variables
            .fold(program, |program, (name, value)| program.env(name, value))
            .start();
        Operator {
            log_before: process.log().len(),
            process,
        }
    }

    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.owners)
    }

    /// The Secrets of the applications' namespace.
    pub(super) fn credentials(&self) -> Api<Secret> {
        self.api()
    }

    /// The Secrets of the gateway's namespace.
    pub(super) fn configs(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.gateways)
    }

    /// The name of an application's config Secret.
    pub(super) fn config_name(&self, name: &str) -> String {
        format!("oauthapplication.{}.{name}", &*self.owners)
    }

    /// Creates an application that is good, with this changed in its spec.
    pub(super) async fn create(&self, name: &str, spec: &Value) -> OAuthApplication {
        let api: Api<OAuthApplication> = self.api();
        api.create(&PostParams::default(), &application(name, spec))
            .await
            .unwrap()
    }

    /// Changes an application's spec.
    pub(super) async fn change(&self, name: &str, spec: &Value) {
        let api: Api<OAuthApplication> = self.api();
        let patch = Patch::Merge(json!({ "spec": spec }));
        api.patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Annotates an application.
    pub(super) async fn annotate(&self, name: &str, key: &str, value: Option<&str>) {
        let api: Api<OAuthApplication> = self.api();
        let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
        api.patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Waits until an application is Ready in its present generation.
    pub(super) async fn ready(&self, name: &str) -> OAuthApplication {
        self.condition(name, "Ready", "True").await.0
    }

    /// Waits until a condition has this status, for the present generation.
    pub(super) async fn condition(
        &self,
        name: &str,
        kind: &str,
        status: &str,
    ) -> (OAuthApplication, Condition) {
        let api: Api<OAuthApplication> = self.api();
        self.until(&api, name, &format!("{kind}={status}"), |application| {
            let conditions = &application.status.as_ref()?.conditions;
            let condition = conditions.iter().find(|it| it.kind == kind)?;
            let is_current = Some(condition.observed_generation) == application.metadata.generation;
            (is_current && format!("{:?}", condition.status) == status)
                .then(|| (application.clone(), condition.clone()))
        })
        .await
    }

    /// Waits until an object is as it should be.
    pub(super) async fn until<K, T>(
        &self,
        api: &Api<K>,
        name: &str,
        what: &str,
        mut is_so: impl FnMut(&K) -> Option<T>,
    ) -> T
    where
        K: Clone + DeserializeOwned + Debug,
    {
        eventually(&format!("{name}: {what}"), async || {
            let object = api.get(name).await.map_err(|error| error.to_string())?;
            is_so(&object).ok_or_else(|| format!("{object:#?}"))
        })
        .await
    }

    /// Waits until an object is gone.
    pub(super) async fn gone<K>(&self, api: &Api<K>, name: &str)
    where
        K: Clone + DeserializeOwned + Debug,
    {
        eventually(&format!("{name} to be gone"), async || {
            match api.get_opt(name).await {
                Ok(None) => Ok(()),
                Ok(Some(object)) => Err(format!("{object:#?}")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// The value of a key of a credentials Secret.
    pub(super) async fn credential(&self, secret: &str, key: &str) -> String {
        let secret = self.credentials().get(secret).await.unwrap();
        text(&secret, key).unwrap()
    }

    /// Waits until there is an event about an object, and returns its note.
    pub(super) async fn event(&self, name: &str, reason: &str) -> String {
        eventually(&format!("an event {reason} about {name}"), async || {
            let events = self.events(name).await;
            let found = events.iter().find(|(it, _)| it == reason);
            found.map(|(_, note)| note.clone()).ok_or(events)
        })
        .await
    }

    /// Reasons and notes of the events about an object.
    pub(super) async fn events(&self, name: &str) -> Vec<(String, String)> {
        let api: Api<Event> = self.api();
        let events = api.list(&ListParams::default()).await.unwrap().items;
        let about = |event: &Event| event.regarding.as_ref()?.name.clone();
        let events = events
            .into_iter()
            .filter(|event| about(event).as_deref() == Some(name));
        events
            .map(|event| {
                (
                    event.reason.unwrap_or_default(),
                    event.note.unwrap_or_default(),
                )
            })
            .collect()
    }
}

/// An application that is good, with this changed in its spec.
pub(super) fn application(name: &str, spec: &Value) -> OAuthApplication {
    let mut object = json!({
        "apiVersion": "flightgate.dev/v1alpha1",
        "kind": "OAuthApplication",
        "metadata": {"name": name},
        "spec": {
            "displayName": "Acme",
            "grantTypes": ["client_credentials"],
            "scopes": ["flights:read"],
        },
    });
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

/// The value of a key of a Secret.
pub(super) fn text(secret: &Secret, key: &str) -> Option<String> {
    let bytes = secret.data.as_ref()?.get(key)?;
    Some(String::from_utf8(bytes.0.clone()).unwrap())
}

impl Operator {
    /// What it has said.
    pub(super) fn log(&self) -> String {
        self.process.log()[self.log_before..].to_owned()
    }

    /// Waits until it looks after everything.
    pub(super) async fn leads(&self) {
        self.says("everything is read").await;
    }

    /// Waits until it has said this.
    pub(super) async fn says(&self, what: &str) {
        eventually(&format!("an operator that says `{what}`"), async || {
            let log = self.log();
            if log.contains(what) { Ok(()) } else { Err(log) }
        })
        .await;
    }

    /// Asks its own listener.
    pub(super) async fn get(&self, path: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let log = self.log();
        let (_, rest) = log.split_once("\"address\":\"").unwrap();
        let (address, _) = rest.split_once('"').unwrap();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// The value of a metric without labels.
    pub(super) async fn metric(&self, name: &str) -> u64 {
        let metrics = self.get("/metrics").await;
        let start = format!("flightgate_operator_{name} ");
        let mut lines = metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix(&start));
        value
            .unwrap_or_else(|| panic!("no {name} in {metrics}"))
            .parse()
            .unwrap()
    }

    /// How many requests with these methods it has sent to the API server.
    pub(super) async fn requests(&self, methods: &[&str]) -> u64 {
        let metrics = self.get("/metrics").await;
        let counts = metrics.lines().filter(|line| {
            line.starts_with("flightgate_operator_api_requests_total")
                && methods.iter().any(|it| line.contains(&format!("\"{it}\"")))
        });
        counts
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }
}
