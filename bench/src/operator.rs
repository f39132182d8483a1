//! The operator tables: operator and gateway on a real API server, from
//! `kubectl apply` to the first token, from a cold start to ten thousand
//! resources, and at rest.
//!
//! The measurements are a process of their own, like everything that is started
//! for a run: the control plane's harness panics when it cannot go on, and that
//! must not take the other tables along.

use crate::{
    child::{find, pinned, this_program},
    error::{Doing, Error},
    memory::Memory,
    peers::flightgate::gateway_yaml,
    rig::Rig,
    run::Settings,
};
use serde::{Deserialize, Serialize};
use std::{ffi::OsString, fs, path::PathBuf, process::Stdio};

mod audit;
mod convergence;
mod first_token;
mod rest;
mod site;
pub mod table;

use self::{audit::Requests, first_token::FirstTokens};

/// What the measuring process is told.
#[derive(clap::Args)]
pub struct Options {
    /// The operator's program.
    #[arg(long)]
    operator: PathBuf,
    /// The gateway's program.
    #[arg(long)]
    gateway: PathBuf,
    /// The gateway's configuration.
    #[arg(long)]
    config: PathBuf,
    /// The certificate that the gateway presents.
    #[arg(long)]
    certificate: PathBuf,
    /// Where gateways keep what they keep.
    #[arg(long)]
    work: PathBuf,
    /// Applications, one after the other, whose first token is waited for.
    #[arg(long)]
    applies: usize,
    /// Applications that a cold operator finds.
    #[arg(long)]
    applications: usize,
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// Cores that all processes share, the control plane's too.
    pub cores: usize,
    /// Applied to an operator and a gateway that have nothing else.
    pub first: FirstTokens,
    /// A cold start.
    pub cold: Convergence,
    /// At rest after the cold start.
    pub at_rest: Rest,
    /// At rest after another start of the operator.
    pub restarted: Rest,
    /// Applied beside all the applications of the cold start.
    pub beside: FirstTokens,
}

/// An operator and a gateway that find many applications.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Convergence {
    /// How many.
    pub applications: usize,
    /// Seconds from the start of both until half, 9 of 10, and all are Ready.
    pub seconds: [f64; 3],
    /// What each process used until then.
    pub used: Vec<Used>,
    /// The requests to the API server until then.
    pub requests: Requests,
}

/// What one process used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Used {
    /// Which.
    pub name: String,
    /// CPU seconds.
    pub cpu_s: f64,
    /// Its memory then.
    pub memory: Memory,
}

/// Some time in which nobody changed anything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rest {
    /// How long it was.
    pub seconds: f64,
    /// The requests to the API server in that time; after a start, from the
    /// start on.
    pub requests: Requests,
    /// What operator and gateway used in that time.
    pub used: Vec<Used>,
}

/// Measures, in a process of its own.
pub fn measure(rig: &Rig, settings: &Settings) -> Result<Results, Error> {
    let program = |name: &str, variable: &str| {
        let absent = || Error::Absent {
            program: name.to_owned(),
            remedy: format!("set {variable}"),
        };
        find(name, variable).ok_or_else(absent)
    };
    let operator = program("flightgate-operator", "FLIGHTGATE_OPERATOR")?;
    let gateway = program("flightgate-gateway", "FLIGHTGATE_GATEWAY")?;
    site::control_plane_is_here()?;
    let work = rig.folder("operator")?;
    let config = work.join("gateway.yaml");
    fs::write(&config, gateway_yaml(rig, rig.cores.all.len()))
        .doing(|| format!("write {}", config.display()))?;
    let mut arguments: Vec<OsString> = vec!["operator".into()];
    for (name, value) in [
        ("--operator", operator.into_os_string()),
        ("--gateway", gateway.into_os_string()),
        ("--config", config.into_os_string()),
        (
            "--certificate",
            rig.certificate.certificate.clone().into_os_string(),
        ),
        ("--work", work.into_os_string()),
        ("--applies", settings.applies.to_string().into()),
        ("--applications", settings.applications.to_string().into()),
    ] {
        arguments.extend([name.into(), value]);
    }
    // What it says on standard error is progress, or why it could not go on.
    let output = pinned(&rig.cores.all, this_program()?.as_os_str(), arguments)?
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .doing(|| "start the measurements on an API server".to_owned())?;
    if !output.status.success() {
        return Err(Error::Child {
            name: "the measurements on an API server".to_owned(),
            why: format!("{}; what it said is above", output.status),
        });
    }
    serde_json::from_slice(&output.stdout).map_err(|source| Error::Json {
        what: "the report of the measurements on an API server".to_owned(),
        source,
    })
}

/// The measuring process: prints its results as JSON.
pub fn run(options: &Options) -> Result<(), Error> {
    // The harness and its client leave the choice to whoever runs them.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .doing(|| "start a runtime".to_owned())?;
    let results = runtime.block_on(all(options))?;
    let json = serde_json::to_string(&results).map_err(|source| Error::Json {
        what: "the report".to_owned(),
        source,
    })?;
    println!("{json}");
    Ok(())
}

async fn all(options: &Options) -> Result<Results, Error> {
    let control_plane = site::start_control_plane().await;
    let first = {
        let mut site = site::Site::new(&control_plane, options, "few").await?;
        let gateway = site.start_gateway().await?;
        let _operator = site.start_operator(&gateway).await?;
        first_token::measure(&site, &gateway, "first", options.applies).await?
    };
    let mut site = site::Site::new(&control_plane, options, "many").await?;
    convergence::create(&site, options.applications).await?;
    let (cold, gateway, operator) = convergence::measure(&mut site, options.applications).await?;
    let at_rest = rest::after_convergence(&mut site, &gateway, &operator).await?;
    let (restarted, _operator) = rest::after_restart(&mut site, &gateway, operator).await?;
    let beside = first_token::measure(&site, &gateway, "beside", options.applies).await?;
    Ok(Results {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        first,
        cold,
        at_rest,
        restarted,
        beside,
    })
}
