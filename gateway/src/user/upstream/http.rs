//! How a provider is asked: briefly, without redirects, and without belief in
//! the length of its answers.

use std::{error::Error, fs, io, path::Path, time::Duration};

use openidconnect::{HttpRequest, HttpResponse};
use reqwest::{Certificate, Client, redirect::Policy};

/// For one exchange.
const TIMEOUT: Duration = Duration::from_secs(10);
/// For the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// A provider that did not answer. Its text names no URL, for there may be a
/// code in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("{0}")]
    Failed(String),
    #[error("its answer is longer than {MAX_ANSWER} bytes")]
    TooLong,
    #[error("the certificates in {path} cannot be read: {source}")]
    Authority { path: String, source: io::Error },
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Failed(format!("no answer within {} s", TIMEOUT.as_secs()));
        }
        let error = error.without_url();
        // The outer ones say only that a request failed.
        let mut cause: &dyn Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Self::Failed(cause.to_string())
    }
}

/// A client that trusts the system's certificates, or only those of a file.
pub(super) fn client(authority: Option<&Path>) -> Result<Client, HttpError> {
    // Mostly it is there already: `serve` installs it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("flightgate-gateway/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        // A connection that the provider gave up meanwhile would cost a code,
        // which is good for one try.
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT);
    if let Some(path) = authority {
        let failed = |source| HttpError::Authority {
            path: path.display().to_string(),
            source,
        };
        let pem = fs::read(path).map_err(failed)?;
        let certificates = Certificate::from_pem_bundle(&pem)
            .map_err(|error| failed(io::Error::other(error.to_string())))?;
        if certificates.is_empty() {
            return Err(failed(io::Error::other("there is no certificate in it")));
        }
        builder = builder.tls_certs_only(certificates);
    }
    Ok(builder.build()?)
}

/// One exchange.
pub(super) async fn exchange(
    client: &Client,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let mut answer = client.execute(request.try_into()?).await?;
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > MAX_ANSWER {
            return Err(HttpError::TooLong);
        }
        body.extend_from_slice(&piece);
    }
    let mut response = HttpResponse::new(body);
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}
