//! nginx, as a plain TLS proxy and with `auth_request`.
//!
//! One process without a master, so that nothing is left when it is killed; its
//! event loop is that of a worker. Tuned as its documentation advises: upstream
//! keep-alive, no access log, connections that are never closed for their age.

use super::{Running, program, write};
use crate::{
    child::Child,
    error::Error,
    machine,
    rig::{Rig, free_address},
};

/// Starts the plain proxy.
pub fn start_plain(rig: &Rig) -> Result<Running, Error> {
    start(rig, "nginx", "", "")
}

/// Starts the proxy that asks the upstream's `/auth` about each bearer.
pub fn start_auth(rig: &Rig) -> Result<Running, Error> {
    let location = "
    location = /auth {
      internal;
      proxy_pass http://api;
      proxy_pass_request_body off;
      proxy_set_header Content-Length \"\";
      proxy_set_header Connection \"\";
    }";
    start(rig, "nginx-auth", "auth_request /auth;", location)
}

fn start(rig: &Rig, name: &str, directive: &str, location: &str) -> Result<Running, Error> {
    let nginx = program("nginx", "FLIGHTGATE_NGINX", "install Debian's nginx")?;
    let folder = rig.folder(name)?;
    let address = free_address()?;
    let at = folder.display();
    let upstream = rig.upstream;
    let certificate = rig.certificate.certificate.display();
    let key = rig.certificate.key.display();
    let text = format!(
        "daemon off;
master_process off;
worker_processes 1;
pid {at}/pid;
error_log {at}/error.log crit;
events {{ worker_connections 4096; use epoll; }}
http {{
  access_log off;
  server_tokens off;
  tcp_nodelay on;
  keepalive_timeout 1h;
  keepalive_time 24h;
  keepalive_requests 1000000000;
  client_body_temp_path {at}/client;
  proxy_temp_path {at}/proxy;
  fastcgi_temp_path {at}/fastcgi;
  uwsgi_temp_path {at}/uwsgi;
  scgi_temp_path {at}/scgi;
  ssl_protocols TLSv1.3;
  ssl_certificate {certificate};
  ssl_certificate_key {key};
  ssl_session_cache shared:tls:10m;
  ssl_session_timeout 1h;
  ssl_buffer_size 4k;
  upstream api {{
    server {upstream};
    keepalive 512;
    keepalive_timeout 1h;
    keepalive_time 24h;
    keepalive_requests 1000000000;
  }}
  server {{
    listen {address} ssl backlog=1024;
    location / {{
      {directive}
      proxy_pass http://api;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $host;
      proxy_buffering on;
    }}{location}
    proxy_http_version 1.1;
  }}
}}
"
    );
    let config = folder.join("nginx.conf");
    write(&config, &text)?;
    let child = Child::server(
        name,
        &rig.cores.proxy,
        &folder.join("output.log"),
        nginx.as_os_str(),
        [
            "-p".as_ref(),
            folder.as_os_str(),
            "-c".as_ref(),
            config.as_os_str(),
            "-e".as_ref(),
            "error.log".as_ref(),
        ],
    )?;
    let version = machine::version(&nginx, "-v");
    Ok(Running {
        address,
        child,
        version,
        bearers: rig.bearers.clone(),
    })
}
