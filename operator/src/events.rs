//! Events, as `kubectl describe` shows them: `events.k8s.io/v1`, one object per
//! thing that happened, with a count if it happens again soon.
//!
//! They are published beside the reconciles, one after the other: telling what
//! happened never holds up what happens. When more happens than can be told,
//! what is as it should be goes untold first. (kube's own `Recorder` counts events
//! of the same reason together whatever they say; a second rotation would be
//! told in the words of the first.)

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event as ApiEvent, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};

use crate::{
    metrics::Metrics,
    plan::{Event, EventKind},
};

const CONTROLLER: &str = "flightgate.dev/operator";
/// Within this time the same event is counted rather than told again.
const SERIES: Duration = Duration::from_mins(5);
/// At most one in this time.
const PACE: Duration = Duration::from_millis(20);
/// The same while a crowd waits: thousands of resources that come at once are
/// looked after first, and told of then.
const PACE_IN_A_CROWD: Duration = Duration::from_millis(200);
/// So many waiting resources are a crowd.
const CROWD: i64 = 100;
/// So many may wait to be published.
const QUEUE: usize = 8192;
/// Of these places so many are for warnings alone.
const FOR_WARNINGS: usize = QUEUE / 4;
/// The API's bound on a note, in bytes.
const MAX_NOTE: usize = 1024;

/// What an event is about.
#[derive(Clone, Debug)]
pub struct About {
    /// Its API version.
    pub api_version: Cow<'static, str>,
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its uid.
    pub uid: Box<str>,
}

/// Where events are handed in.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<(About, Event)>,
    metrics: Metrics,
}

/// What publishes them.
pub struct Publisher {
    queue: mpsc::Receiver<(About, Event)>,
    client: Client,
    instance: String,
    metrics: Metrics,
    /// By what each says of whom, hashed.
    recent: HashMap<u64, Recent>,
    hasher: RandomState,
    swept: Instant,
}

struct Recent {
    name: Box<str>,
    count: i32,
    since: Instant,
}

/// A queue for events and what empties it.
pub fn channel(client: Client, instance: String, metrics: Metrics) -> (Events, Publisher) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let publisher = Publisher {
        queue: receiver,
        client,
        instance,
        metrics: metrics.clone(),
        recent: HashMap::new(),
        hasher: RandomState::new(),
        swept: Instant::now(),
    };
    let events = Events {
        queue: sender,
        metrics,
    };
    (events, publisher)
}

impl Events {
    /// Tells what happened to an object.
    pub fn tell(&self, about: About, event: Event) {
        tracing::info!(
            kind = about.kind,
            namespace = &*about.namespace,
            name = &*about.name,
            reason = event.reason,
            "{}",
            event.message
        );
        let is_room = event.kind == EventKind::Warning || self.queue.capacity() > FOR_WARNINGS;
        if !is_room || self.queue.try_send((about, event)).is_err() {
            self.metrics.events_dropped.inc();
        }
    }
}

impl Publisher {
    /// Publishes for ever.
    pub async fn run(mut self) {
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some((about, event)) = self.queue.recv().await {
            pace.tick().await;
            if self.metrics.waiting() > CROWD {
                tokio::time::sleep(PACE_IN_A_CROWD).await;
            }
            if let Err(error) = self.publish(about, event).await {
                // What happened has been logged already.
                tracing::debug!(%error, "an event was not published");
                self.metrics.events_dropped.inc();
            }
        }
    }

    async fn publish(&mut self, about: About, event: Event) -> kube::Result<()> {
        if self.swept.elapsed() > SERIES / 5 {
            self.recent.retain(|_, it| it.since.elapsed() < SERIES);
            self.recent.shrink_to_fit();
            self.swept = Instant::now();
        }
        let key = (&about.uid, event.reason, &event.message);
        let key = self.hasher.hash_one(key);
        let api: Api<ApiEvent> = Api::namespaced(self.client.clone(), &about.namespace);
        let now = MicroTime(Timestamp::now());
        if let Some(recent) = self.recent.get_mut(&key)
            && recent.since.elapsed() < SERIES
        {
            recent.count += 1;
            let series = EventSeries {
                count: recent.count,
                last_observed_time: now,
            };
            let patch = serde_json::json!({"series": series});
            api.patch(&recent.name, &PatchParams::default(), &Patch::Merge(&patch))
                .await?;
            return Ok(());
        }
        let event = self.event(about, event, now);
        let name = event.metadata.name.as_deref().unwrap_or_default().into();
        api.create(&PostParams::default(), &event).await?;
        let since = Instant::now();
        let count = 1;
        self.recent.insert(key, Recent { name, count, since });
        Ok(())
    }

    fn event(&self, about: About, event: Event, now: MicroTime) -> ApiEvent {
        let name = format!("{}.{:x}", about.name, now.0.as_nanosecond());
        let regarding = ObjectReference {
            api_version: Some(about.api_version.into_owned()),
            kind: Some(about.kind.into()),
            namespace: Some(about.namespace.to_string()),
            name: Some(about.name.to_string()),
            uid: Some(about.uid.into()),
            ..ObjectReference::default()
        };
        ApiEvent {
            metadata: ObjectMeta {
                namespace: regarding.namespace.clone(),
                name: Some(name),
                ..ObjectMeta::default()
            },
            action: Some("Reconcile".into()),
            reason: Some(event.reason.into()),
            note: Some(shortened(event.message)),
            type_: Some(
                match event.kind {
                    EventKind::Normal => "Normal",
                    EventKind::Warning => "Warning",
                }
                .into(),
            ),
            event_time: Some(now),
            regarding: Some(regarding),
            reporting_controller: Some(CONTROLLER.into()),
            reporting_instance: Some(self.instance.clone()),
            ..ApiEvent::default()
        }
    }
}

fn shortened(mut note: String) -> String {
    if note.len() > MAX_NOTE {
        let mut end = MAX_NOTE - '…'.len_utf8();
        while !note.is_char_boundary(end) {
            end -= 1;
        }
        note.truncate(end);
        note.push('…');
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_note_is_cut_between_characters() {
        assert_eq!(shortened("short".into()), "short");
        let cut = shortened("é".repeat(600));
        assert!(cut.len() <= MAX_NOTE && cut.ends_with('…'));
    }
}
