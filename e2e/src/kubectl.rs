//! kubectl, as a person runs it.

use std::{
    env, iter,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    folder::Folder,
    patience::within,
    program::{built, kube, on_path},
};

/// Which kubectl, and where it keeps what it learns of a cluster.
pub(crate) struct Kubectl {
    program: PathBuf,
    /// What makes the program kubectl, if it is several.
    first: Option<&'static str>,
}

impl Kubectl {
    /// The one that was built with the API server.
    pub(crate) fn built() -> Self {
        Self {
            program: kube().to_owned(),
            first: Some("kubectl"),
        }
    }

    /// The one that this machine's owner uses; else the built one.
    pub(crate) fn installed() -> Self {
        match on_path("kubectl") {
            Some(program) => Self {
                program,
                first: None,
            },
            None => Self::built(),
        }
    }

    /// A command with this kubeconfig.
    pub(crate) fn command(&self, kubeconfig: &Path) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        command.args(self.first).env("KUBECONFIG", kubeconfig);
        command
    }

    /// Runs it.
    pub(crate) async fn run(
        &self,
        folder: &Folder,
        kubeconfig: &Path,
        arguments: &[&str],
        input: Option<&str>,
    ) -> Said {
        let command = self.command(kubeconfig);
        spoken(command, folder, arguments, input).await
    }

    /// Runs a plugin of it, which is a program of this workspace. Beside it on
    /// the `PATH` is what there is anyway.
    pub(crate) async fn plugin(
        &self,
        folder: &Folder,
        kubeconfig: &Path,
        arguments: &[&str],
    ) -> Said {
        let plugin = built("kubectl-flightgate");
        let path = env::var_os("PATH").unwrap_or_default();
        let beside = plugin.parent().unwrap().to_owned();
        let path = env::join_paths(iter::once(beside).chain(env::split_paths(&path)));
        let mut command = self.command(kubeconfig);
        command.arg("flightgate").env("PATH", path.unwrap());
        spoken(command, folder, arguments, None).await
    }
}

async fn spoken(
    mut command: std::process::Command,
    folder: &Folder,
    arguments: &[&str],
    input: Option<&str>,
) -> Said {
    command
        .args(arguments)
        .env("KUBECACHEDIR", folder.path("kubectl"))
        .env("HOME", folder.path(""))
        .stdin(input.map_or_else(Stdio::null, |_| Stdio::piped()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Command::from(command).kill_on_drop(true).spawn().unwrap();
    let what = format!("kubectl {}", arguments.join(" "));
    let (stdin, text) = (child.stdin.take(), input.unwrap_or_default());
    let write = async {
        if let Some(mut stdin) = stdin {
            // Who has heard enough closes its input.
            let _ = stdin.write_all(text.as_bytes()).await;
        }
    };
    let read = child.wait_with_output();
    let (output, ()) = within(&what, async { tokio::join!(read, write) }).await;
    Said {
        what,
        output: output.unwrap(),
    }
}

/// What kubectl said.
pub struct Said {
    what: String,
    output: Output,
}

impl Said {
    /// What it printed, having succeeded.
    pub fn ok(&self) -> String {
        assert!(
            self.output.status.success(),
            "{}: {}\n{}",
            self.what,
            self.output.status,
            self.errors()
        );
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    /// What it complained of, having failed.
    pub fn refused(&self) -> String {
        assert!(
            !self.output.status.success(),
            "{} succeeded: {}",
            self.what,
            String::from_utf8_lossy(&self.output.stdout)
        );
        self.errors()
    }

    /// What it printed, having failed all the same.
    pub fn printed(&self) -> String {
        self.refused();
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    /// All that it said.
    pub fn output(&self) -> String {
        let printed = String::from_utf8_lossy(&self.output.stdout);
        format!("{printed}{}", self.errors())
    }

    /// What it complained of, if anything.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }
}
