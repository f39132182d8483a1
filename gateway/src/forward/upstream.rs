//! The connections of one thread to one upstream.
//!
//! A pooled connection has no task of its own: whoever uses it drives it, so
//! that an answer reaches its request without a hop between tasks.

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crds::gateway_config::Limits;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::request_body::RequestBody;
use crate::{
    route::UpstreamAddress,
    server::deadline::{Deadline, Deadlines},
};

/// Idle connections that a thread keeps to one upstream, at the most.
const KEPT: usize = 512;
/// How long a connection may stay idle: less than the keep-alive of common
/// servers (5 s), so that a request rarely meets one that is just being closed.
const IDLE: Duration = Duration::from_secs(4);

/// One upstream, as one thread sees it.
pub(crate) struct Upstream {
    address: UpstreamAddress,
    connect_timeout: Duration,
    deadlines: Rc<Deadlines>,
    #[expect(
        clippy::vec_box,
        reason = "links move between here and their users as they are"
    )]
    idle: RefCell<Vec<Box<Link>>>,
}

/// A connection to an upstream.
pub(crate) struct Link {
    send: http1::SendRequest<RequestBody>,
    connection: http1::Connection<TokioIo<TcpStream>, RequestBody>,
    ended: bool,
    idle_since: u32,
    pub(super) deadline: Deadline,
}

/// No connection to the upstream.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It was refused.
    #[error("connecting failed: {0}")]
    Io(#[from] io::Error),
    /// It took too long.
    #[error("connecting took longer than {0:?}")]
    Timeout(Duration),
    /// The protocol did not start.
    #[error("connecting failed: {0}")]
    Handshake(#[from] hyper::Error),
}

impl Upstream {
    /// An upstream without connections yet.
    pub(crate) fn new(
        address: &UpstreamAddress,
        limits: &Limits,
        deadlines: &Rc<Deadlines>,
    ) -> Self {
        Self {
            address: address.clone(),
            connect_timeout: limits.connect_timeout.duration(),
            deadlines: deadlines.clone(),
            idle: RefCell::default(),
        }
    }

    /// A connection that is ready for a request.
    pub(super) async fn link(&self) -> Result<Box<Link>, ConnectError> {
        if let Some(link) = self.reuse() {
            return Ok(link);
        }
        // In a box: a new connection is rare, and its future is large.
        Box::pin(self.connect()).await
    }

    async fn connect(&self) -> Result<Box<Link>, ConnectError> {
        let connecting = TcpStream::connect((self.address.host.as_str(), self.address.port));
        let stream = timeout(self.connect_timeout, connecting)
            .await
            .map_err(|_| ConnectError::Timeout(self.connect_timeout))??;
        stream.set_nodelay(true)?;
        let (send, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let deadline = self.deadlines.deadline();
        Ok(Box::new(Link {
            send,
            connection,
            ended: false,
            idle_since: 0,
            deadline,
        }))
    }

    fn reuse(&self) -> Option<Box<Link>> {
        let oldest = self.deadlines.now().saturating_sub(Deadlines::ticks(IDLE));
        let mut idle = self.idle.borrow_mut();
        while let Some(mut link) = idle.pop() {
            if link.idle_since >= oldest && link.is_idle() {
                return Some(link);
            }
        }
        None
    }

    /// Takes a connection back after its answer was read to the end.
    pub(super) fn give_back(&self, mut link: Box<Link>) {
        link.deadline.disarm();
        link.idle_since = self.deadlines.now();
        let mut idle = self.idle.borrow_mut();
        if !link.ended && idle.len() < KEPT {
            idle.push(link);
        }
    }

    /// Closes the connections that nobody has used for a while.
    pub(crate) fn tidy(&self) {
        let oldest = self.deadlines.now().saturating_sub(Deadlines::ticks(IDLE));
        self.idle
            .borrow_mut()
            .retain(|link| link.idle_since >= oldest);
    }
}

impl Link {
    /// Sends a request; the answer comes while [`Link::drive`] is called.
    pub(super) fn send(
        &mut self,
        request: http::Request<RequestBody>,
    ) -> impl Future<Output = hyper::Result<http::Response<hyper::body::Incoming>>> + use<> {
        self.send.send_request(request)
    }

    /// Reads and writes what can be read and written.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.ended {
            let polled = std::pin::Pin::new(&mut self.connection).poll(cx);
            self.ended = polled.is_ready();
        }
    }

    /// Whether the connection has come to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether it is still open, with nothing under way.
    fn is_idle(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.ended && self.send.is_ready()
    }
}

/// Polls what only [`Link::drive`] can make ready: nobody needs to be woken.
pub(super) fn poll_driven<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(Waker::noop()))
}
