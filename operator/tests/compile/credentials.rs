//! Secrets: made, found again, rotated, brought.

use std::fs;

use crds::contract::{Resource, Sha256Hash};
use jiff::SignedDuration;

use crate::{ACME, ACME_ENV, ACME_FILE, ANNA, Bench, GATEWAY, HOOK};

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

/// It might still serve, or be somebody's own that lacks `existing: true`.
#[test]
fn a_credentials_file_of_another_is_refused() {
    let orphan = format!("{ACME}  deletionPolicy: Orphan\n");
    let bench = Bench::new(&[("acme.yaml", &orphan)]);
    bench.run().unwrap();
    let before = bench.snapshot();
    bench.take_away("acme.yaml");
    let thief = ACME.replace("name: acme", "name: thief");
    let key = ANNA.replace("  expiresAfter: 90d", "  secret: {name: acme-credentials}");
    for manifest in [
        format!("{thief}  secret: {{name: acme-credentials}}\n"),
        key,
    ] {
        bench.put("thief.yaml", &manifest);
        let said = bench.refusals();
        let expected = "the Secret `acme-credentials` is there already and is that of OAuthApplication partners/acme";
        assert!(said.contains(expected), "{said}");
        assert_eq!(bench.snapshot(), before);
    }

    let mine = bench.path("out/credentials/partners.mine.env");
    fs::write(&mine, "CLIENT_ID=mine\n").unwrap();
    bench.put("thief.yaml", &format!("{thief}  secret: {{name: mine}}\n"));
    let said = bench.refusals();
    assert!(
        said.contains("the Secret `mine` is there already and was not made by Flightgate"),
        "{said}"
    );
}

/// Partners would stand before closed doors on the day that somebody tidies up
/// the prefixes.
#[test]
fn a_new_prefix_is_for_new_secrets() {
    let bench = Bench::new(&[("all.yaml", &[ACME, ANNA].join("---\n"))]);
    bench.run().unwrap();
    let files = [ACME_ENV, "partners.anna-api-key.env"];
    let old = files.map(|file| bench.env(file));
    let prefixes = "prefixes: {client: new_app_, secret: new_secret_, apiKey: new_pat_}\n";
    fs::write(bench.path("gateway.yaml"), format!("{GATEWAY}{prefixes}")).unwrap();
    bench.run().unwrap();
    assert_eq!(files.map(|file| bench.env(file)), old);
    let annotated = ACME.replace(
        "partners}",
        "partners, annotations: {flightgate.dev/rotate: now}}",
    );
    bench.put("all.yaml", &[annotated.as_str(), ANNA].join("---\n"));
    bench.run().unwrap();
    let env = bench.env(ACME_ENV);
    assert!(env["CLIENT_SECRET"].starts_with("new_secret_"));
    assert_eq!(env["PREVIOUS_CLIENT_SECRET"], old[0]["CLIENT_SECRET"]);
    let before = bench.snapshot();
    bench.run().unwrap();
    assert_eq!(bench.snapshot(), before);
}
