//! Events, as `kubectl describe` shows them: `events.k8s.io/v1`, one object per
//! thing that happened, with a count if it happens again soon.
//!
//! They are published beside the reconciles, one after the other: telling what
//! happened never holds up what happens. (kube's own `Recorder` counts events
//! of the same reason together whatever they say; a second rotation would be
//! told in the words of the first.)

use std::{collections::HashMap, time::Duration};

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
/// At most one in this time: thousands of resources that come at once are looked
/// after first, and told of then.
const PACE: Duration = Duration::from_millis(20);
/// So many may wait to be published.
const QUEUE: usize = 16_384;
/// The API's bound on a note, in bytes.
const MAX_NOTE: usize = 1024;

/// Where events are handed in.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<(ObjectReference, Event)>,
    metrics: Metrics,
}

/// What publishes them.
pub struct Publisher {
    queue: mpsc::Receiver<(ObjectReference, Event)>,
    client: Client,
    instance: String,
    metrics: Metrics,
    recent: HashMap<(String, &'static str, String), Recent>,
    swept: Instant,
}

struct Recent {
    name: String,
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
    pub fn tell(&self, about: &ObjectReference, event: Event) {
        tracing::info!(
            kind = about.kind,
            namespace = about.namespace,
            name = about.name,
            reason = event.reason,
            "{}",
            event.message
        );
        if self.queue.try_send((about.clone(), event)).is_err() {
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
            if let Err(error) = self.publish(about, event).await {
                // What happened has been logged already.
                tracing::debug!(%error, "an event was not published");
                self.metrics.events_dropped.inc();
            }
        }
    }

    async fn publish(&mut self, about: ObjectReference, event: Event) -> kube::Result<()> {
        if self.swept.elapsed() > SERIES {
            self.recent.retain(|_, it| it.since.elapsed() < SERIES);
            self.swept = Instant::now();
        }
        let uid = about.uid.clone().unwrap_or_default();
        let key = (uid, event.reason, event.message.clone());
        let namespace = about.namespace.as_deref().unwrap_or("default");
        let api: Api<ApiEvent> = Api::namespaced(self.client.clone(), namespace);
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
        let name = event.metadata.name.clone().unwrap_or_default();
        api.create(&PostParams::default(), &event).await?;
        let since = Instant::now();
        let count = 1;
        self.recent.insert(key, Recent { name, count, since });
        Ok(())
    }

    fn event(&self, about: ObjectReference, event: Event, now: MicroTime) -> ApiEvent {
        let object = about.name.as_deref().unwrap_or("unnamed");
        let name = format!("{object}.{:x}", now.0.as_nanosecond());
        ApiEvent {
            metadata: ObjectMeta {
                namespace: about.namespace.clone(),
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
            regarding: Some(about),
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
