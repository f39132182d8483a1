//! Many applications, and an operator and a gateway that start from nothing.

use super::{
    Convergence, Used,
    site::{Asking, GATEWAY, Gateway, OPERATOR, Site},
};
use crate::{cpu::CpuTime, error::Error, memory::Memory, run::progress};
use crds::OAuthApplication;
use flightgate_e2e::Process;
use futures_util::{StreamExt, TryStreamExt, stream};
use kube::{
    Api,
    api::{ApiResource, PostParams},
    core::{NotUsed, Object},
    runtime::watcher::{self, Event},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Creates at once.
const CREATORS: usize = 32;
/// Ten times the goal: whatever has not come by then, does not come.
const PATIENCE: Duration = Duration::from_mins(10);

/// As much of an application as says whether it is Ready.
type Observed = Object<NotUsed, Status>;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

/// Creates applications that nobody looks after yet.
pub(super) async fn create(site: &Site<'_>, count: usize) -> Result<(), Error> {
    let begun = Instant::now();
    let api: &Api<OAuthApplication> = &Api::namespaced(site.client.clone(), &site.owners);
    let params = &PostParams::default();
    stream::iter((0..count).map(Ok))
        .try_for_each_concurrent(CREATORS, async |index| {
            let object = serde_json::from_value(site.application(&format!("app-{index:05}")))
                .asking("write an application as JSON")?;
            let created = api.create(params, &object).await;
            created.map(drop).asking("create an application")
        })
        .await?;
    progress(&format!(
        "{count} applications created in {:.0} s",
        begun.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Starts gateway and operator, and waits until all are Ready.
pub(super) async fn measure(
    site: &mut Site<'_>,
    count: usize,
) -> Result<(Convergence, Gateway, Process), Error> {
    let resource = ApiResource::erase::<OAuthApplication>(&());
    let api: Api<Observed> = Api::namespaced_with(site.client.clone(), &site.owners, &resource);
    let mut events = Box::pin(watcher::watcher(api, watcher::Config::default()));
    let mut ready = HashSet::with_capacity(count);
    // The list comes first: nothing of it is Ready, and reading it costs nobody
    // who is being measured.
    while let Some(event) = events.next().await {
        match event.asking("watch the applications")? {
            Event::InitDone => break,
            event => note(event, &mut ready),
        }
    }
    let servers = site.control_plane.pids();
    let before: Vec<_> = servers.iter().map(|&pid| CpuTime::of(pid)).collect();
    site.audit.read_on()?;
    let begun = Instant::now();
    let gateway = site.start_gateway().await?;
    let operator = site.spawn_operator(&gateway)?;
    let milestones = [count.div_ceil(2), (count * 9).div_ceil(10), count];
    let mut seconds = [f64::NAN; 3];
    let mut reached = 0;
    let all = async {
        while let Some(event) = events.next().await {
            note(event.asking("watch the applications")?, &mut ready);
            while ready.len() >= milestones[reached] {
                seconds[reached] = begun.elapsed().as_secs_f64();
                progress(&format!(
                    "{} of {count} are Ready after {:.1} s",
                    ready.len(),
                    seconds[reached]
                ));
                reached += 1;
                if reached == milestones.len() {
                    return Ok::<_, Error>(());
                }
            }
        }
        Ok(())
    };
    if timeout(PATIENCE, all).await.is_err() {
        return Err(Error::Slow {
            what: format!("{count} applications that are Ready; {} are", ready.len()),
            seconds: PATIENCE.as_secs(),
        });
    }
    let mut used = vec![
        Used::of(OPERATOR, operator.pid())?,
        Used::of(GATEWAY, gateway.process.pid())?,
    ];
    for (name, (&pid, before)) in ["etcd", "kube-apiserver", "kube-controller-manager"]
        .iter()
        .zip(servers.iter().zip(&before))
    {
        used.push(Used {
            cpu_s: CpuTime::of(pid).since(before).as_secs_f64(),
            ..Used::of(name, pid)?
        });
    }
    let convergence = Convergence {
        applications: count,
        seconds,
        used,
        requests: site.audit.read_on()?,
    };
    Ok((convergence, gateway, operator))
}

fn note(event: Event<Observed>, ready: &mut HashSet<String>) {
    let (Event::Apply(object) | Event::InitApply(object)) = event else {
        return;
    };
    let Some(name) = object.metadata.name else {
        return;
    };
    let conditions = object.status.iter().flat_map(|it| &it.conditions);
    let mut conditions = conditions.filter(|it| it.kind == "Ready");
    if conditions.any(|it| it.status == "True") {
        ready.insert(name);
    } else {
        ready.remove(&name);
    }
}

impl Used {
    /// What a process has used since its start.
    pub(super) fn of(name: &str, pid: u32) -> Result<Self, Error> {
        Ok(Self {
            name: name.to_owned(),
            cpu_s: CpuTime::of(pid).total().as_secs_f64(),
            memory: Memory::of(pid)?,
        })
    }
}
