//! What the shape of `gateway.yaml` cannot say: what must fit together.

use std::{collections::HashSet, fmt};

use url::Url;

use super::{GatewayConfig, MAX_SCOPES, Rotation, Store, Surface};

/// Something that does not fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands, such as `routes[3].scopes[0]`.
    pub path: String,
    /// What was found, what was expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn push(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            path: path.into(),
            message: message.into(),
        });
    }
}

pub(super) fn check(config: &GatewayConfig) -> Vec<Problem> {
    let mut problems = Problems(Vec::new());
    issuer(&config.issuer, &mut problems);
    prefixes(config, &mut problems);
    tls(config, &mut problems);
    surfaces(config, &mut problems);
    scopes(config, &mut problems);
    profiles(config, &mut problems);
    plans(config, &mut problems);
    config.users.check(&mut problems);
    routes(config, &mut problems);
    limits(config, &mut problems);
    log(config, &mut problems);
    let Store::Sled(sled) = &config.store;
    if sled.cache_mib == 0 {
        problems.push("store.sled.cacheMib", "0 MiB: at least 1 is needed");
    }
    problems.0
}

fn issuer(issuer: &Url, problems: &mut Problems) {
    if issuer.scheme() != "https" {
        problems.push(
            "issuer",
            format!("`{issuer}` is not https (RFC 8414 section 2)"),
        );
    }
    if issuer.query().is_some() || issuer.fragment().is_some() {
        problems.push(
            "issuer",
            "has a query or fragment; an issuer has none (RFC 8414 section 2)",
        );
    }
    if !issuer.username().is_empty() || issuer.password().is_some() {
        problems.push(
            "issuer",
            "has a user name or password in it; write scheme, host and path alone",
        );
    }
}

fn prefixes(config: &GatewayConfig, problems: &mut Problems) {
    let p = &config.prefixes;
    let all = [
        ("client", &p.client),
        ("secret", &p.secret),
        ("access", &p.access),
        ("refresh", &p.refresh),
        ("apiKey", &p.api_key),
    ];
    for (name, value) in all {
        let fits = value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && value.len() <= 32;
        if !fits {
            problems.push(
                format!("prefixes.{name}"),
                format!("`{value}`: at most 32 letters, digits and `_` are expected"),
            );
        }
    }
    // Tokens of these three kinds arrive in the same place and are told apart
    // by their prefix.
    let bearer = [all[2], all[3], all[4]];
    for (i, (name, value)) in bearer.iter().enumerate() {
        if let Some((other, _)) = bearer[..i].iter().find(|(_, other)| other == value) {
            problems.push(
                format!("prefixes.{name}"),
                format!("`{value}` is the same as prefixes.{other}: they must differ"),
            );
        }
    }
}

fn tls(config: &GatewayConfig, problems: &mut Problems) {
    let tls = &config.tls;
    match (&tls.certificate, &tls.key, tls.self_signed) {
        (Some(_), Some(_), false) | (None, None, true) => {}
        _ => problems.push(
            "tls",
            "expected `certificate` and `key`, or `selfSigned: true` alone",
        ),
    }
}

fn surfaces(config: &GatewayConfig, problems: &mut Problems) {
    if config.surfaces.is_empty() {
        problems.push(
            "surfaces",
            "empty: expected one, such as {standard: {base: /oauth}}",
        );
    }
    let mut seen = HashSet::new();
    for (i, surface) in config.surfaces.iter().enumerate() {
        let (kind, base) = match surface {
            Surface::Standard(standard) => ("standard", &standard.base),
            Surface::Logbook(logbook) => ("logbook", &logbook.base),
        };
        let path = format!("surfaces[{i}].{kind}.base");
        if !base.starts_with('/') || !is_base(base) {
            problems.push(
                &path,
                format!("`{base}`: expected a path such as /api/oauth, without a slash at its end"),
            );
        }
        if !seen.insert(base) {
            problems.push(
                path,
                format!("`{base}` is already taken by another surface"),
            );
        }
        if let Surface::Logbook(logbook) = surface
            && let Some(test) = &logbook.test_passkey
        {
            let path = format!("surfaces[{i}].logbook.testPasskey");
            if test.passkey.len() != 8 || !test.passkey.bytes().all(|b| b.is_ascii_alphanumeric()) {
                problems.push(
                    format!("{path}.passkey"),
                    "expected 8 letters and digits, such as TEST1234",
                );
            }
            if test.subject.is_empty() || test.subject.len() > 256 {
                problems.push(format!("{path}.subject"), "expected 1 to 256 characters");
            }
        }
    }
    if !is_base(&config.pages.base) {
        problems.push(
            "pages.base",
            format!(
                "`{}`: expected nothing, or a path such as /id, without a slash at its end",
                config.pages.base
            ),
        );
    }
}

/// Whether endpoints can stand below this path.
fn is_base(base: &str) -> bool {
    (base.is_empty() || base.starts_with('/'))
        && !base.ends_with('/')
        && !base.contains(['{', '}', '?', '#', '*', ' ', '%', '\\'])
}

fn scopes(config: &GatewayConfig, problems: &mut Problems) {
    if config.scopes.len() > MAX_SCOPES {
        problems.push(
            "scopes",
            format!(
                "{} scopes: at most {MAX_SCOPES} are expected",
                config.scopes.len()
            ),
        );
    }
    let mut seen = HashSet::new();
    for (i, scope) in config.scopes.iter().enumerate() {
        let path = format!("scopes[{i}].name");
        let token = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if scope.name.is_empty() || scope.name.len() > 64 || !scope.name.bytes().all(token) {
            problems.push(
                &path,
                format!(
                    "`{}` is not a scope token (RFC 6749 section 3.3)",
                    scope.name
                ),
            );
        }
        if !seen.insert(&scope.name) {
            problems.push(path, format!("`{}` stands twice", scope.name));
        }
    }
}

fn profiles(config: &GatewayConfig, problems: &mut Problems) {
    for (name, profile) in &config.profiles {
        let path = format!("profiles.{name}");
        let refresh = &profile.refresh;
        if refresh.rotation == Rotation::Grace && refresh.window.is_none() {
            problems.push(
                format!("{path}.refresh.window"),
                "`rotation: grace` needs a window, such as 1w",
            );
        }
        if refresh.rotation != Rotation::Grace && refresh.window.is_some() {
            problems.push(
                format!("{path}.refresh.window"),
                "only `rotation: grace` has a window",
            );
        }
        if profile.access_ttl.as_secs() == 0 {
            problems.push(format!("{path}.accessTtl"), "shorter than one second");
        }
        if let Some(retry) = refresh.retry_window {
            if refresh.rotation != Rotation::SingleUse {
                problems.push(
                    format!("{path}.refresh.retryWindow"),
                    "only `rotation: singleUse` has a retryWindow",
                );
            }
            if retry.duration() > profile.access_ttl.duration() {
                problems.push(
                    format!("{path}.refresh.retryWindow"),
                    "longer than accessTtl: a retry gets the same tokens, and they must still be good",
                );
            }
        }
        if !matches!(profile.invalid_grant_status, 400 | 401) {
            problems.push(
                format!("{path}.invalidGrantStatus"),
                format!("{}: expected 400 or 401", profile.invalid_grant_status),
            );
        }
        if profile.client_auth.is_empty() {
            problems.push(
                format!("{path}.clientAuth"),
                "empty: expected basic, post or both",
            );
        }
    }
}

fn plans(config: &GatewayConfig, problems: &mut Problems) {
    let classes: HashSet<_> = config
        .routes
        .iter()
        .filter_map(|route| route.class.as_ref())
        .collect();
    for (name, plan) in &config.plans {
        for (i, quota) in plan.quotas.iter().enumerate() {
            let Some(class) = &quota.class else { continue };
            if !classes.contains(class) {
                problems.push(
                    format!("plans.{name}.quotas[{i}].class"),
                    format!("no route is of class `{class}`"),
                );
            }
        }
    }
}

fn routes(config: &GatewayConfig, problems: &mut Problems) {
    let mut seen = HashSet::new();
    for (i, route) in config.routes.iter().enumerate() {
        let path = format!("routes[{i}]");
        if !route.path.starts_with('/') || route.path.contains(['?', '#', ' ']) {
            problems.push(
                format!("{path}.path"),
                format!(
                    "`{}`: expected a path such as /api/v1/flights/{{id}}",
                    route.path
                ),
            );
        }
        if route.methods.is_empty() {
            problems.push(
                format!("{path}.methods"),
                "empty: expected methods such as [GET, POST]",
            );
        }
        for (j, method) in route.methods.iter().enumerate() {
            let here = format!("{path}.methods[{j}]");
            if method == "CONNECT" || method == "TRACE" {
                problems.push(&here, format!("{method} is never forwarded"));
            } else if method.is_empty()
                || !method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')
            {
                problems.push(
                    &here,
                    format!("`{method}`: expected a method in capitals, such as GET"),
                );
            }
            if !seen.insert((&route.path, method)) {
                problems.push(
                    here,
                    format!("{method} {} stands in an earlier route too", route.path),
                );
            }
        }
        for (j, scope) in route.scopes.iter().enumerate() {
            if config.scope(scope).is_none() {
                problems.push(
                    format!("{path}.scopes[{j}]"),
                    format!("`{scope}` is not in the catalogue under `scopes`"),
                );
            }
        }
        if route.credentials.is_empty() {
            problems.push(
                format!("{path}.credentials"),
                "empty, so that nobody could pass: expected accessToken, apiKey or both",
            );
        }
        let upstream = &route.upstream;
        let bare =
            upstream.path() == "/" && upstream.query().is_none() && upstream.fragment().is_none();
        if upstream.scheme() != "http" || upstream.host().is_none() || !bare {
            problems.push(
                format!("{path}.upstream"),
                format!("`{upstream}`: expected http://host:port, without a path"),
            );
        }
    }
}

fn log(config: &GatewayConfig, problems: &mut Problems) {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let directives = config.log.level.iter().flat_map(|level| level.split(','));
    for directive in directives {
        // A word alone that is no level would be a module, and turn off the rest.
        let level = directive.rsplit('=').next().unwrap_or_default().trim();
        if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            problems.push(
                "log.level",
                format!(
                    "`{directive}`: expected a level, or module=level, with one of {}",
                    LEVELS.join(", ")
                ),
            );
        }
    }
}

fn limits(config: &GatewayConfig, problems: &mut Problems) {
    if !(8..=1024).contains(&config.limits.header_kib) {
        problems.push(
            "limits.headerKib",
            format!("{}: expected 8 to 1024", config.limits.header_kib),
        );
    }
    if config.limits.connections == 0 {
        problems.push("limits.connections", "0: at least 1 is expected");
    }
}
