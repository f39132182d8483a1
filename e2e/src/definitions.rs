//! The definitions of `crds/yaml`, as they are shipped.

use std::{collections::BTreeSet, fs, path::PathBuf};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt, api::ListParams};

use crate::{kubectl::Said, patience::eventually, program::source};

/// The folder of the files.
pub(crate) fn folder() -> PathBuf {
    source("../crds/yaml")
}

/// Waits until the API server serves all of them.
pub(crate) async fn established(client: Client, applied: &Said) {
    applied.ok();
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let expected = fs::read_dir(folder()).unwrap().count();
    eventually("definitions that are established", async || {
        let all = api
            .list(&ListParams::default())
            .await
            .map_err(|error| error.to_string())?;
        let ours = all.items.iter().filter(|it| it.spec.group == crds::GROUP);
        let established: BTreeSet<_> = ours
            .filter(|it| is_established(it))
            .map(ResourceExt::name_any)
            .collect();
        if established.len() < expected {
            return Err(format!("{established:?} are"));
        }
        // Established is what the status says; the paths follow a little later.
        let served = client
            .list_api_group_resources("flightgate.dev/v1alpha1")
            .await;
        let served = served.map_err(|error| error.to_string())?;
        let kinds = served
            .resources
            .iter()
            .filter(|it| !it.name.contains('/'))
            .count();
        if kinds < expected {
            return Err(format!("{kinds} kinds are served"));
        }
        Ok(())
    })
    .await;
}

fn is_established(definition: &CustomResourceDefinition) -> bool {
    let conditions = definition
        .status
        .as_ref()
        .and_then(|it| it.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|it| it.type_ == "Established" && it.status == "True")
}
