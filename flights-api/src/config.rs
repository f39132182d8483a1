//! The command line, and its equivalents in the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use url::Url;

/// The reference API behind a Flightgate gateway: pilots' IGC flights.
#[derive(Debug, Parser)]
#[command(name = "flights-api", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves the API until SIGTERM or SIGINT, then finishes the requests it has
    Serve(Serve),
}

/// How to serve.
#[derive(Clone, Debug, clap::Args)]
pub struct Serve {
    /// Address to listen on; port 0 takes any free one (see --ready-file)
    ///
    /// Only the gateway should reach it.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080",
        env = "FLIGHTS_API_LISTEN"
    )]
    pub listen: SocketAddr,

    /// Directory of the flights: database and blobs; made if need be
    #[arg(long, value_name = "DIR", env = "FLIGHTS_API_DATA")]
    pub data: PathBuf,

    /// Where the gateway publishes the keys it signs identities with
    ///
    /// Plain http: the gateway stands beside this process.
    #[arg(
        long,
        value_name = "URL",
        value_parser = jwks_url,
        default_value = "http://127.0.0.1:9901/.well-known/jwks.json",
        env = "FLIGHTS_API_JWKS_URL"
    )]
    pub jwks_url: Url,

    /// The gateway's issuer: the `iss` of the identities to accept
    #[arg(long, value_name = "URL", env = "FLIGHTS_API_ISSUER")]
    pub issuer: String,

    /// File to write `{"listen":"ADDRESS:PORT"}` into once listening
    #[arg(long, value_name = "PATH", env = "FLIGHTS_API_READY_FILE")]
    pub ready_file: Option<PathBuf>,

    /// The largest file to accept, in bytes or as KiB or MiB, up to 64MiB
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "10MiB", env = "FLIGHTS_API_MAX_UPLOAD")]
    pub max_upload: usize,

    /// Seconds to wait at the end for requests that are under way
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "20", env = "FLIGHTS_API_DRAIN")]
    pub drain: Duration,

    /// The form of the log, on standard error
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "text",
        env = "FLIGHTS_API_LOG_FORMAT"
    )]
    pub log_format: LogFormat,

    /// What to log: a level, or levels by module as in `warn,flights_api=debug`
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info",
        env = "FLIGHTS_API_LOG"
    )]
    pub log: String,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

fn jwks_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if url.scheme() == "http" && url.has_host() {
        Ok(url)
    } else {
        Err("expected an address that begins with http://".into())
    }
}

fn size(text: &str) -> Result<usize, String> {
    const MAX: usize = 64 << 20;
    let (digits, unit) = match (text.strip_suffix("KiB"), text.strip_suffix("MiB")) {
        (Some(digits), _) => (digits, 1 << 10),
        (_, Some(digits)) => (digits, 1 << 20),
        _ => (text, 1),
    };
    let bytes = digits
        .trim()
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    bytes
        .filter(|bytes| (1..=MAX).contains(bytes))
        .ok_or_else(|| "expected a size such as 10MiB, up to 64MiB".into())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse::<u16>()
        .map_err(|_| "expected seconds, up to 65535")?;
    Ok(Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_size_is_bytes_kib_or_mib() {
        assert_eq!(size("10MiB"), Ok(10 << 20));
        assert_eq!(size("64 KiB"), Ok(64 << 10));
        assert_eq!(size("1"), Ok(1));
        for wrong in ["", "0", "65MiB", "10MB", "-1", "99999999999999999999MiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
