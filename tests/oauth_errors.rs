//! Every error of the OAuth endpoints, provoked: status, body and headers.

use serde_json::json;

use crate::{
    browser::add_user,
    client::Answer,
    gateway::Gateway,
    grants::application,
    harness::{Credentials, Site},
    upstream::Upstream,
};

mod authorize;
mod bearer;
mod consent;
mod device;
mod token;

const TWO: &str = "  redirectUris: [\"https://a.example/cb\", \"https://b.example/cb\"]\n";

const NATIVE: &str = "  clientType: public\n  redirectUris: [\"http://127.0.0.1/cb\"]\n";

/// A gateway, and applications of every kind.
struct Place {
    _upstream: Upstream,
    site: Site,
    gateway: Gateway,
    /// With consent; PKCE is required.
    web: Credentials,
    /// PKCE is optional.
    lax: Credentials,
    /// As itself alone.
    machine: Credentials,
    /// By passkeys alone.
    pass: Credentials,
    /// On a device without a keyboard.
    tv: Credentials,
    /// Without a secret.
    native: Credentials,
    /// Everything that it gets lives for a second.
    brief: Credentials,
}

async fn place() -> Place {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        for scope in [
            json!({"name": "profile", "title": "See who you are", "claims": ["username"]}),
            json!({"name": "everything", "title": "Rule", "adminOnly": true}),
            json!({"name": "someday", "title": "Nothing yet", "reserved": true}),
        ] {
            site.config["scopes"].as_array_mut().unwrap().push(scope);
        }
        let profiles = &mut site.config["profiles"];
        profiles["lax"] = json!({"pkce": "optional", "invalidGrantStatus": 401});
        profiles["brief"] = json!({
            "accessTtl": "1s", "codeTtl": "1s", "deviceCodeTtl": "1s",
            "refresh": {"rotation": "singleUse", "ttl": "1s"},
        });
        let web = "authorization_code, refresh_token";
        let scopes = |scopes: &str| format!("  scopes: [{scopes}]\n");
        for (name, grants, more) in [
            ("web", web, String::new()),
            ("lax", web, "  profile: lax\n".to_owned()),
            ("pass", "passkey", String::new()),
            ("tv", "device_code, refresh_token", String::new()),
            (
                "brief",
                "authorization_code, refresh_token, device_code",
                "  profile: brief\n".to_owned(),
            ),
            ("two", web, TWO.to_owned()),
            ("native", web, NATIVE.to_owned()),
            ("ruler", web, scopes("everything")),
            ("knower", web, scopes("\"flights:read\", profile")),
        ] {
            site.manifest(name, &application(name, grants, &more));
        }
    })
    .await;
    add_user(&site, "anna", &["--subject", "pilot:anna"]).await;
    let of = |name: &str| site.credentials(name);
    let native = Credentials {
        id: site.client_id("native"),
        secret: String::new(),
        previous: None,
    };
    Place {
        web: of("web"),
        lax: of("lax"),
        machine: of("acme"),
        pass: of("pass"),
        tv: of("tv"),
        brief: of("brief"),
        native,
        _upstream: upstream,
        site,
        gateway,
    }
}

impl Place {
    /// The client is told of this error, at its own address and with all that
    /// belongs to it.
    fn is_told(&self, what: &str, answer: &Answer, to: &str, error: &str, state: Option<&str>) {
        assert_eq!(answer.status, 303, "{what}: {answer:?}");
        let location = answer.header("location").unwrap();
        assert!(
            location.starts_with(&format!("{to}?")),
            "{what}: {location}"
        );
        let url = url::Url::parse(location).unwrap();
        let all = |name: &str| {
            let pairs = url.query_pairs().filter(|(known, _)| known == name);
            pairs
                .map(|(_, value)| value.into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(all("error"), [error], "{what}: {location}");
        assert_eq!(all("iss"), [self.gateway.origin()], "{what}");
        assert_eq!(all("state"), Vec::from_iter(state), "{what}: {location}");
        assert_eq!(all("code"), [""; 0], "{what}");
        let [description] = &all("error_description")[..] else {
            panic!("{what}: {location}")
        };
        is_plain(what, description);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert!(answer.body.is_empty(), "{what}");
    }
}

/// The characters that a description may have (RFC 6749 sections 4.1.2.1, 5.2).
fn is_plain(what: &str, description: &str) {
    let may = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E);
    assert!(!description.is_empty(), "{what}");
    assert!(description.bytes().all(may), "{what}: {description}");
}

/// Nobody is sent anywhere, and the page neither links nor names the stranger.
fn is_page(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 400, "{what}: {answer:?}");
    assert_eq!(answer.header("location"), None, "{what}");
    assert_eq!(answer.header("refresh"), None, "{what}");
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{what}");
    assert!(!answer.text().contains("evil"), "{what}");
}

/// What a token endpoint answers.
fn is_refused(what: &str, answer: &Answer, status: u16, error: &str) {
    let found = (answer.status, &*answer.oauth_error());
    assert_eq!(found, (status, error), "{what}: {answer:?}");
    assert_eq!(answer.header("pragma"), Some("no-cache"), "{what}");
    let body = answer.json();
    is_plain(what, body["error_description"].as_str().unwrap());
    let names: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["error", "error_description"], "{what}");
    // RFC 9110 section 15.5.2; RFC 6749 section 5.2.
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    let expected = if status == 401 { "Basic realm=" } else { "" };
    assert!(challenge.starts_with(expected), "{what}: {challenge}");
    assert_eq!(challenge.is_empty(), status != 401, "{what}: {challenge}");
}
