//! The one certificate that every server of a run presents.

use crate::error::{Doing, Error};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, pem::PemObject},
    version::TLS13,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The name in the certificate, and in every request's `Host`.
pub const HOST: &str = "localhost";

/// A self-signed ECDSA P-256 certificate for `localhost`, as files.
pub struct Certificate {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Both in one file, as haproxy wants them.
    pub both: PathBuf,
}

impl Certificate {
    /// Makes one in the folder.
    pub fn make(folder: &Path) -> Result<Self, Error> {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned(), "127.0.0.1".to_owned()])?;
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).doing(|| format!("write {}", path.display()))?;
            Ok::<_, Error>(path)
        };
        Ok(Self {
            certificate: write("tls.crt", &certificate)?,
            key: write("tls.key", &key)?,
            both: write("tls.pem", &format!("{certificate}{key}"))?,
        })
    }
}

/// A client that trusts the certificate and offers TLS 1.3 with one cipher suite
/// and one group, so that every server does the same cryptography.
pub fn client_config(certificate: &Path) -> Result<Arc<ClientConfig>, Error> {
    let pem = CertificateDer::from_pem_file(certificate)
        .map_err(std::io::Error::other)
        .doing(|| format!("read {}", certificate.display()))?;
    let mut roots = RootCertStore::empty();
    roots.add(pem)?;
    let provider = CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
