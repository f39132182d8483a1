//! Bytes in: listeners, TLS and HTTP, one single-threaded runtime per core.

pub mod connection;
pub mod deadline;
pub mod framing;
pub mod guarded;
mod http;
pub mod listen;
pub mod tls;

use std::{io, net::TcpListener, rc::Rc, sync::Arc, thread, time::Duration};

use rustls::ServerConfig;
use tokio::{sync::watch, task::LocalSet};

use crate::{
    clock::NoRandomness,
    core::Core,
    gateway::{Gateway, threads},
};

/// How often idle connections to upstreams are looked at.
const TIDY: Duration = Duration::from_secs(1);

/// The TLS configuration of new connections: swapped when files change.
pub type Tls = Arc<arc_swap::ArcSwap<ServerConfig>>;

/// A data-plane thread could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The system refused.
    #[error("a data-plane thread could not start: {0}")]
    Io(#[from] io::Error),
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// The data-plane threads.
pub struct Server {
    threads: Vec<thread::JoinHandle<()>>,
}

impl Server {
    /// Starts one thread per listener. They serve until `stop` turns true, and
    /// then end the requests under way.
    pub fn start(
        gateway: &Arc<Gateway>,
        listeners: Vec<TcpListener>,
        tls: &Tls,
        stop: &watch::Receiver<bool>,
    ) -> Result<Self, ServerError> {
        let mut threads = Vec::with_capacity(listeners.len());
        for (index, listener) in listeners.into_iter().enumerate() {
            listener.set_nonblocking(true)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let (gateway, tls, stop) = (gateway.clone(), tls.clone(), stop.clone());
            let thread = thread::Builder::new()
                .name(format!("core-{index}"))
                .spawn(move || {
                    if let Err(error) =
                        LocalSet::new().block_on(&runtime, run(index, gateway, listener, tls, stop))
                    {
                        tracing::error!(%error, core = index, "data-plane thread ended");
                    }
                })?;
            threads.push(thread);
        }
        Ok(Self { threads })
    }

    /// Waits until every thread has ended.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a data-plane thread panicked");
            }
        }
    }
}

/// The life of one data-plane thread.
async fn run(
    index: usize,
    gateway: Arc<Gateway>,
    listener: TcpListener,
    tls: Tls,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ServerError> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let metrics = gateway
        .metrics
        .core(index)
        .ok_or_else(|| io::Error::other("more listeners than threads"))?;
    let drain = gateway.config.limits.drain_timeout.duration();
    let most = gateway.config.limits.connections as usize / threads(&gateway.config);
    let core = Core::new(gateway, metrics)?;
    tokio::task::spawn_local(core.deadlines.clone().sweep());
    tokio::task::spawn_local(tidy(core.clone()));
    let connections = listen::Connections::new(most.max(1));
    tokio::select! {
        () = listen::accept(&core, &listener, &tls, &connections) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    drop(listener);
    core.draining.set(true);
    core.deadlines.wake_all();
    if tokio::time::timeout(drain, connections.all_closed())
        .await
        .is_err()
    {
        tracing::warn!(
            core = index,
            open = connections.open(),
            "connections cut at the end of drainTimeout"
        );
    }
    Ok(())
}

async fn tidy(core: Rc<Core>) {
    let mut interval = tokio::time::interval(TIDY);
    loop {
        interval.tick().await;
        core.upstreams.iter().for_each(|upstream| upstream.tidy());
    }
}
