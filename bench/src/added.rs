//! The latency that a proxy adds at half of its greatest rate.
//!
//! In each round the upstream is asked directly, over plain TCP, and then through
//! the proxy, with the same requests due at the same rate. What the proxy adds is
//! the difference of the two.

use crate::{
    client::Report,
    error::Error,
    load::Load,
    peers::Peer,
    rig::Rig,
    rounds::{self, median_of},
    run::{Settings, progress},
    table::{markdown, median, or_dash, whole},
};
use serde::Serialize;

/// The same load with and without a proxy.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// The proxy's name on the command line.
    pub peer: &'static str,
    /// Which round.
    pub round: usize,
    /// Requests per second that were due.
    pub rate: f64,
    /// Without the proxy.
    pub direct: Report,
    /// Through the proxy.
    pub proxied: Report,
}

/// Loads each peer at half of the rate it reached in the proxy table.
pub fn measure(
    rig: &Rig,
    settings: &Settings,
    peers: &[Peer],
    proxy_samples: &[rounds::Sample],
) -> Result<Vec<Sample>, Error> {
    let mut samples = Vec::new();
    for round in 0..settings.rounds {
        for step in 0..peers.len() {
            let peer = &peers[(round + step) % peers.len()];
            let Some(greatest) = median_of(proxy_samples, peer.kind.key, |s| s.rate) else {
                continue;
            };
            let rate = greatest / 2.0;
            let direct = Load {
                address: rig.upstream,
                certificate: None,
                requests: &peer.requests,
                connections: settings.connections,
                seconds: (settings.warm_up, settings.seconds),
                rate: Some(rate),
                watch: &[peer.pid(), rig.upstream_pid()],
                cpus: &rig.cores.client,
            };
            let proxied = Load {
                address: peer.address,
                certificate: Some(&rig.certificate.certificate),
                ..direct.clone()
            };
            let sample = Sample {
                peer: peer.kind.key,
                round,
                rate,
                direct: direct.run()?,
                proxied: proxied.run()?,
            };
            progress(&format!(
                "round {} of {}: {:<11} at {rate:>6.0} requests/s, p50 {:>5.0} µs, direct {:>5.0} µs",
                round + 1,
                settings.rounds,
                sample.peer,
                sample.proxied.p50_us,
                sample.direct.p50_us
            ));
            samples.push(sample);
        }
    }
    Ok(samples)
}

impl Sample {
    /// CPU time of the proxy per request, in microseconds.
    #[allow(clippy::cast_precision_loss)] // No run has 2^52 requests.
    fn cpu_us(&self) -> f64 {
        self.proxied.watched_cpu_s[0] * 1e6 / self.proxied.requests as f64
    }
}

/// The table.
pub fn table(samples: &[Sample], peers: &[Peer]) -> String {
    let rows: Vec<Vec<String>> = peers
        .iter()
        .map(|peer| {
            let figure = |figure: fn(&Sample) -> f64| {
                median(
                    samples
                        .iter()
                        .filter(|s| s.peer == peer.kind.key)
                        .map(figure),
                )
            };
            vec![
                peer.label.clone(),
                or_dash(figure(|s| s.rate), whole),
                or_dash(figure(|s| s.direct.p50_us), whole),
                or_dash(figure(|s| s.proxied.p50_us), whole),
                or_dash(figure(|s| s.proxied.p50_us - s.direct.p50_us), whole),
                or_dash(figure(|s| s.direct.p99_us), whole),
                or_dash(figure(|s| s.proxied.p99_us), whole),
                or_dash(figure(|s| s.proxied.p99_us - s.direct.p99_us), whole),
                or_dash(figure(Sample::cpu_us), |cpu| format!("{cpu:.1}")),
            ]
        })
        .collect();
    markdown(
        &[
            "proxy",
            "requests/s",
            "direct p50 µs",
            "p50 µs",
            "added p50 µs",
            "direct p99 µs",
            "p99 µs",
            "added p99 µs",
            "CPU µs/request",
        ],
        &rows,
    )
}
