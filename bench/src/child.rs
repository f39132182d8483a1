//! A child process that ends with its owner.

use crate::error::{Doing, Error};
use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

/// A running child process; dropping it ends it.
///
/// Children must be spawned on the main thread: the kernel ends them with the
/// thread that spawned them.
pub struct Child {
    name: String,
    process: process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts a server on the given cores, its output going to `log`.
    pub fn server(
        name: &str,
        cpus: &[usize],
        log: &Path,
        program: &OsStr,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Result<Self, Error> {
        let output = File::create(log).doing(|| format!("create {}", log.display()))?;
        let errors = output
            .try_clone()
            .doing(|| format!("share {}", log.display()))?;
        let process = pinned(cpus, program, arguments)?
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .doing(|| format!("start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            process,
            log: log.to_owned(),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Fails when it has ended.
    pub fn alive(&mut self) -> Result<(), Error> {
        match self.process.try_wait() {
            Ok(None) => Ok(()),
            _ => Err(self.not_ready()),
        }
    }

    /// The error that says it did not become ready.
    pub fn not_ready(&self) -> Error {
        Error::NotReady {
            name: self.name.clone(),
            log: self.log.clone(),
        }
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A command that runs a program on the given cores and ends with this process.
pub fn pinned(
    cpus: &[usize],
    program: &OsStr,
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Command, Error> {
    let mut command = Command::new(this_program()?);
    let cpus = cpus
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",");
    command.args(["launch", "--cpus", &cpus, "--"]).arg(program);
    command.args(arguments.into_iter().map(Into::into));
    Ok(command)
}

/// The path of this program, whose subcommands are the other processes of a run.
pub fn this_program() -> Result<PathBuf, Error> {
    env::current_exe().doing(|| "find this program's own path".to_owned())
}

/// The path of a program: as the environment variable says, or from the `PATH`.
pub fn find(program: &str, variable: &str) -> Option<PathBuf> {
    if let Some(path) = env::var_os(variable) {
        return Some(path.into()).filter(|path: &PathBuf| path.is_file());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
