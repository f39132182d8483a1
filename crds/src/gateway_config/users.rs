//! `users` of `gateway.yaml`: who may sign in, where, and for how long.

use std::{collections::HashSet, path::PathBuf};

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::check::Problems;
use crate::period::Period;

/// Who may sign in, where, and for how long.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Users {
    /// Whether users sign in with a password here.
    pub local: bool,
    /// How long a session lasts, however much it is used.
    pub session_ttl: Period,
    /// How long a session lasts that nobody uses.
    pub session_idle: Period,
    /// Where else users sign in.
    pub providers: Vec<Provider>,
}

impl Default for Users {
    fn default() -> Self {
        Self {
            local: true,
            session_ttl: Period::hours(12),
            session_idle: Period::hours(1),
            providers: Vec::new(),
        }
    }
}

/// An OpenID Connect provider.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provider {
    /// Its name in paths: lower case letters, digits and `-`.
    pub name: String,
    /// What the sign-in page calls it.
    pub title: String,
    /// Its issuer identifier, exactly as its metadata has it: a slash at the
    /// end counts.
    pub issuer: String,
    /// The client id that it gave to this gateway.
    pub client_id: String,
    /// A file with the client secret; read whenever it is needed.
    pub client_secret_file: PathBuf,
    /// What is asked for; `openid` is among them.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
    /// A PEM file with the certificates to trust, in the place of the system's.
    #[serde(default)]
    pub certificate_authority: Option<PathBuf>,
    /// The claim that new users get their name from.
    #[serde(default = "default_username_claim")]
    pub username_claim: String,
    /// By which claim users are administrators.
    #[serde(default)]
    pub admins: Option<Admins>,
}

/// By which claim users are administrators: it is the value, or a list with the
/// value in it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Admins {
    /// Its name.
    pub claim: String,
    /// The value.
    pub value: String,
}

fn default_scopes() -> Vec<String> {
    ["openid", "email", "profile"].map(String::from).into()
}

fn default_username_claim() -> String {
    "preferred_username".into()
}

impl Users {
    pub(super) fn check(&self, problems: &mut Problems) {
        if self.session_ttl.as_secs() < 60 {
            problems.push("users.sessionTtl", "shorter than one minute");
        }
        if self.session_idle.as_secs() < 60 {
            problems.push("users.sessionIdle", "shorter than one minute");
        }
        let (mut names, mut issuers) = (HashSet::new(), HashSet::new());
        for (i, provider) in self.providers.iter().enumerate() {
            let path = format!("users.providers[{i}]");
            provider.check(&path, problems);
            if !names.insert(&provider.name) {
                problems.push(
                    format!("{path}.name"),
                    format!("`{}` stands twice", provider.name),
                );
            }
            if !issuers.insert(&provider.issuer) {
                problems.push(
                    format!("{path}.issuer"),
                    format!("`{}` stands in an earlier provider too", provider.issuer),
                );
            }
        }
    }
}

impl Provider {
    fn check(&self, path: &str, problems: &mut Problems) {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=32).contains(&self.name.len()) || !self.name.bytes().all(plain) {
            problems.push(
                format!("{path}.name"),
                format!(
                    "`{}`: expected 1 to 32 lower case letters, digits and `-`",
                    self.name
                ),
            );
        }
        if self.title.trim().is_empty() {
            problems.push(
                format!("{path}.title"),
                "empty: expected what the sign-in page calls the provider",
            );
        }
        let Ok(issuer) = Url::parse(&self.issuer) else {
            problems.push(
                format!("{path}.issuer"),
                format!(
                    "`{}`: expected a URL such as https://id.example.org",
                    self.issuer
                ),
            );
            return;
        };
        if issuer.scheme() != "https" && !(issuer.scheme() == "http" && is_loopback(&issuer)) {
            problems.push(
                format!("{path}.issuer"),
                "not https: plain http is for a provider on this very host",
            );
        }
        let bare = issuer.query().is_none()
            && issuer.fragment().is_none()
            && issuer.username().is_empty()
            && issuer.password().is_none();
        if !bare {
            problems.push(
                format!("{path}.issuer"),
                "expected scheme, host, port and path alone (OpenID Connect Discovery section 3)",
            );
        }
        if self.client_id.is_empty() {
            problems.push(
                format!("{path}.clientId"),
                "empty: expected the id that the provider gave to this gateway",
            );
        }
        if !self.scopes.iter().any(|scope| scope == "openid") {
            problems.push(
                format!("{path}.scopes"),
                "`openid` is missing (OpenID Connect Core section 3.1.2.1)",
            );
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::GatewayConfig;

    const BASE: &str = "\
issuer: https://api.example.org
tls: {selfSigned: true}
store: {sled: {path: data}}
";

    fn problems(users: &str) -> Vec<String> {
        let config = GatewayConfig::from_yaml(&format!("{BASE}users: {users}\n")).unwrap();
        config.check().iter().map(ToString::to_string).collect()
    }

    const CORP: &str = "name: corp, title: Corp, clientId: fg, clientSecretFile: secret";

    #[test]
    fn providers_are_complete_by_their_defaults() {
        for issuer in [
            "https://id.example.org/realm",
            "http://127.0.0.1:4000",
            "http://localhost:4000",
            "http://[::1]:4000",
        ] {
            let users = format!("{{providers: [{{{CORP}, issuer: \"{issuer}\"}}]}}");
            assert_eq!(problems(&users), [""; 0]);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (users, expected) in [
            ("{sessionTtl: 1s}", "users.sessionTtl: shorter"),
            ("{sessionIdle: 1s}", "users.sessionIdle: shorter"),
            (
                &format!("{{providers: [{{{CORP}, issuer: \"http://id.example.org\"}}]}}"),
                "users.providers[0].issuer: not https",
            ),
            (
                &format!("{{providers: [{{{CORP}, issuer: \"https://a@id.example.org/\"}}]}}"),
                "users.providers[0].issuer: expected scheme",
            ),
            (
                &format!("{{providers: [{{{CORP}, issuer: \"https://x\", scopes: [email]}}]}}"),
                "users.providers[0].scopes: `openid` is missing",
            ),
            (
                &format!(
                    "{{providers: [{{{CORP}, issuer: \"https://x\"}}, {{{CORP}, issuer: \"https://y\"}}]}}"
                ),
                "users.providers[1].name: `corp` stands twice",
            ),
            (
                &format!(
                    "{{providers: [{{{}, issuer: \"https://x\"}}]}}",
                    CORP.replace("name: corp", "name: Corp/x")
                ),
                "users.providers[0].name: `Corp/x`: expected",
            ),
        ] {
            let problems = problems(users);
            assert!(
                problems.len() == 1 && problems[0].starts_with(expected),
                "{users}: {problems:?}"
            );
        }
        let unknown = GatewayConfig::from_yaml(&format!("{BASE}users: {{locale: true}}\n"));
        assert!(unknown.unwrap_err().to_string().contains("locale"));
    }
}
