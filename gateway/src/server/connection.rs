//! What is known of one client connection.

use std::{
    cell::{Cell, RefCell},
    net::{IpAddr, SocketAddr},
    rc::Rc,
    task::Context,
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::{
    deadline::{Deadline, Deadlines},
    framing::HeadTap,
};
use crate::{body::Body, core::Core, permit::caller::Caller};

/// A token, and who is behind it.
type Last = (Zeroizing<Vec<u8>>, Rc<Caller>);

/// What is known of one client connection.
pub struct Connection {
    peer: IpAddr,
    /// The same as a header value, made once.
    peer_header: HeaderValue,
    /// The caller of the last request: the next one is mostly the same.
    last: RefCell<Option<Last>>,
    in_flight: Cell<u32>,
    /// Of HTTP/2: the answers under way, each of which its client must take.
    answers: RefCell<Vec<Deadline>>,
    /// The tick at which they were last looked at.
    looked_at: Cell<u32>,
    /// Ticks to send a head, and to stay idle between two requests.
    head: u32,
    pub(crate) deadline: Deadline,
    pub(crate) tap: RefCell<HeadTap>,
}

impl Connection {
    /// A fresh connection of this thread.
    pub fn new(core: &Core, peer: SocketAddr) -> Rc<Self> {
        let limits = &core.shared.config.limits;
        let max_head = limits.header_kib as usize * 1_024;
        let head = Deadlines::ticks(limits.header_timeout.duration());
        let deadline = core.deadlines.deadline();
        deadline.arm(head);
        let peer = peer.ip().to_canonical();
        Rc::new(Self {
            peer_header: HeaderValue::from_str(&peer.to_string())
                .unwrap_or(HeaderValue::from_static("unknown")),
            peer,
            last: RefCell::default(),
            in_flight: Cell::new(0),
            answers: RefCell::default(),
            looked_at: Cell::new(0),
            head,
            deadline,
            tap: RefCell::new(HeadTap::new(max_head)),
        })
    }

    /// The client's address; an IPv4 address in IPv6 clothes is IPv4.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// The client's address as a header value.
    pub(crate) fn peer_header(&self) -> HeaderValue {
        self.peer_header.clone()
    }

    /// The caller, if this connection brought the same token last.
    pub(crate) fn remembered(&self, token: &[u8]) -> Option<Rc<Caller>> {
        let last = self.last.borrow();
        let (known, caller) = last.as_ref()?;
        let same = !caller.is_stale() && verify_slices_are_equal(known, token).is_ok();
        same.then(|| caller.clone())
    }

    /// Remembers who is behind the token of this request.
    pub(crate) fn remember(&self, token: &[u8], caller: &Rc<Caller>) {
        *self.last.borrow_mut() = Some((Zeroizing::new(token.to_vec()), caller.clone()));
    }

    /// Whether a request is being answered.
    pub(crate) fn is_busy(&self) -> bool {
        self.in_flight.get() > 0
    }

    /// Watches over an answer of HTTP/2, where a client can take some answers
    /// and leave others lying for ever.
    pub(crate) fn watch(&self, core: &Core, body: &mut Body) {
        let deadline = core.deadlines.deadline();
        let ticks = Deadlines::ticks(core.shared.config.limits.idle_timeout.duration());
        body.watch(deadline.clone(), ticks.saturating_mul(2));
        self.answers.borrow_mut().push(deadline);
    }

    /// Whether the connection is to be given up: no head in time, or an answer
    /// that its client does not take.
    pub(crate) fn poll_expired(&self, core: &Core, cx: &Context<'_>) -> bool {
        if self.deadline.poll_passed(cx) {
            return true;
        }
        let now = core.deadlines.now();
        if self.looked_at.replace(now) == now {
            return false;
        }
        let mut answers = self.answers.borrow_mut();
        answers.retain(Deadline::is_shared);
        answers.iter().any(|answer| answer.poll_passed(cx))
    }

    /// Notes that a request has arrived; it ends when the guard is dropped.
    pub(crate) fn begin(self: &Rc<Self>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        self.deadline.disarm();
        InFlight(self.clone())
    }
}

/// A request that is being answered.
pub struct InFlight(Rc<Connection>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0
            .in_flight
            .set(self.0.in_flight.get().saturating_sub(1));
        if !self.0.is_busy() {
            self.0.deadline.arm(self.0.head);
            self.0.tap.borrow_mut().answered();
        }
    }
}
