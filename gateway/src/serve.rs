//! `flightgate-gateway serve`: from a configuration to a running gateway, and
//! to its orderly end.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use crds::gateway_config::GatewayConfig;
use serde::Serialize;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    admin,
    clock::System,
    config::{self, ConfigError},
    control,
    gateway::{Gateway, GatewayError, threads},
    keys::write_private,
    registry::{
        cluster::{Cluster, ClusterError, Mirror},
        directory::{Directory, DirectoryError, Scan},
        last_use::Kept,
    },
    server::{
        Server, ServerError,
        listen::{self, ListenError},
        tls::{Files, TlsError},
    },
    store::StoreError,
    telemetry::log::{self, LogError},
};

/// Threads for what is not on the way of a request.
const SLOW_THREADS: usize = 2;
/// How often expired records are swept out.
const SWEEP: Duration = Duration::from_secs(10);
/// How long a store that another process has is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// Records that one step of sweeping looks at.
const SWEEP_STEP: usize = 1_000;
/// How often last uses of secrets are kept on disk.
const KEEP: Duration = Duration::from_mins(1);

/// What `serve` was told on its command line.
#[derive(Clone, Debug)]
pub struct Options {
    /// `gateway.yaml`.
    pub config: PathBuf,
    /// The folder of contract documents.
    pub resources: PathBuf,
    /// Who keeps that folder.
    pub source: Source,
    /// Written once all listeners are open.
    pub ready_file: Option<PathBuf>,
}

/// Who keeps the folder of contract documents.
#[derive(Clone, Debug)]
pub enum Source {
    /// The operator's `compile`, or whoever else writes files.
    Directory,
    /// The gateway itself, from the Secrets of a cluster.
    Kubernetes {
        /// The namespace of these Secrets; default: that of the kubeconfig or
        /// of the pod.
        namespace: Option<String>,
    },
}

/// The gateway could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// One of its addresses.
    #[error("listen.{0}")]
    Listen(#[from] ListenError),
    /// Its certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What its threads share.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// Its documents.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Its cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Its threads.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Its metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Something else of the system.
    #[error("{action}: {source}")]
    Io {
        /// What was done.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// The addresses that the gateway got, as the ready file has them.
#[derive(Debug, Serialize)]
struct Addresses {
    public: SocketAddr,
    admin: SocketAddr,
    internal: SocketAddr,
}

/// Serves until SIGTERM or SIGINT.
pub fn serve(options: &Options) -> Result<(), ServeError> {
    let config = Arc::new(config::load(&options.config)?);
    log::start(&config.log)?;
    let failed = |action| move |source| ServeError::Io { action, source };
    // The process is single-threaded still, and nobody chose a provider before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();

    forget_addresses(options);
    let public = listen::bind("public", config.listen.public, threads(&config))?;
    let admin = listen::bind("admin", config.listen.admin, 1)?;
    let internal = listen::bind("internal", config.listen.internal, 1)?;
    let local = |listeners: &[std::net::TcpListener]| match listeners {
        [first, ..] => first.local_addr().map_err(failed("listening")),
        [] => Err(failed("listening")(io::Error::other("no listener"))),
    };
    let addresses = Addresses {
        public: local(&public)?,
        admin: local(&admin)?,
        internal: local(&internal)?,
    };

    let files = Files::of(&config)?;
    let tls = Arc::new(ArcSwap::new(files.load()?));
    let gateway = open(&config, addresses.public.port())?;
    let (kept, last_uses) = Kept::open(&config.keys.path, gateway.clock.now());
    let kept = Arc::new(kept);
    let mut directory = Directory::new(
        &options.resources,
        config.clone(),
        gateway.catalogue.clone(),
        last_uses,
    );
    let mirror = match &options.source {
        Source::Directory => None,
        Source::Kubernetes { .. } => Some(Mirror::open(&options.resources)?),
    };
    let complete = mirror.as_ref().map(Mirror::complete);
    // A folder that never held all documents is not served from.
    if complete.as_ref().is_none_or(|complete| *complete.borrow()) {
        let scan = directory.scan()?;
        publish(&gateway, &mut directory, &scan);
    }
    warn_of_what_is_not_enforced(&config);

    let (stop, stopped) = watch::channel(false);
    let slow = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(SLOW_THREADS)
        .thread_name("slow")
        .enable_all()
        .build()
        .map_err(failed("starting the runtime"))?;
    let server = Server::start(&gateway, public, &tls, &stopped)?;
    // Set once, here.
    let _ = gateway.slow.set(slow.handle().clone());
    let control = slow.block_on(async {
        // Before anyone learns that it runs: whoever is told so may end it.
        let told_to_stop = stop_signal().map_err(failed("waiting for signals"))?;
        for (listener, router) in [
            (admin, admin::admin(&gateway)?),
            (internal, admin::internal(&gateway)),
        ] {
            for listener in listener {
                spawn_http(listener, router.clone()).map_err(failed("listening"))?;
            }
        }
        tokio::spawn(files.follow(tls.clone()));
        if let (Some(mirror), Source::Kubernetes { namespace }) = (mirror, &options.source) {
            tokio::spawn(mirror.follow(Cluster::infer(namespace.as_deref()).await?));
        }
        tokio::spawn(follow(directory, complete, gateway.clone()));
        tokio::spawn(sweep(gateway.clone()));
        tokio::spawn(keep(kept.clone(), gateway.clone()));
        let control = control::listen(&gateway).await;
        tracing::info!(
            public = %addresses.public, admin = %addresses.admin, internal = %addresses.internal,
            issuer = gateway.issuer, documents = gateway.registry.load().hashes().len(), "ready",
        );
        if let Some(path) = &options.ready_file {
            write_addresses(path, &addresses).map_err(failed("writing the ready file"))?;
        }
        told_to_stop.await;
        Ok::<_, ServeError>(control)
    })?;
    tracing::info!("stopping: requests under way are finished first");
    forget_addresses(options);
    // Nobody listens any more only if every thread has ended already.
    let _ = stop.send(true);
    server.join();
    drop(control);
    slow.shutdown_timeout(Duration::from_secs(1));
    keep_now(&kept, &gateway);
    tracing::info!("stopped");
    Ok(())
}

/// Opens what the configuration names. A command such as `user add` may have
/// the store for a moment.
fn open(config: &Arc<GatewayConfig>, port: u16) -> Result<Arc<Gateway>, GatewayError> {
    let began = Instant::now();
    loop {
        match Gateway::open(config.clone(), port, Arc::new(System), Arc::new(System)) {
            Err(GatewayError::Store(StoreError::Locked { .. })) if began.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(50));
            }
            opened => return opened,
        }
    }
}

/// A ready file is there exactly while the gateway is ready, unless it was
/// killed.
fn forget_addresses(options: &Options) {
    if let Some(path) = &options.ready_file {
        // Mostly it is not there.
        let _ = std::fs::remove_file(path);
    }
}

fn write_addresses(path: &Path, addresses: &Addresses) -> io::Result<()> {
    let mut json = serde_json::to_vec(addresses)?;
    json.push(b'\n');
    write_private(path, &json)
}

fn spawn_http(listener: std::net::TcpListener, router: axum::Router) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "listener ended");
        }
    });
    Ok(())
}

/// Comes with SIGTERM or SIGINT; from the call on, neither ends the process.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Puts what a look at the documents found into force.
fn publish(gateway: &Gateway, directory: &mut Directory, scan: &Scan) {
    gateway
        .rejected
        .fetch_add(scan.rejected as u64, Ordering::Relaxed);
    let rejected = directory.rejected().clone();
    *gateway
        .rejected_documents
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = rejected;
    if scan.changed || gateway.registry.load().generation() == 0 {
        let registry = directory.registry();
        tracing::info!(
            generation = registry.generation(),
            documents = registry.hashes().len(),
            "documents in force"
        );
        gateway.registry.store(Arc::new(registry));
    }
}

async fn follow(
    directory: Directory,
    complete: Option<watch::Receiver<bool>>,
    gateway: Arc<Gateway>,
) {
    if let Some(mut complete) = complete {
        // An error says that the mirror has ended, which it says itself.
        let _ = complete.wait_for(|complete| *complete).await;
    }
    directory
        .follow(|directory, scan| publish(&gateway, directory, scan))
        .await;
}

async fn sweep(gateway: Arc<Gateway>) {
    let mut interval = tokio::time::interval(SWEEP);
    loop {
        interval.tick().await;
        loop {
            match gateway.store.sweep(gateway.clock.now(), SWEEP_STEP).await {
                Ok(swept) if swept.more => tokio::task::yield_now().await,
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "expired tokens not swept out");
                    break;
                }
            }
        }
    }
}

async fn keep(kept: Arc<Kept>, gateway: Arc<Gateway>) {
    let mut interval = tokio::time::interval(KEEP);
    loop {
        interval.tick().await;
        let (kept, gateway) = (kept.clone(), gateway.clone());
        // It waits for the disk. What it could not do, it has said.
        let _ = tokio::task::spawn_blocking(move || keep_now(&kept, &gateway)).await;
    }
}

/// Without documents nothing is known of any secret, which is no news to keep.
fn keep_now(kept: &Kept, gateway: &Gateway) {
    let registry = gateway.registry.load();
    if registry.generation() > 0 {
        kept.save(registry.last_uses());
    }
}

/// The file may say more than this version does; nobody should find out by
/// surprise.
fn warn_of_what_is_not_enforced(config: &GatewayConfig) {
    if config.plans.values().any(|plan| !plan.quotas.is_empty()) {
        tracing::warn!("plans are read and checked, but this version does not enforce quotas");
    }
}
