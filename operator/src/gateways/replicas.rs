//! Which replicas a gateway has: its ready pods, or the addresses that
//! operator.yaml gives.

use std::{collections::BTreeMap, net::IpAddr};

use futures_util::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use tokio::sync::watch;

use crate::{backoff::Reconnect, config};

/// The admin listener of each ready replica, by the replica's name.
pub type Replicas = BTreeMap<String, http::Uri>;

/// Follows the replicas of a gateway for ever; none: nobody has looked yet.
pub async fn follow(
    config: &config::Gateway,
    client: Client,
    out: watch::Sender<Option<Replicas>>,
) {
    if !config.addresses.is_empty() {
        let addresses = config.addresses.iter().filter_map(|url| {
            let uri = format!("{}registry", url.as_str()).parse().ok()?;
            Some((url.as_str().trim_end_matches('/').to_owned(), uri))
        });
        out.send_replace(Some(addresses.collect()));
        return out.closed().await;
    }
    let api: Api<Pod> = Api::namespaced(client, &config.namespace);
    let pods = watcher(api, &config.selector);
    pin_mut!(pods);
    let mut ready = Replicas::new();
    let mut listed = Replicas::new();
    while let Some(event) = pods.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(pod)) => listed.extend(replica(&pod, config.admin_port)),
            Ok(Event::InitDone) => ready = std::mem::take(&mut listed),
            Ok(Event::Apply(pod)) => match replica(&pod, config.admin_port) {
                Some((name, uri)) => drop(ready.insert(name, uri)),
                None => drop(ready.remove(&name(&pod))),
            },
            Ok(Event::Delete(pod)) => drop(ready.remove(&name(&pod))),
            Err(error) => {
                tracing::warn!(gateway = config.name, %error, "cannot follow the gateway's pods");
                continue;
            }
        }
        if listed.is_empty() {
            out.send_if_modified(|known| {
                let changed = known.as_ref() != Some(&ready);
                if changed {
                    *known = Some(ready.clone());
                }
                changed
            });
        }
    }
}

fn watcher(
    api: Api<Pod>,
    selector: &str,
) -> impl futures_util::Stream<Item = watcher::Result<Event<Pod>>> + Send {
    watcher::watcher(api, watcher::Config::default().labels(selector)).backoff(Reconnect::default())
}

/// A pod that is ready to serve, and where it tells what it serves.
fn replica(pod: &Pod, port: u16) -> Option<(String, http::Uri)> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let status = pod.status.as_ref()?;
    let conditions = status.conditions.iter().flatten();
    let is_ready = conditions
        .filter(|condition| condition.type_ == "Ready")
        .any(|condition| condition.status == "True");
    let address: IpAddr = status.pod_ip.as_ref()?.parse().ok()?;
    let host = std::net::SocketAddr::new(address, port);
    let uri = format!("http://{host}/registry").parse().ok()?;
    is_ready.then(|| (name(pod), uri))
}

fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_ready_pod_that_is_not_leaving_counts() {
        let pod = |ready: &str, ip: &str, deleted: Option<&str>| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"name": "gateway-1", "deletionTimestamp": deleted},
                "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": ready}]},
            }))
            .unwrap()
        };
        let (name, uri) = replica(&pod("True", "10.1.2.3", None), 9900).unwrap();
        assert_eq!(name, "gateway-1");
        assert_eq!(uri, "http://10.1.2.3:9900/registry");
        let (_, uri) = replica(&pod("True", "fd00::7", None), 9900).unwrap();
        assert_eq!(uri, "http://[fd00::7]:9900/registry");
        let leaving = Some("2026-01-01T00:00:00Z");
        assert!(replica(&pod("True", "10.1.2.3", leaving), 9900).is_none());
        assert!(replica(&pod("False", "10.1.2.3", None), 9900).is_none());
        assert!(replica(&Pod::default(), 9900).is_none());
    }
}
