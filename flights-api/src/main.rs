//! The command `flights-api`.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use flights_api::clock::SystemClock;
use flights_api::config::{Cli, Command, LogFormat, Serve};
use flights_api::server::{ServeError, Server};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let Command::Serve(config) = Cli::parse().command;
    let done = log(&config).and_then(|()| run(config));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            let _ = writeln!(std::io::stderr(), "flights-api: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn log(config: &Serve) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|error| format!("--log: expected a level such as info: {error}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

#[tokio::main]
async fn run(config: Serve) -> Result<(), String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let sentence = |error: ServeError| error.to_string();
    let server = Server::bind(config, Arc::new(SystemClock))
        .await
        .map_err(sentence)?;
    server.serve(stop).await.map_err(sentence)
}
