//! Who waits for a look: each resource once, in the order in which they came.
//!
//! Only as many are handed to the controller as it can soon begin with. In its
//! schedule each would cost more memory than all that is known of it, and the
//! room that ten thousand needed once would never be given back.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use prometheus::IntGauge;
use tokio::sync::Notify;

use crate::gateways::ResourceId;

/// Room that an empty queue keeps.
const ROOM: usize = 256;

/// The queue of one kind in one scope.
pub(super) struct Queue {
    line: Mutex<Line>,
    /// So many may be with the controller without a look having begun.
    ahead: usize,
    moved: Notify,
    depth: IntGauge,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<ResourceId>,
    /// The same, to be found.
    known: HashSet<ResourceId>,
    /// With the controller, which has yet to begin.
    handed: HashSet<ResourceId>,
}

impl Queue {
    /// An empty queue that hands out `ahead` at once, and counts who waits in
    /// `depth`.
    pub(super) fn new(ahead: usize, depth: IntGauge) -> Self {
        Self {
            line: Mutex::default(),
            ahead,
            moved: Notify::new(),
            depth,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A resource is to be looked at.
    pub(super) fn push(&self, id: &ResourceId) {
        let mut line = self.lock();
        if line.known.insert(id.clone()) {
            line.waiting.push_back(id.clone());
            self.depth.inc();
            self.moved.notify_one();
        }
    }

    /// The next one, once there is room for it. What happens to it from here on
    /// queues it again: the look may be at what was there before.
    async fn next(&self) -> ResourceId {
        loop {
            if let Some(id) = self.take() {
                return id;
            }
            self.moved.notified().await;
        }
    }

    /// All that are ever handed out.
    pub(super) fn handed_out(self: Arc<Self>) -> BoxStream<'static, ResourceId> {
        let next = |queue: Arc<Self>| async move { Some((queue.next().await, queue)) };
        stream::unfold(self, next).boxed()
    }

    fn take(&self) -> Option<ResourceId> {
        let mut line = self.lock();
        if line.handed.len() >= self.ahead {
            return None;
        }
        let id = line.waiting.pop_front()?;
        line.known.remove(&id);
        if line.waiting.is_empty() && line.known.capacity() > ROOM {
            line.waiting = VecDeque::new();
            line.known = HashSet::new();
        }
        if !line.handed.insert(id.clone()) {
            // It is there already, and one look is enough for both.
            self.depth.dec();
        }
        Some(id)
    }

    /// A look at a resource begins, or it has gone before that.
    pub(super) fn begin(&self, id: &ResourceId) {
        if self.lock().handed.remove(id) {
            self.depth.dec();
            self.moved.notify_one();
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let line = self.lock();
        let left = line.waiting.len() + line.handed.len();
        self.depth.sub(i64::try_from(left).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn id(name: &str) -> ResourceId {
        ResourceId {
            kind: "OAuthApplication",
            namespace: "partners".into(),
            name: name.into(),
        }
    }

    fn queue(ahead: usize) -> (Queue, IntGauge) {
        let depth = IntGauge::new("depth", "Who waits").unwrap();
        (Queue::new(ahead, depth.clone()), depth)
    }

    #[test]
    fn each_is_handed_out_once_and_in_turn() {
        let (queue, depth) = queue(9);
        for name in ["a", "b", "a"] {
            queue.push(&id(name));
        }
        assert_eq!(depth.get(), 2);
        assert_eq!(queue.next().now_or_never(), Some(id("a")));
        assert_eq!(queue.next().now_or_never(), Some(id("b")));
        assert_eq!(queue.next().now_or_never(), None);
        queue.begin(&id("a"));
        queue.begin(&id("a"));
        queue.begin(&id("b"));
        assert_eq!(depth.get(), 0);
    }

    #[test]
    fn what_happens_after_it_was_handed_out_queues_it_again() {
        let (queue, depth) = queue(9);
        for _ in 0..2 {
            queue.push(&id("a"));
            assert_eq!(queue.next().now_or_never(), Some(id("a")));
        }
        assert_eq!(depth.get(), 1, "one look is enough for both");
        queue.begin(&id("a"));
        assert_eq!(depth.get(), 0);
    }

    #[test]
    fn no_more_are_handed_out_than_can_soon_begin() {
        let (queue, depth) = queue(2);
        for name in ["a", "b", "c"] {
            queue.push(&id(name));
        }
        assert!(queue.next().now_or_never().is_some());
        assert!(queue.next().now_or_never().is_some());
        assert_eq!(queue.next().now_or_never(), None);
        queue.begin(&id("b"));
        assert_eq!(queue.next().now_or_never(), Some(id("c")));
        drop(queue);
        assert_eq!(depth.get(), 0, "who is let go waits no longer");
    }

    #[tokio::test]
    async fn who_waits_for_one_is_woken() {
        let (queue, _) = queue(1);
        let (next, ()) = tokio::join!(queue.next(), async {
            tokio::task::yield_now().await;
            queue.push(&id("a"));
        });
        assert_eq!(next, id("a"));
    }
}
