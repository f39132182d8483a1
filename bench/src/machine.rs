//! The machine a run is on, and how busy others keep it.

use rustix::thread::{CpuSet, sched_getaffinity};
use std::{fs, process::Command, time::Duration};

/// Which part of a run has which cores.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Cores {
    /// Every core this run may use.
    pub all: Vec<usize>,
    /// The one core of the proxy under test.
    pub proxy: Vec<usize>,
    /// The core of the load generator.
    pub client: Vec<usize>,
    /// The core of the upstream: a third where there is one, else the client's.
    pub upstream: Vec<usize>,
}

impl Cores {
    /// Deals out the cores that this process may run on.
    pub fn deal() -> Self {
        let set = sched_getaffinity(None).unwrap_or_default();
        let mut all: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|&cpu| set.is_set(cpu))
            .collect();
        if all.is_empty() {
            all.push(0);
        }
        let pick = |index: usize| vec![all[index.min(all.len() - 1)]];
        Self {
            proxy: pick(0),
            client: pick(1),
            upstream: pick(2),
            all,
        }
    }
}

/// The time that all cores together were not idle, since the machine started.
///
/// Time that the hypervisor gave to another guest counts as not idle.
pub fn busy_time() -> Duration {
    /// What a tick of `/proc/stat` is on every Linux that Rust supports.
    const TICK: Duration = Duration::from_millis(10);
    const IDLE_AND_IOWAIT: [usize; 2] = [3, 4];
    /// `guest` and `guest_nice` are in `user` and `nice` already.
    const COUNTED: usize = 8;
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: u64 = text
        .split_ascii_whitespace()
        .skip(1)
        .take(COUNTED)
        .enumerate()
        .filter(|(index, _)| !IDLE_AND_IOWAIT.contains(index))
        .filter_map(|(_, ticks)| ticks.parse::<u64>().ok())
        .sum();
    TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
}

/// What a reader must know of the machine, one fact a line.
pub fn describe(cores: &Cores) -> Vec<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| {
            Some(
                line.strip_prefix("model name")?
                    .split_once(':')?
                    .1
                    .trim()
                    .to_owned(),
            )
        })
        .unwrap_or_else(|| "unknown processor".to_owned());
    let load = read("/proc/loadavg");
    vec![
        format!(
            "{model}, {} cores, Linux {}",
            cores.all.len(),
            read("/proc/sys/kernel/osrelease").trim()
        ),
        format!(
            "proxy on core {:?}, load generator on {:?}, upstream on {:?}",
            cores.proxy, cores.client, cores.upstream
        ),
        format!(
            "load average before the run: {}",
            load.split_ascii_whitespace()
                .take(3)
                .collect::<Vec<_>>()
                .join(" ")
        ),
    ]
}

/// The first line with a digit that a program says of its version.
pub fn version(program: &std::path::Path, flag: &str) -> String {
    let Ok(output) = Command::new(program).arg(flag).output() else {
        return "unknown".to_owned();
    };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text)
        .lines()
        .find(|line| line.contains(|c: char| c.is_ascii_digit()))
        .unwrap_or("unknown")
        .trim()
        .to_owned()
}
