//! `kubectl flightgate`: the resources, their secrets and their troubles, for a
//! person at a terminal.
//!
//! It is a client of the API server like kubectl and does nothing that its user
//! could not do with kubectl. Each command gathers what is there into plain
//! structs ([`resource::Resource`], [`doctor::Facts`]); what follows from them
//! are pure functions.

mod access;
mod api;
mod arguments;
mod credentials;
mod doctor;
mod kind;
mod period;
mod resource;
mod rotate;
mod screen;
mod shell;
mod status;
mod table;
mod target;

use std::process::ExitCode;

pub use self::arguments::Arguments;
use self::{
    access::{Access, AccessError},
    api::ApiError,
    arguments::Command,
    credentials::CredentialsError,
    rotate::RotateError,
    screen::Screen,
    target::TargetError,
};

/// A command did not come to its end.
#[derive(Debug, thiserror::Error)]
enum PluginError {
    /// There is nothing to run on.
    #[error("no runtime: {0}")]
    Runtime(#[from] std::io::Error),
    /// There is no way to an API server.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The API server refused or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// It is not clear which resource is meant.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no new secret.
    #[error(transparent)]
    Rotate(#[from] RotateError),
    /// There are no credentials to show.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// Runs a command, and says on standard error why it failed.
pub fn main(arguments: &Arguments) -> ExitCode {
    let screen = Screen::of_this_process();
    match block_on(arguments, &screen) {
        Ok(code) => code,
        Err(error) => {
            screen.error(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn block_on(arguments: &Arguments, screen: &Screen) -> Result<ExitCode, PluginError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(arguments, screen))
}

async fn run(arguments: &Arguments, screen: &Screen) -> Result<ExitCode, PluginError> {
    let access = Access::new(&arguments.connection).await?;
    match &arguments.command {
        Command::Status(options) => status::run(&access, options, screen).await,
        Command::Rotate(options) => {
            rotate::run(&access, options, screen).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Credentials(options) => {
            credentials::run(&access, options, screen).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Doctor(options) => doctor::run(&access, options, screen).await,
    }
}
