//! Which path leads where: to an endpoint of the gateway itself, or through it
//! to an upstream. Built once from the configuration.

use crds::gateway_config::{Credential, GatewayConfig};
use http::{HeaderValue, Method};

use crate::{
    scopes::{Catalogue, ScopeSet},
    surface::{self, Endpoint},
};

/// The table of all paths.
#[derive(Debug, Default)]
pub struct Router {
    tree: matchit::Router<usize>,
    paths: Vec<Path>,
    routes: Vec<Route>,
    upstreams: Vec<UpstreamAddress>,
}

#[derive(Debug, Default)]
struct Path {
    pattern: String,
    targets: Vec<(Method, Target)>,
    allow: String,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To one of the gateway's own endpoints.
    Endpoint(Endpoint),
    /// Through the gateway, by the route of this index.
    Forward(usize),
}

/// A forwarded path.
#[derive(Debug)]
pub struct Route {
    /// As configured, such as `/api/v1/flights/{id}`: its name in metrics.
    pub path: String,
    /// All of these are needed.
    pub scopes: ScopeSet,
    /// What opens it.
    pub credentials: Vec<Credential>,
    /// Index into [`Router::upstreams`].
    pub upstream: usize,
}

/// Where an upstream listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamAddress {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// What the table says of a method and a path.
#[derive(Debug)]
pub enum Found<'a> {
    /// It leads there.
    Target(Target),
    /// The path exists, for these methods.
    OtherMethods(&'a str),
    /// There is no such path.
    Nothing,
}

/// The paths of a configuration collide.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// A pattern is malformed, or collides with another.
    #[error("path `{path}`: {reason}")]
    Pattern {
        /// The pattern.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two targets for one method and path.
    #[error("{method} {path} is defined twice: by a route and by a surface, or by two surfaces")]
    Twice {
        /// The method.
        method: Method,
        /// The pattern.
        path: String,
    },
    /// The method is no token.
    #[error("`{0}` is not a method")]
    Method(String),
}

impl Router {
    /// The table of a configuration that was checked.
    pub fn new(config: &GatewayConfig, catalogue: &Catalogue) -> Result<Self, RouteError> {
        let mut router = Self::default();
        for (path, method, endpoint) in surface::endpoints(config) {
            router.add(&path, method, Target::Endpoint(endpoint))?;
        }
        for route in &config.routes {
            let upstream = router.upstream(&route.upstream);
            router.routes.push(Route {
                path: route.path.clone(),
                scopes: catalogue.set(route.scopes.iter().map(String::as_str)),
                credentials: route.credentials.clone(),
                upstream,
            });
            let target = Target::Forward(router.routes.len() - 1);
            for method in &route.methods {
                let method = Method::from_bytes(method.as_bytes())
                    .map_err(|_| RouteError::Method(method.clone()))?;
                router.add(&route.path, method, target)?;
            }
        }
        for path in &mut router.paths {
            path.finish();
        }
        Ok(router)
    }

    /// Where this request goes. HEAD goes where GET goes.
    pub fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let Ok(found) = self.tree.at(path) else {
            return Found::Nothing;
        };
        let Some(path) = self.paths.get(*found.value) else {
            return Found::Nothing;
        };
        match path.targets.iter().find(|(known, _)| known == method) {
            Some((_, target)) => Found::Target(*target),
            None => Found::OtherMethods(&path.allow),
        }
    }

    /// The forwarded paths.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The upstreams, each once.
    pub fn upstreams(&self) -> &[UpstreamAddress] {
        &self.upstreams
    }

    fn add(&mut self, pattern: &str, method: Method, target: Target) -> Result<(), RouteError> {
        let known = self.paths.iter().position(|path| path.pattern == pattern);
        let index = if let Some(index) = known {
            index
        } else {
            self.tree
                .insert(pattern, self.paths.len())
                .map_err(|error| RouteError::Pattern {
                    path: pattern.into(),
                    reason: error.to_string(),
                })?;
            self.paths.push(Path {
                pattern: pattern.into(),
                ..Path::default()
            });
            self.paths.len() - 1
        };
        let path = &mut self.paths[index];
        if path.targets.iter().any(|(known, _)| *known == method) {
            return Err(RouteError::Twice {
                method,
                path: pattern.into(),
            });
        }
        path.targets.push((method, target));
        Ok(())
    }

    fn upstream(&mut self, url: &url::Url) -> usize {
        let address = UpstreamAddress {
            host: url
                .host_str()
                .unwrap_or_default()
                .trim_matches(['[', ']'])
                .into(),
            port: url.port_or_known_default().unwrap_or(80),
        };
        if let Some(index) = self.upstreams.iter().position(|known| *known == address) {
            return index;
        }
        self.upstreams.push(address);
        self.upstreams.len() - 1
    }
}

impl Path {
    fn finish(&mut self) {
        let target = |method| self.targets.iter().find(|(known, _)| *known == method);
        if let (Some((_, get)), None) = (target(Method::GET), target(Method::HEAD)) {
            self.targets.push((Method::HEAD, *get));
        }
        let methods: Vec<_> = self
            .targets
            .iter()
            .map(|(method, _)| method.as_str())
            .collect();
        self.allow = methods.join(", ");
    }
}

/// A value for `Allow` (RFC 9110 section 10.2.1).
pub fn allow(methods: &str) -> HeaderValue {
    HeaderValue::from_str(methods).unwrap_or(HeaderValue::from_static(""))
}

/// Whether a path means the same to everyone who reads it: no `.` or `..`
/// segments, no empty segments, no backslash, and none of these or a slash
/// hidden in percent-encoding. Others are refused, so that an upstream which
/// normalises paths never sees another one than was permitted.
pub fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return false;
    }
    let mut rest = bytes;
    let mut previous = 0_u8;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'/' if previous == b'/' => return false,
            b'\\' => return false,
            b'.' if previous == b'/' && ends_dot_segment(rest) => return false,
            b'%' => {
                let Some(decoded) = hex_pair(rest) else {
                    return false;
                };
                // Unreserved characters never need encoding, and `.` is one.
                let odd = matches!(decoded, b'/' | b'\\' | b'%' | 0..=0x1f | 0x7f)
                    || decoded.is_ascii_alphanumeric()
                    || matches!(decoded, b'.' | b'-' | b'_' | b'~');
                if odd {
                    return false;
                }
            }
            _ => {}
        }
        previous = byte;
    }
    true
}

/// Whether what follows a dot at a segment's beginning makes it `.` or `..`.
fn ends_dot_segment(rest: &[u8]) -> bool {
    matches!(
        rest,
        [] | [b'/' | b';', ..] | [b'.'] | [b'.', b'/' | b';', ..]
    )
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(*bytes.first()?)? * 16 + digit(*bytes.get(1)?)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Router {
        let config = GatewayConfig::from_yaml(
            "issuer: https://localhost
tls: {selfSigned: true}
store: {sled: {path: data}}
surfaces: [{standard: {base: /api/oauth}}]
scopes: [{name: a, title: A}]
routes:
  - {path: /api/v1/flights, methods: [GET], scopes: [a], upstream: 'http://127.0.0.1:8080'}
  - {path: /api/v1/flights, methods: [POST], upstream: 'http://127.0.0.1:8080'}
  - {path: '/api/v1/flights/{id}', methods: [GET], upstream: 'http://[::1]:8081'}
",
        )
        .unwrap();
        Router::new(&config, &Catalogue::new(&config)).unwrap()
    }

    #[test]
    fn paths_lead_where_they_were_configured_to() {
        let router = router();
        assert!(matches!(
            router.find(&Method::GET, "/api/v1/flights"),
            Found::Target(Target::Forward(0))
        ));
        assert!(matches!(
            router.find(&Method::HEAD, "/api/v1/flights"),
            Found::Target(Target::Forward(0))
        ));
        assert!(matches!(
            router.find(&Method::POST, "/api/v1/flights"),
            Found::Target(Target::Forward(1))
        ));
        assert!(matches!(
            router.find(&Method::GET, "/api/v1/flights/7"),
            Found::Target(Target::Forward(2))
        ));
        assert!(matches!(
            router.find(&Method::GET, "/api/v1/flights/"),
            Found::Nothing
        ));
        let Found::OtherMethods(allow) = router.find(&Method::DELETE, "/api/v1/flights") else {
            panic!()
        };
        assert_eq!(allow, "GET, POST, HEAD");
        assert_eq!(router.upstreams().len(), 2);
        assert_eq!(router.upstreams()[1].host, "::1");
    }

    #[test]
    fn a_path_that_could_mean_another_is_not_plain() {
        for path in [
            "/",
            "/a/b",
            "/a/b/",
            "/a/..b",
            "/a/b..",
            "/a.b/.c",
            "/a%20b",
            "/%E2%82%AC",
            "/a:b@c",
        ] {
            assert!(is_plain(path), "{path}");
        }
        for path in [
            "",
            "a",
            "*",
            "//",
            "/a//b",
            "/.",
            "/..",
            "/a/./b",
            "/a/../b",
            "/a/..",
            "/a\\b",
            "/%2e%2e/a",
            "/a%2Fb",
            "/a%2fb",
            "/a%5cb",
            "/a%00",
            "/a%",
            "/a%2",
            "/a%zz",
            "/%61",
            "/a%252f",
            "/..;/a",
            "/.;/",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }
}
