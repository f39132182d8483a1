//! What all measurements of a run share: folder, cores, certificate, upstream.

use crate::{
    certificate::{Certificate, HOST},
    child::{Child, this_program},
    error::{Doing, Error},
    load::write_requests,
    machine::Cores,
};
use aws_lc_rs::rand;
use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// What all measurements of a run share.
pub struct Rig {
    /// Configuration files, logs and data of this run.
    pub work: PathBuf,
    /// Who runs where.
    pub cores: Cores,
    /// What every server presents.
    pub certificate: Certificate,
    /// Where the upstream listens.
    pub upstream: SocketAddr,
    /// Opaque bearer tokens that the upstream's `/auth` accepts.
    pub bearers: Vec<String>,
    upstream_child: Child,
}

impl Rig {
    /// Empties the folder and starts the upstream.
    pub fn set_up(work: &Path, connections: usize) -> Result<Self, Error> {
        match fs::remove_dir_all(work) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).doing(|| format!("empty {}", work.display()));
            }
            _ => fs::create_dir_all(work).doing(|| format!("create {}", work.display()))?,
        }
        let work = work
            .canonicalize()
            .doing(|| format!("find {}", work.display()))?;
        let certificate = Certificate::make(&work)?;
        let cores = Cores::deal();
        let bearers: Vec<String> = (0..connections)
            .map(|_| opaque_token())
            .collect::<Result<_, _>>()?;
        let accepted: Vec<String> = bearers
            .iter()
            .map(|token| format!("Bearer {token}"))
            .collect();
        let accept = write_requests(&work.join("upstream-accepts.json"), &accepted)?;
        let ready = work.join("upstream-ready");
        let mut upstream = Child::server(
            "upstream",
            &cores.upstream,
            &work.join("upstream.log"),
            this_program()?.as_os_str(),
            [
                "upstream".as_ref(),
                "--accept".as_ref(),
                accept.as_os_str(),
                "--ready-file".as_ref(),
                ready.as_os_str(),
            ],
        )?;
        let address = wait_until(&mut upstream, || {
            fs::read_to_string(&ready).ok()?.parse().ok()
        })?;
        Ok(Self {
            work,
            cores,
            certificate,
            upstream: address,
            bearers,
            upstream_child: upstream,
        })
    }

    /// The upstream's process id.
    pub fn upstream_pid(&self) -> u32 {
        self.upstream_child.pid()
    }

    /// A folder of this run.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.work.join(name);
        fs::create_dir_all(&path).doing(|| format!("create {}", path.display()))?;
        Ok(path)
    }
}

/// The request that is measured, with a bearer token.
pub fn flights_request(bearer: &str) -> String {
    format!(
        "GET /api/v1/flights HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: flightgate-bench\r\n\
         Accept: application/json\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    )
}

/// A loopback address that is free now.
pub fn free_address() -> Result<SocketAddr, Error> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .doing(|| "find a free port".to_owned())
}

/// Asks every 200 µs until there is an answer; fails after 30 s, or when the
/// child has ended.
pub fn wait_until<T>(child: &mut Child, mut ask: impl FnMut() -> Option<T>) -> Result<T, Error> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        child.alive()?;
        std::thread::sleep(Duration::from_micros(200));
    }
    Err(child.not_ready())
}

/// A token of the length and alphabet of Flightgate's own.
fn opaque_token() -> Result<String, Error> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const LENGTH: usize = 49;
    let mut random = [0; LENGTH];
    rand::fill(&mut random)
        .map_err(|_| io::Error::other("no randomness"))
        .doing(|| "make a token".to_owned())?;
    let text = random
        .iter()
        .map(|&byte| char::from(ALPHABET[usize::from(byte) % 62]));
    Ok("fg_at_".chars().chain(text).collect())
}
