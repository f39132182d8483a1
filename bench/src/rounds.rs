//! The proxy table: CPU time per request and requests per second, side by side.

use crate::{
    client::Report,
    error::Error,
    load::Load,
    peers::{FLIGHTGATE, Peer},
    rig::Rig,
    run::{Settings, progress},
    table::{markdown, median, or_dash, whole},
};
use serde::Serialize;

/// One measurement of one proxy.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Its name on the command line.
    pub peer: &'static str,
    /// Which round.
    pub round: usize,
    /// Requests per second.
    pub rate: f64,
    /// CPU time of the proxy per request, in microseconds.
    pub cpu_us: f64,
    /// Cores that the proxy kept busy.
    pub busy: f64,
    /// What the load generator reported.
    pub report: Report,
}

/// Loads each peer in turn, round after round.
///
/// Each round begins with another peer, so none always runs at the same place.
pub fn measure(rig: &Rig, settings: &Settings, peers: &[Peer]) -> Result<Vec<Sample>, Error> {
    let mut samples = Vec::new();
    for round in 0..settings.rounds {
        for step in 0..peers.len() {
            let peer = &peers[(round + step) % peers.len()];
            let report = Load {
                address: peer.address,
                certificate: Some(&rig.certificate.certificate),
                requests: &peer.requests,
                connections: settings.connections,
                seconds: (settings.warm_up, settings.seconds),
                rate: None,
                watch: &[peer.pid(), rig.upstream_pid()],
                cpus: &rig.cores.client,
            }
            .run()?;
            let sample = Sample::new(peer.kind.key, round, report);
            progress(&format!(
                "round {} of {}: {:<11} {:>6.0} requests/s {:>7.2} µs/request",
                round + 1,
                settings.rounds,
                sample.peer,
                sample.rate,
                sample.cpu_us
            ));
            samples.push(sample);
        }
    }
    Ok(samples)
}

impl Sample {
    #[allow(clippy::cast_precision_loss)] // No run has 2^52 requests.
    fn new(peer: &'static str, round: usize, report: Report) -> Self {
        let requests = report.requests as f64;
        let cpu = report.watched_cpu_s[0];
        Self {
            peer,
            round,
            rate: requests / report.seconds,
            cpu_us: cpu * 1e6 / requests,
            busy: cpu / report.seconds,
            report,
        }
    }
}

/// The median of one figure of one peer.
pub fn median_of(samples: &[Sample], peer: &str, figure: impl Fn(&Sample) -> f64) -> Option<f64> {
    median(
        samples
            .iter()
            .filter(|sample| sample.peer == peer)
            .map(figure),
    )
}

/// The median over the rounds of Flightgate's figure divided by the peer's.
pub fn paired_ratio(
    samples: &[Sample],
    peer: &str,
    figure: impl Fn(&Sample) -> f64,
) -> Option<f64> {
    let of = |peer: &str, round: usize| {
        samples
            .iter()
            .find(|s| s.peer == peer && s.round == round)
            .map(&figure)
    };
    let rounds = samples
        .iter()
        .map(|sample| sample.round + 1)
        .max()
        .unwrap_or(0);
    median((0..rounds).filter_map(|round| Some(of(FLIGHTGATE, round)? / of(peer, round)?)))
}

/// The table.
pub fn table(samples: &[Sample], peers: &[Peer]) -> String {
    let rows: Vec<Vec<String>> = peers
        .iter()
        .map(|peer| {
            let key = peer.kind.key;
            let figure = |figure: fn(&Sample) -> f64| median_of(samples, key, figure);
            let busy = figure(|s| s.busy);
            let ratio = |figure: fn(&Sample) -> f64| {
                paired_ratio(samples, key, figure).filter(|_| key != FLIGHTGATE)
            };
            vec![
                peer.label.clone(),
                // A proxy with time to spare could have done more.
                or_dash(figure(|s| s.rate), |rate| match busy {
                    Some(busy) if busy < 0.95 => format!("≥ {}", whole(rate)),
                    _ => whole(rate),
                }),
                or_dash(figure(|s| s.report.p50_us), whole),
                or_dash(figure(|s| s.report.p99_us), whole),
                or_dash(figure(|s| s.cpu_us), |cpu| format!("{cpu:.1}")),
                or_dash(busy, |busy| format!("{:.0} %", busy * 100.0)),
                or_dash(ratio(|s| s.cpu_us), |ratio| format!("{ratio:.2}")),
                or_dash(peer.kind.goal, |goal| format!("≤ {goal:.2}")),
                or_dash(ratio(|s| s.rate), |ratio| format!("{ratio:.2}")),
            ]
        })
        .collect();
    markdown(
        &[
            "proxy",
            "requests/s",
            "p50 µs",
            "p99 µs",
            "CPU µs/request",
            "proxy core busy",
            "Flightgate's CPU ÷ its",
            "goal",
            "Flightgate's rate ÷ its",
        ],
        &rows,
    )
}
