//! Coarse deadlines for one thread.
//!
//! A timer of the runtime costs a registration and a clock reading for every
//! request. A deadline here is a number in a cell: setting and clearing it
//! costs a store each, and one sweep in a while looks for the ones that have
//! passed. They fire up to two [`TICK`]s late and never early.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    task::{Context, Waker},
    time::{Duration, Instant},
};

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(250);
/// Sweeps between two that drop the entries of deadlines that are gone.
const TIDY: u32 = 16;

/// All deadlines of a thread.
#[derive(Debug)]
pub struct Deadlines {
    start: Instant,
    /// Ticks since `start`, as of the last sweep.
    now: Cell<u32>,
    entries: RefCell<Vec<Weak<Entry>>>,
}

#[derive(Debug, Default)]
struct Entry {
    /// The tick at which it fires; 0: never.
    at: Cell<u32>,
    waker: RefCell<Option<Waker>>,
}

/// One deadline: of a connection, or of an exchange with an upstream.
#[derive(Clone, Debug)]
pub struct Deadline {
    entry: Rc<Entry>,
    all: Rc<Deadlines>,
}

impl Deadlines {
    /// No deadlines yet.
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            start: Instant::now(),
            now: Cell::new(1),
            entries: RefCell::default(),
        })
    }

    /// A deadline that is not set.
    pub fn deadline(self: &Rc<Self>) -> Deadline {
        let entry = Rc::new(Entry::default());
        self.entries.borrow_mut().push(Rc::downgrade(&entry));
        Deadline {
            entry,
            all: self.clone(),
        }
    }

    /// Ticks so far: a cheap measure of age.
    pub fn now(&self) -> u32 {
        self.now.get()
    }

    /// How many ticks a duration is, rounded up.
    pub fn ticks(duration: Duration) -> u32 {
        let ticks = duration.as_millis().div_ceil(TICK.as_millis());
        u32::try_from(ticks).unwrap_or(u32::MAX / 2)
    }

    /// Wakes whoever a deadline has passed for, for ever.
    pub async fn sweep(self: Rc<Self>) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            interval.tick().await;
            let ticks = self.start.elapsed().as_millis() / TICK.as_millis();
            self.now
                .set(u32::try_from(ticks).unwrap_or(u32::MAX / 2).max(1));
            if self.now().is_multiple_of(TIDY) {
                self.entries
                    .borrow_mut()
                    .retain(|entry| entry.strong_count() > 0);
            }
            self.wake(|entry| entry.at.get() != 0 && entry.at.get() <= self.now());
        }
    }

    /// Wakes everyone, so that they look at what else has changed.
    pub fn wake_all(&self) {
        self.wake(|_| true);
    }

    fn wake(&self, due: impl Fn(&Entry) -> bool) {
        let entries = self.entries.borrow();
        for entry in entries
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|entry| due(entry))
        {
            if let Some(waker) = &*entry.waker.borrow() {
                waker.wake_by_ref();
            }
        }
    }
}

impl Deadline {
    /// Sets it to this many ticks from now.
    pub fn arm(&self, ticks: u32) {
        // One more: the tick that is running has begun already.
        self.entry
            .at
            .set(self.all.now().saturating_add(ticks).saturating_add(1));
    }

    /// Sets it, if it is not set.
    pub fn arm_if_unset(&self, ticks: u32) {
        if self.entry.at.get() == 0 {
            self.arm(ticks);
        }
    }

    /// Whether anybody but this holder can still set it.
    pub(crate) fn is_shared(&self) -> bool {
        Rc::strong_count(&self.entry) > 1
    }

    /// Clears it.
    pub fn disarm(&self) {
        self.entry.at.set(0);
    }

    /// Whether it has passed; if not, the task is woken when it does.
    pub fn poll_passed(&self, cx: &Context<'_>) -> bool {
        let at = self.entry.at.get();
        if at != 0 && at <= self.all.now() {
            return true;
        }
        let mut waker = self.entry.waker.borrow_mut();
        if !waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            *waker = Some(cx.waker().clone());
        }
        false
    }
}
