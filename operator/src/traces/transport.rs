//! OTLP as HTTP requests with protobuf in them, by the client that the operator
//! has anyway.

use std::{sync::Arc, time::Duration};

use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::endpoint::{Endpoint, TracesError};

/// So long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What posts spans to a collector. Headers and the time limit are the
/// environment's to set (`OTEL_EXPORTER_OTLP_HEADERS`, `…_TIMEOUT`).
pub(super) fn exporter(endpoint: &Endpoint) -> Result<SpanExporter, TracesError> {
    let builder = SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint.url.as_str());
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(Duration::from_secs(5)));
    let exporter = if endpoint.url.scheme() == "https" {
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(endpoint.certificates.as_deref())?)
            .https_only()
            .enable_http1()
            .wrap_connector(connector);
        builder.with_http_client(HyperClient::new(connector, PATIENCE, None))
    } else {
        builder.with_http_client(HyperClient::new(connector, PATIENCE, None))
    };
    Ok(exporter.build()?)
}

/// TLS to a collector with one of the certificates in this file, or of the
/// system's.
fn tls(certificates: Option<&str>) -> Result<ClientConfig, TracesError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| TracesError::Certificates(error.to_string()))?;
    let Some(file) = certificates else {
        use hyper_rustls::ConfigBuilderExt;
        let builder = builder.with_native_roots();
        let builder = builder.map_err(|error| {
            TracesError::Certificates(format!("no certificates of this system: {error}"))
        })?;
        return Ok(builder.with_no_client_auth());
    };
    let mut roots = RootCertStore::empty();
    let bad = |error: &dyn std::fmt::Display| {
        TracesError::Certificates(format!("{file}: expected certificates as PEM: {error}"))
    };
    let read = CertificateDer::pem_file_iter(file).map_err(|error| bad(&error))?;
    for certificate in read {
        let certificate = certificate.map_err(|error| bad(&error))?;
        roots.add(certificate).map_err(|error| bad(&error))?;
    }
    if roots.is_empty() {
        return Err(bad(&"there are none in it"));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
