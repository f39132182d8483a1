//! Clients that others wrote, and a real browser, through every flow.

use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    browser::{PASSWORD, add_user},
    gateway::Gateway,
    harness::{Credentials, Site, within},
    upstream::Upstream,
};

/// A gateway with applications of every kind, and one pilot, Anna.
pub(crate) struct Programme {
    pub(crate) site: Site,
    pub(crate) gateway: Gateway,
    /// Where browsers are sent back to.
    pub(crate) callback: Upstream,
    _api: Upstream,
}

impl Programme {
    /// Starts it.
    pub(crate) async fn start() -> Self {
        let (api, callback) = (Upstream::ok().await, Upstream::ok().await);
        let (site, gateway) = Site::running_with(api.address, |site| {
            let scopes = site.config["scopes"].as_array_mut().unwrap();
            scopes.push(json!({
                "name": "profile", "title": "See your user name", "claims": ["username"],
            }));
            site.config["profiles"]["passkeys"] = json!({"pkce": "optional"});
            let surfaces = site.config["surfaces"].as_array_mut().unwrap();
            surfaces.push(json!({"logbook": {"base": "/logbook"}}));
            for (name, manifest) in applications(callback.address.port()) {
                site.manifest(name, &manifest);
            }
        })
        .await;
        add_user(&site, "anna", &["--subject", "pilot:anna"]).await;
        Self {
            site,
            gateway,
            callback,
            _api: api,
        }
    }

    /// The confidential application's redirect URI.
    pub(crate) fn redirect(&self) -> String {
        format!("http://127.0.0.1:{}/cb", self.callback.address.port())
    }

    /// What a script has to know.
    fn settings(&self) -> Value {
        let Credentials { id, secret, .. } = self.site.credentials("web");
        let logbook = self.site.credentials("diary");
        json!({
            "issuer": self.gateway.origin(),
            "user": "anna",
            "password": PASSWORD,
            "web": {"id": id, "secret": secret, "redirect": self.redirect()},
            "native": {"id": self.site.client_id("native"), "redirect": self.redirect()},
            "television": {"id": self.site.client_id("television")},
            "diary": {"id": logbook.id, "secret": logbook.secret, "redirect": self.redirect()},
        })
    }

    /// Runs a script of `clients/` to its end; none where that cannot be.
    async fn run(&self, script: &str) -> Option<Output> {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/run.sh"));
        command
            .arg(script)
            .env("NODE_EXTRA_CA_CERTS", self.site.path("keys/ca.crt"))
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let settings = self.settings().to_string();
        // A script that is skipped reads nothing.
        let _ = stdin.write_all(settings.as_bytes()).await;
        drop(stdin);
        let output = within(script, child.wait_with_output()).await.unwrap();
        (output.status.code() != Some(77)).then_some(output)
    }

    /// Runs a script that keeps these promises.
    #[expect(clippy::print_stderr, reason = "says why it is skipped")]
    async fn keeps(&self, script: &str, needs: &str, promises: &[&str]) {
        let Some(output) = self.run(script).await else {
            eprintln!("skipped: there is no {needs}");
            return;
        };
        let said = String::from_utf8_lossy(&output.stdout);
        let kept: Vec<_> = said.lines().collect();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(kept, promises, "{complaint}\n{}", self.site.log());
        assert!(output.status.success(), "{complaint}");
    }
}

fn applications(port: u16) -> [(&'static str, String); 4] {
    let manifest = |name: &str, display: &str, spec: &str| {
        format!(
            "apiVersion: flightgate.dev/v1alpha1\nkind: OAuthApplication\n\
             metadata: {{name: {name}, namespace: partners}}\nspec:\n  displayName: {display}\n\
             {spec}\n"
        )
    };
    let back = format!("  redirectUris: [\"http://127.0.0.1:{port}/cb\"]\n");
    [
        (
            "web",
            manifest(
                "web",
                "Acme Logbook",
                &format!(
                    "  description: Keeps all of your flights in one place.\n\
                     \x20 homepageUrl: https://logbook.example\n{back}\
                     \x20 grantTypes: [authorization_code, refresh_token, client_credentials]\n\
                     \x20 scopes: [\"flights:read\", \"flights:write\", \"profile\"]"
                ),
            ),
        ),
        (
            "native",
            manifest(
                "native",
                "Pocket Variometer",
                "  clientType: public\n\
                 \x20 redirectUris: [\"http://127.0.0.1/cb\"]\n\
                 \x20 grantTypes: [authorization_code, refresh_token]\n\
                 \x20 scopes: [\"flights:read\", \"flights:write\", \"profile\"]",
            ),
        ),
        (
            "television",
            manifest(
                "television",
                "Clubhouse Screen",
                "  clientType: public\n\
                 \x20 grantTypes: [device_code, refresh_token]\n\
                 \x20 scopes: [\"flights:read\", \"profile\"]",
            ),
        ),
        (
            "diary",
            manifest(
                "diary",
                "Diary of an Airliner",
                &format!(
                    "{back}  grantTypes: [passkey, refresh_token]\n  profile: passkeys\n\
                     \x20 scopes: [\"flights:read\"]"
                ),
            ),
        ),
    ]
}

/// oauth4webapi validates what it is answered more strictly than most: issuer,
/// `iss`, state, types, status and challenges (RFC 8414, 9207, 6749, 6750).
#[tokio::test]
async fn oauth4webapi_completes_every_flow() {
    let programme = Programme::start().await;
    let promises = [
        "discovery",
        "authorization_code confidential",
        "authorization_code confidential",
        "authorization_code public",
        "authorization errors",
        "client_credentials",
        "device_code",
    ];
    let needs = "npm, or no Node.js 20 or newer (Debian: nodejs, npm)";
    programme.keeps("flows.mjs", needs, &promises).await;
}

/// Chromium applies the policies that only a browser knows: `form-action` to
/// redirects, cookie prefixes, fetch metadata.
#[tokio::test]
async fn chromium_shows_every_page_without_javascript() {
    let programme = Programme::start().await;
    let promises = [
        "sign-in",
        "consent",
        "denial",
        "public client",
        "device",
        "account",
        "passkey",
        "password",
        "disconnect",
        "sign-out",
    ];
    let needs = "Chromium, npm, or no Node.js 20 or newer (Debian: chromium, nodejs, npm)";
    programme.keeps("chromium.mjs", needs, &promises).await;
}
