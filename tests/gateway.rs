//! One running gateway.

use std::{
    fs,
    fs::OpenOptions,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    client::{Answer, Call, Connection, Protocol},
    harness::{Site, eventually, within},
};

/// One running gateway; killed at the latest when the test ends.
pub(crate) struct Gateway {
    child: Child,
    log: PathBuf,
    ca: PathBuf,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) internal: SocketAddr,
}

impl Gateway {
    /// Runs the command and waits until everything listens.
    pub(crate) async fn start(site: &Site, mut command: Command) -> Self {
        let (ready, log) = (site.path("ready.json"), site.path("gateway.log"));
        let _ = fs::remove_file(&ready);
        let out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let ca = match &site.config["tls"]["selfSigned"] {
            Value::Bool(true) => site.path("keys/ca.crt"),
            _ => site.path("ca.pem"),
        };
        let mut gateway = Self {
            child: command.spawn().unwrap(),
            ca,
            log,
            public: nowhere,
            admin: nowhere,
            internal: nowhere,
        };
        eventually("a gateway that is ready", async || {
            if let Some(status) = gateway.child.try_wait().unwrap() {
                panic!("the gateway ended with {status}: {}", site.log());
            }
            ready.exists()
        })
        .await;
        let addresses: Value = serde_json::from_slice(&fs::read(&ready).unwrap()).unwrap();
        let address = |name: &str| addresses[name].as_str().unwrap().parse().unwrap();
        gateway.public = address("public");
        gateway.admin = address("admin");
        gateway.internal = address("internal");
        gateway
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same, while others still wait for its answers.
    pub(crate) fn crash(&self) {
        self.signal(Signal::KILL);
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        let mut status = None;
        eventually("a gateway that ends", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }

    /// `https://` and its name.
    pub(crate) fn origin(&self) -> String {
        format!("https://{}", self.authority())
    }

    /// Name and port.
    pub(crate) fn authority(&self) -> String {
        format!("localhost:{}", self.public.port())
    }

    /// What a client that trusts the CA uses.
    pub(crate) fn tls_config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&self.ca).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A TLS stream to it that speaks this protocol.
    pub(crate) async fn tls(&self, alpn: &str) -> TlsStream<TcpStream> {
        self.tls_with(self.tls_config(rustls::ALL_VERSIONS, &[alpn]))
            .await
            .unwrap()
    }

    /// A TLS stream to it, if it takes this client.
    pub(crate) async fn tls_with(
        &self,
        config: Arc<ClientConfig>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        handshake(config, TcpStream::connect(self.public).await?).await
    }

    /// A connection to it.
    pub(crate) async fn connect(&self, protocol: Protocol) -> Connection {
        let stream = self.tls(protocol.alpn()).await;
        Connection::new(stream, protocol, self.authority()).await
    }

    /// Makes one call over HTTP/1.1 on a connection of its own.
    pub(crate) async fn answer(&self, call: Call) -> Answer {
        self.connect(Protocol::H1).await.answer(call).await
    }

    /// The same, unless the gateway goes away meanwhile.
    pub(crate) async fn try_answer(&self, call: Call) -> Option<Answer> {
        let alpn = Protocol::H1.alpn();
        let config = self.tls_config(rustls::ALL_VERSIONS, &[alpn]);
        let stream = self.tls_with(config).await.ok()?;
        let mut connection = Connection::new(stream, Protocol::H1, self.authority()).await;
        connection.try_answer(call).await.ok()
    }

    /// A connection from this address, which is one of the host itself.
    pub(crate) async fn connect_from(&self, address: IpAddr, protocol: Protocol) -> Connection {
        let config = self.tls_config(rustls::ALL_VERSIONS, &[protocol.alpn()]);
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        let stream = socket.connect(self.public).await.unwrap();
        let stream = handshake(config, stream).await.unwrap();
        Connection::new(stream, protocol, self.authority()).await
    }

    /// What the admin listener says.
    pub(crate) async fn ask_admin(&self, path: &str) -> Answer {
        plain(self.admin, path).await
    }

    /// The value of a metric with exactly these labels; 0 if it is not there.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.ask_admin("/metrics").await.text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    /// A line of `/proc/<pid>/status`, in KiB.
    pub(crate) fn memory_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }
}

async fn handshake(
    config: Arc<ClientConfig>,
    stream: TcpStream,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    let connecting = TlsConnector::from(config).connect(name, stream);
    within("a TLS handshake", connecting).await
}

/// What stands at this path of a listener without TLS.
pub(crate) async fn plain(address: SocketAddr, path: &str) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut connection = Connection::new(stream, Protocol::H1, address.to_string()).await;
    connection.answer(Call::get(path)).await
}

impl Drop for Gateway {
    #[expect(
        clippy::print_stderr,
        reason = "a failed test shows what the gateway said"
    )]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let start = log.len().saturating_sub(8_000);
            let tail = log.get(start..).unwrap_or(&log);
            eprintln!("--- the gateway's log\n{tail}");
        }
    }
}
