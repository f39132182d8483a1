//! The load generator's connections, plain or TLS.

use crate::{certificate::HOST, response::Response};
use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

/// A server, and how to talk to it.
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// Without it, the connections are plain TCP.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// Connects, handshake included; the connection does not block afterwards.
    pub fn connect(&self) -> io::Result<Link> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else {
            stream.set_nonblocking(true)?;
            return Ok(Link::Plain(stream));
        };
        let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        stream.set_nonblocking(true)?;
        Ok(Link::Tls(stream, Box::new(tls)))
    }
}

/// A connection that does not block.
pub enum Link {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(TcpStream, Box<ClientConnection>),
}

impl Link {
    /// What to wait for.
    pub fn stream(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) | Self::Tls(stream, _) => stream,
        }
    }

    /// Sends a request, which must fit into the socket's buffer.
    pub fn send(&mut self, request: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(request),
            Self::Tls(stream, tls) => {
                tls.writer().write_all(request)?;
                while tls.wants_write() {
                    tls.write_tls(stream)?;
                }
                Ok(())
            }
        }
    }

    /// Reads once; the status, if that completed the response.
    pub fn receive(&mut self, response: &mut Response) -> io::Result<Option<u16>> {
        let mut buffer = [0; 16 * 1024];
        let would_block = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock => Ok(None),
            _ => Err(error),
        };
        match self {
            Self::Plain(stream) => match stream.read(&mut buffer) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => response.push(&buffer[..length]),
                Err(error) => would_block(error),
            },
            Self::Tls(stream, tls) => {
                match tls.read_tls(stream) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) => {}
                    Err(error) => return would_block(error),
                }
                let state = tls.process_new_packets().map_err(io::Error::other)?;
                let mut left = state.plaintext_bytes_to_read();
                let mut status = None;
                while left > 0 {
                    let length = tls.reader().read(&mut buffer)?;
                    status = response.push(&buffer[..length])?;
                    left -= length;
                }
                if status.is_none() && state.peer_has_closed() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(status)
            }
        }
    }
}
