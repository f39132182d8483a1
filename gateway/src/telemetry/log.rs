//! Structured logs on standard error. No token, code or secret is ever in one:
//! they are of types that cannot be printed.

use std::io::IsTerminal;

use crds::gateway_config::{Log, LogFormat};
use tracing_subscriber::EnvFilter;

/// The directives are not understood.
#[derive(Debug, thiserror::Error)]
#[error(
    "log.level: {0}: expected directives such as info or info,flightgate_gateway::forward=debug"
)]
pub struct LogError(#[from] tracing_subscriber::filter::ParseError);

/// Starts logging.
pub fn start(log: &Log) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(log.level.as_deref().unwrap_or("info"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match log.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
