//! The command line of the gateway.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use flightgate_gateway::{
    config,
    serve::{self, Options},
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
        /// Write the addresses as JSON to this file once everything listens.
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
    },
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
            ready_file,
        } => serve::serve(&Options {
            config,
            resources,
            ready_file,
        })
        .map_err(|error| error.to_string()),
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
