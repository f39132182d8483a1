//! `flightgate-operator compile`, as its users see it: a folder in, a folder
//! out.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::SystemTime,
};

use crds::contract::{Document, Resource, Sha256Hash};
use flightgate_operator::{
    compile::{self, Failure, Options, Report},
    mint::System,
};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

const GATEWAY: &str = include_str!("manifests/gateway.yaml");

const ACME: &str = "\
apiVersion: flightgate.dev/v1alpha1
kind: OAuthApplication
metadata: {name: acme, namespace: partners}
spec:
  displayName: Acme Soaring
  grantTypes: [client_credentials]
  scopes: [\"flights:read\", \"flights:write\"]
";
const ANNA: &str = "\
apiVersion: flightgate.dev/v1alpha1
kind: ApiKey
metadata: {name: anna, namespace: partners}
spec:
  subject: pilot:anna
  displayName: Anna
  scopes: [\"flights:read\"]
  expiresAfter: 90d
";
const HOOK: &str = "\
apiVersion: flightgate.dev/v1alpha1
kind: Webhook
metadata: {name: flights, namespace: partners}
spec:
  applicationRef: {name: acme}
  url: https://acme.example/hooks
  events: [flight.uploaded]
";
const ACME_FILE: &str = "oauthapplication.partners.acme.json";
const ACME_ENV: &str = "partners.acme-credentials.env";

struct Bench {
    folder: TempDir,
    now: Timestamp,
}

impl Bench {
    fn new(manifests: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("manifests")).unwrap();
        fs::write(folder.path().join("gateway.yaml"), GATEWAY).unwrap();
        let bench = Self {
            folder,
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
        };
        for (name, text) in manifests {
            bench.put(name, text);
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.path("manifests").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn take_away(&self, name: &str) {
        fs::remove_file(self.path("manifests").join(name)).unwrap();
    }

    fn pass(&mut self, hours: i64) {
        self.now = self
            .now
            .checked_add(SignedDuration::from_hours(hours))
            .unwrap();
    }

    /// In this process, at the bench's time.
    fn run(&self) -> Result<Report, Failure> {
        let options = Options {
            manifests: self.path("manifests"),
            config: self.path("gateway.yaml"),
            out: self.path("out"),
            namespace: "default".into(),
            gateway: "default".into(),
        };
        compile::compile(&options, self.now, &System)
    }

    fn refusals(&self) -> String {
        self.run().unwrap_err().to_string()
    }

    fn binary(&self, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_flightgate-operator"))
            .arg("compile")
            .arg("--manifests")
            .arg(self.path("manifests"))
            .arg("--config")
            .arg(self.path("gateway.yaml"))
            .arg("--out")
            .arg(self.path("out"))
            .args(more)
            .output()
            .unwrap()
    }

    fn document(&self, file: &str) -> Document {
        Document::from_json(&fs::read(self.path("out/resources").join(file)).unwrap()).unwrap()
    }

    fn acme(&self) -> crds::contract::Application {
        match self.document(ACME_FILE).resource {
            Resource::OauthApplication(application) => application,
            other => panic!("{other:?}"),
        }
    }

    fn env(&self, file: &str) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.path("out/credentials").join(file)).unwrap();
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// Every file of the output, with its content and the time of its change.
    fn snapshot(&self) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
        fn walk(folder: &Path, files: &mut BTreeMap<PathBuf, (Vec<u8>, SystemTime)>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, files);
                } else {
                    let changed = fs::metadata(&path).unwrap().modified().unwrap();
                    files.insert(path.clone(), (fs::read(&path).unwrap(), changed));
                }
            }
        }
        let mut files = BTreeMap::new();
        walk(&self.path("out"), &mut files);
        files
    }
}

fn hash(secret: &str) -> Sha256Hash {
    Sha256Hash::of(secret.as_bytes())
}

#[test]
fn credentials_and_documents_fit_each_other() {
    let bench = Bench::new(&[("all.yaml", &[ACME, ANNA, HOOK].join("---\n"))]);
    let report = bench.run().unwrap();
    assert_eq!((report.created, report.changed, report.removed), (3, 0, 0));

    let acme = bench.acme();
    let env = bench.env(ACME_ENV);
    assert_eq!(env["CLIENT_ID"], acme.client_id);
    assert!(acme.client_id.starts_with("fg_app_") && acme.client_id.len() == 7 + 24);
    assert!(env["CLIENT_SECRET"].starts_with("fg_secret_"));
    assert_eq!(env["CLIENT_SECRET"].len(), 10 + 43 + 6);
    assert_eq!(acme.secrets.len(), 1);
    assert_eq!(acme.secrets[0].sha256, hash(&env["CLIENT_SECRET"]));
    assert_eq!(acme.secrets[0].created_at, bench.now);
    assert_eq!(env["ISSUER"], "https://gateway.example");
    assert_eq!(
        env["TOKEN_ENDPOINT"],
        "https://gateway.example/api/oauth/token"
    );
    assert!(!env.contains_key("PREVIOUS_CLIENT_SECRET"));

    let Resource::ApiKey(key) = bench.document("apikey.partners.anna.json").resource else {
        panic!()
    };
    let env = bench.env("partners.anna-api-key.env");
    assert_eq!(key.keys[0].sha256, hash(&env["API_KEY"]));
    assert_eq!(key.id, env["KEY_ID"]);
    let in_90_days = bench.now + SignedDuration::from_hours(24 * 90);
    assert_eq!(key.keys[0].expires_at, Some(in_90_days));

    let Resource::Webhook(hook) = bench.document("webhook.partners.flights.json").resource else {
        panic!()
    };
    let env = bench.env("partners.flights-webhook.env");
    assert_eq!(hook.client_id, acme.client_id);
    assert_eq!(
        hook.signing_secrets[0].secret.expose(),
        &env["WEBHOOK_SECRET"]
    );
    assert!(env["WEBHOOK_SECRET"].starts_with("whsec_"));
}

#[test]
fn a_second_run_changes_nothing() {
    let mut bench = Bench::new(&[("all.yaml", &[ACME, ANNA, HOOK].join("---\n"))]);
    bench.run().unwrap();
    let before = bench.snapshot();
    bench.pass(1);
    let report = bench.run().unwrap();
    assert_eq!(
        (report.created, report.changed, report.unchanged),
        (0, 0, 3)
    );
    assert_eq!(bench.snapshot(), before);
}

#[test]
fn all_that_is_secret_is_for_its_owner_alone() {
    let bench = Bench::new(&[("all.yaml", &[ACME, ANNA, HOOK].join("---\n"))]);
    bench.run().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bench.path("out/credentials")), 0o700);
    for path in bench.snapshot().keys() {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
    let path = bench.path("out/credentials").join(ACME_ENV);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    bench.run().unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn no_secret_is_ever_said_or_remembered() {
    let bench = Bench::new(&[("all.yaml", &[ACME, ANNA, HOOK].join("---\n"))]);
    let output = bench.binary(&[]);
    assert!(output.status.success());
    let mut said = String::from_utf8(output.stdout).unwrap();
    said.push_str(&String::from_utf8(output.stderr).unwrap());
    for (path, (bytes, _)) in bench.snapshot() {
        let is_for_the_holder = path.to_string_lossy().contains("/credentials/");
        let is_for_signing = path.to_string_lossy().contains("/resources/webhook");
        if !is_for_the_holder && !is_for_signing {
            said.push_str(&String::from_utf8(bytes).unwrap());
        }
    }
    for word in ["fg_secret_", "fg_pat_", "whsec_"] {
        assert!(!said.contains(word), "{word}");
    }
}

#[test]
fn lost_credentials_come_back_with_the_same_id_and_a_new_secret() {
    let mut bench = Bench::new(&[("acme.yaml", ACME)]);
    bench.run().unwrap();
    let old = bench.env(ACME_ENV);
    fs::remove_file(bench.path("out/credentials").join(ACME_ENV)).unwrap();
    bench.pass(1);
    let report = bench.run().unwrap();
    let new = bench.env(ACME_ENV);
    assert_eq!(new["CLIENT_ID"], old["CLIENT_ID"]);
    assert_ne!(new["CLIENT_SECRET"], old["CLIENT_SECRET"]);
    let acme = bench.acme();
    assert_eq!(acme.secrets.len(), 1);
    assert_eq!(acme.secrets[0].sha256, hash(&new["CLIENT_SECRET"]));
    assert!(
        report.notes[0].contains("The client secret was gone"),
        "{:?}",
        report.notes
    );
}

/// Also what a run leaves behind that is killed between its two writes.
#[test]
fn surviving_credentials_are_adopted() {
    for lost in [&["resources", "state"][..], &["resources"], &["state"]] {
        let bench = Bench::new(&[("all.yaml", &[ACME, ANNA, HOOK].join("---\n"))]);
        bench.run().unwrap();
        let files = [
            ACME_ENV,
            "partners.anna-api-key.env",
            "partners.flights-webhook.env",
        ];
        let old = files.map(|file| bench.env(file));
        for folder in lost {
            fs::remove_dir_all(bench.path("out").join(folder)).unwrap();
        }
        bench.run().unwrap();
        assert_eq!(files.map(|file| bench.env(file)), old, "without {lost:?}");
        let acme = bench.acme();
        assert_eq!(acme.client_id, old[0]["CLIENT_ID"]);
        assert_eq!(acme.secrets[0].sha256, hash(&old[0]["CLIENT_SECRET"]));
    }
}

#[test]
fn an_edited_secret_is_replaced_and_an_edited_id_repaired() {
    let bench = Bench::new(&[("acme.yaml", ACME)]);
    bench.run().unwrap();
    let path = bench.path("out/credentials").join(ACME_ENV);
    let old = bench.env(ACME_ENV);
    fs::write(&path, "CLIENT_ID=mine\nCLIENT_SECRET=hunter2\n").unwrap();
    bench.run().unwrap();
    let new = bench.env(ACME_ENV);
    assert_eq!(new["CLIENT_ID"], old["CLIENT_ID"]);
    assert!(new["CLIENT_SECRET"].starts_with("fg_secret_"));
    assert_eq!(bench.acme().secrets[0].sha256, hash(&new["CLIENT_SECRET"]));
}

#[test]
fn an_annotation_rotates_once_for_each_value() {
    let mut bench = Bench::new(&[("acme.yaml", ACME)]);
    bench.run().unwrap();
    let first = bench.env(ACME_ENV)["CLIENT_SECRET"].clone();

    let annotated = |value: &str| {
        ACME.replace(
            "partners}",
            &format!("partners, annotations: {{flightgate.dev/rotate: {value}}}}}"),
        )
    };
    bench.pass(1);
    bench.put("acme.yaml", &annotated("now"));
    bench.run().unwrap();
    let env = bench.env(ACME_ENV);
    let second = env["CLIENT_SECRET"].clone();
    assert_ne!(second, first);
    assert_eq!(env["PREVIOUS_CLIENT_SECRET"], first);
    let acme = bench.acme();
    assert_eq!(acme.secrets[0].sha256, hash(&second));
    assert_eq!(acme.secrets[1].sha256, hash(&first));
    let in_a_week = bench.now + SignedDuration::from_hours(24 * 7);
    assert_eq!(acme.secrets[1].expires_at, Some(in_a_week));

    let before = bench.snapshot();
    bench.pass(1);
    bench.run().unwrap();
    assert_eq!(bench.snapshot(), before, "the same value rotates once");

    bench.put("acme.yaml", ACME);
    bench.run().unwrap();
    assert_eq!(
        bench.env(ACME_ENV)["CLIENT_SECRET"],
        second,
        "to take it away rotates nothing"
    );

    bench.put("acme.yaml", &annotated("now"));
    bench.run().unwrap();
    let env = bench.env(ACME_ENV);
    assert_eq!(
        env["PREVIOUS_CLIENT_SECRET"], second,
        "to set it again rotates again"
    );

    let third = env["CLIENT_SECRET"].clone();
    bench.put("acme.yaml", &annotated("'2026-02-03'"));
    bench.run().unwrap();
    assert_eq!(
        bench.env(ACME_ENV)["PREVIOUS_CLIENT_SECRET"],
        third,
        "so does another value"
    );
}

/// A rotation that was written to the credentials but not to the document is
/// not done again: the partner would lose the secret that works.
#[test]
fn a_rotation_that_was_killed_half_way_is_completed() {
    let mut bench = Bench::new(&[("acme.yaml", ACME)]);
    bench.run().unwrap();
    let first = bench.env(ACME_ENV)["CLIENT_SECRET"].clone();
    let document = fs::read(bench.path("out/resources").join(ACME_FILE)).unwrap();
    bench.pass(1);
    let annotated = ACME.replace(
        "partners}",
        "partners, annotations: {flightgate.dev/rotate: now}}",
    );
    bench.put("acme.yaml", &annotated);
    bench.run().unwrap();
    let second = bench.env(ACME_ENV)["CLIENT_SECRET"].clone();
    fs::write(bench.path("out/resources").join(ACME_FILE), document).unwrap();

    bench.run().unwrap();
    let env = bench.env(ACME_ENV);
    assert_eq!(
        (&env["CLIENT_SECRET"], &env["PREVIOUS_CLIENT_SECRET"]),
        (&second, &first)
    );
    let acme = bench.acme();
    assert_eq!(acme.secrets.len(), 2);
    assert_eq!(acme.secrets[1].sha256, hash(&first));
    let in_a_week = bench.now + SignedDuration::from_hours(24 * 7);
    assert_eq!(acme.secrets[1].expires_at, Some(in_a_week));
}

#[test]
fn a_secret_rotates_when_it_is_due_and_the_old_one_goes_after_the_overlap() {
    let rotating = format!("{ACME}  secret: {{rotation: {{interval: 10d, overlap: 2d}}}}\n");
    let mut bench = Bench::new(&[("acme.yaml", &rotating)]);
    bench.run().unwrap();
    let first = bench.env(ACME_ENV)["CLIENT_SECRET"].clone();
    bench.pass(24 * 10 - 1);
    bench.run().unwrap();
    assert_eq!(bench.env(ACME_ENV)["CLIENT_SECRET"], first, "an hour early");

    bench.pass(1);
    bench.run().unwrap();
    let second = bench.env(ACME_ENV)["CLIENT_SECRET"].clone();
    assert_ne!(second, first);
    assert_eq!(bench.env(ACME_ENV)["PREVIOUS_CLIENT_SECRET"], first);
    assert_eq!(bench.acme().secrets.len(), 2);
    assert_eq!(
        bench.document(ACME_FILE).generation,
        1,
        "a rotation is no change of the spec"
    );

    bench.pass(47);
    bench.run().unwrap();
    assert_eq!(
        bench.acme().secrets.len(),
        2,
        "an hour before the overlap ends"
    );
    bench.pass(1);
    bench.run().unwrap();
    assert_eq!(bench.acme().secrets.len(), 1);
    assert!(!bench.env(ACME_ENV).contains_key("PREVIOUS_CLIENT_SECRET"));
    assert_eq!(bench.env(ACME_ENV)["CLIENT_SECRET"], second);
}

#[test]
fn a_changed_spec_is_a_new_generation_with_the_same_credentials() {
    let bench = Bench::new(&[("acme.yaml", ACME)]);
    bench.run().unwrap();
    let env = bench.env(ACME_ENV);
    bench.put("acme.yaml", &ACME.replace("Acme Soaring", "Acme Gliding"));
    let report = bench.run().unwrap();
    assert_eq!(report.changed, 1);
    assert_eq!(bench.document(ACME_FILE).generation, 2);
    assert_eq!(bench.acme().display_name, "Acme Gliding");
    assert_eq!(bench.env(ACME_ENV), env);
}

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
fn a_resource_that_is_gone_stops_working_and_comes_back_with_its_identity() {
    let bench = Bench::new(&[("acme.yaml", ACME), ("anna.yaml", ANNA)]);
    bench.run().unwrap();
    let env = bench.env(ACME_ENV);
    bench.take_away("acme.yaml");
    let report = bench.run().unwrap();
    assert_eq!((report.removed, report.unchanged), (1, 1));
    assert!(!bench.path("out/resources").join(ACME_FILE).exists());
    assert_eq!(bench.env(ACME_ENV), env);
    bench.put("acme.yaml", ACME);
    bench.run().unwrap();
    assert_eq!(bench.env(ACME_ENV), env);
    assert_eq!(bench.acme().client_id, env["CLIENT_ID"]);
}

#[test]
fn an_orphan_lives_on_without_its_manifest() {
    let orphan = format!("{ACME}  deletionPolicy: Orphan\n");
    let bench = Bench::new(&[("acme.yaml", &orphan), ("anna.yaml", ANNA)]);
    bench.run().unwrap();
    let before = bench.snapshot();
    bench.take_away("acme.yaml");
    let report = bench.run().unwrap();
    assert_eq!(report.removed, 0);
    assert!(
        report.notes[0].contains("deletionPolicy Orphan"),
        "{:?}",
        report.notes
    );
    bench.put("acme.yaml", &orphan);
    bench.run().unwrap();
    assert_eq!(bench.snapshot(), before);
}

#[test]
fn a_file_that_is_not_ours_is_left_alone() {
    let bench = Bench::new(&[("acme.yaml", ACME)]);
    bench.run().unwrap();
    let stranger = bench.path("out/resources/readme.json");
    fs::write(&stranger, "{}").unwrap();
    bench.run().unwrap();
    assert!(stranger.exists());
}

#[test]
fn brought_credentials_are_read_and_never_written() {
    let brought = format!("{ACME}  secret: {{name: mine, existing: true}}\n");
    let bench = Bench::new(&[("acme.yaml", &brought)]);
    assert!(bench.refusals().contains("there is no Secret `mine`"));
    let folder = bench.path("out/credentials");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("partners.mine.env");
    let text = "# by hand\nexport CLIENT_ID=\"my-client\"\nCLIENT_SECRET='0123456789abcdef0123456789abcdef'\n";
    fs::write(&file, text).unwrap();
    bench.run().unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let acme = bench.acme();
    assert_eq!(acme.client_id, "my-client");
    assert_eq!(
        acme.secrets[0].sha256,
        hash("0123456789abcdef0123456789abcdef")
    );
    let before = bench.snapshot();
    bench.run().unwrap();
    assert_eq!(bench.snapshot(), before);

    fs::write(&file, text.replace("abcdef'", "ABCDEF'")).unwrap();
    bench.run().unwrap();
    assert_eq!(bench.acme().secrets.len(), 1);
    assert_eq!(
        bench.acme().secrets[0].sha256,
        hash("0123456789abcdef0123456789ABCDEF")
    );

    fs::write(&file, text.replace("my-client", "another")).unwrap();
    assert!(
        bench
            .refusals()
            .contains("another client_id than `my-client`, which never changes")
    );
    let said = bench.refusals();
    assert!(!said.contains("0123456789abcdef"), "{said}");
}

#[test]
fn a_secret_among_the_manifests_is_brought_too() {
    let brought = format!("{ACME}  secret: {{name: mine, existing: true}}\n");
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: mine, namespace: partners}\ndata: {client_id: bXktY2xpZW50, client_secret: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=}\n";
    let bench = Bench::new(&[("acme.yaml", &brought), ("secret.yaml", secret)]);
    bench.run().unwrap();
    assert_eq!(bench.acme().client_id, "my-client");
    assert!(!bench.path("out/credentials").exists());
}

#[test]
fn two_clients_with_one_id_are_refused() {
    let one = format!("{ACME}  secret: {{name: mine, existing: true}}\n");
    let two = one
        .replace("name: acme", "name: other")
        .replace("name: mine", "name: theirs");
    let secret = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: partners}}\nstringData: {{client_id: same, client_secret: 0123456789abcdef0123456789abcdef}}\n"
        )
    };
    let bench = Bench::new(&[(
        "a.yaml",
        &[one, two, secret("mine"), secret("theirs")].join("---\n"),
    )]);
    let said = bench.refusals();
    assert!(
        said.contains("client_id `same` is already that of OAuthApplication partners/acme"),
        "{said}"
    );
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
fn an_error_leaves_an_earlier_output_as_it_is() {
    let bench = Bench::new(&[("acme.yaml", ACME)]);
    bench.run().unwrap();
    let before = bench.snapshot();
    bench.put("acme.yaml", &ACME.replace("Acme Soaring", "Acme Gliding"));
    bench.put("anna.yaml", &ANNA.replace("flights:read", "flights:delete"));
    assert!(
        bench
            .refusals()
            .contains("is destructive, and API keys never carry such scopes")
    );
    assert_eq!(bench.snapshot(), before);
}

#[test]
fn a_second_compile_at_the_same_time_is_refused() {
    let bench = Bench::new(&[("acme.yaml", ACME)]);
    bench.run().unwrap();
    let lock = fs::File::open(bench.path("out/.lock")).unwrap();
    lock.lock().unwrap();
    assert!(
        bench
            .refusals()
            .contains("another compile is writing to this folder")
    );
    drop(lock);
    bench.run().unwrap();
}

#[test]
fn a_temporary_file_of_a_killed_run_is_in_nobodys_way() {
    let bench = Bench::new(&[("acme.yaml", ACME)]);
    let folder = bench.path("out/credentials");
    fs::create_dir_all(&folder).unwrap();
    let stale = folder.join(format!(".{ACME_ENV}.tmp"));
    fs::write(&stale, "CLIENT_ID=half").unwrap();
    bench.run().unwrap();
    assert!(!stale.exists());
    assert!(bench.acme().client_id.starts_with("fg_app_"));
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
