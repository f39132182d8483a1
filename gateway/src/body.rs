//! The bodies of our answers.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::{
    forward::{BodyError, UpstreamBody},
    server::{connection::InFlight, deadline::Deadline},
};

/// A response body. The request that it answers ends with it.
#[derive(Default)]
pub struct Body {
    content: Content,
    in_flight: Option<InFlight>,
    stall: Option<Stall>,
}

/// When a client that takes nothing of a body is given up.
struct Stall {
    deadline: Deadline,
    ticks: u32,
}

#[derive(Default)]
enum Content {
    /// Nothing.
    #[default]
    Empty,
    /// All of it is here.
    Full(Bytes),
    /// It streams from an upstream.
    Upstream(UpstreamBody),
}

impl Body {
    /// No content.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Content that is here.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self {
            content: Content::Full(bytes.into()),
            in_flight: None,
            stall: None,
        }
    }

    /// Content that streams from an upstream.
    pub(crate) fn upstream(body: UpstreamBody) -> Self {
        Self {
            content: Content::Upstream(body),
            in_flight: None,
            stall: None,
        }
    }

    /// Keeps the connection marked as busy until this body is gone.
    pub(crate) fn hold(&mut self, in_flight: InFlight) {
        self.in_flight = Some(in_flight);
    }

    /// Has `deadline` pass when the client takes nothing for so many ticks.
    pub(crate) fn watch(&mut self, deadline: Deadline, ticks: u32) {
        deadline.arm(ticks);
        self.stall = Some(Stall { deadline, ticks });
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // Whoever asks for a piece takes it.
        if let Some(stall) = &self.stall {
            stall.deadline.arm(stall.ticks);
        }
        match &mut self.content {
            Content::Empty => Poll::Ready(None),
            Content::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.content = Content::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Content::Upstream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Full(bytes) => bytes.is_empty(),
            Content::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Upstream(body) => body.size_hint(),
        }
    }
}
