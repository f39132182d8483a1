//! Where a gateway's gateway.yaml comes from: a `ConfigMap` or a file,
//! followed as it changes.

use std::{path::Path, sync::Arc, time::Duration};

use crds::gateway_config::GatewayConfig;
use futures_util::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};

use super::Gateway;
use crate::{backoff::Reconnect, catalogue::Catalogue};

/// The key of the `ConfigMap`.
const KEY: &str = "gateway.yaml";
/// Between two looks at a file.
const LOOK: Duration = Duration::from_secs(1);

/// Follows a gateway's gateway.yaml for ever.
pub async fn follow(gateway: Arc<Gateway>, client: Client) {
    match (&gateway.config.config_map, &gateway.config.file) {
        (Some(name), _) => follow_config_map(&gateway, client, name).await,
        (None, Some(path)) => follow_file(&gateway, path).await,
        (None, None) => gateway.take_over(Err("operator.yaml names no source for it".into())),
    }
}

async fn follow_config_map(gateway: &Gateway, client: Client, name: &str) {
    let api: Api<ConfigMap> = Api::namespaced(client, &gateway.config.namespace);
    let place = format!("ConfigMap {}/{name}", gateway.config.namespace);
    let changes = watcher::watch_object(api, name).backoff(Reconnect::default());
    pin_mut!(changes);
    let mut last = None;
    while let Some(change) = changes.next().await {
        let text = match change {
            Ok(Some(map)) => {
                let text = map.data.and_then(|mut data| data.remove(KEY));
                text.ok_or_else(|| format!("{place} has no key {KEY}"))
            }
            Ok(None) => Err(format!("there is no {place}")),
            Err(error) => {
                tracing::warn!(gateway = gateway.name(), %error, "cannot follow {place}");
                // Once at the start: so that what waits for it says so.
                if last.is_none() && gateway.loaded().problem.is_none() {
                    gateway.take_over(Err(format!("{place} cannot be read")));
                }
                continue;
            }
        };
        if last.as_ref() != Some(&text) {
            gateway.take_over(text.clone().and_then(|text| read(gateway, &text, &place)));
            last = Some(text);
        }
    }
}

async fn follow_file(gateway: &Gateway, path: &Path) {
    let place = path.display().to_string();
    let mut last = None;
    loop {
        let text = tokio::fs::read_to_string(path).await;
        let text = text.map_err(|error| format!("{place}: {error}"));
        if last.as_ref() != Some(&text) {
            gateway.take_over(text.clone().and_then(|text| read(gateway, &text, &place)));
            last = Some(text);
        }
        // Looked at rather than watched: a mounted ConfigMap changes by the
        // renaming of a link two folders up.
        tokio::time::sleep(LOOK).await;
    }
}

fn read(gateway: &Gateway, text: &str, place: &str) -> Result<Arc<Catalogue>, String> {
    let config = GatewayConfig::from_yaml(text).map_err(|error| format!("{place}: {error}"))?;
    let problems: Vec<_> = config.check().iter().map(ToString::to_string).collect();
    if !problems.is_empty() {
        return Err(format!("{place}: {}", problems.join("; ")));
    }
    Ok(Arc::new(Catalogue::new(gateway.name(), config)))
}
