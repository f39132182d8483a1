//! What one data-plane thread owns. Nothing in it is shared, so nothing on the
//! way of a request waits for another thread.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use crate::{
    clock::NoRandomness, forward::upstream::Upstream, gateway::Gateway, permit::caller::Callers,
    request_id::RequestIds, revocations::News, server::deadline::Deadlines,
    telemetry::metrics::CoreMetrics,
};

/// What one data-plane thread owns.
pub struct Core {
    /// What all threads share.
    pub shared: Arc<Gateway>,
    /// Counters that only this thread writes.
    pub metrics: Arc<CoreMetrics>,
    pub(crate) callers: RefCell<Callers>,
    pub(crate) upstreams: Vec<Rc<Upstream>>,
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) request_ids: RequestIds,
    /// Whether connections are to end after their current request.
    pub(crate) draining: Cell<bool>,
    heard: Cell<u64>,
}

impl Core {
    /// The state of a fresh thread.
    pub fn new(shared: Arc<Gateway>, metrics: Arc<CoreMetrics>) -> Result<Rc<Self>, NoRandomness> {
        let deadlines = Deadlines::new();
        let limits = &shared.config.limits;
        let upstreams = shared.router.upstreams().iter();
        Ok(Rc::new(Self {
            upstreams: upstreams
                .map(|address| Rc::new(Upstream::new(address, limits, &deadlines)))
                .collect(),
            callers: RefCell::default(),
            request_ids: RequestIds::new(&*shared.rng)?,
            draining: Cell::new(false),
            heard: Cell::new(shared.revocations.published()),
            deadlines,
            metrics,
            shared,
        }))
    }

    /// Forgets the tokens and grants that died since the last look.
    pub(crate) fn hear_revocations(&self) {
        let heard = self.heard.get();
        if self.shared.revocations.published() == heard {
            return;
        }
        let (news, published) = self.shared.revocations.since(heard);
        self.heard.set(published);
        let mut callers = self.callers.borrow_mut();
        match news {
            News::Dead(dead) => dead.into_iter().for_each(|dead| callers.revoke(dead)),
            News::TooMany => callers.clear(),
        }
    }
}
