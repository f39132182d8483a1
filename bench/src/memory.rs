//! The memory of a process.

use crate::error::{Doing, Error};
use std::fs;

/// The memory of a process, in KiB.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub struct Memory {
    /// Resident: what the process has in memory, shared pages counted in full.
    pub resident_kib: u64,
    /// Proportional: shared pages divided among those who share them.
    pub proportional_kib: u64,
    /// The most that was ever resident.
    pub peak_kib: u64,
}

impl Memory {
    /// Reads `/proc/PID/smaps_rollup` and `/proc/PID/status`.
    pub fn of(pid: u32) -> Result<Self, Error> {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            fs::read_to_string(&path).doing(|| format!("read {path}"))
        };
        let (text, status) = (read("smaps_rollup")?, read("status")?);
        Ok(Self {
            peak_kib: field(&status, "VmHWM:"),
            resident_kib: field(&text, "Rss:"),
            proportional_kib: field(&text, "Pss:"),
        })
    }
}

fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| {
            line.strip_prefix(name)?
                .trim()
                .strip_suffix(" kB")?
                .parse()
                .ok()
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory() {
        let memory = Memory::of(std::process::id()).unwrap();
        assert!(
            memory.resident_kib > 100 && memory.proportional_kib > 100,
            "{memory:?}"
        );
    }
}
