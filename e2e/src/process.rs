//! Processes that end with this one, however it ends.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitStatus, Stdio},
    sync::{LazyLock, mpsc},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::patience::eventually;

/// How much of a log a failure shows.
const TAIL: usize = 4_000;

/// A running program, its output going to a file. Dropping it kills it; if the
/// test has failed, the end of its log is shown.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the program, with these variables beside those of this process.
    pub(crate) fn start(
        name: &str,
        program: &Path,
        arguments: &[OsString],
        variables: &[(OsString, OsString)],
        log: PathBuf,
    ) -> Self {
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let mut command = Command::new(launcher());
        command
            .arg("run")
            .arg(process::id().to_string())
            .arg(program)
            .args(arguments)
            .envs(variables.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        let child = spawn(command)
            .unwrap_or_else(|error| panic!("{name} at {}: {error}", program.display()));
        Self {
            name: name.to_owned(),
            child,
            log,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has said so far, and others of its name before it.
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Fails if it has ended.
    pub fn assert_runs(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("{} ended with {status}:\n{}", self.name, tail(&self.log()));
        }
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        eventually(&what, async || {
            let status = self.child.try_wait().unwrap();
            status.ok_or_else(|| tail(&self.log()).to_owned())
        })
        .await
    }

    /// The end of its log, under its name.
    pub(crate) fn last_words(&self) -> String {
        format!("--- {}\n{}", self.name, tail(&self.log()))
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "a failed test shows what was said")]
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("{}", self.last_words());
        }
    }
}

fn tail(log: &str) -> &str {
    let mut start = log.len().saturating_sub(TAIL);
    while !log.is_char_boundary(start) {
        start += 1;
    }
    &log[start..]
}

/// Spawns from a thread that lives as long as the process: the kernel ends a
/// child with the thread that spawned it, and a test's own thread ends with it.
fn spawn(command: Command) -> io::Result<Child> {
    type Request = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: LazyLock<mpsc::Sender<Request>> = LazyLock::new(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        thread::Builder::new()
            .name("spawner".into())
            .spawn(move || {
                for (mut command, answer) in requests {
                    // Who asked may be gone by now.
                    let _ = answer.send(command.spawn());
                }
            })
            .unwrap();
        sender
    });
    let (sender, answer) = mpsc::channel();
    SPAWNER.send((command, sender)).unwrap();
    answer.recv().unwrap()
}

/// The program of `src/bin/launch.rs`, which Cargo builds before the tests.
pub(crate) fn launcher() -> PathBuf {
    let path = beside_the_tests("flightgate-e2e-launch");
    assert!(
        File::open(&path).is_ok(),
        "{} is missing: run the tests by `cargo test`, which builds it",
        path.display()
    );
    path
}

/// Where Cargo puts the programs of the profile that this one was built with: a
/// test is in a folder below, a program is there itself.
pub(crate) fn beside_the_tests(name: &str) -> PathBuf {
    let here = env::current_exe().unwrap();
    let mut folder = here.parent().unwrap();
    if folder.file_name() == Some(OsStr::new("deps")) {
        folder = folder.parent().unwrap();
    }
    folder.join(name)
}
