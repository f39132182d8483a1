//! The chart: what it renders is accepted, and bad values are not.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crds::gateway_config::GatewayConfig;
use flightgate_e2e::{Cluster, Namespace, built, source};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::PodSpec};
use kube::{Api, Client};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{access, helm};

/// Values to install with.
struct Values {
    path: PathBuf,
    _folder: TempDir,
}

impl Values {
    fn new(values: &Value) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("values.json");
        fs::write(&path, values.to_string()).unwrap();
        Self {
            path,
            _folder: folder,
        }
    }
}

/// A file of values that the chart brings for its tests.
fn brought(name: &str) -> Value {
    let path = source(&format!("../charts/flightgate/ci/{name}.yaml"));
    serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn small() -> Value {
    brought("small")
}

/// The values that docs/kubernetes.md shows.
fn documented() -> Value {
    let text = fs::read_to_string(source("../docs/kubernetes.md")).unwrap();
    let (_, text) = text.split_once("# values.yaml\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    serde_yaml::from_str(text).unwrap()
}

#[test]
fn the_gateway_accepts_its_rendered_configuration() {
    for values in [
        documented(),
        small(),
        brought("large"),
        brought("gateway-alone"),
    ] {
        let values = Values::new(&values);
        let text = helm::file(&helm::render("api", &values.path), "gateway.yaml");
        let file = values.path.with_file_name("gateway.yaml");
        fs::write(&file, &text).unwrap();
        let output = Command::new(built("flightgate-gateway"))
            .args([Path::new("check"), Path::new("--config"), &file])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{text}");
    }
    let text = helm::file(
        &helm::render("api", &Values::new(&brought("large")).path),
        "gateway.yaml",
    );
    let config = GatewayConfig::from_yaml(&text).unwrap();
    assert_eq!(config.issuer.as_str(), "https://api.example.org/");
    assert_eq!(config.plans["standard"].quotas[0].limit.get(), 50_000_000);
    assert!(!config.tls.self_signed, "the values name a certificate");
    assert_eq!(config.listen.internal.port(), 9901, "as it is by default");
}

/// A key that is new in gateway.yaml can be written into the values.
#[test]
fn the_schema_of_the_values_knows_every_key_of_gateway_yaml() {
    let schema = fs::read(source("../charts/flightgate/values.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    let keys = |object: &Value| -> BTreeSet<String> {
        object.as_object().unwrap().keys().cloned().collect()
    };
    let config = &schema["properties"]["gateway"]["properties"]["config"];
    let text = helm::file(
        &helm::render("api", &Values::new(&small()).path),
        "gateway.yaml",
    );
    let known = serde_json::to_value(GatewayConfig::from_yaml(&text).unwrap()).unwrap();
    assert_eq!(keys(&config["properties"]), keys(&known));
}

#[test]
fn bad_values_are_refused_in_words() {
    let with = |path: &str, value: Value| {
        let mut values = small();
        let mut place = &mut values;
        for key in path.split('.') {
            place = &mut place[key];
        }
        *place = value;
        values
    };
    for (values, words) in [
        (
            json!({}),
            "namespaces: empty; name the namespaces to look after, or write all",
        ),
        (
            with("namespaces", json!("some")),
            "at '/namespaces': value must be 'all'",
        ),
        (
            with("namespaces", json!(["A_b"])),
            "namespaces[0]: `A_b` is not the name of a namespace",
        ),
        (
            with("gatway.enabled", json!(true)),
            "additional properties 'gatway' not allowed",
        ),
        (
            with("gateway.replicas", json!(2)),
            "at '/gateway': additional properties 'replicas' not allowed",
        ),
        (
            with("gateway.config.isuer", json!("x")),
            "additional properties 'isuer' not allowed",
        ),
        (
            with("gateway.config.issuer", json!("http://x")),
            "gateway.config.issuer: `http://x`; expected an https URL",
        ),
        (
            with("gateway.config.listen.public", json!("8443")),
            "expected an address and a port, such as [::]:8443",
        ),
        (
            with("gateway.service.type", json!("External")),
            "value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'",
        ),
        (
            with("gateway.persistence.size", json!("big")),
            "gateway.persistence.size: `big`; expected a quantity, such as 1Gi",
        ),
        (
            with("gateway.persistence.accessModes", json!(["ReadWriteMany"])),
            "value must be one of 'ReadWriteOnce', 'ReadWriteOncePod'",
        ),
        (
            with("gateway.ingress.enabled", json!(true)),
            "gateway.ingress.hosts: empty; name the host of the issuer",
        ),
        (
            with("gateway.enabled", json!(false)),
            "gateways[0].configMap: empty; name the ConfigMap",
        ),
        (
            with("gateways", json!([{"namespace": "other"}])),
            "gateways[0].configMap: empty; name the ConfigMap",
        ),
        (
            with("gateways", json!([{}, {}])),
            "gateways[1].name: `default` stands twice",
        ),
        (
            with("gateways", json!([{"adminPort": "nine"}])),
            "at '/gateways/0/adminPort': got string, want integer",
        ),
        (
            with("gateways", json!([{"addresses": ["https://x/registry"]}])),
            "expected http://host:port of an admin listener",
        ),
        (
            json!({"operator": {"enabled": false}, "gateway": {"enabled": false}}),
            "both are false, and nothing would be installed",
        ),
    ] {
        let output = helm::template("api", &Values::new(&values).path);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{values}");
        assert!(said.contains(words), "{values}: {said}");
    }
    let values = json!({"gateways": [{}, {}], "gateway": {"ingress": {"enabled": true}}});
    let said = helm::template("api", &Values::new(&values).path).stderr;
    let said = String::from_utf8_lossy(&said);
    assert_eq!(said.matches("\n  ").count(), 3, "all at once: {said}");
}

/// A release in a namespace of its own.
struct Release {
    cluster: &'static Cluster,
    client: Client,
    namespace: Namespace,
}

impl Release {
    async fn new(about: &str) -> Self {
        let cluster = Cluster::shared().await;
        Self {
            cluster,
            client: cluster.client().await,
            namespace: cluster.namespace(about).await,
        }
    }

    /// What helm says of this.
    fn helm(&self, verb: &str, values: &Values, more: &[&str]) -> String {
        let output = helm::helm(verb, &self.namespace, &values.path)
            .args(more)
            .arg("--kubeconfig")
            .arg(self.cluster.kubeconfig())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "helm {verb}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[tokio::test]
async fn the_api_server_accepts_whatever_is_rendered() {
    let release = Release::new("dry-run").await;
    for values in [
        documented(),
        small(),
        brought("large"),
        brought("gateway-alone"),
        brought("operator-alone"),
    ] {
        // Namespaces that the values name are not there: they are this one.
        let rendered = helm::render(&release.namespace, &Values::new(&values).path);
        let here = format!("namespace: {}", &*release.namespace);
        let rendered = ["partners", "logbook", "api"]
            .iter()
            .fold(rendered, |text, name| {
                text.replace(
                    &format!("\n  namespace: {name}\n"),
                    &format!("\n  {here}\n"),
                )
            });
        let apply = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "--filename",
            "-",
        ];
        release.cluster.kubectl_with(&apply, &rendered).await.ok();
    }
}

#[tokio::test]
async fn a_release_is_installed_changed_and_taken_away_again() {
    let release = Release::new("install").await;
    let here = |mut values: Value| {
        values["namespaces"] = json!([&*release.namespace]);
        Values::new(&values)
    };
    let notes = release.helm("install", &here(small()), &[]);
    for words in [
        &*format!(
            "The gateway is https://fg-gateway.{}.svc:8443.",
            &*release.namespace
        ),
        "good within the cluster alone",
        "self-signed",
        "have no applications",
        "It forwards nothing yet",
        "kind: OAuthApplication",
        "rollout status statefulset/fg-gateway",
        "{{range $k, $v := .data}}",
    ] {
        assert!(notes.contains(words), "{words}: {notes}");
    }
    let sets: Api<StatefulSet> = Api::namespaced(release.client.clone(), &release.namespace);
    let checksum = async || {
        let set = sets.get("fg-gateway").await.unwrap();
        let metadata = set.spec.unwrap().template.metadata.unwrap();
        metadata.annotations.unwrap()["checksum/config"].clone()
    };
    let before = checksum().await;
    let mut values = small();
    values["gateway"]["config"]["issuer"] = json!("https://api.example.org");
    let notes = release.helm("upgrade", &here(values), &[]);
    assert!(!notes.contains("good within the cluster alone"), "{notes}");
    assert_ne!(
        checksum().await,
        before,
        "another configuration, another pod"
    );

    let gone = Command::new(&*helm::HELM)
        .args(["uninstall", "fg", "--namespace", &release.namespace])
        .arg("--kubeconfig")
        .arg(release.cluster.kubeconfig())
        .output()
        .unwrap();
    assert!(gone.status.success(), "{gone:?}");
    assert!(sets.get_opt("fg-gateway").await.unwrap().is_none());
}

/// What it needs, the tests with a real gateway show.
#[tokio::test]
async fn the_gateway_may_read_the_secrets_of_its_namespace_and_nothing_else() {
    let release = Release::new("gateway-rbac").await;
    let others = release.cluster.namespace("gateway-others").await;
    let values = Values::new(&brought("gateway-alone"));
    let rendered = helm::render(&release.namespace, &values.path);
    let apply = ["apply", "--server-side", "--filename", "-"];
    release.cluster.kubectl_with(&apply, &rendered).await.ok();
    let gateway = (&*release.namespace, "fg-gateway");
    let (here, there) = (Some(&*release.namespace), Some(&*others));
    let can = async |verb: &str, what: &str, namespace| {
        access::can(&release.client, gateway, verb, what, namespace).await
    };
    for verb in ["get", "list", "watch"] {
        assert!(can(verb, "secrets", here).await, "{verb}");
    }
    for (verb, what, namespace) in [
        ("create", "secrets", here),
        ("update", "secrets", here),
        ("patch", "secrets", here),
        ("delete", "secrets", here),
        ("deletecollection", "secrets", here),
        ("get", "secrets", there),
        ("list", "secrets", there),
        ("list", "secrets", None),
        ("get", "configmaps", here),
        ("get", "configmaps:fg-gateway", here),
        ("list", "pods", here),
        ("create", "pods", here),
        ("create", "pods/exec", here),
        ("create", "serviceaccounts/token:fg-gateway", here),
        ("create", "events.events.k8s.io", here),
        ("get", "leases.coordination.k8s.io", here),
        ("get", "oauthapplications.flightgate.dev", here),
        ("patch", "oauthapplications.flightgate.dev/status", here),
        ("create", "rolebindings.rbac.authorization.k8s.io", here),
        ("escalate", "roles.rbac.authorization.k8s.io", here),
        ("get", "namespaces", None),
        ("list", "nodes", None),
        ("impersonate", "users", None),
    ] {
        assert!(
            !can(verb, what, namespace).await,
            "{verb} {what} in {namespace:?}"
        );
    }
}

fn pod(rendered: &str) -> PodSpec {
    let mut documents = rendered.split("\n---");
    let set = documents.find(|it| it.contains("\nkind: StatefulSet\n"));
    let set: StatefulSet = serde_yaml::from_str(set.unwrap()).unwrap();
    set.spec.unwrap().template.spec.unwrap()
}

#[test]
fn the_pod_is_confined_and_its_sidecars_get_no_token() {
    let pod = pod(&helm::render("api", &Values::new(&brought("large")).path));
    let context = pod.security_context.unwrap();
    assert_eq!(context.run_as_non_root, Some(true));
    assert_eq!(context.seccomp_profile.unwrap().type_, "RuntimeDefault");
    assert_eq!(pod.automount_service_account_token, Some(false));
    let [gateway, api] = &pod.containers[..] else {
        panic!("{:?}", pod.containers)
    };
    let context = gateway.security_context.as_ref().unwrap();
    assert_eq!(context.allow_privilege_escalation, Some(false));
    assert_eq!(context.read_only_root_filesystem, Some(true));
    let dropped = context.capabilities.as_ref().unwrap().drop.as_ref();
    assert_eq!(dropped.unwrap(), &["ALL"]);
    let token = "/var/run/secrets/kubernetes.io/serviceaccount";
    let has_token = |container: &k8s_openapi::api::core::v1::Container| {
        let mounts = container.volume_mounts.iter().flatten();
        mounts.clone().any(|mount| mount.mount_path == token)
    };
    assert!(has_token(gateway) && !has_token(api));
    let ports: Vec<_> = gateway
        .ports
        .iter()
        .flatten()
        .map(|it| it.container_port)
        .collect();
    assert_eq!(ports, [9443, 9910], "the ports that gateway.yaml names");
}

/// Ports and names in one place fit those in another.
#[test]
fn the_operator_finds_the_gateway_of_its_release() {
    let rendered = helm::render("api", &Values::new(&brought("large")).path);
    let operator: Value = serde_yaml::from_str(&helm::file(&rendered, "operator.yaml")).unwrap();
    assert_eq!(
        operator["gateways"],
        json!([
            {
                "name": "default",
                "namespace": "api",
                "configMap": "fg-gateway",
                "selector": "app.kubernetes.io/instance=fg,app.kubernetes.io/name=flightgate-gateway",
                "adminPort": 9910,
            },
            {"name": "logbook", "namespace": "logbook", "configMap": "gateway", "adminPort": 9901},
            {
                "name": "outside",
                "namespace": "api",
                "configMap": "outside",
                "addresses": ["http://192.0.2.7:9900"],
            },
        ])
    );
}
