//! `credentials`: what stands in a credentials Secret, ready to be used.

use crds::{
    condition::{READY, Status},
    contract::GrantType,
    secret::Secret,
};
use k8s_openapi::api::core::v1;
use url::Url;
use zeroize::Zeroizing;

use super::{
    PluginError,
    access::Access,
    api::{self, Request},
    arguments::{CredentialsOptions, CredentialsOutput},
    kind::Kind,
    resource::Resource,
    screen::{Screen, harmless, print},
    shell::{curl_quote, form_encode, quote},
    target,
};
use crate::plan::OWNER_ANNOTATION;

/// There are no credentials to show.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CredentialsError {
    /// The Secret is not there.
    #[error("{title} has no Secret `{secret}` yet: {why}")]
    NoSecret {
        /// Which resource.
        title: String,
        /// The Secret's name.
        secret: String,
        /// What the conditions say.
        why: String,
    },
    /// It is another's.
    #[error("the Secret `{secret}` is not that of {title}: {why}")]
    NotOwned {
        /// Which resource.
        title: String,
        /// The Secret's name.
        secret: String,
        /// What the conditions say.
        why: String,
    },
    /// It lacks something.
    #[error("the Secret `{secret}` has no {key}{}", hint(key))]
    NoKey {
        /// The Secret's name.
        secret: String,
        /// What it lacks.
        key: &'static str,
    },
    /// A value cannot be printed.
    #[error("the Secret `{secret}` holds bytes that are no text under {key}")]
    NoText {
        /// The Secret's name.
        secret: String,
        /// Which value.
        key: &'static str,
    },
    /// It gets its tokens in another way.
    #[error(
        "{0} may not use client_credentials, so that no command alone gets it a token: its user has to sign in"
    )]
    NoGrant(String),
    /// It is not used with curl.
    #[error(
        "{0} receives requests and sends none: take -o env or -o json, and give webhook_secret to whoever verifies signatures"
    )]
    NotForCurl(String),
    /// A URL that nobody reads.
    #[error("--url is for -o curl")]
    StrayUrl,
}

fn hint(key: &str) -> &'static str {
    match key {
        "token_endpoint" => ": you brought this Secret, so name the endpoint with --url",
        _ => ": look at `kubectl flightgate doctor`",
    }
}

/// Prints the credentials of the resource that is named.
pub(super) async fn run(
    access: &Access,
    options: &CredentialsOptions,
    screen: &Screen,
) -> Result<(), PluginError> {
    if options.url.is_some() && options.output != CredentialsOutput::Curl {
        return Err(CredentialsError::StrayUrl.into());
    }
    let resource = target::resolve(access, &options.name).await?;
    let namespace = Some(resource.namespace.as_str());
    let api = api::api::<v1::Secret>(&access.client, namespace);
    let found = api.get_opt(&resource.secret_name).await;
    let found = found.map_err(|error| Request::core("get", "secrets", namespace).failed(error))?;
    let credentials = Credentials::read(&resource, found)?;
    let text = match options.output {
        CredentialsOutput::Env => credentials.env(),
        CredentialsOutput::Json => credentials.json(),
        CredentialsOutput::Curl => credentials.curl(&resource, options.url.as_ref())?,
    };
    print(&text);
    let (status, _) = resource.ready();
    if status != Status::True {
        let why = why(&resource);
        screen.note("not served at present", &why);
    }
    Ok(())
}

/// What the conditions say of a resource that is not as it should be.
fn why(resource: &Resource) -> String {
    if resource.deleted_at.is_some() {
        return "the resource is being deleted".into();
    }
    if !resource.is_observed() {
        return "no operator has looked at the resource in its present form; `kubectl flightgate doctor` says what keeps it".into();
    }
    match resource.trouble() {
        Some(it) => format!("{}: {}", harmless(&it.reason), harmless(&it.message)),
        None if resource.condition(READY).is_none() => "the gateway was not asked yet".into(),
        None => "it is gone, and an operator that runs makes another one; `kubectl flightgate doctor` says what is wrong".into(),
    }
}

/// What stands in a Secret.
struct Credentials {
    secret: String,
    entries: Vec<(&'static str, Secret<String>)>,
}

impl Credentials {
    /// Takes what is a resource's out of its Secret.
    fn read(resource: &Resource, found: Option<v1::Secret>) -> Result<Self, CredentialsError> {
        let title = resource.title();
        let secret = resource.secret_name.clone();
        let Some(found) = found else {
            let why = why(resource);
            return Err(CredentialsError::NoSecret { title, secret, why });
        };
        let annotations = found.metadata.annotations.unwrap_or_default();
        if !resource.is_brought && annotations.get(OWNER_ANNOTATION) != Some(&resource.owner) {
            let why = why(resource);
            return Err(CredentialsError::NotOwned { title, secret, why });
        }
        let mut data = found.data.unwrap_or_default();
        let mut entries = Vec::new();
        for key in resource.kind.credentials() {
            let Some(value) = data.remove(*key) else {
                continue;
            };
            let bytes = Zeroizing::new(value.0);
            match std::str::from_utf8(&bytes) {
                Ok(text) => entries.push((*key, Secret::new(text.to_owned()))),
                Err(_) => return Err(CredentialsError::NoText { secret, key }),
            }
        }
        let credentials = Self { secret, entries };
        let needed = match (resource.is_public, resource.kind) {
            (true, _) => "client_id",
            (false, kind) => kind.secret_key(),
        };
        credentials.value(needed)?;
        Ok(credentials)
    }

    fn value(&self, key: &'static str) -> Result<&str, CredentialsError> {
        let entry = self.entries.iter().find(|(name, _)| *name == key);
        let value = entry.map(|(_, value)| value.expose().as_str());
        value
            .filter(|it| !it.is_empty())
            .ok_or_else(|| CredentialsError::NoKey {
                secret: self.secret.clone(),
                key,
            })
    }

    fn env(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(1024));
        for (key, value) in &self.entries {
            text.push_str(&key.to_ascii_uppercase());
            text.push('=');
            text.push_str(&quote(value.expose()));
            text.push('\n');
        }
        text
    }

    fn json(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(1024));
        text.push('{');
        for (i, (key, value)) in self.entries.iter().enumerate() {
            text.push_str(if i > 0 { ",\n  " } else { "\n  " });
            // A text always has a form in JSON.
            let value = serde_json::to_string(value.expose()).unwrap_or_default();
            let value = Zeroizing::new(value);
            text.push('"');
            text.push_str(key);
            text.push_str("\": ");
            text.push_str(&value);
        }
        text.push_str("\n}\n");
        text
    }

    /// A command that a shell runs as it stands. curl reads the secret from its
    /// standard input, for arguments can be read by every user of a machine.
    fn curl(
        &self,
        resource: &Resource,
        url: Option<&Url>,
    ) -> Result<Zeroizing<String>, CredentialsError> {
        let mut arguments = String::from("curl -sS --config -");
        let mut config = Zeroizing::new(String::with_capacity(1024));
        let mut option = |name: &str, value: &str| {
            config.push_str(name);
            config.push_str(" = ");
            config.push_str(&curl_quote(value));
            config.push('\n');
        };
        match resource.kind {
            Kind::Application => {
                let may = resource.grants.contains(&GrantType::ClientCredentials);
                if !may || resource.is_public {
                    return Err(CredentialsError::NoGrant(resource.title()));
                }
                match url {
                    Some(url) => option("url", url.as_str()),
                    None => option("url", self.value("token_endpoint")?),
                }
                let id = form_encode(self.value("client_id")?);
                let secret = form_encode(self.value("client_secret")?);
                let both = Zeroizing::new(format!("{}:{}", id.as_str(), secret.as_str()));
                option("user", &both);
                option("data", "grant_type=client_credentials");
            }
            Kind::ApiKey => {
                match url {
                    Some(url) => option("url", url.as_str()),
                    // Nothing that the plugin may read says where the API is.
                    None => arguments.push_str(
                        " \"${FLIGHTGATE_API:?set it to what the key opens, such as https://api.example.org/api/v1/flights}\"",
                    ),
                }
                let key = self.value("api_key")?;
                let header = Zeroizing::new(format!("Authorization: Bearer {key}"));
                option("header", &header);
            }
            Kind::Webhook => return Err(CredentialsError::NotForCurl(resource.title())),
        }
        let mut text = Zeroizing::new(String::with_capacity(config.len() + 256));
        text.push_str(&arguments);
        text.push_str(" <<'END'\n");
        text.push_str(&config);
        text.push_str("END\n");
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugin::resource::tests::served;

    fn secret(data: &[(&str, &str)]) -> v1::Secret {
        let mut secret: v1::Secret = serde_json::from_value(json!({
            "metadata": {"annotations": {OWNER_ANNOTATION: "OAuthApplication partners/acme"}},
        }))
        .unwrap();
        let data = data.iter().map(|(key, value)| {
            let value = k8s_openapi::ByteString(value.as_bytes().to_vec());
            ((*key).to_owned(), value)
        });
        secret.data = Some(data.collect());
        secret
    }

    fn whole() -> v1::Secret {
        secret(&[
            ("client_id", "fg_app_1"),
            ("client_secret", "it's \"odd\":$x"),
            ("token_endpoint", "https://gateway.example/api/oauth/token"),
            ("theirs", "x"),
        ])
    }

    fn read(resource: &Resource, secret: v1::Secret) -> Credentials {
        Credentials::read(resource, Some(secret)).unwrap()
    }

    #[test]
    fn a_shell_and_a_program_read_what_was_meant() {
        let credentials = read(&served(&[]), whole());
        assert_eq!(
            *credentials.env(),
            "CLIENT_ID=fg_app_1\nCLIENT_SECRET='it'\\''s \"odd\":$x'\nTOKEN_ENDPOINT=https://gateway.example/api/oauth/token\n"
                .to_owned()
        );
        let json: Value = serde_json::from_str(&credentials.json()).unwrap();
        assert_eq!(json["client_secret"], "it's \"odd\":$x");
        assert_eq!(json.as_object().unwrap().len(), 3);
    }

    #[test]
    fn the_secret_is_no_argument_of_curl() {
        let application = served(&[]);
        let credentials = read(&application, whole());
        let text = credentials.curl(&application, None).unwrap();
        let (command, config) = text.split_once('\n').unwrap();
        assert_eq!(command, "curl -sS --config - <<'END'");
        assert_eq!(
            config,
            "url = \"https://gateway.example/api/oauth/token\"\nuser = \"fg_app_1:it%27s%20%22odd%22%3A%24x\"\ndata = \"grant_type=client_credentials\"\nEND\n"
        );
        let url = Url::parse("https://other.example/token").unwrap();
        let text = credentials.curl(&application, Some(&url)).unwrap();
        assert!(text.contains("url = \"https://other.example/token\""));
    }

    #[test]
    fn what_is_missing_is_told_with_what_to_do() {
        let refused = served(&[
            ("/status/conditions/0/status", json!("False")),
            ("/status/conditions/0/reason", json!("UnknownScope")),
            ("/status/conditions/0/message", json!("spec.scopes[0]: no.")),
        ]);
        let told = |result: Result<Credentials, CredentialsError>| match result {
            Ok(_) => panic!("there are some"),
            Err(error) => error.to_string(),
        };
        let error = told(Credentials::read(&refused, None));
        assert_eq!(
            error,
            "OAuthApplication partners/acme has no Secret `acme-credentials` yet: UnknownScope: spec.scopes[0]: no."
        );
        let mut foreign = whole();
        foreign.metadata.annotations = None;
        let error = told(Credentials::read(&served(&[]), Some(foreign)));
        assert!(error.contains("is not that of"), "{error}");
        let without = secret(&[("client_id", "fg_app_1")]);
        let error = told(Credentials::read(&served(&[]), Some(without)));
        assert!(error.contains("has no client_secret"), "{error}");

        let users = served(&[("/spec/grantTypes", json!(["device_code"]))]);
        let error = read(&users, whole()).curl(&users, None).unwrap_err();
        assert!(error.to_string().contains("may not use client_credentials"));
    }
}
