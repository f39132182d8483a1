//! TLS 1.2 and 1.3 by rustls: certificates from files that may change, or from
//! a CA of our own for demos; and a plain answer to plain HTTP.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crds::gateway_config::GatewayConfig;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::Tls;
use crate::keys::{private_folder, write_private};

/// The first byte of a TLS record that carries a handshake.
const HANDSHAKE: u8 = 0x16;
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);
const CA: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

const PLAIN: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nContent-Length: 149\r\nConnection: close\r\n\r\n{\"type\":\"urn:flightgate:problem:plain-http\",\"title\":\"This port speaks HTTPS.\",\"status\":400,\"detail\":\"Use https:// for this address, please: no TLS.\"}";

/// The certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("tls: {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no PEM of the kind that is expected.
    #[error("tls: {path}: expected {expected} in PEM: {reason}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not fit together.
    #[error("tls: {certificate} and {key} cannot be used together: {source}")]
    Config {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// The self-signed certificate could not be made.
    #[error("tls: a self-signed certificate could not be made: {0}")]
    SelfSigned(#[from] rcgen::Error),
}

/// The two files.
#[derive(Clone, Debug)]
pub struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    /// The files of a configuration; made now if they are to be self-signed.
    pub fn of(config: &GatewayConfig) -> Result<Self, TlsError> {
        match (&config.tls.certificate, &config.tls.key) {
            (Some(certificate), Some(key)) => Ok(Self {
                certificate: certificate.clone(),
                key: key.clone(),
            }),
            _ => self_signed(&config.keys.path, config.issuer.host_str()),
        }
    }

    /// The TLS configuration of these files.
    pub fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let pem = |path: &Path| {
            fs::read(path).map_err(|source| TlsError::Io {
                path: path.into(),
                source,
            })
        };
        let bad = |path: &Path, expected, reason: String| TlsError::Pem {
            path: path.into(),
            expected,
            reason,
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem(&self.certificate)?)
            .collect::<Result<_, _>>()
            .map_err(|error| bad(&self.certificate, "certificates", error.to_string()))?;
        if chain.is_empty() {
            return Err(bad(
                &self.certificate,
                "certificates",
                "there are none".into(),
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(&zeroize::Zeroizing::new(pem(&self.key)?))
            .map_err(|error| bad(&self.key, "a private key", error.to_string()))?;
        let refused = |source| TlsError::Config {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        };
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(refused)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(refused)?;
        Ok(Arc::new(config))
    }

    /// Follows the files for ever; new connections get what they say. Files that
    /// cannot be used leave the last good ones in force.
    pub async fn follow(self, tls: Tls) {
        let mut seen = self.content();
        let mut interval = tokio::time::interval(LOOK);
        loop {
            interval.tick().await;
            let now = self.content();
            if now == seen {
                continue;
            }
            match self.load() {
                Ok(config) => {
                    tls.store(config);
                    tracing::info!(certificate = %self.certificate.display(), "certificate loaded");
                }
                Err(error) => {
                    tracing::warn!(%error, "certificate not loaded, the last good one serves on");
                }
            }
            seen = now;
        }
    }

    /// What tells one state of the files from another.
    fn content(&self) -> [Option<Vec<u8>>; 2] {
        [&self.certificate, &self.key].map(|path| {
            let bytes = zeroize::Zeroizing::new(fs::read(path).ok()?);
            Some(crds::contract::Sha256Hash::of(&bytes).0.to_vec())
        })
    }
}

/// A CA and a certificate for this machine and `host`, made once and kept in
/// `folder`. The CA's key is dropped: it signs this one certificate.
fn self_signed(folder: &Path, host: Option<&str>) -> Result<Files, TlsError> {
    let files = Files {
        certificate: folder.join(CERTIFICATE),
        key: folder.join(KEY),
    };
    if files.certificate.exists() && files.key.exists() && folder.join(CA).exists() {
        return Ok(files);
    }
    let mut ca = CertificateParams::default();
    ca.distinguished_name
        .push(DnType::CommonName, "Flightgate local CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned()])?;
    leaf.distinguished_name
        .push(DnType::CommonName, "Flightgate");
    leaf.use_authority_key_identifier_extension = true;
    leaf.subject_alt_names
        .push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    leaf.subject_alt_names
        .push(SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    if let Some(host) = host.filter(|host| *host != "localhost") {
        leaf.subject_alt_names
            .push(match host.trim_matches(['[', ']']).parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(host.try_into()?),
            });
    }
    let key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&key, &ca)?;
    let write = |name: &str, pem: String| {
        let path = folder.join(name);
        write_private(&path, pem.as_bytes()).map_err(|source| TlsError::Io { path, source })
    };
    private_folder(folder).map_err(|source| TlsError::Io {
        path: folder.into(),
        source,
    })?;
    write(CA, ca.pem())?;
    write(KEY, key.serialize_pem())?;
    write(CERTIFICATE, certificate.pem())?;
    Ok(files)
}

/// The TLS stream of a connection. Plain HTTP gets a plain answer and an error.
pub(super) async fn handshake(
    mut stream: TcpStream,
    config: Arc<ServerConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
        _ if first[0].is_ascii_uppercase() => {
            refuse_plain(&mut stream).await?;
            return Err(io::Error::other("plain HTTP"));
        }
        _ if first[0] != HANDSHAKE => return Err(io::Error::other("neither TLS nor HTTP")),
        _ => {}
    }
    TlsAcceptor::from(config).accept(stream).await
}

/// Answers in plain text. What the client still sends is read and dropped, or
/// the answer would be lost with the connection's reset.
async fn refuse_plain(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(PLAIN.as_bytes()).await?;
    stream.shutdown().await?;
    let mut rest = [0; 1_024];
    for _ in 0..64 {
        if stream.read(&mut rest).await? == 0 {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_answer_is_whole() {
        let (head, body) = PLAIN.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }

    #[test]
    fn a_self_signed_certificate_is_made_once_and_loads() {
        let folder = tempfile::tempdir().unwrap();
        let files = self_signed(folder.path(), Some("api.example.org")).unwrap();
        files.load().unwrap();
        let before = files.content();
        assert_eq!(self_signed(folder.path(), None).unwrap().content(), before);
    }
}
