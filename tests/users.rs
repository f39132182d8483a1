//! `flightgate-gateway user`, with a running gateway and without.

use std::{
    fs,
    io::Write,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::{
    gateway::Gateway,
    harness::{Site, eventually, program, said},
    upstream::Upstream,
};

const GOOD: &str = "five Pegasus over the Alps";
const SOCKET: &str = "keys/control.sock";

/// Runs `user` with these arguments and this on standard input.
fn user(site: &Site, arguments: &[&str], input: &str) -> Output {
    let mut child = command(site, arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Whoever does not read it need not.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn command(site: &Site, arguments: &[&str]) -> Command {
    let mut command = Command::new(program("flightgate-gateway"));
    command
        .arg("user")
        .args(arguments)
        .arg("--config")
        .arg(site.path("gateway.yaml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    assert_eq!(said(output), "");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    said(output)
}

fn users(site: &Site) -> Vec<Value> {
    serde_json::from_str(&done(&user(site, &["list", "-o", "json"], ""))).unwrap()
}

fn names(site: &Site) -> Vec<String> {
    let users = users(site);
    let names = users.iter().map(|user| user["username"].as_str());
    names.map(|name| name.unwrap().to_owned()).collect()
}

async fn site() -> Site {
    let upstream = Upstream::ok().await;
    let site = Site::new(upstream.address);
    site.compile();
    site
}

/// Everything that the command does, wherever it finds the store.
fn all(site: &Site, prefix: &str) {
    let name = |name: &str| format!("{prefix}{name}");
    let (anna, berta) = (name("Anna"), name("berta"));
    let subject = format!("pilot:{prefix}anna");
    let added = done(&user(
        site,
        &[
            "add",
            &anna,
            "--subject",
            &subject,
            "--email",
            "anna@example.org",
            "--verified",
            "--github-email",
            "anna@code.example",
            "--discord-username",
            "anna#1234",
            "--admin",
            "--plan",
            "standard",
            "--password-stdin",
        ],
        &format!("{GOOD}\n"),
    ));
    assert_eq!(added, format!("user {anna} added, subject {subject}\n"));
    let added = done(&user(site, &["add", &berta], ""));
    let made = added.lines().nth(1).unwrap();
    let made = made.strip_prefix("password: ").unwrap();
    assert_eq!(made.len(), 20, "{added}");

    let users = users(site);
    let of = |name: &str| users.iter().find(|user| user["username"] == name).unwrap();
    let shown = of(&anna);
    for (field, expected) in [
        ("subject", json!(subject)),
        ("email", json!("anna@example.org")),
        ("emailVerified", json!(true)),
        ("githubEmail", json!("anna@code.example")),
        ("discordUsername", json!("anna#1234")),
        ("plan", json!("standard")),
        ("admin", json!(true)),
        ("disabled", json!(false)),
        ("password", json!(true)),
    ] {
        assert_eq!(shown[field], expected, "{field}");
    }
    assert_eq!(of(&berta)["subject"], of(&berta)["id"]);
    let table = done(&user(site, &["list"], ""));
    assert!(table.starts_with("NAME"), "{table}");
    assert!(
        table.contains(&subject) && table.contains("admin"),
        "{table}"
    );
    for text in [&table, &format!("{users:?}")] {
        assert!(!text.contains("argon2") && !text.contains(made), "{text}");
    }

    let again = refused(&user(site, &["add", &anna.to_uppercase()], ""));
    assert!(again.contains("already: choose another name"), "{again}");
    for (what, before, after) in [
        ("disable", false, " disabled; all sessions have ended\n"),
        ("disable", true, " was disabled already\n"),
        ("enable", true, " enabled\n"),
        ("enable", false, " was enabled already\n"),
    ] {
        let shown = users_named(site, &berta);
        assert_eq!(shown["disabled"], before);
        let text = done(&user(site, &[what, &berta], ""));
        assert_eq!(text, format!("user {berta}{after}"));
    }
    let text = done(&user(site, &["reset", &berta, "--revoke-grants"], ""));
    assert!(text.contains("; 0 grants revoked\npassword: "), "{text}");
    assert!(!text.contains(made), "a new one each time");
    let text = done(&user(site, &["reset", &berta, "--password-stdin"], GOOD));
    assert_eq!(
        text,
        format!("password of {berta} reset; all sessions have ended\n")
    );

    for what in ["disable", "enable", "reset"] {
        let text = refused(&user(site, &[what, "nobody"], ""));
        assert!(text.contains("there is no user `nobody`"), "{text}");
    }
    for (name, password, expected) in [
        ("x", "short\n", "too short"),
        ("x", "password123\n", "first that people guess"),
        ("x", "", "expected a password on the first line"),
        (
            "x",
            &"x".repeat(1_000_000),
            "expected a password on the first line",
        ),
        ("x", "\n", "expected a password on the first line"),
        ("аnna", "long enough, this\n", "not a user name"),
    ] {
        let text = refused(&user(site, &["add", name, "--password-stdin"], password));
        assert!(text.contains(expected), "{text}");
    }
    let text = refused(&user(site, &["add", "x", "--plan", "gold"], ""));
    assert!(text.contains("a plan of gateway.yaml: default, "), "{text}");
    assert!(!names(site).contains(&"x".into()));
}

fn users_named(site: &Site, name: &str) -> Value {
    let users = users(site);
    users
        .into_iter()
        .find(|user| user["username"] == name)
        .unwrap()
}

#[tokio::test]
async fn users_are_kept_whether_a_gateway_runs_or_not() {
    let site = site().await;
    assert_eq!(names(&site), [""; 0]);
    all(&site, "a-");
    let gateway = site.start().await;
    all(&site, "b-");
    assert_eq!(names(&site), ["a-Anna", "a-berta", "b-Anna", "b-berta"]);
    assert!(!site.log().contains(GOOD) && !site.log().contains("argon2"));
    gateway.terminate();
    assert_eq!(gateway.ended().await.code(), Some(0), "{}", site.log());
    assert_eq!(names(&site), ["a-Anna", "a-berta", "b-Anna", "b-berta"]);
}

/// Only the gateway's own user may speak with it, and nothing is left behind.
#[tokio::test]
async fn the_socket_is_its_owners_alone_and_goes_with_the_gateway() {
    let site = site().await;
    let gateway = site.start().await;
    let metadata = fs::metadata(site.path(SOCKET)).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let left: Vec<_> = fs::read_dir(site.path("keys"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, [""; 0]);
    gateway.terminate();
    gateway.ended().await;
    assert!(!site.path(SOCKET).exists());
}

/// A gateway that was killed leaves its socket: neither the command nor the
/// next gateway minds.
#[tokio::test]
async fn a_stale_socket_is_in_nobodys_way() {
    let site = site().await;
    let gateway = site.start().await;
    gateway.kill();
    assert!(site.path(SOCKET).exists());
    done(&user(&site, &["add", "anna"], ""));
    let _gateway = site.start().await;
    assert_eq!(names(&site), ["anna"]);
    done(&user(&site, &["add", "berta"], ""));
}

/// A socket's address has room for 108 bytes.
#[tokio::test]
async fn a_long_path_to_the_keys_is_no_hindrance() {
    let mut site = site().await;
    let keys = format!("{0}/{0}/keys", "k".repeat(100));
    site.config["keys"]["path"] = json!(keys);
    site.compile();
    let _gateway = site.start().await;
    assert!(site.path(&keys).join("control.sock").exists());
    done(&user(&site, &["add", "anna"], ""));
    assert_eq!(names(&site), ["anna"]);
}

/// Commands that come at once wait for each other, with a gateway and without.
#[tokio::test]
async fn of_many_who_add_one_name_at_once_one_does() {
    let site = site().await;
    let at_once = |name: &str, own: &str| {
        let children: Vec<_> = (0..6)
            .map(|number| {
                let own = format!("{own}{number}");
                let name = if number % 2 == 0 { name } else { &own };
                command(&site, &["add", name]).spawn().unwrap()
            })
            .collect();
        let outputs = children.into_iter().map(Child::wait_with_output);
        let outputs: Vec<_> = outputs.map(Result::unwrap).collect();
        let added = outputs.iter().filter(|output| output.status.success());
        assert_eq!(added.count(), 4, "{outputs:?}");
    };
    at_once("anna", "x");
    let _gateway = site.start().await;
    at_once("berta", "y");
    assert_eq!(
        names(&site),
        ["anna", "berta", "x1", "x3", "x5", "y1", "y3", "y5"]
    );
}

/// The keys folder alone does not say which store is meant.
#[tokio::test]
async fn a_gateway_with_another_store_is_not_asked_by_mistake() {
    let mut site = site().await;
    let gateway = site.start().await;
    site.config["store"]["sled"]["path"] = json!("elsewhere");
    site.write_config();
    let text = refused(&user(&site, &["add", "anna"], ""));
    assert!(text.contains("has its store at "), "{text}");
    site.config["store"]["sled"]["path"] = json!("data");
    site.write_config();
    assert_eq!(names(&site), [""; 0]);
    drop(gateway);
}

/// What the command said was done survives a crash at any moment after.
#[tokio::test]
async fn an_added_user_survives_kill_9() {
    let site = site().await;
    let mut gateway: Gateway = site.start().await;
    let mut expected = Vec::new();
    for round in 0..8 {
        let name = format!("user-{round}");
        done(&user(&site, &["add", &name], ""));
        gateway.kill();
        expected.push(name);
        // By the command alone, and by the next gateway.
        assert_eq!(names(&site), expected);
        gateway = site.start().await;
        assert_eq!(names(&site), expected);
        if round % 2 == 1 {
            done(&user(&site, &["disable", &expected[round]], ""));
            gateway.kill();
            gateway = site.start().await;
            assert_eq!(users_named(&site, &expected[round])["disabled"], true);
        }
    }
}

/// A password never stands where other users of the host can read it.
#[tokio::test]
async fn no_password_is_taken_from_the_command_line() {
    let site = site().await;
    site.write_config();
    for arguments in [
        &["add", "anna", "--password", GOOD][..],
        &["add", "anna", GOOD],
        &["reset", "anna", "--password=x"],
    ] {
        let output = user(&site, arguments, "");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    let waiting = command(&site, &["add", "anna", "--password-stdin"]);
    let mut waiting = { waiting }.spawn().unwrap();
    let line = format!("/proc/{}/cmdline", waiting.id());
    eventually("the command runs", async || Path::new(&line).exists()).await;
    let mut stdin = waiting.stdin.take().unwrap();
    stdin.write_all(GOOD.as_bytes()).unwrap();
    let shown = fs::read(&line).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&shown).contains(GOOD));
    drop(stdin);
    done(&waiting.wait_with_output().unwrap());
}
