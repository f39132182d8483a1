//! What a test process starts its helpers through, so that nothing outlives it,
//! however it ends: a panic, Ctrl-C, or a SIGKILL that no handler sees.
//!
//! - `run <parent> <program> <argument>…` becomes the program, and is killed by
//!   the kernel when the thread that started it ends.
//! - `sweep` reads paths, one a line, and removes them when its input ends, that
//!   is, when whoever held the other end is gone.

use std::{
    env, fs,
    io::{self, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid};

/// How long processes that were killed may take to let go of their files.
const LINGER: Duration = Duration::from_secs(10);

#[expect(clippy::print_stderr, reason = "it has nobody else to tell")]
fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let error = match arguments.as_slice() {
        ["run", parent, program, arguments @ ..] => run(parent, program, arguments),
        ["sweep"] => match sweep() {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => error,
        },
        _ => io::Error::other("expected `run <parent> <program> <argument>…` or `sweep`"),
    };
    eprintln!("flightgate-e2e-launch: {error}");
    ExitCode::FAILURE
}

/// Becomes the program; returns only if that fails.
fn run(parent: &str, program: &str, arguments: &[&str]) -> io::Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // It may have gone before the kernel was told to watch it.
    let is_orphan = getppid()
        .map(Pid::as_raw_nonzero)
        .map(|pid| pid.to_string())
        != Some(parent.to_owned());
    if is_orphan {
        return io::Error::other("whoever started this is gone");
    }
    Command::new(program).args(arguments).exec()
}

fn sweep() -> io::Result<()> {
    // Ctrl-C is for the tests; their end is what this one waits for.
    let _ = setsid();
    let mut paths = String::new();
    io::stdin().read_to_string(&mut paths)?;
    let end = Instant::now() + LINGER;
    for path in paths.lines().map(Path::new) {
        while path.exists() && fs::remove_dir_all(path).is_err() && Instant::now() < end {
            thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}
