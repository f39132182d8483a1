//! The client's byte stream as hyper sees it: watches over its deadlines and
//! keeps the bytes of each head for the framing check.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Connection;

/// A client's byte stream under watch.
pub struct Guarded<S> {
    stream: S,
    connection: Rc<Connection>,
    /// Ticks for which a client may refuse to take what we write.
    stall: u32,
}

impl<S> Guarded<S> {
    /// Watches over `stream`.
    pub fn new(stream: S, connection: Rc<Connection>, stall: u32) -> Self {
        Self {
            stream,
            connection,
            stall,
        }
    }

    fn wrote<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &result {
            Poll::Pending => self.connection.deadline.arm_if_unset(self.stall),
            Poll::Ready(_) => {
                // Between requests the deadline is that of the next head, which
                // what is still written (the end of an answer, a setting, a
                // ping) does not put off.
                if self.connection.is_busy() {
                    self.connection.deadline.disarm();
                }
            }
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if result.is_ready() {
            let bytes = &buf.filled()[before..];
            self.connection.tap.borrow_mut().read(bytes);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        if result.is_pending() {
            self.connection.deadline.arm_if_unset(self.stall);
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        if result.is_pending() {
            self.connection.deadline.arm_if_unset(self.stall);
        }
        result
    }
}
