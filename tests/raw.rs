//! Bytes of the test's own choosing to the gateway, and what comes back.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{gateway::Gateway, harness::within};

/// A message from the gateway, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) status: u16,
    /// Status line and fields.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the connection ended within it.
    pub(crate) broken: bool,
}

impl Message {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The values of a field in a head, in order.
pub(crate) fn fields<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect()
}

/// A byte stream with what was read ahead of it.
pub(crate) struct Raw<S> {
    pub(crate) stream: S,
    ahead: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    /// Sends; a gateway that has hung up already is none of our concern.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        };
        let _ = within("a gateway that reads", sent).await;
    }

    /// Reads up to and including these bytes; what came instead, if they never do.
    pub(crate) async fn until(&mut self, end: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        loop {
            let found = self.ahead.windows(end.len()).position(|bytes| bytes == end);
            if let Some(at) = found {
                return Ok(self.ahead.drain(..at + end.len()).collect());
            }
            if !self.more().await {
                return Err(std::mem::take(&mut self.ahead));
            }
        }
    }

    /// Exactly so many bytes, or what came instead.
    pub(crate) async fn exactly(&mut self, count: usize) -> Result<Vec<u8>, Vec<u8>> {
        while self.ahead.len() < count {
            if !self.more().await {
                return Err(std::mem::take(&mut self.ahead));
            }
        }
        Ok(self.ahead.drain(..count).collect())
    }

    /// Everything until the other side closes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.ahead)
    }

    async fn more(&mut self) -> bool {
        let mut bytes = vec![0; 16_384];
        match within("more bytes", self.stream.read(&mut bytes)).await {
            Ok(count) => {
                self.ahead.extend_from_slice(&bytes[..count]);
                count > 0
            }
            Err(_) => false,
        }
    }

    /// The next message; `None` if the connection ends before it.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        let head = String::from_utf8(self.until(b"\r\n\r\n").await.ok()?).unwrap();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = fields(&head, "content-length");
        let body = if status < 200 || status == 204 || status == 304 {
            Ok(Vec::new())
        } else if let [length] = length[..] {
            self.exactly(length.parse().unwrap()).await
        } else if fields(&head, "transfer-encoding") == ["chunked"] {
            self.chunks().await
        } else {
            Ok(self.rest().await)
        };
        let broken = body.is_err();
        Some(Message {
            status,
            head,
            body: body.unwrap_or_else(|part| part),
            broken,
        })
    }

    /// A chunked body with its trailers, which are dropped.
    async fn chunks(&mut self) -> Result<Vec<u8>, Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let Ok(line) = self.until(b"\r\n").await else {
                return Err(body);
            };
            let size = std::str::from_utf8(&line).unwrap().trim();
            let size = usize::from_str_radix(size.split(';').next().unwrap(), 16).unwrap();
            if size == 0 {
                while self.until(b"\r\n").await.map_err(|_| body.clone())? != b"\r\n" {}
                return Ok(body);
            }
            match self.exactly(size + 2).await {
                Ok(chunk) => body.extend_from_slice(&chunk[..size]),
                Err(part) => {
                    body.extend(part);
                    return Err(body);
                }
            }
        }
    }
}

/// Sends bytes over TLS and reads every message until the gateway closes, which
/// the request must make it do.
pub(crate) async fn exchange(gateway: &Gateway, bytes: impl AsRef<[u8]>) -> Vec<Message> {
    let mut raw = Raw::new(gateway.tls("http/1.1").await);
    raw.send(bytes).await;
    let mut messages = Vec::new();
    while let Some(message) = raw.message().await {
        messages.push(message);
    }
    messages
}
