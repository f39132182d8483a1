//! Why a measurement could not be taken.

use std::{io, path::PathBuf};

/// Why a measurement could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused something.
    #[error("could not {doing}: {source}")]
    Io {
        /// What was being done, as the rest of "could not …".
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program is not installed, so its row is left out.
    #[error("{program} is not here: {remedy}")]
    Absent {
        /// The program's name.
        program: String,
        /// How to get it.
        remedy: String,
    },
    /// A server ended, or did not answer in time.
    #[error("{name} did not become ready; its output is in {}", log.display())]
    NotReady {
        /// The server's name.
        name: String,
        /// Where its output is.
        log: PathBuf,
    },
    /// A server is up, but does not do the job that is to be measured.
    #[error("{name} answered {got} where {expected} was expected: {hint}")]
    WrongAnswer {
        /// The server's name.
        name: String,
        /// The status it gave.
        got: u16,
        /// The status a server doing its job gives.
        expected: u16,
        /// Which request this was, and the start of the answer.
        hint: String,
    },
    /// A child process failed.
    #[error("{name} failed: {why}")]
    Child {
        /// Which child.
        name: String,
        /// Its complaint.
        why: String,
    },
    /// The API server refused something, or could not be asked.
    #[error("could not {doing}: {source}")]
    Kubernetes {
        /// What was being done, as the rest of "could not …".
        doing: String,
        /// What came of it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What was waited for did not come.
    #[error("{what}: not within {seconds} s")]
    Slow {
        /// What was waited for, and how far it had come.
        what: String,
        /// For how long.
        seconds: u64,
    },
    /// TLS could not be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A certificate could not be made.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// Something that should be JSON is not what was expected.
    #[error("{what} is not the JSON that was expected: {source}")]
    Json {
        /// What was read.
        what: String,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The command line asks for something that there is not.
    #[error("{0}")]
    Usage(String),
}

/// Puts what was being done before what the system said.
pub trait Doing<T> {
    /// Names the action, as the rest of "could not …".
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            doing: what(),
            source: source.into(),
        })
    }
}
