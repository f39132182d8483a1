//! The operator's command line.

#![allow(
    clippy::doc_markdown,
    reason = "--help prints these comments as they are"
)]

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use flightgate_operator::{
    compile::{self, Options},
    mint::System,
    run,
};
use jiff::{Timestamp, Unit};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Turns Flightgate resources into credentials and gateway configuration.
#[derive(Parser)]
#[command(name = "flightgate-operator", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compile a folder of manifests into what a gateway reads from a folder.
    ///
    /// Does from files to files what the operator does in a cluster: validates
    /// OAuthApplication, ApiKey and Webhook manifests as the API server would,
    /// checks them against the catalogue in gateway.yaml, makes or keeps their
    /// credentials, and writes
    ///
    ///   OUT/credentials/<namespace>.<secret>.env        for whoever uses them
    ///   OUT/resources/<kind>.<namespace>.<name>.json    for the gateway
    ///   OUT/state/<kind>.<namespace>.<name>.json        for the next run
    ///
    /// All of them can be read by their owner alone. A second run over the same
    /// manifests changes nothing. If anything is wrong, everything that is wrong
    /// is listed, nothing is written, and the exit status is 1.
    #[command(verbatim_doc_comment)]
    Compile {
        /// Folder of *.yaml, *.yml and *.json files (or one file); other kinds
        /// of resources in it are ignored, but for the Secrets that an
        /// OAuthApplication with `secret.existing: true` names.
        #[arg(long, value_name = "DIR")]
        manifests: PathBuf,
        /// The gateway's configuration, for its scopes, profiles and plans.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Folder to write to. It is made if it is not there.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The namespace of manifests that name none.
        #[arg(long, default_value = "default")]
        namespace: String,
        /// The name by which manifests know this gateway (`spec.gateway`).
        #[arg(long, default_value = "default")]
        gateway: String,
    },
    /// Look after the resources of a cluster.
    ///
    /// Finds the API server by KUBECONFIG, ~/.kube/config or the service account
    /// of its pod, and works while it holds its Lease, until it is told to end.
    Run {
        /// Which namespaces and gateways to look after (operator.yaml).
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Compile {
            manifests,
            config,
            out,
            namespace,
            gateway,
        } => compile(&Options {
            manifests,
            config,
            out,
            namespace,
            gateway,
        }),
        Command::Run { config } => match run::configuration(&config).and_then(run::block_on) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(io::stderr(), "{error}");
                ExitCode::FAILURE
            }
        },
    }
}

fn compile(options: &Options) -> ExitCode {
    let now = Timestamp::now().round(Unit::Second).unwrap_or_default();
    // Who closed our output early does not want to hear of it.
    match compile::compile(options, now, &System) {
        Ok(report) => {
            let mut errors = io::stderr().lock();
            for note in &report.notes {
                let _ = writeln!(errors, "note: {note}");
            }
            let _ = writeln!(io::stdout(), "{report}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let _ = writeln!(io::stderr(), "{failure}");
            ExitCode::FAILURE
        }
    }
}
