//! The proxies that stand side by side.

pub mod envoy;
pub mod flightgate;
pub mod haproxy;
pub mod nginx;

use crate::{
    child::Child,
    error::Error,
    exchange::Exchange,
    load::write_requests,
    rig::{Rig, flights_request, wait_until},
};
use std::{
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
};

/// A proxy that can be measured.
pub struct Kind {
    /// Its name on the command line.
    pub key: &'static str,
    /// Its name in the tables.
    pub label: &'static str,
    /// Whether it refuses a bearer it does not know.
    pub authenticates: Authenticates,
    /// The largest share of this proxy's CPU time that Flightgate aims to use.
    pub goal: Option<f64>,
    start: fn(&Rig) -> Result<Running, Error>,
}

/// Whether a proxy checks bearers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authenticates {
    /// An unknown bearer is answered with 401.
    Yes,
    /// It forwards whatever comes.
    No,
}

/// The key of the proxy that all others are compared to.
pub const FLIGHTGATE: &str = "flightgate";

/// Every proxy, in the order of the tables.
pub const KINDS: [Kind; 6] = [
    Kind {
        key: FLIGHTGATE,
        label: "Flightgate: authentication, counting",
        authenticates: Authenticates::Yes,
        goal: None,
        start: flightgate::start,
    },
    Kind {
        key: "nginx",
        label: "nginx: plain TLS proxy",
        authenticates: Authenticates::No,
        goal: Some(0.85),
        start: nginx::start_plain,
    },
    Kind {
        key: "haproxy",
        label: "haproxy: plain TLS proxy",
        authenticates: Authenticates::No,
        goal: Some(0.85),
        start: haproxy::start,
    },
    Kind {
        key: "envoy",
        label: "Envoy: plain TLS proxy",
        authenticates: Authenticates::No,
        goal: None,
        start: envoy::start_plain,
    },
    Kind {
        key: "envoy-jwt",
        label: "Envoy: jwt_authn, local_ratelimit",
        authenticates: Authenticates::Yes,
        goal: Some(0.33),
        start: envoy::start_jwt,
    },
    Kind {
        key: "nginx-auth",
        label: "nginx: auth_request",
        authenticates: Authenticates::Yes,
        goal: Some(0.33),
        start: nginx::start_auth,
    },
];

/// A proxy that runs.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process.
    pub child: Child,
    /// What it says of its version.
    pub version: String,
    /// The bearers it accepts, one for each connection.
    pub bearers: Vec<String>,
}

/// A proxy that runs and was seen to do its job.
pub struct Peer {
    /// What it is.
    pub kind: &'static Kind,
    /// Its name in the tables, with what it was seen to do.
    pub label: String,
    /// What it says of its version.
    pub version: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The requests to send it.
    pub requests: PathBuf,
    child: Child,
}

impl Peer {
    /// Starts a proxy, and makes sure that it forwards what it should and, if it
    /// authenticates, refuses what it should.
    pub fn start(kind: &'static Kind, rig: &Rig) -> Result<Self, Error> {
        let mut running = (kind.start)(rig)?;
        wait_until(&mut running.child, || {
            TcpStream::connect(running.address).ok()
        })?;
        let mut exchange = Exchange::connect(running.address, &rig.certificate.certificate)?;
        let unknown = match kind.authenticates {
            Authenticates::Yes => 401,
            Authenticates::No => 200,
        };
        let mut label = kind.label.to_owned();
        for (bearer, expected) in [(running.bearers[0].as_str(), 200), ("unknown", unknown)] {
            let answer = exchange.send(&flights_request(bearer))?;
            if answer.states_quota && expected == 200 {
                label.push_str(", quota");
            }
            if answer.status != expected {
                let shown = &answer.body[..answer.body.len().min(200)];
                return Err(Error::WrongAnswer {
                    name: kind.key.to_owned(),
                    got: answer.status,
                    expected,
                    hint: format!(
                        "{}; its output is in {}",
                        String::from_utf8_lossy(shown).trim(),
                        running.child.log().display()
                    ),
                });
            }
        }
        let requests: Vec<String> = running.bearers.iter().map(|b| flights_request(b)).collect();
        let requests = write_requests(
            &rig.work.join(format!("{}-requests.json", kind.key)),
            &requests,
        )?;
        let Running {
            address,
            child,
            version,
            ..
        } = running;
        Ok(Self {
            kind,
            label,
            version,
            address,
            requests,
            child,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }
}

/// The program of a peer, or the reason why its row is missing.
fn program(name: &str, variable: &str, remedy: &str) -> Result<PathBuf, Error> {
    crate::child::find(name, variable).ok_or_else(|| Error::Absent {
        program: name.to_owned(),
        remedy: remedy.to_owned(),
    })
}

/// Writes a configuration file.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    use crate::error::Doing;
    std::fs::write(path, text).doing(|| format!("write {}", path.display()))
}
