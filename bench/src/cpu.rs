//! The CPU time of a process and its children.
//!
//! From `/proc/PID/task/*/schedstat`, whose first number is the nanoseconds each
//! thread has spent on a core. It is finer than the ticks of `/proc/PID/stat`,
//! and it counts what the kernel did for the process (TCP, mostly) as well.

use std::{collections::HashMap, fs, time::Duration};

/// What every thread of a process tree had used at one moment.
pub struct CpuTime {
    by_thread: HashMap<u32, u64>,
}

impl CpuTime {
    /// Reads the process and all that descend from it.
    pub fn of(pid: u32) -> Self {
        let mut by_thread = HashMap::new();
        let mut left = vec![pid];
        while let Some(pid) = left.pop() {
            for thread in threads(pid) {
                let folder = format!("/proc/{pid}/task/{thread}");
                let nanos = first_number(&format!("{folder}/schedstat")).unwrap_or(0);
                by_thread.insert(thread, nanos);
                let children = fs::read_to_string(format!("{folder}/children")).unwrap_or_default();
                left.extend(
                    children
                        .split_ascii_whitespace()
                        .filter_map(|pid| pid.parse::<u32>().ok()),
                );
            }
        }
        Self { by_thread }
    }

    /// The CPU time used since the start.
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.by_thread.values().sum())
    }

    /// The CPU time used since `earlier`.
    ///
    /// The time of a thread that has ended in between is not in it. The servers
    /// measured here keep their threads.
    pub fn since(&self, earlier: &Self) -> Duration {
        let nanos = self
            .by_thread
            .iter()
            .map(|(thread, now)| now.saturating_sub(*earlier.by_thread.get(thread).unwrap_or(&0)))
            .sum();
        Duration::from_nanos(nanos)
    }
}

fn threads(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

fn first_number(path: &str) -> Option<u64> {
    fs::read_to_string(path)
        .ok()?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{hint::black_box, time::Instant};

    #[test]
    fn work_is_counted_and_sleep_is_not() {
        let before = CpuTime::of(std::process::id());
        let start = Instant::now();
        let mut sum = 0_u64;
        while start.elapsed() < Duration::from_millis(50) {
            sum = black_box(sum.wrapping_add(1));
        }
        let used = CpuTime::of(std::process::id()).since(&before);
        assert!(used > Duration::from_millis(1), "{used:?}");
    }
}
