//! The command line of the gateway.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};
use flightgate_gateway::{
    config,
    serve::{self, Options, Source},
    user::cli,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Issues and checks tokens for an API, and forwards what is permitted.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C.
    Serve {
        /// The gateway's configuration; relative paths in it start at its folder.
        #[arg(
            long,
            value_name = "FILE",
            env = "FLIGHTGATE_CONFIG",
            default_value = "gateway.yaml"
        )]
        config: PathBuf,
        /// The folder with the operator's documents (*.json), followed for changes.
        #[arg(
            long,
            value_name = "DIR",
            env = "FLIGHTGATE_RESOURCES",
            default_value = "resources"
        )]
        resources: PathBuf,
        /// Who keeps that folder: `kubernetes` has the gateway mirror the Secrets
        /// of type flightgate.dev/config into it. Default: kubernetes in a pod,
        /// directory elsewhere.
        #[arg(long, value_enum, env = "FLIGHTGATE_SOURCE")]
        source: Option<SourceKind>,
        /// With --source kubernetes: the namespace of the Secrets. Default: the
        /// pod's own, or that of the kubeconfig.
        #[arg(long, env = "FLIGHTGATE_NAMESPACE")]
        namespace: Option<String>,
        /// Write the addresses as JSON to this file once everything listens.
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
    },
    /// Add, list, disable, enable or reset users, whether a gateway runs or not.
    User(cli::Arguments),
    /// Check a configuration and do nothing else.
    Check {
        /// The gateway's configuration.
        #[arg(
            long,
            value_name = "FILE",
            env = "FLIGHTGATE_CONFIG",
            default_value = "gateway.yaml"
        )]
        config: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum SourceKind {
    /// Files that somebody else writes.
    Directory,
    /// Secrets of a cluster.
    Kubernetes,
}

/// The source that was asked for, or the one that fits the place.
fn source(kind: Option<SourceKind>, namespace: Option<String>) -> Source {
    let in_pod = || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    match kind {
        Some(SourceKind::Kubernetes) => Source::Kubernetes { namespace },
        None if in_pod() => Source::Kubernetes { namespace },
        Some(SourceKind::Directory) | None => Source::Directory,
    }
}

#[expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "this is what a command line is for"
)]
fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve {
            config,
            resources,
            source: kind,
            namespace,
            ready_file,
        } => serve::serve(&Options {
            config,
            resources,
            source: source(kind, namespace),
            ready_file,
        })
        .map_err(|error| error.to_string()),
        Command::User(arguments) => cli::run(arguments).map_err(|error| error.to_string()),
        Command::Check { config } => config::load(&config)
            .map(|_| println!("{} is good", config.display()))
            .map_err(|error| error.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flightgate-gateway: {error}");
            ExitCode::FAILURE
        }
    }
}
