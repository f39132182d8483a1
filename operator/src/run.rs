//! `run`: the operator in a cluster, from its configuration to its end.

use std::{env, fs, io, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::Client;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    client::{self, ClientError},
    config::{ElectionMode, OperatorConfig},
    controller::Controllers,
    events,
    fence::Fence,
    health::{self, Health, Phase},
    lease::Elector,
    log,
    metrics::Metrics,
    mint,
    traces::{Traces, TracesError},
};

/// The operator could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(String),
    /// A file, a socket or a signal could not be had.
    #[error("{what}: {source}")]
    Io {
        /// Which.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is no API server to talk to.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is no randomness.
    #[error(transparent)]
    NoRandomness(#[from] mint::NoRandomness),
    /// This build's own metrics are broken.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    /// Traces were asked for, and cannot be sent.
    #[error(transparent)]
    Traces(#[from] TracesError),
}

/// Reads and checks operator.yaml.
pub fn configuration(path: &Path) -> Result<OperatorConfig, RunError> {
    let place = path.display();
    let text = fs::read_to_string(path).map_err(at(format!("cannot read {place}")))?;
    let config = OperatorConfig::from_yaml(&text)
        .map_err(|error| RunError::Config(format!("{place}: {error}")))?;
    let problems = config.check();
    if problems.is_empty() {
        return Ok(config);
    }
    let lines: Vec<_> = problems.iter().map(|it| format!("{place}: {it}")).collect();
    Err(RunError::Config(lines.join("\n")))
}

/// Runs until the process is told to end.
pub async fn run(config: OperatorConfig) -> Result<(), RunError> {
    let metrics = Metrics::new()?;
    let traces = Traces::start(&config.traces, &metrics)?;
    log::start(&config.log, traces.as_ref());
    if let Some(traces) = &traces {
        traces.announce();
    }
    let result = serve(config, metrics).await;
    if let Some(traces) = traces {
        traces.end().await;
    }
    result
}

async fn serve(config: OperatorConfig, metrics: Metrics) -> Result<(), RunError> {
    #[allow(clippy::cast_precision_loss, reason = "seconds are small")]
    metrics.started.set(Timestamp::now().as_second() as f64);
    let health = Health::default();
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.map_err(at(format!("cannot listen on {}", config.listen)))?;
    let address = listener.local_addr().map_err(at("no address".into()))?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving metrics and health");
    tokio::spawn(health::serve(listener, health.clone(), metrics.clone()));

    let mut terminate = signal(SignalKind::terminate()).map_err(at("no SIGTERM".into()))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(at("no SIGINT".into()))?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending");
        stop.send_replace(true);
    });

    let fence = Fence::default();
    let client = client::connect(&metrics, &fence).await?;
    let identity = identity(&config)?;
    Operator {
        config: Arc::new(config),
        client,
        fence,
        identity,
        metrics,
        health,
    }
    .lead_and_work(stopped)
    .await;
    Ok(())
}

struct Operator {
    config: Arc<OperatorConfig>,
    client: Client,
    fence: Fence,
    identity: String,
    metrics: Metrics,
    health: Health,
}

impl Operator {
    /// Works while it leads; stands by while it does not.
    async fn lead_and_work(&self, mut stop: watch::Receiver<bool>) {
        let election = &self.config.leader_election;
        if election.mode == ElectionMode::Off {
            self.work(stop).await;
            return;
        }
        let namespace = election.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| self.client.default_namespace().to_owned());
        let elector = Elector::new(
            self.client.clone(),
            &namespace,
            self.identity.clone(),
            election,
            self.fence.clone(),
        );
        loop {
            self.health.set(Phase::Standby);
            tokio::select! {
                () = elector.acquire() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            tokio::select! {
                () = self.work(stop.clone()) => {
                    // Nothing is being written any more: whoever stands by may
                    // begin at once.
                    elector.release().await;
                    return;
                }
                // What runs is dropped where it stands: from here on another
                // one may write.
                () = elector.keep() => {}
            }
            self.metrics.leader.set(0);
        }
    }

    /// Works until it is told to stop.
    async fn work(&self, stop: watch::Receiver<bool>) {
        self.metrics.leader.set(1);
        let (events, publisher) = events::channel(
            self.client.clone(),
            self.identity.clone(),
            self.metrics.clone(),
        );
        let controllers = Controllers {
            client: self.client.clone(),
            config: self.config.clone(),
            events,
            metrics: self.metrics.clone(),
            health: self.health.clone(),
        };
        tokio::select! {
            () = controllers.run(stop) => {}
            () = publisher.run() => {}
        }
        self.metrics.leader.set(0);
        self.health.set(Phase::Stopping);
    }
}

/// Who this replica is: its host's name, and something that no other has.
fn identity(config: &OperatorConfig) -> Result<String, mint::NoRandomness> {
    if let Some(identity) = &config.leader_election.identity {
        return Ok(identity.clone());
    }
    let host = env::var("HOSTNAME").unwrap_or_else(|_| "flightgate-operator".into());
    mint::identifier(&format!("{host}_"), 8, &mint::System)
}

fn at(what: String) -> impl FnOnce(io::Error) -> RunError {
    move |source| RunError::Io { what, source }
}

/// Runs on as many threads as there are cores, but at most this many: it waits
/// far more than it computes.
const THREADS: usize = 4;

/// Runs on a runtime of its own.
pub fn block_on(config: OperatorConfig) -> Result<(), RunError> {
    let threads = std::thread::available_parallelism().map_or(1, |it| it.get().min(THREADS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(at("no runtime".into()))?;
    let result = runtime.block_on(run(config));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}
