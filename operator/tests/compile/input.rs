//! What is read, and what is said of it.

use std::{fs, path::Path};

use crds::contract::{Document, Resource};
use flightgate_operator::{
    compile::{self, Options},
    mint::System,
};
use jiff::Timestamp;

use crate::{ACME, ACME_FILE, ANNA, Bench, GATEWAY, HOOK};

#[test]
fn what_must_not_change_is_refused_and_nothing_is_written() {
    let rotating = format!("{ACME}  secret: {{name: acme-oauth}}\n");
    let bench = Bench::new(&[("all.yaml", &[rotating.as_str(), ANNA, HOOK].join("---\n"))]);
    bench.run().unwrap();
    let before = bench.snapshot();
    let device = "clientType: public\n  grantTypes: [device_code]";
    let changes = [
        (
            rotating.replace("grantTypes: [client_credentials]", device),
            "spec.clientType: who could keep a secret once",
        ),
        (
            rotating.replace("acme-oauth", "acme-other"),
            "spec.secret.name: credentials stay where",
        ),
        (
            rotating.replace("acme-oauth", "acme-oauth, existing: true"),
            "spec.secret.existing: made credentials and brought ones",
        ),
        (ACME.to_owned(), "spec.secret.name: credentials stay where"),
        (
            format!("{rotating}  gateway: other\n"),
            "spec.gateway: a resource stays with its gateway",
        ),
    ];
    for (changed, expected) in changes {
        bench.put("all.yaml", &[changed.as_str(), ANNA, HOOK].join("---\n"));
        let said = bench.refusals();
        assert!(said.contains(expected), "{said}");
    }
    bench.put(
        "all.yaml",
        &[
            rotating.as_str(),
            &ANNA.replace("pilot:anna", "pilot:bob"),
            HOOK,
        ]
        .join("---\n"),
    );
    assert!(
        bench
            .refusals()
            .contains("spec.subject: a key does not change hands")
    );
    let other = ACME.replace("name: acme", "name: other");
    bench.put(
        "all.yaml",
        &[
            rotating.as_str(),
            &other,
            ANNA,
            &HOOK.replace("{name: acme}", "{name: other}"),
        ]
        .join("---\n"),
    );
    assert!(
        bench
            .refusals()
            .contains("spec.applicationRef: a webhook stays with its application")
    );
    assert_eq!(bench.snapshot(), before);
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_place() {
    let bench = Bench::new(&[
        (
            "a.yaml",
            "# two documents\n---\nkind: x\n---\napiVersion: flightgate.dev/v1alpha1\nkind: OAuthApp\nmetadata: {name: a}\n",
        ),
        ("b/c.yml", "a: [1\nb: 2\n"),
        ("d.json", "{\"a\": }"),
        ("e.yaml", &ACME.replace("v1alpha1", "v1")),
        ("f.yaml", &ACME.replace("flights:read", "flights:reed")),
        (
            "g.yaml",
            "apiVersion: flightgate.dev/v1alpha1\nkind: ApiKey\nspec: {}\n",
        ),
        (
            "h.yaml",
            &ACME
                .replace(
                    "  displayName: Acme Soaring\n",
                    "  displayName: One\n  displayName: Two\n",
                )
                .replace("name: acme", "name: twice"),
        ),
        (
            "i.yaml",
            &ANNA.replace("namespace: partners", "namespace: Partners"),
        ),
        (
            "j.yaml",
            &ANNA.replace(
                "partners}",
                "partners, annotations: {flightgate.dev/rotate: true}}",
            ),
        ),
    ]);
    let output = bench.binary(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    let place = |file: &str| bench.path("manifests").join(file).display().to_string();
    for expected in [
        format!(
            "{}:3 (document 1): is no Kubernetes object: write apiVersion and kind",
            place("a.yaml")
        ),
        format!(
            "{}:5 (document 2): kind: there is no `OAuthApp` in flightgate.dev; there are OAuthApplication, ApiKey, Webhook",
            place("a.yaml")
        ),
        format!("{}:1: is not YAML: ", place("b/c.yml")),
        format!("{}:1: expected value at line 1 column 7", place("d.json")),
        format!(
            "{}:1: apiVersion: `flightgate.dev/v1` is not served; write flightgate.dev/v1alpha1",
            place("e.yaml")
        ),
        format!(
            "{}:1: OAuthApplication partners/acme: spec.scopes[0]: `flights:reed` is not in the scope catalogue",
            place("f.yaml")
        ),
        format!(
            "{}:1: ApiKey: metadata.name: Required value",
            place("g.yaml")
        ),
        format!(
            "{}:1: is not YAML: spec: duplicate entry with key \"displayName\"",
            place("h.yaml")
        ),
        format!(
            "{}:1: ApiKey Partners/anna: metadata.namespace: Invalid value: \"Partners\"",
            place("i.yaml")
        ),
        format!(
            "{}:1: ApiKey partners/anna: metadata.annotations: every value must be a string",
            place("j.yaml")
        ),
        "10 errors in 9 files; nothing was written".to_owned(),
    ] {
        assert!(
            said.contains(&expected),
            "missing: {expected}\nsaid:\n{said}"
        );
    }
    assert!(!bench.path("out").exists());
}

#[test]
fn files_of_each_kind_are_read_and_strangers_ignored_with_a_note() {
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {}\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {{name: x}}\n",
        ACME.trim_end().replace('\n', "\n  ")
    );
    let json = r#"{"apiVersion": "flightgate.dev/v1alpha1", "kind": "ApiKey", "metadata": {"name": "anna"},
        "spec": {"subject": "pilot:anna", "displayName": "Anna", "scopes": ["flights:read"]}}"#;
    let bench = Bench::new(&[
        ("list.yaml", &list),
        ("deep/er/anna.json", json),
        (
            "hook.yml",
            &format!("\u{feff}---\n# head\n---\n{HOOK}...\n"),
        ),
        (
            "secret.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: other}\nstringData: {password: x}\n",
        ),
        (
            "deployment.yaml",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\n",
        ),
        ("README.md", "not: [yaml"),
        (".hidden.yaml", "not: [yaml"),
    ]);
    let output = bench.binary(&["--namespace", "club"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    for (file, stranger) in [
        ("list.yaml:1 (item 1)", "ConfigMap (v1)"),
        ("deployment.yaml:1", "Deployment (apps/v1)"),
        ("secret.yaml:1", "a Secret that no OAuthApplication brings"),
    ] {
        let expected = format!("{file}: {stranger}");
        assert!(
            said.contains(&expected),
            "missing: {expected}\nsaid:\n{said}"
        );
    }
    for file in [
        ACME_FILE,
        "apikey.club.anna.json",
        "webhook.partners.flights.json",
    ] {
        bench.document(file);
    }
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.ends_with("3 resources: 3 created, 0 changed, 0 unchanged; 0 removed\n"),
        "{said}"
    );
}

#[test]
fn a_resource_that_stands_twice_is_refused() {
    let bench = Bench::new(&[("a.yaml", ACME), ("b.yaml", ACME)]);
    let said = bench.refusals();
    assert!(
        said.contains("b.yaml:1: OAuthApplication partners/acme: stands twice: it is at"),
        "{said}"
    );
    assert!(said.contains("a.yaml:1 already"), "{said}");
}

#[test]
fn a_webhook_of_a_refused_application_is_not_complained_about() {
    let wrong = ACME.replace("flights:read", "flights:reed");
    let bench = Bench::new(&[("a.yaml", &[wrong.as_str(), HOOK].join("---\n"))]);
    assert_eq!(bench.refusals().lines().count(), 2);
}

#[test]
fn a_gateway_yaml_that_is_wrong_is_refused_with_its_line() {
    let bench = Bench::new(&[("acme.yaml", ACME)]);
    fs::write(
        bench.path("gateway.yaml"),
        GATEWAY.replace("issuer:", "isuer:"),
    )
    .unwrap();
    let said = bench.refusals();
    assert!(
        said.contains("gateway.yaml: ") && said.contains("isuer"),
        "{said}"
    );
    fs::write(
        bench.path("gateway.yaml"),
        GATEWAY.replace("https://gateway", "http://gateway"),
    )
    .unwrap();
    assert!(bench.refusals().contains("is not https"));
}

#[test]
fn an_unknown_gateway_name_is_refused_unless_it_is_this_one() {
    let bench = Bench::new(&[("acme.yaml", &format!("{ACME}  gateway: edge\n"))]);
    let said = String::from_utf8(bench.binary(&[]).stderr).unwrap();
    assert!(
        said.contains("spec.gateway: there is no gateway `edge`"),
        "{said}"
    );
    assert!(bench.binary(&["--gateway", "edge"]).status.success());
}

#[test]
fn missing_folders_are_named() {
    let bench = Bench::new(&[]);
    fs::remove_dir(bench.path("manifests")).unwrap();
    let said = bench.refusals();
    assert!(
        said.contains("cannot read") && said.contains("manifests"),
        "{said}"
    );
}

/// Else a mistyped path would take away every client.
#[test]
fn a_folder_without_any_manifest_is_refused() {
    let bench = Bench::new(&[("acme.yaml", ACME)]);
    bench.run().unwrap();
    let before = bench.snapshot();
    bench.take_away("acme.yaml");
    assert!(
        bench
            .refusals()
            .contains("holds no *.yaml, *.yml or *.json file")
    );
    assert_eq!(bench.snapshot(), before);
    bench.put("none.yaml", "# There are no partners any more.\n");
    assert_eq!(bench.run().unwrap().removed, 1);
}

/// The one that `make demo` starts with.
#[test]
fn the_example_compiles() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/we-fly");
    let out = tempfile::tempdir().unwrap();
    let options = Options {
        manifests: example.join("manifests"),
        config: example.join("gateway.yaml"),
        out: out.path().to_owned(),
        namespace: "default".into(),
        gateway: "default".into(),
    };
    let report = compile::compile(&options, Timestamp::now(), &System).unwrap();
    assert_eq!((report.created, report.notes.len()), (6, 0));
    let bytes = fs::read(out.path().join("resources").join(ACME_FILE)).unwrap();
    let Resource::OauthApplication(acme) = Document::from_json(&bytes).unwrap().resource else {
        panic!()
    };
    assert!(acme.client_id.starts_with("wf_app_"));
    assert_eq!(acme.scopes, ["flights:read", "flights:write"]);
}
