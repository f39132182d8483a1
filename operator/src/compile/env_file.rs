//! A credentials file: the directory's equivalent of a credentials Secret.
//! Lines `KEY=value`, which a shell or a container runtime can read; comments
//! of the form `# flightgate.dev/…: …` are its annotations.

use std::fmt::Write;

use crds::secret::Secret;
use zeroize::Zeroizing;

use crate::plan::Credentials;

const OWNER: &str = "# flightgate.dev/owner: ";
const ROTATED_FOR: &str = "# flightgate.dev/rotated-for: ";

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub(super) struct EnvFile {
    entries: Vec<(String, Secret<String>)>,
    pub(super) owner: Option<String>,
    pub(super) rotated_for: Option<String>,
}

impl EnvFile {
    /// Reads a file. Lines that are no assignment are left out: a file may have
    /// been written by hand.
    pub(super) fn parse(text: &str) -> Self {
        let mut file = Self::default();
        for line in text.lines() {
            let line = line.trim();
            if let Some(owner) = line.strip_prefix(OWNER) {
                file.owner = Some(owner.to_owned());
            }
            if let Some(value) = line.strip_prefix(ROTATED_FOR) {
                file.rotated_for = serde_json::from_str(value).ok();
            }
            if line.starts_with('#') {
                continue;
            }
            let line = line.strip_prefix("export ").unwrap_or(line);
            if let Some((key, value)) = line.split_once('=') {
                let value = unquote(value.trim());
                file.entries
                    .push((key.trim().to_ascii_lowercase(), Secret::new(value)));
            }
        }
        file
    }

    /// The data of a `kind: Secret`.
    pub(super) fn from_entries(entries: Vec<(String, Secret<String>)>) -> Self {
        Self {
            entries,
            ..Self::default()
        }
    }

    /// The value of a key.
    pub(super) fn secret(&self, key: &str) -> Option<Secret<String>> {
        let (_, value) = self.entries.iter().find(|(name, _)| name == key)?;
        Some(value.clone()).filter(|value| !value.expose().is_empty())
    }

    /// The value of a key that is no secret.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.secret(key).map(|value| value.expose().clone())
    }
}

/// The file's bytes: equal credentials give equal bytes.
pub(super) fn render(credentials: &Credentials) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    // Writing to a String does not fail.
    let _ = writeln!(text, "# Made by flightgate-operator. Keep it secret.");
    let _ = writeln!(text, "{OWNER}{}", credentials.owner);
    if let Some(value) = &credentials.rotated_for {
        let value = serde_json::Value::from(value.as_str());
        let _ = writeln!(text, "{ROTATED_FOR}{value}");
    }
    for (key, value) in &credentials.entries {
        let _ = writeln!(
            text,
            "{}={}",
            key.to_ascii_uppercase(),
            quote(value.expose()).as_str()
        );
    }
    Zeroizing::new(std::mem::take(&mut *text).into_bytes())
}

/// As it is where no shell would look at it twice, else between single quotes.
fn quote(value: &str) -> Zeroizing<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/+=,@%[]".contains(&byte);
    if value.bytes().all(is_plain) {
        return Zeroizing::new(value.to_owned());
    }
    Zeroizing::new(format!("'{}'", value.replace('\'', r"'\''")))
}

fn unquote(value: &str) -> String {
    let inner = |quote: char| {
        value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
    };
    match (inner('\''), inner('"')) {
        (Some(text), _) => text.replace(r"'\''", "'"),
        (_, Some(text)) => text.replace("\\\"", "\"").replace("\\\\", "\\"),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let credentials = Credentials {
            secret_name: "acme-credentials".into(),
            owner: "OAuthApplication partners/acme".into(),
            entries: vec![
                ("client_id", Secret::new("wf_app_1".into())),
                ("client_secret", Secret::new("it's $(odd) \"text\"".into())),
            ],
            rotated_for: Some("now\nCLIENT_ID=x".into()),
        };
        let bytes = render(&credentials);
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let file = EnvFile::parse(&text);
        assert_eq!(file.text("client_id").unwrap(), "wf_app_1");
        assert_eq!(file.text("client_secret").unwrap(), "it's $(odd) \"text\"");
        assert_eq!(file.rotated_for, credentials.rotated_for);
        assert_eq!(file.owner.unwrap(), credentials.owner);
    }

    #[test]
    fn a_file_written_by_hand_is_read() {
        let file = EnvFile::parse("export CLIENT_ID=\"mine\"\nCLIENT_SECRET='s3cret'\n\nnoise\n");
        assert_eq!(file.text("client_id").unwrap(), "mine");
        assert_eq!(file.text("client_secret").unwrap(), "s3cret");
        assert!(file.secret("issuer").is_none());
    }
}
