//! The operator tables.

use super::{
    Convergence, FirstTokens, Rest, Results,
    site::{GATEWAY, OPERATOR},
};
use crate::table::{markdown, quantile, whole};

/// All of them.
pub fn tables(results: &Results) -> String {
    let applications = whole_count(results.cold.applications);
    let Convergence { seconds, .. } = results.cold;
    [
        format!(
            "{} cores for everything: the operator, the gateway, the API server, etcd, the \
             controller manager, and who measures.\n\n",
            results.cores
        ),
        first_tokens(results),
        format!(
            "\n{applications} applications, Ready after a cold start of operator and gateway: half \
             in {:.1} s, nine of ten in {:.1} s, **all in {:.1} s** (goal ≤ 60).\n\n",
            seconds[0], seconds[1], seconds[2]
        ),
        cold(&results.cold),
        format!("\nNobody changes any of the {applications} applications:\n\n"),
        at_rest(results),
    ]
    .concat()
}

fn first_tokens(results: &Results) -> String {
    let row = |what: String, it: &FirstTokens| {
        let ms = |values: &[f64], share| format!("{:.0}", quantile(values, share));
        vec![
            what,
            it.token_ms.len().to_string(),
            ms(&it.token_ms, 0.5),
            ms(&it.token_ms, 0.99),
            "≤ 250".to_owned(),
            ms(&it.token_ms, 1.0),
            ms(&it.applied_ms, 0.5),
            ms(&it.secret_ms, 0.5),
            ms(&it.secret_ms, 0.99),
        ]
    };
    let beside = format!("beside {} others", whole_count(results.cold.applications));
    markdown(
        &[
            "apply to first token",
            "applies",
            "p50 ms",
            "p99 ms",
            "goal",
            "max ms",
            "apply answered, p50 ms",
            "Secret seen, p50 ms",
            "p99 ms",
        ],
        &[
            row("beside none".to_owned(), &results.first),
            row(beside, &results.beside),
        ],
    )
}

#[allow(clippy::cast_precision_loss)] // Counts are below 2^52.
fn cold(cold: &Convergence) -> String {
    let rows: Vec<_> = cold
        .used
        .iter()
        .map(|it| {
            let requests: u64 = cold
                .requests
                .0
                .iter()
                .filter(|count| count.account == it.name)
                .map(|count| count.times)
                .sum();
            let is_ours = [OPERATOR, GATEWAY].contains(&it.name.as_str());
            let ours = |text: String| if is_ours { text } else { "–".to_owned() };
            vec![
                it.name.clone(),
                mebibytes(it.memory.resident_kib),
                ours("≤ 64".to_owned()),
                mebibytes(it.memory.proportional_kib),
                mebibytes(it.memory.peak_kib),
                format!("{:.1}", it.cpu_s),
                ours(format!("{:.2}", requests as f64 / cold.applications as f64)),
            ]
        })
        .collect();
    markdown(
        &[
            "cold start",
            "resident MiB",
            "goal",
            "proportional MiB",
            "peak MiB",
            "CPU s",
            "API requests/application",
        ],
        &rows,
    )
}

fn at_rest(results: &Results) -> String {
    let row = |what: &str, account: &str, rest: &Rest| {
        let requests = &rest.requests;
        let used = rest.used.iter().find(|it| it.name == account);
        let figure = |figure: Option<String>| figure.unwrap_or_else(|| "–".to_owned());
        vec![
            format!("{account}, {what}"),
            format!("{:.0}", rest.seconds),
            requests.writes(account).to_string(),
            "0".to_owned(),
            requests.writes_to(account, "events").to_string(),
            requests.writes_to(account, "leases").to_string(),
            requests.reads(account).to_string(),
            requests.watches(account).to_string(),
            figure(used.map(|it| format!("{:.1} %", it.cpu_s / rest.seconds * 100.0))),
            figure(used.map(|it| mebibytes(it.memory.resident_kib))),
        ]
    };
    let rows: Vec<_> = [
        ("after the cold start", &results.at_rest),
        ("after a restart of the operator", &results.restarted),
    ]
    .into_iter()
    .flat_map(|(what, rest)| [OPERATOR, GATEWAY].map(|account| row(what, account, rest)))
    .collect();
    markdown(
        &[
            "at rest",
            "s",
            "writes",
            "goal",
            "events",
            "Lease renewals",
            "gets and lists",
            "watches",
            "of a core",
            "resident MiB",
        ],
        &rows,
    )
}

#[allow(clippy::cast_precision_loss)] // KiB of memory are below 2^52.
fn mebibytes(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}

#[allow(clippy::cast_precision_loss)] // Nobody counts to 2^52.
fn whole_count(count: usize) -> String {
    whole(count as f64)
}
