//! `gateway.yaml` and the command line: what is wrong is said in a sentence that
//! says where.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::harness::{Site, program, said};

const NOWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 9);

fn site() -> Site {
    Site::new(SocketAddr::from(NOWHERE))
}

fn check(site: &Site) -> Output {
    let path = site.path("gateway.yaml");
    let mut command = Command::new(program("flightgate-gateway"));
    command
        .arg("check")
        .arg("--config")
        .arg(path)
        .output()
        .unwrap()
}

/// What `check` says to the configuration with one thing changed.
fn complaint(pointer: &str, value: Value) -> String {
    let mut site = site();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let place = match site.config.pointer_mut(parent).unwrap() {
        Value::Array(items) => &mut items[key.parse::<usize>().unwrap()],
        object => &mut object[key],
    };
    *place = value;
    site.write_config();
    let output = check(&site);
    let said = said(&output);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{pointer} was accepted: {said}"
    );
    said
}

#[test]
fn a_good_configuration_is_called_good_and_nothing_is_made() {
    let site = site();
    site.write_config();
    let output = check(&site);
    assert!(output.status.success(), "{}", said(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("gateway.yaml is good"), "{said}");
    for made in ["data", "keys"] {
        assert!(!site.path(made).exists(), "{made}");
    }
}

/// A typo is found before it means a default.
#[test]
fn an_unknown_key_is_refused_with_line_and_column() {
    let site = site();
    let path = site.write_config();
    let good = fs::read_to_string(&path).unwrap();
    for (text, key) in [
        (format!("{good}isuer: x\n"), "isuer"),
        (format!("{good}limits:\n  headerKb: 3\n"), "headerKb"),
        (good.replace("accessTtl:", "acessTtl:"), "acessTtl"),
        (good.replace("upstream:", "upstraem:"), "upstraem"),
    ] {
        assert_ne!(text, good);
        let line = text.lines().position(|line| line.contains(key)).unwrap() + 1;
        fs::write(&path, text).unwrap();
        let output = check(&site);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("gateway.yaml") && said.contains(key),
            "{said}"
        );
        // A missing key is found where its list entry begins.
        let near = (line.saturating_sub(8)..=line + 1)
            .any(|line| said.contains(&format!("line {line} column ")));
        assert!(near, "{key} stands in line {line}: {said}");
    }
}

#[test]
fn what_does_not_fit_together_is_named_by_its_place() {
    let quota =
        json!([{"name": "x", "limit": 1, "per": "1m", "by": "application", "class": "none"}]);
    let twice = json!([{"standard": {"base": "/oauth"}}, {"standard": {"base": "/oauth"}}]);
    for (pointer, value, expected) in [
        ("/issuer", json!("http://localhost"), "issuer: "),
        ("/issuer", json!("https://localhost?x=1"), "issuer: "),
        ("/issuer", json!("https://user:pass@localhost"), "issuer: "),
        ("/prefixes/access", json!("wf-at-"), "prefixes.access: "),
        ("/prefixes/refresh", json!("wf_at_"), "prefixes.refresh: "),
        ("/tls", json!({}), "tls"),
        ("/tls", json!({"certificate": "tls.crt"}), "tls"),
        (
            "/tls",
            json!({"certificate": "a", "key": "b", "selfSigned": true}),
            "tls",
        ),
        (
            "/surfaces/0/standard/base",
            json!("oauth/"),
            "surfaces[0].standard.base: ",
        ),
        ("/surfaces", twice, "surfaces[1].standard.base: "),
        ("/scopes/0/name", json!("a b"), "scopes[0].name: "),
        ("/scopes/1/name", json!("flights:read"), "scopes[1].name: "),
        (
            "/profiles/default/refresh",
            json!({"rotation": "grace"}),
            "profiles.default.refresh.window: ",
        ),
        (
            "/profiles/default/accessTtl",
            json!("5ms"),
            "profiles.default.accessTtl: ",
        ),
        (
            "/profiles/default/clientAuth",
            json!([]),
            "profiles.default.clientAuth: ",
        ),
        (
            "/plans/standard/quotas",
            quota,
            "plans.standard.quotas[0].class: ",
        ),
        ("/routes/0/path", json!("api"), "routes[0].path: "),
        ("/routes/0/methods", json!([]), "routes[0].methods: "),
        (
            "/routes/0/methods",
            json!(["get"]),
            "routes[0].methods[0]: ",
        ),
        (
            "/routes/0/methods",
            json!(["CONNECT"]),
            "routes[0].methods[0]: ",
        ),
        (
            "/routes/2/methods",
            json!(["GET"]),
            "routes[2].methods[0]: ",
        ),
        (
            "/routes/0/scopes",
            json!(["flights:fly"]),
            "routes[0].scopes[0]: ",
        ),
        (
            "/routes/0/upstream",
            json!("https://127.0.0.1:1"),
            "routes[0].upstream: ",
        ),
        (
            "/routes/0/upstream",
            json!("http://127.0.0.1:1/path"),
            "routes[0].upstream: ",
        ),
        ("/routes/0/path", json!("/api/v1/{id"), "routes"),
        ("/routes/2/path", json!("/api/oauth/token"), "routes"),
        ("/limits", json!({"headerKib": 1}), "limits.headerKib: "),
        ("/limits", json!({"connections": 0}), "limits.connections: "),
        (
            "/store",
            json!({"sled": {"path": "data", "cacheMib": 0}}),
            "store.sled.cacheMib: ",
        ),
    ] {
        let said = complaint(pointer, value.clone());
        assert!(said.contains(expected), "{pointer} {value}: {said}");
    }
}

/// Nobody likes to mend one thing after the other.
#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let mut site = site();
    site.config["issuer"] = json!("http://localhost");
    site.config["routes"][0]["scopes"] = json!(["flights:fly"]);
    site.config["limits"] = json!({"headerKib": 1});
    site.write_config();
    let output = check(&site);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1));
    for expected in [
        "3 things to mend",
        "issuer: ",
        "routes[0].scopes[0]: ",
        "limits.headerKib: ",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_in_one_sentence() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    for listener in ["public", "admin", "internal"] {
        let mut site = site();
        site.compile();
        site.config["listen"][listener] = json!(address.to_string());
        let output = site.start_in_vain().await;
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let last = said.lines().last().unwrap();
        let expected = format!("listen.{listener} {address} is taken by another process");
        assert!(last.contains(&expected), "{said}");
    }
}

/// A port is not shared with another gateway unnoticed, as `SO_REUSEPORT`
/// would have it.
#[tokio::test]
async fn the_port_of_a_running_gateway_is_taken() {
    let (_first, gateway) = Site::running(SocketAddr::from(NOWHERE)).await;
    let mut site = site();
    site.compile();
    site.config["listen"]["public"] = json!(gateway.public.to_string());
    let output = site.start_in_vain().await;
    assert!(
        said(&output).contains("is taken by another process"),
        "{}",
        said(&output)
    );
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let site = site();
    let output = site.start_in_vain().await;
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains(&*site.resources().to_string_lossy()),
        "{text}"
    );
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("flightgate-gateway: "))
            .count(),
        1,
        "{text}"
    );

    fs::remove_file(site.path("gateway.yaml")).unwrap();
    let output = check(&site);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("gateway.yaml"), "{}", said(&output));

    let mut site = self::site();
    site.compile();
    site.config["tls"] = json!({"certificate": "missing.crt", "key": "missing.key"});
    let output = site.start_in_vain().await;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("missing.crt"), "{}", said(&output));
}
