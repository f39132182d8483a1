//! `kubectl flightgate`, as kubectl runs it.

use std::process::{Command, Output, Stdio};

use crds::{ApiKey, OAuthApplication};
use flightgate_e2e::{Said, eventually};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Secret};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::setup::{Setup, text};

/// Runs the plugin as administrator, in the applications' namespace.
async fn plugin(setup: &Setup<'_>, line: &str) -> Said {
    let mut arguments = vec!["--namespace", &*setup.owners];
    arguments.extend(line.split(' '));
    let kubeconfig = setup.cluster.kubeconfig();
    setup.cluster.plugin(kubeconfig, &arguments).await
}

/// The doctor, with this test's operator alone.
async fn doctor(setup: &Setup<'_>) -> Said {
    let line = format!("doctor --operator-namespace {}", &*setup.home);
    plugin(setup, &line).await
}

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

/// Runs a command as it was printed.
async fn shell(command: String) -> Output {
    let run = move || {
        Command::new("sh")
            .args(["-c", &command])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn credentials_are_ready_to_be_used() {
    let setup = Setup::new("kcreds").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    key(&setup, "anna", json!({})).await;
    let id = setup.credential("acme-credentials", "client_id").await;
    let secret = setup.credential("acme-credentials", "client_secret").await;

    let env = plugin(&setup, "credentials acme").await.ok();
    let read = shell(format!("{env}echo \"$CLIENT_ID $CLIENT_SECRET\"")).await;
    assert_eq!(
        String::from_utf8(read.stdout).unwrap(),
        format!("{id} {secret}\n")
    );
    let json = plugin(&setup, "credentials acme -o json").await.ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["client_secret"], secret);
    assert_eq!(
        json["token_endpoint"],
        "https://gateway.example/api/oauth/token"
    );

    // What curl sends is what the gateway expects, and its arguments hold nothing.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let line = format!("credentials acme -o curl --url {url}");
    let command = plugin(&setup, &line).await.ok();
    let first = command.lines().next().unwrap();
    assert!(
        first.starts_with("curl ") && !first.contains(&secret),
        "{first}"
    );
    let request = called(&listener, command).await;
    let basic = k8s_openapi::ByteString(format!("{id}:{secret}").into_bytes());
    let basic = serde_json::to_value(basic).unwrap();
    let basic = format!("Authorization: Basic {}", basic.as_str().unwrap());
    assert!(request.contains(&basic), "{request}");
    assert!(
        request.ends_with("grant_type=client_credentials"),
        "{request}"
    );

    let api_key = setup.credential("anna-api-key", "api_key").await;
    let command = plugin(&setup, "credentials apikey/anna -o curl").await.ok();
    assert!(!command.lines().next().unwrap().contains(&api_key));
    let request = called(&listener, format!("FLIGHTGATE_API={url}\n{command}")).await;
    assert!(
        request.contains(&format!("Authorization: Bearer {api_key}")),
        "{request}"
    );
    let unset = shell(command).await;
    assert!(!unset.status.success());
    assert!(String::from_utf8_lossy(&unset.stderr).contains("set it to what the key opens"));

    setup
        .create("refused", &json!({"scopes": ["flights:steal"]}))
        .await;
    setup.condition("refused", "Accepted", "False").await;
    let none = plugin(&setup, "credentials refused").await.refused();
    assert!(
        none.contains("no Secret `refused-credentials` yet: UnknownScope"),
        "{none}"
    );
}

/// Runs a command, and returns the one request that it sends.
async fn called(listener: &TcpListener, command: String) -> String {
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        loop {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
            let text = String::from_utf8_lossy(&request).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "));
            if body.len() >= length.map_or(0, |it| it.parse().unwrap()) {
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
                stream.write_all(answer.as_bytes()).await.unwrap();
                return text;
            }
        }
    };
    let what = "a request by curl";
    let run = async { tokio::join!(serve, shell(command)) };
    let (request, output) = flightgate_e2e::within(what, run).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"{}");
    request
}

#[tokio::test]
async fn the_doctor_is_green_when_all_is_well_and_names_what_is_not() {
    let setup = Setup::new("kdoctor").await;
    let nobody = doctor(&setup).await.printed();
    assert!(nobody.contains("✗ No operator runs"), "{nobody}");

    let mut operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    let green = doctor(&setup).await.ok();
    assert!(green.starts_with("✓ All is well: 1 resource"), "{green}");
    assert!(green.contains(&format!("operator {}/fg-operator led by", &*setup.home)));

    setup
        .create("scope", &json!({"scopes": ["flights:steal"]}))
        .await;
    setup.condition("scope", "Accepted", "False").await;
    let short: Secret = serde_json::from_value(json!({
        "metadata": {"name": "mine", "labels": {"flightgate.dev/credentials": "true"}},
        "stringData": {"client_id": "mine", "client_secret": "short"},
    }))
    .unwrap();
    let secrets = setup.credentials();
    secrets
        .create(&PostParams::default(), &short)
        .await
        .unwrap();
    let brings = json!({"secret": {"name": "mine", "existing": true}});
    setup.create("brings", &brings).await;
    setup.condition("brings", "Accepted", "False").await;
    let ill = doctor(&setup).await.printed();
    for part in [
        "is not Accepted (UnknownScope)",
        "→ kubectl edit oapp/scope",
        "`mine`, whose client_secret has 5 of at least 32 characters",
        "2 things are wrong",
    ] {
        assert!(ill.contains(part), "{part}\n{ill}");
    }

    // What runs repairs it at once; what does not run is what is wrong.
    operator.process.kill();
    secrets
        .delete("acme-credentials", &DeleteParams::default())
        .await
        .unwrap();
    let api = Api::<Lease>::namespaced(setup.client.clone(), &setup.home);
    let expired = json!({"spec": {"renewTime": "2026-01-02T03:04:05.000000Z"}});
    api.patch(
        "fg-operator",
        &PatchParams::default(),
        &Patch::Merge(&expired),
    )
    .await
    .unwrap();
    let gone = doctor(&setup).await.printed();
    for part in [
        "fg-operator does not run: it is held by",
        "its Secret `acme-credentials` is not there",
    ] {
        assert!(gone.contains(part), "{part}\n{gone}");
    }
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
    let none = api.list(&kube::api::ListParams::default()).await.unwrap();
    assert!(none.items.is_empty());
}
