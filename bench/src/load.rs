//! The parent's side of the load generator.

use crate::{
    child::{pinned, this_program},
    client::Report,
    error::{Doing, Error},
};
use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

/// One load to make.
#[derive(Clone)]
pub struct Load<'a> {
    /// The server.
    pub address: SocketAddr,
    /// The certificate to trust; `None` is plain TCP.
    pub certificate: Option<&'a Path>,
    /// The file of requests, as [`write_requests`] makes it.
    pub requests: &'a Path,
    /// Keep-alive connections.
    pub connections: usize,
    /// Seconds that are not counted, and seconds that are.
    pub seconds: (f64, f64),
    /// Requests per second, or a closed loop.
    pub rate: Option<f64>,
    /// The processes whose CPU time to read.
    pub watch: &'a [u32],
    /// Where the load generator runs.
    pub cpus: &'a [usize],
}

impl Load<'_> {
    /// Makes the load.
    pub fn run(&self) -> Result<Report, Error> {
        let (warm_up, seconds) = self.seconds;
        let mut arguments: Vec<OsString> =
            vec!["load".into(), "--requests".into(), self.requests.into()];
        let mut add = |name: &str, value: String| {
            arguments.push(format!("--{name}={value}").into());
        };
        add("address", self.address.to_string());
        add("connections", self.connections.to_string());
        add("warm-up", warm_up.to_string());
        add("seconds", seconds.to_string());
        if let Some(rate) = self.rate {
            add("rate", rate.to_string());
        }
        if !self.watch.is_empty() {
            add(
                "watch",
                self.watch
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(","),
            );
        }
        if let Some(certificate) = self.certificate {
            arguments.extend(["--certificate".into(), certificate.into()]);
        }
        let output = pinned(self.cpus, this_program()?.as_os_str(), arguments)?
            .stdin(Stdio::null())
            .output()
            .doing(|| "start the load generator".to_owned())?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::Child {
                name: "the load generator".to_owned(),
                why,
            });
        }
        serde_json::from_slice(&output.stdout).map_err(|source| Error::Json {
            what: "the load generator's report".to_owned(),
            source,
        })
    }
}

/// Writes requests where the load generator finds them.
pub fn write_requests(path: &Path, requests: &[String]) -> Result<PathBuf, Error> {
    let json = serde_json::to_vec(requests).map_err(|source| Error::Json {
        what: "the list of requests".to_owned(),
        source,
    })?;
    std::fs::write(path, json).doing(|| format!("write {}", path.display()))?;
    Ok(path.to_owned())
}
