//! From `kubectl apply` to the first token, for one application after the other.

use super::site::{Asking, Gateway, Site};
use crate::{error::Error, exchange::Exchange, peers::flightgate::Credential, run::progress};
use crds::OAuthApplication;
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
    runtime::watcher::{self, Event},
};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, block_in_place},
    time::{sleep, timeout},
};

/// Between two requests for a token.
const PAUSE: Duration = Duration::from_millis(2);
/// A token that takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two applies: each meets an operator that has nothing else to do.
const GAP: Duration = Duration::from_millis(50);

/// Some applies, in the order in which they were made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(clippy::struct_field_names, reason = "it is their unit")]
pub struct FirstTokens {
    /// Milliseconds from sending the apply until its answer is there.
    pub applied_ms: Vec<f64>,
    /// … until a watch has shown the credentials.
    pub secret_ms: Vec<f64>,
    /// … until the gateway has answered with a token.
    pub token_ms: Vec<f64>,
}

/// Applies `count` new applications, and gets a token for each.
pub(super) async fn measure(
    site: &Site<'_>,
    gateway: &Gateway,
    name: &str,
    count: usize,
) -> Result<FirstTokens, Error> {
    let mut credentials = Credentials::follow(site).await?;
    let mut exchange = Exchange::connect(gateway.public, site.certificate)?;
    let api: Api<OAuthApplication> = Api::namespaced(site.client.clone(), &site.owners);
    let params = PatchParams::apply("bench");
    let mut measured = FirstTokens {
        applied_ms: Vec::with_capacity(count),
        secret_ms: Vec::with_capacity(count),
        token_ms: Vec::with_capacity(count),
    };
    for index in 0..count {
        let name = format!("{name}-{index:05}");
        let application = site.application(&name);
        let begun = Instant::now();
        api.patch(&name, &params, &Patch::Apply(&application))
            .await
            .asking("apply an application")?;
        let applied = begun.elapsed();
        let (credential, seen) = credentials.of(&name).await?;
        let secret = seen.saturating_duration_since(begun);
        first_token(&mut exchange, &credential).await?;
        let token = begun.elapsed();
        measured.applied_ms.push(applied.as_secs_f64() * 1e3);
        measured.secret_ms.push(secret.as_secs_f64() * 1e3);
        measured.token_ms.push(token.as_secs_f64() * 1e3);
        sleep(GAP).await;
    }
    progress(&format!("{count} applications have their first token"));
    Ok(measured)
}

async fn first_token(exchange: &mut Exchange, credential: &Credential) -> Result<(), Error> {
    let request = credential.token_request();
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = block_in_place(|| exchange.send(&request))?;
        match answer.status {
            200 => return Ok(()),
            // It does not know the client yet.
            401 if Instant::now() < end => sleep(PAUSE).await,
            status => {
                return Err(Error::WrongAnswer {
                    name: "the token endpoint".to_owned(),
                    got: status,
                    expected: 200,
                    hint: String::from_utf8_lossy(&answer.body).into_owned(),
                });
            }
        }
    }
}

/// The credentials of a namespace, as a watch shows them.
struct Credentials {
    seen: mpsc::UnboundedReceiver<(String, Credential, Instant)>,
    task: AbortHandle,
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Credentials {
    /// Watches from now on.
    async fn follow(site: &Site<'_>) -> Result<Self, Error> {
        let api: Api<Secret> = Api::namespaced(site.client.clone(), &site.owners);
        let config = watcher::Config::default().labels("flightgate.dev/credentials=true");
        let (sender, seen) = mpsc::unbounded_channel();
        let (listed, mut is_listed) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            let mut events = Box::pin(watcher::watcher(api, config));
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(secret)) => {
                        let now = Instant::now();
                        if let Some((name, credential)) = read(secret) {
                            // Who does not listen any more has what it wanted.
                            let _ = sender.send((name, credential, now));
                        }
                    }
                    Ok(Event::InitDone) => {
                        let _ = listed.try_send(());
                    }
                    Ok(_) => {}
                    Err(error) => progress(&format!("watch of credentials: {error}")),
                }
            }
        });
        let it = Self {
            seen,
            task: task.abort_handle(),
        };
        match timeout(PATIENCE, is_listed.recv()).await {
            Ok(Some(())) => Ok(it),
            _ => Err(slow("a watch of the credentials")),
        }
    }

    /// Those of one application, and when they came.
    async fn of(&mut self, application: &str) -> Result<(Credential, Instant), Error> {
        let secret = format!("{application}-credentials");
        let found = timeout(PATIENCE, async {
            loop {
                let (name, credential, at) = self.seen.recv().await?;
                if name == secret {
                    return Some((credential, at));
                }
            }
        });
        let found = found.await.ok().flatten();
        found.ok_or_else(|| slow(&format!("the Secret {secret}")))
    }
}

fn read(secret: Secret) -> Option<(String, Credential)> {
    let mut data = secret.data?;
    let mut text = |key: &str| String::from_utf8(data.remove(key)?.0).ok();
    let credential = Credential::new(text("client_id")?, text("client_secret")?);
    Some((secret.metadata.name?, credential))
}

fn slow(what: &str) -> Error {
    Error::Slow {
        what: what.to_owned(),
        seconds: PATIENCE.as_secs(),
    }
}
