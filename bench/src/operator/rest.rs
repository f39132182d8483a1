//! Time in which nobody changes anything: what operator and gateway ask of the
//! API server all the same.

use super::{
    Rest, Used,
    site::{GATEWAY, Gateway, OPERATOR, Site},
};
use crate::{cpu::CpuTime, error::Error, run::progress};
use flightgate_e2e::Process;
use std::time::{Duration, Instant};

/// How long is looked at.
const REST: Duration = Duration::from_secs(30);
/// What was under way comes to its end.
const SETTLE: Duration = Duration::from_secs(5);

/// After the cold start. Its events are still being told.
pub(super) async fn after_convergence(
    site: &mut Site<'_>,
    gateway: &Gateway,
    operator: &Process,
) -> Result<Rest, Error> {
    tokio::time::sleep(SETTLE).await;
    site.audit.read_on()?;
    rest(site, gateway, operator).await
}

/// After the operator has been ended and started again, its start included.
pub(super) async fn after_restart(
    site: &mut Site<'_>,
    gateway: &Gateway,
    mut operator: Process,
) -> Result<(Rest, Process), Error> {
    operator.terminate();
    operator.ended().await;
    site.audit.read_on()?;
    let operator = site.start_operator(gateway).await?;
    let rest = rest(site, gateway, &operator).await?;
    Ok((rest, operator))
}

async fn rest(site: &mut Site<'_>, gateway: &Gateway, operator: &Process) -> Result<Rest, Error> {
    let processes = [(OPERATOR, operator.pid()), (GATEWAY, gateway.process.pid())];
    let before = processes.map(|(_, pid)| CpuTime::of(pid));
    let begun = Instant::now();
    tokio::time::sleep(REST).await;
    let seconds = begun.elapsed().as_secs_f64();
    let used = processes.iter().zip(&before).map(|(&(name, pid), before)| {
        Ok(Used {
            cpu_s: CpuTime::of(pid).since(before).as_secs_f64(),
            ..Used::of(name, pid)?
        })
    });
    let used = used.collect::<Result<_, Error>>()?;
    let requests = site.audit.read_on()?;
    progress(&format!(
        "{seconds:.0} s at rest: {} writes of the operator",
        requests.writes(OPERATOR)
    ));
    Ok(Rest {
        seconds,
        requests,
        used,
    })
}
