//! `gateway.yaml`: what concerns a whole gateway and is no resource. The
//! gateway runs by it; the operator reads the same file for its catalogue.
//!
//! Reading has two steps: [`GatewayConfig::from_yaml`] refuses what does not
//! fit the shape, with line and column; [`GatewayConfig::check`] then names
//! everything that does not fit together, by path, all at once.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU32, path::PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::period::Period;

mod check;
mod users;

pub use check::Problem;
pub use users::{Admins, Provider, Users};

/// The most scopes that a catalogue may hold.
pub const MAX_SCOPES: usize = 128;

/// The whole file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayConfig {
    /// The issuer identifier (RFC 8414 section 2): https, no query, no
    /// fragment. Port 0 stands for the port of the public listener.
    pub issuer: Url,
    /// What minted identifiers and tokens start with.
    #[serde(default)]
    pub prefixes: Prefixes,
    /// The addresses to listen on.
    #[serde(default)]
    pub listen: Listen,
    /// Certificate and key of the public listener.
    pub tls: Tls,
    /// Threads that serve requests; default: one per core.
    #[serde(default)]
    pub workers: Option<NonZeroU32>,
    /// Where grants live.
    pub store: Store,
    /// Where the gateway's own keys live.
    #[serde(default)]
    pub keys: Keys,
    /// The paths and shapes of the OAuth endpoints.
    #[serde(default = "default_surfaces")]
    pub surfaces: Vec<Surface>,
    /// The pages for people: sign-in, consent, device codes, account.
    #[serde(default)]
    pub pages: Pages,
    /// Who may register applications.
    #[serde(default)]
    pub registration: Registration,
    /// The scope catalogue.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// Token policies by name; `default` exists always.
    #[serde(default)]
    pub profiles: BTreeMap<String, Profile>,
    /// Quota plans by name; `default` exists always and limits nothing.
    #[serde(default)]
    pub plans: BTreeMap<String, Plan>,
    /// Who may sign in, where, and for how long.
    #[serde(default)]
    pub users: Users,
    /// What is forwarded, and to whom it is permitted.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Bounds in size and time.
    #[serde(default)]
    pub limits: Limits,
    /// How to log.
    #[serde(default)]
    pub log: Log,
}

/// What minted identifiers and tokens start with: letters, digits and `_`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Prefixes {
    /// Client identifiers.
    pub client: String,
    /// Client secrets.
    pub secret: String,
    /// Access tokens.
    pub access: String,
    /// Refresh tokens.
    pub refresh: String,
    /// API keys.
    pub api_key: String,
}

impl Default for Prefixes {
    fn default() -> Self {
        Self {
            client: "fg_app_".into(),
            secret: "fg_secret_".into(),
            access: "fg_at_".into(),
            refresh: "fg_rt_".into(),
            api_key: "fg_pat_".into(),
        }
    }
}

/// The addresses to listen on; port 0 lets the system choose.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Listen {
    /// TLS, for partners.
    pub public: SocketAddr,
    /// Metrics, health and registry, for the platform.
    pub admin: SocketAddr,
    /// Keys and events, for the upstream beside the gateway.
    pub internal: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            public: SocketAddr::from(([0, 0, 0, 0], 8443)),
            admin: SocketAddr::from(([0, 0, 0, 0], 9900)),
            internal: SocketAddr::from(([127, 0, 0, 1], 9901)),
        }
    }
}

/// Certificate and key: both files, or `selfSigned: true`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate chain; read again when it changes.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key; read again when it changes.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// Make a local CA and a certificate for `localhost` and the issuer's
    /// host, kept in the keys folder. For demos and tests.
    #[serde(default)]
    pub self_signed: bool,
}

/// Where grants live.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Store {
    /// Embedded, for one replica.
    Sled(SledStore),
}

/// The embedded store.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SledStore {
    /// Its folder.
    pub path: PathBuf,
    /// Page cache in MiB.
    #[serde(default = "default_cache_mib")]
    pub cache_mib: u32,
    /// Free disk space in MiB below which nothing new is written.
    #[serde(default = "default_reserve_mib")]
    pub reserve_mib: u32,
}

fn default_cache_mib() -> u32 {
    64
}

fn default_reserve_mib() -> u32 {
    32
}

/// Where the gateway's own keys live: the pepper under which tokens are hashed
/// and the key that signs identities. Made at the first start.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Keys {
    /// A folder that only the gateway can read.
    pub path: PathBuf,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            path: "keys".into(),
        }
    }
}

/// A set of OAuth endpoints.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Surface {
    /// The endpoints under the names that the RFCs give them.
    Standard(StandardSurface),
    /// The endpoints as Flight Crew View names and shapes them.
    Logbook(LogbookSurface),
}

impl Surface {
    /// The path that all of its endpoints begin with.
    pub fn base(&self) -> &str {
        match self {
            Self::Standard(standard) => &standard.base,
            Self::Logbook(logbook) => &logbook.base,
        }
    }
}

/// The endpoints under the names that the RFCs give them.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StandardSurface {
    /// The path under which `/token`, `/revoke`, `/introspect` … live.
    pub base: String,
    /// Who may revoke a token.
    #[serde(default)]
    pub revocation: Revocation,
}

/// Who may revoke a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Revocation {
    /// The client that it was issued to (RFC 7009 section 2.1).
    #[default]
    Client,
    /// Whoever has it, without any authentication (AF-41 to AF-43).
    Bearer,
}

/// The endpoints as Flight Crew View names and shapes them (FCV-12 to FCV-58,
/// FCV-101 to FCV-110).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogbookSurface {
    /// The path under which `/logbookuserauth/`, `/api/token/` and
    /// `/api/revokeToken/` live.
    pub base: String,
    /// A passkey that works always, for partners' tests (FCV-26).
    #[serde(default)]
    pub test_passkey: Option<TestPasskey>,
}

/// A passkey that works always, as a user of its own.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestPasskey {
    /// What is typed: 8 letters and digits.
    pub passkey: String,
    /// Whom it stands for towards the API.
    pub subject: String,
    /// Life of a code that was obtained with it (FCV-29).
    #[serde(default = "default_test_code_ttl")]
    pub code_ttl: Period,
}

fn default_test_code_ttl() -> Period {
    Period::hours(1)
}

/// The pages for people.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Pages {
    /// The path under which `/sign-in`, `/device`, `/account` … live; empty:
    /// at the root.
    pub base: String,
    /// The name at the head of each page; default: the issuer's host.
    pub brand: Option<String>,
}

fn default_surfaces() -> Vec<Surface> {
    vec![Surface::Standard(StandardSurface {
        base: "/oauth".into(),
        revocation: Revocation::Client,
    })]
}

/// Who may register applications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Registration {
    /// Only the platform, by resources.
    #[default]
    Admin,
    /// Developers too, by themselves.
    SelfService,
}

/// One entry of the scope catalogue.
#[allow(
    clippy::struct_excessive_bools,
    reason = "marks that are independent of each other, as people write them"
)]
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scope {
    /// The scope token (RFC 6749 section 3.3).
    pub name: String,
    /// What it permits, in words for the person who consents.
    pub title: String,
    /// It can destroy data; API keys never carry it (WF-10).
    #[serde(default)]
    pub destructive: bool,
    /// Marked on the consent page.
    #[serde(default)]
    pub sensitive: bool,
    /// Only administrators can grant it (FT-10).
    #[serde(default)]
    pub admin_only: bool,
    /// Nobody gets it yet (AF-21).
    #[serde(default)]
    pub reserved: bool,
    /// What `/userinfo` tells about the user to who has it.
    #[serde(default)]
    pub claims: Vec<Claim>,
}

/// Something that `/userinfo` tells about a user (AF-39).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// A UUID.
    Id,
    /// The name that the user signs in with.
    Username,
    /// The user's own plan.
    Plan,
    /// Whether the user administers this installation.
    IsAdmin,
    /// Absent unless verified (AF-40).
    Email,
    /// Whether the address is known to be the user's.
    EmailVerified,
    /// Absent unless linked (AF-40).
    GithubEmail,
    /// Absent unless linked (AF-40).
    DiscordUsername,
}

/// A token policy.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Profile {
    /// Life of an access token.
    pub access_ttl: Period,
    /// What a refresh token does.
    pub refresh: Refresh,
    /// Life of an authorization code.
    pub code_ttl: Period,
    /// Life of a device code and its user code (RFC 8628).
    pub device_code_ttl: Period,
    /// Life of a passkey (FCV-22).
    pub passkey_ttl: Period,
    /// The status of `invalid_grant`: 400 by RFC 6749 section 5.2, 401 by
    /// FCV-37.
    pub invalid_grant_status: u16,
    /// Whether confidential clients must use PKCE; public ones always must.
    pub pkce: Pkce,
    /// What access tokens are.
    pub token_format: TokenFormat,
    /// How clients may authenticate.
    pub client_auth: Vec<ClientAuth>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            access_ttl: Period::hours(1),
            refresh: Refresh::default(),
            code_ttl: Period::minutes(5),
            device_code_ttl: Period::minutes(10),
            passkey_ttl: Period::minutes(10),
            invalid_grant_status: 400,
            pkce: Pkce::Required,
            token_format: TokenFormat::Opaque,
            client_auth: vec![ClientAuth::Basic, ClientAuth::Post],
        }
    }
}

/// What a refresh token does.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Refresh {
    /// How a used refresh token is treated.
    pub rotation: Rotation,
    /// Life of a refresh token.
    pub ttl: Period,
    /// Whether each successor begins a life of its own.
    pub lifetime: Lifetime,
    /// For `grace`: how long a used refresh token still works.
    pub window: Option<Period>,
    /// Within it a retry by the same client gets the same successor.
    pub retry_window: Option<Period>,
}

impl Default for Refresh {
    fn default() -> Self {
        Self {
            rotation: Rotation::SingleUse,
            ttl: Period::days(90),
            lifetime: Lifetime::Sliding,
            window: None,
            retry_window: None,
        }
    }
}

/// From when the life of a refresh token counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Lifetime {
    /// From when it was issued.
    Sliding,
    /// From when the first of its chain was issued.
    Absolute,
}

/// How a used refresh token is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Rotation {
    /// No refresh tokens at all.
    None,
    /// A second use revokes the whole grant (RFC 6819 section 5.2.2.3).
    SingleUse,
    /// It works for a while longer.
    Grace,
}

/// Whether a confidential client must use PKCE (RFC 7636).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Pkce {
    /// It must.
    Required,
    /// It may.
    Optional,
}

/// What access tokens are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TokenFormat {
    /// A random string that only the gateway understands.
    Opaque,
}

/// A way to authenticate a client (RFC 6749 section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ClientAuth {
    /// `Authorization: Basic`.
    Basic,
    /// `client_id` and `client_secret` in the body.
    Post,
}

/// A quota plan: its policies apply all together.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// The policies; all of them must agree.
    #[serde(default)]
    pub quotas: Vec<Quota>,
}

/// One quota policy.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quota {
    /// Named in `RateLimit-Policy` and in refusals.
    pub name: String,
    /// Units per period.
    pub limit: NonZeroU32,
    /// The period.
    pub per: Period,
    /// Whose use is counted.
    pub by: QuotaKey,
    /// Only routes of this class.
    #[serde(default)]
    pub class: Option<String>,
}

/// Whose use a quota counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum QuotaKey {
    /// The client's address (/64 for IPv6).
    Ip,
    /// The application.
    Application,
    /// The user behind the token.
    User,
}

/// One forwarded path.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// `/api/v1/flights`, `/api/v1/flights/{id}` or `/files/{*rest}`.
    pub path: String,
    /// The methods, such as `GET`; GET includes HEAD.
    pub methods: Vec<String>,
    /// All of these are needed.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// What opens it; the default is everything that a bearer can bring.
    #[serde(default = "default_credentials")]
    pub credentials: Vec<Credential>,
    /// `http://host:port` of the upstream.
    pub upstream: Url,
    /// For quotas and metrics.
    #[serde(default)]
    pub class: Option<String>,
    /// Quota units that one request takes.
    #[serde(default = "default_cost")]
    pub cost: NonZeroU32,
}

fn default_credentials() -> Vec<Credential> {
    vec![Credential::AccessToken, Credential::ApiKey]
}

/// What a caller brings as its bearer token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Credential {
    /// A token that an application was issued.
    AccessToken,
    /// A key of a person or script (AF-53).
    ApiKey,
}

fn default_cost() -> NonZeroU32 {
    NonZeroU32::MIN
}

/// Bounds in size and time.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Request line and headers, in KiB.
    pub header_kib: u32,
    /// Connections at the public listener, all threads together.
    pub connections: u32,
    /// To finish a TLS handshake.
    pub handshake_timeout: Period,
    /// To send a whole request head, and to stay idle between two requests.
    pub header_timeout: Period,
    /// To connect to the upstream.
    pub connect_timeout: Period,
    /// From the request's end to the upstream's response head.
    pub response_timeout: Period,
    /// Between two pieces of a body, in either direction.
    pub idle_timeout: Period,
    /// For open requests to end at shutdown.
    pub drain_timeout: Period,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_kib: 32,
            connections: 20_000,
            handshake_timeout: Period::seconds(10),
            header_timeout: Period::seconds(60),
            connect_timeout: Period::seconds(5),
            response_timeout: Period::seconds(60),
            idle_timeout: Period::seconds(60),
            drain_timeout: Period::seconds(30),
        }
    }
}

/// How to log.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Log {
    /// One line of text or one JSON object per event.
    pub format: LogFormat,
    /// Directives such as `info` or `info,flightgate_gateway::forward=debug`.
    pub level: Option<String>,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

impl GatewayConfig {
    /// Reads the file's text. What does not fit the shape is refused with line
    /// and column.
    pub fn from_yaml(text: &str) -> Result<Self, serde_yaml::Error> {
        let document = serde_yaml::Deserializer::from_str(text);
        let mut config: Self = serde_yaml::with::singleton_map_recursive::deserialize(document)?;
        config.profiles.entry("default".into()).or_default();
        config.plans.entry("default".into()).or_default();
        Ok(config)
    }

    /// Everything that does not fit together; empty: the file is good.
    pub fn check(&self) -> Vec<Problem> {
        check::check(self)
    }

    /// The catalogue entry of a scope.
    pub fn scope(&self, name: &str) -> Option<&Scope> {
        self.scopes.iter().find(|scope| scope.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "\
issuer: https://api.example.org
tls: {selfSigned: true}
store: {sled: {path: data}}
surfaces: [{standard: {base: /api/oauth}}]
";

    #[test]
    fn a_small_file_is_enough() {
        let config = GatewayConfig::from_yaml(SMALL).unwrap();
        assert!(config.check().is_empty(), "{:?}", config.check());
        assert_eq!(config.profiles["default"].access_ttl, Period::hours(1));
        assert!(matches!(&config.surfaces[..], [Surface::Standard(s)] if s.base == "/api/oauth"));
    }

    #[test]
    fn an_unknown_key_names_line_and_column() {
        for (text, line) in [
            (format!("{SMALL}isuer: x\n"), 5),
            (
                format!("{SMALL}profiles:\n  default:\n    acessTtl: 1h\n"),
                7,
            ),
            (SMALL.replace("sled:", "sledd:"), 3),
            (SMALL.replace("path:", "pth:"), 3),
            (format!("{SMALL}limits: {{headerTimeout: soon}}\n"), 5),
        ] {
            let error = GatewayConfig::from_yaml(&text).unwrap_err();
            let location = error
                .location()
                .unwrap_or_else(|| panic!("no location: {error}"));
            assert_eq!(location.line(), line, "{error}");
        }
    }
}
