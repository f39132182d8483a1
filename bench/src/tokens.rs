//! The token table: durable `client_credentials` tokens and introspections per
//! second, on all cores that there are, which the load generator shares.

use crate::{
    client::Report,
    error::{Doing, Error},
    exchange::Exchange,
    load::{Load, write_requests},
    peers::flightgate::{Credential, Gateway, Site},
    rig::Rig,
    run::{Settings, progress},
    table::{markdown, median, or_dash, whole},
};
use serde::Serialize;
use std::{fs::File, io::Write as _, path::Path, time::Instant};

/// Keep-alive connections of this table: writes are committed in groups, and a
/// group is as large as the number of clients that wait.
const CONNECTIONS: usize = 256;
/// Distinct tokens to introspect.
const INTROSPECTED: usize = 2048;
const APPLICATIONS: usize = 64;

/// One measurement of one endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Which endpoint.
    pub endpoint: &'static str,
    /// Which round.
    pub round: usize,
    /// Requests per second.
    pub rate: f64,
    /// CPU time of the gateway per request, in microseconds.
    pub cpu_us: f64,
    /// What the load generator reported.
    pub report: Report,
}

/// The measurements, and what the disk does by itself.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// The measurements.
    pub samples: Vec<Sample>,
    /// Median time of a write of 4 KiB with `fdatasync` where the store is, in
    /// microseconds.
    pub disk_sync_us: f64,
}

const TOKEN: &str = "tokens, durable";
const INTROSPECT: &str = "introspections";

/// Loads both endpoints in turn, round after round.
#[allow(clippy::cast_precision_loss)] // No run has 2^52 requests.
pub fn measure(rig: &Rig, settings: &Settings) -> Result<Results, Error> {
    let site = Site::prepare(rig, "tokens", APPLICATIONS, rig.cores.all.len())?;
    let disk_sync_us = disk_sync_us(&rig.folder("tokens")?)?;
    let gateway = site.serve(&rig.cores.all)?;
    let minted = site.tokens(&gateway, rig, INTROSPECTED)?;
    let token: Vec<String> = site
        .credentials
        .iter()
        .map(Credential::token_request)
        .collect();
    let introspect: Vec<String> = minted
        .iter()
        .zip(site.credentials.iter().cycle())
        .map(|(token, credential)| credential.introspection_request(token))
        .collect();
    must_be_active(rig, &gateway, &introspect[0])?;
    let endpoints = [
        (
            TOKEN,
            write_requests(&rig.work.join("token-requests.json"), &token)?,
        ),
        (
            INTROSPECT,
            write_requests(&rig.work.join("introspect-requests.json"), &introspect)?,
        ),
    ];
    let mut samples = Vec::new();
    for round in 0..settings.rounds {
        for (endpoint, requests) in &endpoints {
            let report = Load {
                address: gateway.public,
                certificate: Some(&rig.certificate.certificate),
                requests,
                connections: CONNECTIONS,
                seconds: (settings.warm_up, settings.seconds),
                rate: None,
                watch: &[gateway.child.pid()],
                cpus: &rig.cores.all,
            }
            .run()?;
            let requests = report.requests as f64;
            let sample = Sample {
                endpoint,
                round,
                rate: requests / report.seconds,
                cpu_us: report.watched_cpu_s[0] * 1e6 / requests,
                report,
            };
            progress(&format!(
                "round {} of {}: {endpoint:<16} {:>6.0}/s",
                round + 1,
                settings.rounds,
                sample.rate
            ));
            samples.push(sample);
        }
    }
    Ok(Results {
        samples,
        disk_sync_us,
    })
}

/// An introspection of a token that is unknown is answered with 200 as well.
fn must_be_active(rig: &Rig, gateway: &Gateway, request: &str) -> Result<(), Error> {
    let answer = Exchange::connect(gateway.public, &rig.certificate.certificate)?.send(request)?;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if body["active"] == true {
        return Ok(());
    }
    Err(Error::WrongAnswer {
        name: "the introspection endpoint".to_owned(),
        got: answer.status,
        expected: 200,
        hint: format!("an active token was asked for, and this is the answer: {body}"),
    })
}

/// The table.
pub fn table(results: &Results) -> String {
    let row = |endpoint: &str, goal: f64| {
        let figure = |figure: fn(&Sample) -> f64| {
            median(
                results
                    .samples
                    .iter()
                    .filter(|s| s.endpoint == endpoint)
                    .map(figure),
            )
        };
        vec![
            endpoint.to_owned(),
            or_dash(figure(|s| s.rate), whole),
            format!("≥ {}", whole(goal)),
            or_dash(figure(|s| s.report.p50_us), whole),
            or_dash(figure(|s| s.report.p99_us), whole),
            or_dash(figure(|s| s.cpu_us), |cpu| format!("{cpu:.1}")),
            or_dash(
                figure(|s| s.report.own_cpu_s * 1e6 / (s.rate * s.report.seconds)),
                |cpu| format!("{cpu:.1}"),
            ),
        ]
    };
    let header = [
        "Flightgate",
        "per second",
        "goal",
        "p50 µs",
        "p99 µs",
        "gateway CPU µs",
        "load generator CPU µs",
    ];
    let table = markdown(&header, &[row(TOKEN, 10_000.0), row(INTROSPECT, 25_000.0)]);
    format!(
        "{table}\n{CONNECTIONS} connections. A write of 4 KiB with fdatasync took {} µs where the store is (median).\n",
        whole(results.disk_sync_us)
    )
}

/// What a token must wait for at least, if it came alone.
fn disk_sync_us(folder: &Path) -> Result<f64, Error> {
    const WRITES: usize = 100;
    let path = folder.join("disk-sync");
    let mut file = File::create(&path).doing(|| format!("create {}", path.display()))?;
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let start = Instant::now();
        file.write_all(&[1; 4096])
            .and_then(|()| file.sync_data())
            .doing(|| format!("write {}", path.display()))?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times).unwrap_or(f64::NAN))
}
