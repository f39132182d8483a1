//! haproxy, as a plain TLS proxy with one thread.

use super::{Running, program, write};
use crate::{
    child::Child,
    error::Error,
    machine,
    rig::{Rig, free_address},
};

/// Starts it.
pub fn start(rig: &Rig) -> Result<Running, Error> {
    let haproxy = program("haproxy", "FLIGHTGATE_HAPROXY", "install Debian's haproxy")?;
    let folder = rig.folder("haproxy")?;
    let address = free_address()?;
    let upstream = rig.upstream;
    let certificate = rig.certificate.both.display();
    let text = format!(
        "global
  nbthread 1
  maxconn 4096
  ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
  mode http
  no log
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  http-reuse always
frontend tls
  bind {address} ssl crt {certificate} alpn http/1.1 backlog 1024
  default_backend api
backend api
  server upstream {upstream} pool-max-conn -1 pool-purge-delay 1h
"
    );
    let config = folder.join("haproxy.cfg");
    write(&config, &text)?;
    let child = Child::server(
        "haproxy",
        &rig.cores.proxy,
        &folder.join("output.log"),
        haproxy.as_os_str(),
        ["-db".as_ref(), "-f".as_ref(), config.as_os_str()],
    )?;
    let version = machine::version(&haproxy, "-v");
    Ok(Running {
        address,
        child,
        version,
        bearers: rig.bearers.clone(),
    })
}
