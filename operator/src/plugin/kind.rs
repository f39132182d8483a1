//! The three kinds, as people name them.

use crds::oauth_application::SecretStatus;

/// A kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// `OAuthApplication`
    Application,
    /// `ApiKey`
    ApiKey,
    /// `Webhook`
    Webhook,
}

impl Kind {
    /// All of them, as they are listed.
    pub(super) const ALL: [Self; 3] = [Self::Application, Self::ApiKey, Self::Webhook];

    /// Its name in manifests.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Application => "OAuthApplication",
            Self::ApiKey => "ApiKey",
            Self::Webhook => "Webhook",
        }
    }

    /// Its name in paths and in RBAC.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Application => "oauthapplications",
            Self::ApiKey => "apikeys",
            Self::Webhook => "webhooks",
        }
    }

    /// The shortest name that kubectl takes.
    pub(super) fn short(self) -> &'static str {
        match self {
            Self::Application => "oapp",
            Self::ApiKey => "apikey",
            Self::Webhook => "webhook",
        }
    }

    /// What its secret is called.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Application => "client secret",
            Self::ApiKey => "API key",
            Self::Webhook => "signing secret",
        }
    }

    /// The key of its Secret that holds the secret in use.
    pub(super) fn secret_key(self) -> &'static str {
        match self {
            Self::Application => "client_secret",
            Self::ApiKey => "api_key",
            Self::Webhook => "webhook_secret",
        }
    }

    /// All that its Secret may hold, in the order in which it is shown.
    pub(super) fn credentials(self) -> &'static [&'static str] {
        match self {
            Self::Application => &[
                "client_id",
                "client_secret",
                "previous_client_secret",
                "issuer",
                "token_endpoint",
            ],
            Self::ApiKey => &["key_id", "api_key", "previous_api_key"],
            Self::Webhook => &["webhook_secret", "previous_webhook_secret"],
        }
    }

    /// The kind that somebody means: its name in any spelling that kubectl takes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let text = text.strip_suffix(".flightgate.dev").unwrap_or(&text);
        Self::ALL.into_iter().find(|kind| {
            let name = kind.name().to_ascii_lowercase();
            text == name || text == kind.plural() || text == kind.short()
        })
    }
}

/// When any of these secrets was last used.
pub(super) fn last_used(secrets: &[SecretStatus]) -> Option<jiff::Timestamp> {
    secrets.iter().filter_map(|it| it.last_used_at).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_every_name_that_kubectl_takes() {
        for (text, kind) in [
            ("oapp", Some(Kind::Application)),
            ("OAuthApplication", Some(Kind::Application)),
            ("oauthapplications.flightgate.dev", Some(Kind::Application)),
            ("apikeys", Some(Kind::ApiKey)),
            ("WEBHOOK", Some(Kind::Webhook)),
            ("secret", None),
        ] {
            assert_eq!(Kind::parse(text), kind, "{text}");
        }
    }
}
