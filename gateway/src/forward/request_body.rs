//! A client's request body on its way to the upstream.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::headers::frame_to_upstream;
use crate::server::deadline::Deadline;

/// A client's request body, watched by the deadline of its exchange.
pub(crate) struct RequestBody {
    body: Incoming,
    deadline: Deadline,
    /// Ticks that may pass between two pieces.
    idle: u32,
    /// Ticks that the upstream has to answer once the body is there.
    response: u32,
}

impl RequestBody {
    /// Watches over `body`.
    pub(super) fn new(body: Incoming, deadline: Deadline, idle: u32, response: u32) -> Self {
        deadline.arm(if body.is_end_stream() { response } else { idle });
        Self {
            body,
            deadline,
            idle,
            response,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(frame) = &polled {
            let ended = frame.is_none() || self.body.is_end_stream();
            self.deadline
                .arm(if ended { self.response } else { self.idle });
        }
        polled.map(|frame| frame.map(|frame| frame.map(frame_to_upstream)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
