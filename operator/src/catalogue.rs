//! What resources are checked against beyond their schema: the scopes,
//! profiles and plans of one gateway.yaml.

use crds::{
    contract::GrantType,
    gateway_config::{GatewayConfig, Rotation, Scope, Surface},
};

use crate::plan::Refusal;

/// One gateway's catalogue.
#[derive(Clone, Debug)]
pub struct Catalogue {
    gateway: String,
    config: GatewayConfig,
}

/// Who asks for scopes: not every scope is for everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker<'a> {
    /// A client with these grants.
    Application(&'a [GrantType]),
    /// A key that no user consented to.
    ApiKey,
}

impl Catalogue {
    /// The catalogue of the gateway named `gateway`, configured by `config`.
    pub fn new(gateway: impl Into<String>, config: GatewayConfig) -> Self {
        Self {
            gateway: gateway.into(),
            config,
        }
    }

    /// The gateway's configuration.
    pub fn config(&self) -> &GatewayConfig {
        &self.config
    }

    /// The issuer identifier (RFC 8414 section 2), as partners write it.
    pub fn issuer(&self) -> String {
        self.issuer_url().as_str().trim_end_matches('/').to_owned()
    }

    /// The token endpoint of the first surface.
    pub fn token_endpoint(&self) -> String {
        let path = match self.config.surfaces.first() {
            Some(Surface::Standard(standard)) => format!("{}/token", standard.base),
            Some(Surface::Logbook(logbook)) => format!("{}/api/token/", logbook.base),
            None => "/oauth/token".to_owned(),
        };
        let mut url = self.issuer_url();
        url.set_path(&path);
        url.into()
    }

    fn issuer_url(&self) -> url::Url {
        let mut url = self.config.issuer.clone();
        if url.port() == Some(0) {
            // It fails for URLs without host alone, and https has one.
            let _ = url.set_port(Some(self.config.listen.public.port()));
        }
        url
    }

    pub(crate) fn check_gateway(&self, name: &str, refusals: &mut Vec<Refusal>) {
        if name != self.gateway {
            refusals.push(Refusal::new(
                "spec.gateway",
                "UnknownGateway",
                format!(
                    "there is no gateway `{name}`; this is the catalogue of `{}`",
                    self.gateway
                ),
            ));
        }
    }

    pub(crate) fn check_scopes(
        &self,
        scopes: &[String],
        asker: Asker<'_>,
        refusals: &mut Vec<Refusal>,
    ) {
        for (i, name) in scopes.iter().enumerate() {
            let path = format!("spec.scopes[{i}]");
            let Some(scope) = self.config.scope(name) else {
                refusals.push(Refusal::new(
                    path,
                    "UnknownScope",
                    format!(
                        "`{name}` is not in the scope catalogue; there are {}",
                        self.offer(asker)
                    ),
                ));
                continue;
            };
            if let Some((reason, why)) = objection(scope, asker) {
                refusals.push(Refusal::new(
                    path,
                    reason,
                    format!("`{name}` {why}; there are {}", self.offer(asker)),
                ));
            }
        }
    }

    pub(crate) fn check_plan(&self, name: &str, refusals: &mut Vec<Refusal>) {
        if !self.config.plans.contains_key(name) {
            refusals.push(Refusal::new(
                "spec.plan",
                "UnknownPlan",
                format!(
                    "there is no plan `{name}`; there are {}",
                    list(self.config.plans.keys())
                ),
            ));
        }
    }

    pub(crate) fn check_profile(
        &self,
        name: &str,
        grants: &[GrantType],
        refusals: &mut Vec<Refusal>,
    ) {
        let Some(profile) = self.config.profiles.get(name) else {
            refusals.push(Refusal::new(
                "spec.profile",
                "UnknownProfile",
                format!(
                    "there is no profile `{name}`; there are {}",
                    list(self.config.profiles.keys())
                ),
            ));
            return;
        };
        if profile.refresh.rotation == Rotation::None && grants.contains(&GrantType::RefreshToken) {
            refusals.push(Refusal::new(
                "spec.profile",
                "ProfileWithoutRefresh",
                format!(
                    "the profile `{name}` gives no refresh tokens: leave refresh_token out of grantTypes, or name another profile"
                ),
            ));
        }
    }

    /// The scopes that `asker` may have.
    fn offer(&self, asker: Asker<'_>) -> String {
        let free = self
            .config
            .scopes
            .iter()
            .filter(|scope| objection(scope, asker).is_none());
        list(free.map(|scope| &scope.name))
    }
}

fn objection(scope: &Scope, asker: Asker<'_>) -> Option<(&'static str, &'static str)> {
    if scope.reserved {
        return Some(("ReservedScope", "is reserved: nobody gets it yet"));
    }
    match asker {
        Asker::ApiKey if scope.destructive => Some((
            "DestructiveScope",
            "is destructive, and API keys never carry such scopes",
        )),
        Asker::ApiKey if scope.admin_only => Some((
            "AdminOnlyScope",
            "is granted by administrators alone, and no one grants an API key",
        )),
        Asker::Application(grants)
            if scope.admin_only && grants.contains(&GrantType::ClientCredentials) =>
        {
            Some((
                "AdminOnlyScope",
                "is granted by administrators alone, and in client_credentials no one grants anything",
            ))
        }
        Asker::ApiKey | Asker::Application(_) => None,
    }
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}
