//! What is written, and what is left alone.

use std::{
    collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path, thread, time::Duration,
};

use crds::contract::{Resource, Sha256Hash};

use crate::{ACME, ACME_ENV, ACME_FILE, ANNA, Bench, HOOK};

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

/// Killed at any point, a run leaves only whole files, and the next one
/// completes it: who was given an identity and a secret keeps both.
#[test]
fn a_killed_run_is_completed_by_the_next() {
    let manifests: Vec<_> = (0..40)
        .map(|i| ACME.replace("name: acme", &format!("name: app-{i}")))
        .collect();
    let bench = Bench::new(&[("all.yaml", &manifests.join("---\n"))]);
    let mut given = BTreeMap::new();
    for round in 0..12 {
        let mut run = bench.command().spawn().unwrap();
        thread::sleep(Duration::from_millis(15 + 12 * round));
        run.kill().unwrap();
        run.wait().unwrap();
        let folder = bench.path("out/credentials");
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.starts_with('.') {
                continue;
            }
            let env = bench.env(&name);
            assert_eq!(env.len(), 4, "{name} is whole");
            let before = given.entry(name.clone()).or_insert_with(|| env.clone());
            assert_eq!(*before, env, "{name} is kept");
        }
    }
    let report = bench.run().unwrap();
    assert_eq!(
        report
            .lines
            .iter()
            .filter(|line| line.starts_with("OAuth"))
            .count(),
        40
    );
    for i in 0..40 {
        let env = bench.env(&format!("partners.app-{i}-credentials.env"));
        let file = format!("oauthapplication.partners.app-{i}.json");
        let Resource::OauthApplication(document) = bench.document(&file).resource else {
            panic!()
        };
        assert_eq!(document.client_id, env["CLIENT_ID"]);
        let sha256 = Sha256Hash::of(env["CLIENT_SECRET"].as_bytes());
        assert_eq!(document.secrets[0].sha256, sha256);
    }
    for (name, env) in given {
        assert_eq!(bench.env(&name), env);
    }
}
