//! From a configuration to a listening API, and to its end.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::config::Serve;
use crate::http::{App, Uploads, router};
use crate::identity::jwks::Keyring;
use crate::identity::verify::Verifier;
use crate::store::{OpenError, Store};

/// Why the API cannot be served. The message is one sentence for whoever runs it.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Another process listens there.
    #[error(
        "{0} is in use by another process: stop it, or choose another --listen (port 0 takes any free one)"
    )]
    PortTaken(SocketAddr),
    /// The operating system does not let us listen there.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The ready file cannot be written.
    #[error("cannot write the ready file {}: {source}", path.display())]
    ReadyFile {
        /// Where.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// No HTTP client can be made.
    #[error("cannot make a client for the gateway's keys: {0}")]
    Client(#[from] reqwest::Error),
    /// Accepting connections failed for good.
    #[error("cannot go on serving: {0}")]
    Serve(io::Error),
}

/// An API that listens, and does not serve yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    config: Serve,
}

impl Server {
    /// Opens the store, listens, and writes the ready file.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn bind(config: Serve, clock: Arc<dyn Clock>) -> Result<Server, ServeError> {
        // Before the store is opened: a second instance should say that its port
        // is taken rather than touch anything.
        let listener =
            TcpListener::bind(config.listen)
                .await
                .map_err(|source| match source.kind() {
                    io::ErrorKind::AddrInUse => ServeError::PortTaken(config.listen),
                    _ => ServeError::Listen {
                        address: config.listen,
                        source,
                    },
                })?;
        let address = listener.local_addr().map_err(|source| ServeError::Listen {
            address: config.listen,
            source,
        })?;
        if let Some(path) = &config.ready_file {
            // That of a process that was killed tells of an address that is no more.
            let _ = fs::remove_file(path);
        }
        let store = Store::open(&config.data, Arc::clone(&clock)).await?;
        let keys = Keyring::new(config.jwks_url.clone(), Arc::clone(&clock))?;
        let verifier = Verifier::new(keys, &config.issuer, clock);
        let uploads = Uploads::new(config.max_upload);
        if let Some(path) = &config.ready_file {
            write_ready_file(path, address).map_err(|source| ServeError::ReadyFile {
                path: path.clone(),
                source,
            })?;
        }
        tracing::info!(%address, "listening");
        Ok(Server {
            listener,
            address,
            app: Arc::new(App {
                store,
                verifier,
                uploads,
            }),
            config,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready, then finishes the requests that are under way,
    /// for as long as the configuration allows.
    ///
    /// # Errors
    /// [`ServeError::Serve`].
    pub async fn serve(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let Server {
            listener,
            app,
            config,
            ..
        } = self;
        let (stopping, stopped) = oneshot::channel();
        let stop = async move {
            stop.await;
            tracing::info!("finishing the requests that are under way");
            // Nobody waits only if serving ended by itself.
            let _ = stopping.send(());
        };
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot set TCP_NODELAY");
            }
        });
        let serving = axum::serve(listener, router(Arc::clone(&app))).with_graceful_shutdown(stop);
        let patience = async {
            if stopped.await.is_ok() {
                tokio::time::sleep(config.drain).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let served = tokio::select! {
            served = serving.into_future() => served,
            () = patience => {
                tracing::warn!("some requests took too long and were cut off");
                Ok(())
            }
        };
        app.store.close().await;
        if let Some(path) = &config.ready_file {
            // It would tell of an address where nobody listens.
            let _ = fs::remove_file(path);
        }
        tracing::info!("stopped");
        served.map_err(ServeError::Serve)
    }
}

/// Written beside and renamed, so that nobody reads half of it.
fn write_ready_file(path: &Path, address: SocketAddr) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    fs::write(
        &beside,
        format!("{}\n", serde_json::json!({ "listen": address.to_string() })),
    )?;
    fs::rename(&beside, path)
}
