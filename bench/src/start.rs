//! The start table: from spawn to ready, and the memory of an idle gateway.

use crate::{
    error::Error,
    memory::Memory,
    peers::flightgate::Site,
    rig::Rig,
    run::{Settings, progress},
    table::{markdown, median, or_dash},
};
use serde::Serialize;
use std::{thread, time::Duration};

/// How long a gateway is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// One gateway's starts.
#[derive(Clone, Debug, Serialize)]
pub struct Starts {
    /// Configuration documents it starts with.
    pub documents: usize,
    /// The first start, which makes the keys and the store, in milliseconds.
    pub first_ms: f64,
    /// The starts after that, in milliseconds.
    pub again_ms: Vec<f64>,
    /// Its memory, idle, after each start.
    pub memory: Vec<Memory>,
}

/// Starts gateways with few and with many documents.
pub fn measure(rig: &Rig, settings: &Settings) -> Result<Vec<Starts>, Error> {
    [1, 1000]
        .into_iter()
        .map(|documents| starts(rig, settings, documents))
        .collect()
}

fn starts(rig: &Rig, settings: &Settings, documents: usize) -> Result<Starts, Error> {
    let site = Site::prepare(
        rig,
        &format!("start-{documents}"),
        documents,
        rig.cores.all.len(),
    )?;
    let mut times = Vec::new();
    let mut memory = Vec::new();
    for _ in 0..=settings.rounds {
        let gateway = site.serve(&rig.cores.all)?;
        times.push(gateway.started_in.as_secs_f64() * 1e3);
        thread::sleep(SETTLE);
        memory.push(Memory::of(gateway.child.pid())?);
    }
    let again_ms = times.split_off(1);
    progress(&format!(
        "{documents} documents: ready in {:.0} ms",
        median(again_ms.clone()).unwrap_or(f64::NAN)
    ));
    Ok(Starts {
        documents,
        first_ms: times[0],
        again_ms,
        memory,
    })
}

/// The table.
#[allow(clippy::cast_precision_loss)] // KiB of memory are below 2^52.
pub fn table(results: &[Starts]) -> String {
    let rows: Vec<Vec<String>> = results
        .iter()
        .map(|result| {
            let mib = |kib: fn(&Memory) -> u64| {
                or_dash(
                    median(result.memory.iter().map(|m| kib(m) as f64 / 1024.0)),
                    |mib| format!("{mib:.1}"),
                )
            };
            vec![
                format!("{} configuration documents", result.documents),
                format!("{:.0}", result.first_ms),
                or_dash(median(result.again_ms.iter().copied()), |ms| {
                    format!("{ms:.0}")
                }),
                "≤ 100".to_owned(),
                mib(|m| m.resident_kib),
                mib(|m| m.proportional_kib),
                "≤ 15".to_owned(),
            ]
        })
        .collect();
    markdown(
        &[
            "Flightgate",
            "first start ms",
            "start to ready ms",
            "goal",
            "resident MiB",
            "proportional MiB",
            "goal",
        ],
        &rows,
    )
}
