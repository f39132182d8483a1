//! `flightgate-bench`: measures the gateway side by side with its peers.

use clap::{Parser, Subcommand};
use flightgate_bench::{client, error::Error, launch, operator, run, upstream};
use std::process::ExitCode;

/// The load generator's buffers should cost as little as they can.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the gateway side by side with its peers.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure, and print the tables.
    Run(run::Options),
    /// The load generator.
    #[command(hide = true)]
    Load(client::Options),
    /// The measurements on an API server.
    #[command(hide = true)]
    Operator(operator::Options),
    /// The API behind every proxy.
    #[command(hide = true)]
    Upstream(upstream::Options),
    /// Become another program, pinned to cores and tied to the parent's life.
    #[command(hide = true)]
    Launch(launch::Options),
}

fn main() -> ExitCode {
    let result: Result<(), Error> = match Cli::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Load(options) => client::run(&options),
        Command::Operator(options) => operator::run(&options),
        Command::Upstream(options) => upstream::run(&options),
        Command::Launch(options) => Err(launch::run(&options)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::progress(&format!("flightgate-bench: {error}"));
            ExitCode::FAILURE
        }
    }
}
