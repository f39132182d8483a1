//! `kubectl flightgate`, as kubectl runs it.

mod credentials;
mod doctor;

use crds::{ApiKey, OAuthApplication};
use flightgate_e2e::{Said, eventually};
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

use super::setup::{Setup, text};

/// Runs the plugin as administrator, in the applications' namespace.
async fn plugin(setup: &Setup<'_>, line: &str) -> Said {
    let mut arguments = vec!["--namespace", &*setup.owners];
    arguments.extend(line.split(' '));
    let kubeconfig = setup.cluster.kubeconfig();
    setup.cluster.plugin(kubeconfig, &arguments).await
}

/// Creates a key, with this changed in its spec, and waits until it is served.
async fn key(setup: &Setup<'_>, name: &str, spec: Value) {
    let mut object = json!({
        "metadata": {"name": name},
        "spec": {"subject": "pilot:anna", "displayName": "Anna", "scopes": ["flights:read"]},
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    let object: ApiKey = serde_json::from_value(object).unwrap();
    let api = setup.api::<ApiKey>();
    api.create(&PostParams::default(), &object).await.unwrap();
    setup
        .until(&api, name, "Ready", |it| {
            let conditions = &it.status.as_ref()?.conditions;
            let is_ready = |it: &crds::condition::Condition| {
                it.kind == "Ready" && it.status == crds::condition::Status::True
            };
            conditions.iter().any(is_ready).then_some(())
        })
        .await;
}

#[tokio::test]
async fn status_tells_what_there_is_and_what_to_do_where_there_is_nothing() {
    let setup = Setup::new("kstatus").await;
    let said = plugin(&setup, "status").await;
    assert_eq!(said.ok(), "");
    assert!(
        said.errors().contains("kubectl apply -n"),
        "{}",
        said.errors()
    );

    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let id = setup.ready("acme").await.status.unwrap().client_id.unwrap();
    key(&setup, "anna", json!({"expiresAfter": "90d"})).await;
    let table = plugin(&setup, "status").await.ok();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("KIND") && !table.contains('\x1b'));
    assert!(
        lines[1].contains(&id) && lines[1].contains("Served"),
        "{table}"
    );
    assert!(lines[2].contains("expires in "), "{table}");
    // Everywhere, with the namespace.
    let kubeconfig = setup.cluster.kubeconfig();
    let everywhere = setup.cluster.plugin(kubeconfig, &["status", "-A"]).await;
    let everywhere = everywhere.ok();
    assert!(everywhere.contains("NAMESPACE") && everywhere.contains(&*setup.owners));

    setup.event("acme", "Served").await;
    let details = plugin(&setup, "status acme").await.ok();
    for part in [
        "✓ Accepted",
        "✓ Ready",
        "in use",
        "never",
        "CredentialsCreated",
    ] {
        assert!(details.contains(part), "{part}\n{details}");
    }
    let json: Value = serde_json::from_str(&plugin(&setup, "status -o json").await.ok()).unwrap();
    assert_eq!(json["resources"][0]["clientId"], id);
    assert_eq!(json["resources"][1]["ready"], "True");
    let json = plugin(&setup, "status apikey/anna -o json").await.ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["name"], "anna");
    assert!(json["events"].is_array());

    let missing = plugin(&setup, "status nobody").await.refused();
    assert!(
        missing.contains("there is no resource `nobody`"),
        "{missing}"
    );
}

#[tokio::test]
async fn rotate_has_a_new_secret_made_and_never_shows_it() {
    let setup = Setup::new("krotate").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    let old = setup.credential("acme-credentials", "client_secret").await;
    let said = plugin(&setup, "rotate acme").await;
    let told = said.ok();
    assert!(told.contains("Secret `acme-credentials`"), "{told}");
    assert!(
        told.contains("(in 7d)") || told.contains("(in 6d23h)"),
        "{told}"
    );
    let new = setup.credential("acme-credentials", "client_secret").await;
    let kept = setup
        .credential("acme-credentials", "previous_client_secret")
        .await;
    assert!(new != old && kept == old);

    // A third one would end the first: that takes a yes.
    let refused = plugin(&setup, "rotate oapp/acme").await.refused();
    assert!(
        refused.contains("ends it at once") && refused.contains("--yes"),
        "{refused}"
    );
    assert_eq!(
        setup.credential("acme-credentials", "client_secret").await,
        new
    );
    let again = plugin(&setup, "rotate acme --yes").await;
    again.ok();
    let newer = setup.credential("acme-credentials", "client_secret").await;
    let kept = setup
        .credential("acme-credentials", "previous_client_secret")
        .await;
    assert!(newer != new && kept == new);
    for secret in [&old, &new, &newer] {
        for said in [&said, &again] {
            assert!(!said.ok().contains(secret) && !said.errors().contains(secret));
        }
    }
}

#[tokio::test]
async fn rotate_says_what_keeps_it() {
    let setup = Setup::new("kkept").await;
    let mut operator = setup.operator().await;
    key(&setup, "anna", json!({})).await;
    let only_a_key = plugin(&setup, "rotate anna").await.refused();
    assert!(only_a_key.contains("write apikey/anna"), "{only_a_key}");
    setup
        .create("anna", &json!({"scopes": ["flights:steal"]}))
        .await;
    setup.condition("anna", "Accepted", "False").await;
    let both = plugin(&setup, "rotate anna").await.refused();
    assert!(both.contains("oapp/anna or apikey/anna"), "{both}");
    let refused = plugin(&setup, "rotate oapp/anna").await.refused();
    assert!(refused.contains("UnknownScope"), "{refused}");

    operator.process.kill();
    let late = plugin(&setup, "rotate apikey/anna --timeout 1s")
        .await
        .refused();
    assert!(late.contains("no new API key after 1 s"), "{late}");
    let _operator = setup.start("again", &json!({}));
    let api = setup.credentials();
    setup
        .until(&api, "anna-api-key", "another key", |secret| {
            text(secret, "previous_api_key")
        })
        .await;
    let asked = plugin(&setup, "rotate apikey/anna --yes --no-wait")
        .await
        .ok();
    assert!(asked.contains("is asked for"), "{asked}");
}

#[tokio::test]
async fn whom_much_is_forbidden_sees_the_rest_and_which_rights_are_missing() {
    let setup = Setup::new("kforbidden").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    let user = format!("viewer-{}", &*setup.owners);
    let nobody = setup
        .cluster
        .kubeconfig_of_user(&user, &["system:authenticated"]);
    let run = async |line: &str| {
        let mut arguments = vec!["-n", &*setup.owners];
        arguments.extend(line.split(' '));
        setup.cluster.plugin(&nobody, &arguments).await
    };
    let refused = run("status").await.refused();
    assert!(
        refused.contains("ask for the verb `list` on `oauthapplications`"),
        "{refused}"
    );
    let refused = run("credentials acme").await.refused();
    assert!(
        refused.contains("the verb `get` on `oauthapplications`"),
        "{refused}"
    );

    let role = json!({
        "apiVersion": "v1", "kind": "List", "items": [
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                "metadata": {"name": "viewer", "namespace": &*setup.owners},
                "rules": [{"apiGroups": ["flightgate.dev"], "resources": ["oauthapplications"], "verbs": ["get", "list"]}],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "viewer", "namespace": &*setup.owners},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "viewer"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
            },
        ],
    });
    let apply = ["apply", "--filename", "-"];
    let applied = setup.cluster.kubectl_with(&apply, &role.to_string()).await;
    applied.ok();
    // The API server's own knowledge of roles follows a little later.
    let table = eventually("a role in force", async || {
        let said = run("status").await;
        if said.errors().starts_with("error") {
            return Err(said.errors());
        }
        Ok(said)
    })
    .await;
    assert!(table.ok().contains("acme"), "{}", table.ok());
    assert!(table.errors().contains("not shown"), "{}", table.errors());
    let details = run("status acme").await;
    assert!(
        details.ok().contains("Events\n  not shown"),
        "{}",
        details.ok()
    );
    let refused = run("credentials acme").await.refused();
    assert!(refused.contains("the verb `get` on `secrets`"), "{refused}");
    let refused = run("rotate acme").await.refused();
    assert!(
        refused.contains("the verb `patch` on `oauthapplications`"),
        "{refused}"
    );
    let ill = run("doctor").await.printed();
    for part in [
        "✗ You may not list apikeys in the namespace",
        "! Whether an operator runs cannot be seen",
        "! You may not get secrets",
        "! You may not patch oauthapplications",
    ] {
        assert!(ill.contains(part), "{part}\n{ill}");
    }
}

#[tokio::test]
async fn a_context_and_a_file_that_are_not_there_are_told() {
    let setup = Setup::new("kaccess").await;
    let wrong = plugin(&setup, "status --context nowhere").await.refused();
    assert!(
        wrong.contains("the kubeconfig cannot be used") && wrong.contains("nowhere"),
        "{wrong}"
    );
    let wrong = plugin(&setup, "status --kubeconfig /nonexistent")
        .await
        .refused();
    assert!(wrong.contains("the kubeconfig cannot be used"), "{wrong}");
    let api = setup.api::<OAuthApplication>();
    let none = api.list(&ListParams::default()).await.unwrap();
    assert!(none.items.is_empty());
}
