//! A namespace that one test has to itself.

use std::{fmt, ops::Deref, process::Command, process::Stdio};

/// A namespace. On a cluster that was given, dropping it deletes it; on one of
/// our own it goes with the cluster.
pub struct Namespace {
    name: String,
    delete: Option<Command>,
}

impl Namespace {
    pub(crate) fn new(name: String, delete: Option<Command>) -> Self {
        Self { name, delete }
    }
}

impl Deref for Namespace {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Some(command) = &mut self.delete {
            command
                .args(["delete", "namespace", &self.name, "--wait=false"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            // Where this fails, the next thing to look at is the cluster.
            let _ = command.status();
        }
    }
}
