//! The order of a run, and what it writes.

use crate::{
    added,
    client::Report,
    error::{Doing, Error},
    machine, operator,
    peers::{FLIGHTGATE, KINDS, Peer},
    rig::Rig,
    rounds, start, tokens,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, io::Write as _, path::PathBuf};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Which tables.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "all")]
    table: Vec<Table>,
    /// Which proxies: flightgate, nginx, haproxy, envoy, envoy-jwt, nginx-auth.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    settings: Settings,
    /// The folder of this run. It is emptied first; configuration files, logs and
    /// `results.json` are in it afterwards.
    #[arg(long, default_value = "target/flightgate-bench")]
    work: PathBuf,
    /// Where to write every sample as JSON; default: `results.json` in the work folder.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// How much to measure.
#[derive(clap::Args, serde::Serialize)]
pub struct Settings {
    /// Rounds; each figure is the median over them.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 4.0)]
    pub seconds: f64,
    /// Seconds of load before each measurement.
    #[arg(long, default_value_t = 1.0)]
    pub warm_up: f64,
    /// Keep-alive connections, each with its own token.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Applications, one after the other, whose first token is waited for.
    #[arg(long, default_value_t = 500)]
    pub applies: usize,
    /// Applications that a cold operator finds.
    #[arg(long, default_value_t = 10_000)]
    pub applications: usize,
}

/// A part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Table {
    /// Proxies side by side, and the latency they add.
    Proxy,
    /// Tokens and introspections per second.
    Tokens,
    /// Start and idle memory.
    Start,
    /// The operator on an API server.
    Operator,
    /// All of them.
    All,
}

/// Measures, and prints the tables.
pub fn run(options: &Options) -> Result<(), Error> {
    let settings = &options.settings;
    if settings.rounds == 0 || settings.connections == 0 || settings.seconds <= 0.0 {
        return Err(Error::Usage(
            "rounds, connections and seconds must be above zero".to_owned(),
        ));
    }
    if settings.applies == 0 || settings.applications == 0 {
        return Err(Error::Usage(
            "applies and applications must be above zero".to_owned(),
        ));
    }
    let wants = |table: Table| options.table.iter().any(|&t| t == table || t == Table::All);
    let rig = Rig::set_up(&options.work, settings.connections)?;
    let machine = machine::describe(&rig.cores);
    let mut results = json!({"machine": &machine, "cores": &rig.cores, "settings": settings});
    for fact in &machine {
        say(&format!("- {fact}\n"));
    }
    if wants(Table::Proxy) {
        proxy_tables(&rig, options, &mut results)?;
    }
    if wants(Table::Tokens) {
        say("\n## Tokens\n\n");
        if let Some(measured) = unless_absent(tokens::measure(&rig, settings))? {
            say(&tokens::table(&measured));
            warn(measured.samples.iter().map(|s| (s.endpoint, &s.report)));
            results["tokens"] = json!(measured);
        }
    }
    if wants(Table::Start) {
        say("\n## Start and memory\n\n");
        if let Some(measured) = unless_absent(start::measure(&rig, settings))? {
            say(&start::table(&measured));
            results["start"] = json!(measured);
        }
    }
    if wants(Table::Operator) {
        say("\n## Operator\n\n");
        if let Some(measured) = unless_absent(operator::measure(&rig, settings))? {
            say(&operator::table::tables(&measured));
            results["operator"] = json!(measured);
        }
    }
    let path = options
        .json
        .clone()
        .unwrap_or_else(|| rig.work.join("results.json"));
    fs::write(&path, format!("{results:#}\n")).doing(|| format!("write {}", path.display()))?;
    progress(&format!("every sample is in {}", path.display()));
    Ok(())
}

fn proxy_tables(rig: &Rig, options: &Options, results: &mut Value) -> Result<(), Error> {
    if let Some(unknown) = options
        .only
        .iter()
        .find(|key| KINDS.iter().all(|kind| kind.key != *key))
    {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.key).collect();
        return Err(Error::Usage(format!(
            "there is no {unknown}, only {}",
            known.join(", ")
        )));
    }
    say("\n## Proxies\n\n");
    let mut peers = Vec::new();
    for kind in &KINDS {
        if !options.only.is_empty() && !options.only.iter().any(|key| key == kind.key) {
            continue;
        }
        // A peer that cannot be measured leaves its row out, never the others'.
        // Flightgate may be missing, but it must not fail.
        match Peer::start(kind, rig) {
            Ok(peer) => peers.push(peer),
            Err(why) if kind.key == FLIGHTGATE && !matches!(why, Error::Absent { .. }) => {
                return Err(why);
            }
            Err(why) => say(&format!("- {} is left out: {why}\n", kind.label)),
        }
    }
    for peer in &peers {
        say(&format!("- {}: {}\n", peer.kind.key, peer.version));
    }
    results["versions"] = peers
        .iter()
        .map(|p| (p.kind.key.to_owned(), json!(p.version)))
        .collect();
    let samples = rounds::measure(rig, &options.settings, &peers)?;
    say(&format!("\n{}", rounds::table(&samples, &peers)));
    warn(samples.iter().map(|s| (s.peer, &s.report)));
    results["proxy"] = json!(samples);

    say("\n## Latency added at half of the greatest rate\n\n");
    let added = added::measure(rig, &options.settings, &peers, &samples)?;
    say(&added::table(&added, &peers));
    let both = added
        .iter()
        .flat_map(|s| [(s.peer, &s.direct), (s.peer, &s.proxied)]);
    warn(both);
    results["added"] = json!(added);
    Ok(())
}

/// What a reader must know before believing the numbers.
fn warn<'a>(reports: impl IntoIterator<Item = (&'static str, &'a Report)>) {
    /// Cores that others may keep busy before it is worth a word.
    const QUIET: f64 = 0.1;
    let (mut noisy, mut measurements, mut worst) = (0, 0, 0.0_f64);
    let mut behind: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failures: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (name, report) in reports {
        measurements += 1;
        noisy += usize::from(report.foreign_cores > QUIET);
        worst = worst.max(report.foreign_cores);
        for (what, count) in &report.errors {
            *failures.entry((name, what)).or_default() += count;
        }
        if report.requests == 0 {
            *failures
                .entry((name, "not one request answered"))
                .or_default() += 1;
        }
        if report.unsent > 0 {
            *behind.entry(name).or_default() += report.unsent;
        }
    }
    for ((name, what), count) in failures {
        say(&format!(
            "\n**ERRORS: {name}: {count} × {what}. Do not use this row.**\n"
        ));
    }
    for (name, count) in behind {
        say(&format!(
            "\n{name} was behind by {count} requests when a measurement ended.\n"
        ));
    }
    if noisy > 0 {
        say(&format!(
            "\nOther processes used more than {QUIET} cores in {noisy} of {measurements} \
             measurements, {worst:.1} at most.\n"
        ));
    }
}

/// A part whose program is not installed is left out with a line that says so.
fn unless_absent<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Err(why @ Error::Absent { .. }) => {
            say(&format!("Left out: {why}\n"));
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// A piece of the report, on standard output.
fn say(text: &str) {
    print!("{text}");
    let _ = std::io::stdout().flush();
}

/// Tells whoever waits what is going on, on standard error.
pub fn progress(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}
