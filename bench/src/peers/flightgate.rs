//! Flightgate, made ready as a platform team would: manifests, compiled by the
//! operator, served by the gateway, tokens from its token endpoint.

use super::{Running, program, write};
use crate::{
    certificate::HOST,
    child::Child,
    error::{Doing, Error},
    exchange::Exchange,
    machine,
    rig::{Rig, wait_until},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Applications that share the load of the proxy and token tables.
const APPLICATIONS: usize = 64;
const NAMESPACE: &str = "bench";

/// Starts it as a peer of the proxy table: one data-plane core, one token for
/// each connection.
pub fn start(rig: &Rig) -> Result<Running, Error> {
    let site = Site::prepare(rig, "flightgate", APPLICATIONS, 1)?;
    let gateway = site.serve(&rig.cores.proxy)?;
    let bearers = site.tokens(&gateway, rig, rig.bearers.len())?;
    let version = machine::version(&site.gateway, "--version");
    Ok(Running {
        address: gateway.public,
        child: gateway.child,
        version,
        bearers,
    })
}

/// Everything a gateway is started from.
pub struct Site {
    /// The gateway's program.
    pub gateway: PathBuf,
    /// What each application authenticates with.
    pub credentials: Vec<Credential>,
    folder: PathBuf,
}

/// What an application authenticates with.
pub struct Credential {
    client_id: String,
    client_secret: String,
}

/// A gateway that is ready.
pub struct Gateway {
    /// Its process.
    pub child: Child,
    /// Where its TLS listener is.
    pub public: SocketAddr,
    /// From spawn to the ready file.
    pub started_in: Duration,
}

impl Site {
    /// Writes configuration and manifests, and has the operator compile them.
    pub fn prepare(
        rig: &Rig,
        name: &str,
        applications: usize,
        workers: usize,
    ) -> Result<Self, Error> {
        let gateway = program(
            "flightgate-gateway",
            "FLIGHTGATE_GATEWAY",
            "set FLIGHTGATE_GATEWAY",
        )?;
        let operator = program(
            "flightgate-operator",
            "FLIGHTGATE_OPERATOR",
            "set FLIGHTGATE_OPERATOR",
        )?;
        let folder = rig.folder(name)?;
        write(&folder.join("gateway.yaml"), &gateway_yaml(rig, workers))?;
        let manifests = rig.folder(&format!("{name}/manifests"))?;
        write(
            &manifests.join("applications.yaml"),
            &manifest(applications),
        )?;
        let output = Command::new(&operator)
            .arg("compile")
            .args(["--manifests".as_ref(), manifests.as_os_str()])
            .args(["--config".as_ref(), folder.join("gateway.yaml").as_os_str()])
            .args(["--out".as_ref(), folder.as_os_str()])
            .output()
            .doing(|| "start the operator".to_owned())?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::Child {
                name: "flightgate-operator compile".to_owned(),
                why,
            });
        }
        let credentials = (0..applications)
            .map(|index| {
                Credential::read(&folder.join(format!(
                    "credentials/{NAMESPACE}.{}-credentials.env",
                    application(index)
                )))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            gateway,
            credentials,
            folder,
        })
    }

    /// Starts the gateway and waits until it says that it is ready.
    pub fn serve(&self, cpus: &[usize]) -> Result<Gateway, Error> {
        let ready = self.folder.join("ready.json");
        let _ = fs::remove_file(&ready);
        let spawned = Instant::now();
        let mut child = Child::server(
            "flightgate-gateway",
            cpus,
            &self.folder.join("output.log"),
            self.gateway.as_os_str(),
            [
                "serve".as_ref(),
                "--config".as_ref(),
                self.folder.join("gateway.yaml").as_os_str(),
                "--resources".as_ref(),
                self.folder.join("resources").as_os_str(),
                "--ready-file".as_ref(),
                ready.as_os_str(),
            ],
        )?;
        let (public, started_in) = wait_until(&mut child, || {
            // A file that is there but not whole yet is read again.
            let text = fs::read(&ready).ok()?;
            let ready: Ready = serde_json::from_slice(&text).ok()?;
            Some((ready.public, spawned.elapsed()))
        })?;
        Ok(Gateway {
            child,
            public,
            started_in,
        })
    }

    /// Gets access tokens, application by application in turn.
    pub fn tokens(&self, gateway: &Gateway, rig: &Rig, count: usize) -> Result<Vec<String>, Error> {
        // Durable tokens wait for the disk, and share that wait when they come
        // together.
        const THREADS: usize = 16;
        let mint = |first: usize| {
            let mut exchange = Exchange::connect(gateway.public, &rig.certificate.certificate)?;
            (first..count)
                .step_by(THREADS)
                .map(|index| self.token(&mut exchange, index).map(|token| (index, token)))
                .collect::<Result<Vec<_>, Error>>()
        };
        let mut tokens = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS.min(count))
                .map(|first| scope.spawn(move || mint(first)))
                .collect();
            threads.into_iter().try_fold(Vec::new(), |mut all, thread| {
                let minted = thread.join().unwrap_or_else(|_| {
                    Err(Error::Usage(
                        "a thread that gets tokens panicked".to_owned(),
                    ))
                })?;
                all.extend(minted);
                Ok::<_, Error>(all)
            })
        })?;
        tokens.sort_unstable_by_key(|&(index, _)| index);
        Ok(tokens.into_iter().map(|(_, token)| token).collect())
    }

    fn token(&self, exchange: &mut Exchange, index: usize) -> Result<String, Error> {
        let credential = &self.credentials[index % self.credentials.len()];
        let answer = exchange.send(&credential.token_request())?;
        if answer.status != 200 {
            return Err(Error::WrongAnswer {
                name: "the token endpoint".to_owned(),
                got: answer.status,
                expected: 200,
                hint: String::from_utf8_lossy(&answer.body).into_owned(),
            });
        }
        let token: Token = serde_json::from_slice(&answer.body).map_err(|source| Error::Json {
            what: "the token response".to_owned(),
            source,
        })?;
        Ok(token.access_token)
    }
}

impl Credential {
    /// What these are.
    pub fn new(client_id: String, client_secret: String) -> Self {
        Self {
            client_id,
            client_secret,
        }
    }

    fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).doing(|| format!("read {}", path.display()))?;
        let value = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
                .map(|value| value.trim_matches(['"', '\'']).to_owned())
                .ok_or_else(|| Error::Usage(format!("{} has no {name}", path.display())))
        };
        Ok(Self {
            client_id: value("CLIENT_ID")?,
            client_secret: value("CLIENT_SECRET")?,
        })
    }

    /// The request for a token (RFC 6749 section 4.4.2).
    pub fn token_request(&self) -> String {
        self.post(
            "token",
            "grant_type=client_credentials&scope=flights%3Aread",
        )
    }

    /// The request to introspect a token (RFC 7662 section 2.1).
    pub fn introspection_request(&self, token: &str) -> String {
        self.post("introspect", &format!("token={token}"))
    }

    fn post(&self, endpoint: &str, body: &str) -> String {
        let basic = BASE64_STANDARD.encode(format!("{}:{}", self.client_id, self.client_secret));
        format!(
            "POST /api/oauth/{endpoint} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: flightgate-bench\r\n\
             Accept: application/json\r\nAuthorization: Basic {basic}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// What a gateway's ready file says.
#[derive(Deserialize)]
pub struct Ready {
    /// Where its TLS listener is.
    pub public: SocketAddr,
    /// Where its listener for the platform is.
    pub admin: SocketAddr,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

/// Its configuration. The quota is counted for every request and never used up.
pub fn gateway_yaml(rig: &Rig, workers: usize) -> String {
    let certificate = rig.certificate.certificate.display();
    let key = rig.certificate.key.display();
    let upstream = rig.upstream;
    format!(
        r#"issuer: https://{HOST}:0
listen: {{public: "127.0.0.1:0", admin: "127.0.0.1:0", internal: "127.0.0.1:0"}}
tls: {{certificate: "{certificate}", key: "{key}"}}
workers: {workers}
keys: {{path: keys}}
store: {{sled: {{path: data}}}}
surfaces: [{{standard: {{base: /api/oauth}}}}]
scopes:
  - {{name: "flights:read", title: "See your flights"}}
profiles: {{default: {{accessTtl: 12h}}}}
plans:
  bench:
    quotas:
      - {{name: burst, limit: 1000000000, per: 1m, by: application, class: read}}
routes:
  - path: /api/v1/flights
    methods: [GET]
    scopes: ["flights:read"]
    upstream: "http://{upstream}"
    class: read
"#
    )
}

fn manifest(applications: usize) -> String {
    let mut text = String::new();
    for index in 0..applications {
        let name = application(index);
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            r#"---
apiVersion: flightgate.dev/v1alpha1
kind: OAuthApplication
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  displayName: Partner {index}
  clientType: confidential
  grantTypes: [client_credentials]
  scopes: ["flights:read"]
  plan: bench
"#
        );
    }
    text
}

fn application(index: usize) -> String {
    format!("partner-{index:05}")
}
