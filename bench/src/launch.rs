//! Becomes another program, pinned to cores and tied to the life of its parent.
//!
//! Every server and client of a run starts through here, so all are pinned and
//! prioritised in the same way, and the kernel ends each of them when the run
//! ends, however it ends: Ctrl-C, a panic, or a SIGKILL that no handler sees.

use crate::error::Error;
use rustix::{
    process::{Signal, set_parent_process_death_signal, setpriority_process, setsid},
    thread::{CpuSet, sched_setaffinity},
};
use std::{ffi::OsString, fs, io, os::unix::process::CommandExt, process::Command};

/// The program to become, and where it may run.
#[derive(clap::Args)]
pub struct Options {
    /// The cores it may run on.
    #[arg(long, value_delimiter = ',', required = true)]
    cpus: Vec<usize>,
    /// Program and arguments.
    #[arg(last = true, required = true)]
    program: Vec<OsString>,
}

/// Becomes the program; returns only if that fails.
pub fn run(options: &Options) -> Error {
    let why = |source: io::Error| Error::Io {
        doing: format!("start {}", options.program[0].to_string_lossy()),
        source,
    };
    let mut set = CpuSet::new();
    options.cpus.iter().for_each(|&cpu| set.set(cpu));
    if let Err(error) = sched_setaffinity(None, &set) {
        return why(error.into());
    }
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return why(error.into());
    }
    prefer();
    why(Command::new(&options.program[0])
        .args(&options.program[1..])
        .exec())
}

/// Takes precedence over what else runs on the machine, if the user may.
///
/// Linux shares cores among sessions first where it groups tasks by session, so
/// there a session of its own needs the priority as well.
fn prefer() {
    const HIGHEST: i32 = -20;
    // Each fails without harm: then all children run at the usual priority.
    let _ = setsid();
    let _ = fs::write("/proc/self/autogroup", HIGHEST.to_string());
    let _ = setpriority_process(None, HIGHEST);
}
