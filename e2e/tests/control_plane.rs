//! The ground that the other tests stand on.

use std::{collections::BTreeSet, env, fs, path::PathBuf, process::Stdio};

use flightgate_e2e::{Cluster, ControlPlane, PATIENCE, eventually, within};
use k8s_openapi::{
    api::{
        core::v1::{ConfigMap, Namespace},
        rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject},
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ObjectMeta, PostParams},
};
use tokio::io::{AsyncBufReadExt, BufReader};

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: named(name),
        ..ConfigMap::default()
    }
}

async fn config_maps(cluster: &Cluster, namespace: &str) -> Api<ConfigMap> {
    Api::namespaced(cluster.client().await, namespace)
}

#[tokio::test]
async fn an_api_server_that_went_away_comes_back_at_its_address_with_what_it_knew() {
    let mut plane = ControlPlane::start_without_controllers().await;
    let address = plane.cluster().server().to_owned();
    let api = config_maps(plane.cluster(), "default").await;
    api.create(&PostParams::default(), &config_map("kept"))
        .await
        .unwrap();

    plane.stop_server();
    let refused = within("an answer of nobody", api.get("kept")).await;
    assert!(
        !matches!(refused, Err(kube::Error::Api(_)) | Ok(_)),
        "{refused:?}"
    );

    plane.start_server().await;
    assert_eq!(plane.cluster().server(), address);
    // The same client, without being told.
    api.get("kept").await.unwrap();
}

#[tokio::test]
async fn a_service_account_may_do_what_its_role_says_and_no_more() {
    let cluster = Cluster::shared().await;
    let namespace = cluster.namespace("rbac").await;
    let admin = cluster.client().await;
    let role = Role {
        metadata: named("reader"),
        rules: Some(vec![PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["configmaps".into()]),
            verbs: vec!["get".into()],
            ..PolicyRule::default()
        }]),
    };
    let binding = RoleBinding {
        metadata: named("reader"),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "Role".into(),
            name: "reader".into(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: "reader".into(),
            namespace: Some(namespace.to_string()),
            ..Subject::default()
        }]),
    };
    let params = PostParams::default();
    let roles = Api::namespaced(admin.clone(), &namespace);
    roles.create(&params, &role).await.unwrap();
    let bindings = Api::namespaced(admin, &namespace);
    bindings.create(&params, &binding).await.unwrap();
    let api = config_maps(cluster, &namespace).await;
    api.create(&params, &config_map("a")).await.unwrap();

    let reader = cluster.client_of(&namespace, "reader").await;
    let api: Api<ConfigMap> = Api::namespaced(reader, &namespace);
    eventually("a role that is known to the authorizer", async || {
        api.get("a").await
    })
    .await;
    match api.delete("a", &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 403),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_owned_goes_with_its_owner_and_all_goes_with_the_namespace() {
    let cluster = Cluster::shared().await;
    let namespace = cluster.namespace("owners").await;
    let api = config_maps(cluster, &namespace).await;
    let params = PostParams::default();
    let owner = api.create(&params, &config_map("owner")).await.unwrap();
    let mut child = config_map("owned");
    child.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        name: "owner".into(),
        uid: owner.uid().unwrap(),
        ..OwnerReference::default()
    }]);
    api.create(&params, &child).await.unwrap();
    let gone = async |name| match api.get_opt(name).await {
        Ok(None) => Ok(()),
        other => Err(other),
    };
    api.delete("owner", &DeleteParams::default()).await.unwrap();
    eventually("an orphan that is removed", async || gone("owned").await).await;

    let namespaces: Api<Namespace> = Api::all(cluster.client().await);
    namespaces
        .delete(&namespace, &DeleteParams::default())
        .await
        .unwrap();
    eventually("a namespace that ends", async || {
        match namespaces.get_opt(&namespace).await {
            Ok(None) => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

#[tokio::test]
async fn two_control_planes_are_two_clusters() {
    let start = ControlPlane::start_without_controllers;
    let (one, other) = tokio::join!(start(), start());
    let api = config_maps(one.cluster(), "default").await;
    let params = PostParams::default();
    api.create(&params, &config_map("of-one")).await.unwrap();
    let api = config_maps(other.cluster(), "default").await;
    assert!(api.get_opt("of-one").await.unwrap().is_none());
}

#[tokio::test]
async fn a_program_of_the_workspace_runs_and_its_log_is_kept() {
    let cluster = Cluster::shared().await;
    let mut program = cluster
        .program("flightgate-operator")
        .args(["--version"])
        .env("KUBECONFIG", cluster.kubeconfig())
        .start();
    assert!(program.ended().await.success());
    assert!(program.log().starts_with("flightgate-operator "));
}

/// Not even a SIGKILL, after which no destructor runs.
#[tokio::test]
async fn nothing_outlives_the_tests() {
    let mut tests = tokio::process::Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "control_plane::victim",
            "--ignored",
            "--nocapture",
        ])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tests.stdout.take().unwrap()).lines();
    let pids: Vec<u32> = within("the process ids of a control plane", async {
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if let Some((_, pids)) = line.split_once(VICTIM) {
                break pids.split(' ').map(|pid| pid.parse().unwrap()).collect();
            }
        }
    })
    .await;
    assert_eq!(pids.len(), 2);
    let folders: BTreeSet<_> = pids.iter().flat_map(|pid| folders_of(*pid)).collect();
    // Keys and logs in one, etcd's data and sockets in the other.
    assert_eq!(folders.len(), 2);

    tests.kill().await.unwrap();
    eventually("processes and folders that are gone", async || {
        let runs = pids
            .iter()
            .map(|pid| PathBuf::from(format!("/proc/{pid}/exe")));
        let left: Vec<_> = runs
            .chain(folders.clone())
            .filter(|path| path.exists())
            .collect();
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
}

const VICTIM: &str = "control plane of ";

#[tokio::test]
#[ignore = "a part of `nothing_outlives_the_tests`, which kills it"]
async fn victim() {
    let plane = ControlPlane::start_without_controllers().await;
    let pids: Vec<_> = plane.pids().iter().map(ToString::to_string).collect();
    println!("{VICTIM}{}", pids.join(" "));
    // Long enough to be killed in.
    tokio::time::sleep(PATIENCE).await;
}

/// The temporary folders that a process was told of.
fn folders_of(pid: u32) -> Vec<PathBuf> {
    let arguments = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let paths = arguments
        .split('\0')
        .filter_map(|it| it.find('/').map(|start| &it[start..]));
    let paths = paths.map(|path| PathBuf::from(path.trim_start_matches('/')));
    let folder = |path: PathBuf| {
        let path = PathBuf::from("/").join(path);
        path.ancestors()
            .find(|it| {
                it.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with("flightgate-e2e-"))
            })
            .map(ToOwned::to_owned)
    };
    paths.filter_map(folder).collect()
}
