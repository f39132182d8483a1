//! Leader election: of several replicas, the holder of one Lease works.
//!
//! Every write of the Lease names the resourceVersion that it was decided on,
//! so of two that reach for it at once the API server takes one. A standby
//! waits for a lease duration in which *it* saw no renewal; whose clock is right
//! does not matter. A leader that could not renew for the (shorter) renew
//! deadline gives up before any standby may take over; its [`Fence`] lets no
//! write pass from then on, even if it notices late.

use std::{future::Future, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep, timeout};

use crate::{config::LeaderElection, fence::Fence};

/// Stands on the Lease, whatever its name: so that people and tools find it.
pub const LABEL: (&str, &str) = ("app.kubernetes.io/name", "flightgate-operator");

/// One replica's part in the election.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
    lease_duration: Duration,
    renew_deadline: Duration,
    retry_period: Duration,
    fence: Fence,
}

/// The lease as this replica last saw it.
struct Sighting {
    /// What another holder changes when it renews.
    version: Option<String>,
    /// When this replica saw that version first.
    since: Instant,
}

impl Elector {
    /// Takes part in the election for a Lease of `namespace`.
    pub fn new(
        client: Client,
        namespace: &str,
        identity: String,
        config: &LeaderElection,
        fence: Fence,
    ) -> Self {
        let (lease_duration, renew_deadline, retry_period) = config.periods();
        Self {
            api: Api::namespaced(client, namespace),
            name: config.name.clone(),
            identity,
            lease_duration,
            renew_deadline,
            retry_period,
            fence,
        }
    }

    /// Waits until this replica holds the lease.
    pub async fn acquire(&self) {
        let mut seen: Option<Sighting> = None;
        self.fence.close();
        loop {
            let attempt = Instant::now();
            let wait = match timeout(self.retry_period, self.try_acquire(&mut seen)).await {
                Ok(Ok(Attempt::Held)) => {
                    tracing::info!(lease = self.name, identity = self.identity, "leading");
                    self.fence.open_until(attempt + self.renew_deadline);
                    return;
                }
                Ok(Ok(Attempt::Later(wait))) => wait,
                Ok(Err(error)) => {
                    tracing::warn!(lease = self.name, %error, "the lease could not be looked at");
                    self.retry_period
                }
                Err(_) => self.retry_period,
            };
            sleep(wait.min(self.retry_period)).await;
        }
    }

    async fn try_acquire(&self, seen: &mut Option<Sighting>) -> kube::Result<Attempt> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            return self
                .attempt(self.api.create(&PostParams::default(), &self.next(None)))
                .await;
        };
        let version = lease.metadata.resource_version.clone();
        let holder = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.holder_identity.clone());
        let is_free = holder.is_none_or(|holder| holder.is_empty() || holder == self.identity);
        let sighting = match seen.take() {
            Some(old) if old.version == version => old,
            _ => Sighting {
                version,
                since: Instant::now(),
            },
        };
        let age = sighting.since.elapsed();
        *seen = Some(sighting);
        if !is_free && age < self.lease_duration {
            return Ok(Attempt::Later(self.lease_duration.saturating_sub(age)));
        }
        let next = self.next(Some(lease));
        self.attempt(self.api.replace(&self.name, &PostParams::default(), &next))
            .await
    }

    async fn attempt(
        &self,
        write: impl Future<Output = kube::Result<Lease>>,
    ) -> kube::Result<Attempt> {
        match write.await {
            Ok(_) => Ok(Attempt::Held),
            // Another one was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Ok(Attempt::Later(self.retry_period))
            }
            Err(error) => Err(error),
        }
    }

    /// Renews the lease for as long as that is possible; returns when it was
    /// lost.
    pub async fn keep(&self) {
        let mut renewed = Instant::now();
        let mut held = None;
        let mut pause = self.retry_period;
        loop {
            sleep(pause).await;
            pause = self.retry_period;
            let left = self.renew_deadline.saturating_sub(renewed.elapsed());
            let attempt = Instant::now();
            // Counted from before the request: the server may have taken it at
            // once and answered late.
            match timeout(left.min(self.retry_period * 2), self.renew(&mut held)).await {
                Ok(Ok(Renewal::Done)) => {
                    renewed = attempt;
                    self.fence.open_until(attempt + self.renew_deadline);
                }
                Ok(Ok(Renewal::Lost(holder))) => {
                    tracing::warn!(lease = self.name, holder, "another replica leads");
                    self.fence.close();
                    return;
                }
                // Somebody wrote in between: the next look, at once, tells who.
                Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
                    pause = Duration::from_millis(20);
                }
                Ok(Err(error)) => {
                    tracing::warn!(lease = self.name, %error, "the lease could not be renewed");
                }
                Err(_) => tracing::warn!(lease = self.name, "renewing the lease took too long"),
            }
            if renewed.elapsed() >= self.renew_deadline {
                tracing::warn!(lease = self.name, "not renewed in time: no longer leading");
                return;
            }
        }
    }

    /// Renews the lease as this replica wrote it last; only if somebody else
    /// wrote since is it read.
    async fn renew(&self, held: &mut Option<Lease>) -> kube::Result<Renewal> {
        let lease = match held.take() {
            Some(lease) => lease,
            None => self.api.get(&self.name).await?,
        };
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.clone());
        if holder.as_deref() != Some(&self.identity) {
            return Ok(Renewal::Lost(holder.unwrap_or_default()));
        }
        let next = self.next(Some(lease));
        let params = PostParams::default();
        *held = Some(self.api.replace(&self.name, &params, &next).await?);
        Ok(Renewal::Done)
    }

    /// Hands the lease over at once, if it is still held.
    pub async fn release(&self) {
        let release = async {
            let mut lease = self.api.get(&self.name).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(&self.identity) {
                return Ok(());
            }
            spec.holder_identity = Some(String::new());
            self.api
                .replace(&self.name, &PostParams::default(), &lease)
                .await
                .map(drop)
        };
        if let Ok(Err(error)) = timeout(self.retry_period, release).await {
            tracing::info!(lease = self.name, %error, "the lease was left to run out");
        }
    }

    /// The lease as this replica would hold it, decided on `lease`.
    fn next(&self, lease: Option<Lease>) -> Lease {
        let now = MicroTime(Timestamp::now());
        let Lease { mut metadata, spec } = lease.unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        let (label, value) = LABEL;
        let labels = metadata.labels.get_or_insert_default();
        labels.insert(label.into(), value.into());
        let old = spec.unwrap_or_default();
        let is_mine = old.holder_identity.as_deref() == Some(&self.identity);
        Lease {
            // With its resourceVersion: the precondition of the write.
            metadata,
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(self.lease_duration.as_secs()).ok(),
                acquire_time: old.acquire_time.filter(|_| is_mine).or(Some(now.clone())),
                renew_time: Some(now),
                lease_transitions: Some(old.lease_transitions.unwrap_or(0) + i32::from(!is_mine)),
                ..old
            }),
        }
    }
}

enum Attempt {
    Held,
    Later(Duration),
}

enum Renewal {
    Done,
    Lost(String),
}

#[cfg(test)]
mod tests {
    use http::{Method, Request, Response};
    use http_body_util::BodyExt;
    use kube::client::Body;
    use serde_json::{Value, json};
    use tower_test::mock::{Handle, pair};

    use super::*;

    type Server = Handle<Request<Body>, Response<Body>>;

    fn elector() -> (Elector, Server) {
        let (service, server) = pair();
        let client = Client::new(service, "operators");
        let config = LeaderElection::default();
        (
            Elector::new(client, "operators", "me".into(), &config, Fence::default()),
            server,
        )
    }

    fn lease(holder: &str, version: &str) -> Value {
        json!({
            "metadata": {"name": "flightgate-operator", "resourceVersion": version},
            "spec": {"holderIdentity": holder, "leaseTransitions": 4},
        })
    }

    /// Answers one request, and returns its method and body.
    async fn answer(server: &mut Server, code: u16, body: &Value) -> (Method, Value) {
        let (request, send) = server.next_request().await.unwrap();
        let body = if code < 300 {
            body.clone()
        } else {
            json!({"status": "Failure", "code": code, "reason": "", "message": ""})
        };
        let response = Response::builder().status(code);
        let body = Body::from(body.to_string().into_bytes());
        send.send_response(response.body(body).unwrap());
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (
            head.method,
            serde_json::from_slice(&body).unwrap_or_default(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_nobody_holds_is_taken_as_it_was_seen() {
        let (elector, mut server) = elector();
        let held = tokio::spawn(async move { elector.acquire().await });
        answer(&mut server, 200, &lease("", "7")).await;
        let (method, body) = answer(&mut server, 200, &lease("me", "8")).await;
        assert_eq!(method, Method::PUT);
        assert_eq!(body["metadata"]["resourceVersion"], "7", "the precondition");
        assert_eq!(body["spec"]["holderIdentity"], "me");
        assert_eq!(body["spec"]["leaseTransitions"], 5);
        assert_eq!(body["metadata"]["labels"][LABEL.0], LABEL.1);
        held.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_second_stands_by_until_a_whole_lease_has_passed_unrenewed() {
        let (elector, mut server) = elector();
        let begun = Instant::now();
        let held = tokio::spawn(async move { elector.acquire().await });
        answer(&mut server, 200, &lease("", "7")).await;
        answer(&mut server, 409, &json!({})).await;
        // The winner renews twice, and then no more.
        for version in ["8", "9"] {
            let (method, _) = answer(&mut server, 200, &lease("other", version)).await;
            assert_eq!(method, Method::GET);
        }
        let last_renewal = Instant::now();
        loop {
            let (method, body) = answer(&mut server, 200, &lease("other", "9")).await;
            if method == Method::PUT {
                assert_eq!(body["metadata"]["resourceVersion"], "9");
                break;
            }
        }
        let waited = last_renewal.elapsed();
        let lease = Duration::from_secs(12);
        assert!(
            waited >= lease && waited < lease + Duration::from_secs(1),
            "{waited:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(20));
        held.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_cannot_renew_gives_up_before_anybody_may_take_over() {
        let (elector, mut server) = elector();
        let begun = Instant::now();
        let kept = tokio::spawn(async move { elector.keep().await });
        answer(&mut server, 200, &lease("me", "7")).await;
        answer(&mut server, 200, &lease("me", "8")).await;
        let renewed = Instant::now();
        let refused = async {
            loop {
                answer(&mut server, 503, &json!({})).await;
            }
        };
        // The one who gives up takes the connection along: that is looked at first.
        tokio::select! {
            biased;
            done = kept => done.unwrap(),
            () = refused => {}
        }
        assert!(renewed.elapsed() < Duration::from_secs(12) - Duration::from_secs(2));
        assert!(begun.elapsed() >= Duration::from_secs(8));
    }
}
