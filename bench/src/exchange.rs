//! Single requests over a TLS connection: probes and the making of tokens.

use crate::{
    certificate::{HOST, client_config},
    error::Error,
    response::Response,
};
use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

/// A keep-alive connection for one request at a time.
pub struct Exchange(StreamOwned<ClientConnection, TcpStream>);

/// A status and its body.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// Whether it states a quota (`RateLimit`).
    pub states_quota: bool,
}

impl Exchange {
    /// Connects.
    pub fn connect(address: SocketAddr, certificate: &Path) -> Result<Self, Error> {
        let config = client_config(certificate)?;
        let open = || {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            Ok(stream)
        };
        let stream = open().map_err(|source| Error::Io {
            doing: format!("connect to {address}"),
            source,
        })?;
        let name = ServerName::try_from(HOST)
            .map_err(|error| Error::Usage(format!("{HOST} is no server name: {error}")))?;
        Ok(Self(StreamOwned::new(
            ClientConnection::new(config, name)?,
            stream,
        )))
    }

    /// Sends a request and waits for the whole answer.
    pub fn send(&mut self, request: &str) -> Result<Answer, Error> {
        self.ask(request).map_err(|source| Error::Io {
            doing: "get an answer".to_owned(),
            source,
        })
    }

    fn ask(&mut self, request: &str) -> io::Result<Answer> {
        self.0.write_all(request.as_bytes())?;
        self.0.flush()?;
        let mut response = Response::default();
        let mut buffer = [0; 4096];
        loop {
            let length = self.0.read(&mut buffer)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(status) = response.push(&buffer[..length])? {
                return Ok(Answer {
                    status,
                    body: response.body().to_vec(),
                    states_quota: response.has("RateLimit"),
                });
            }
        }
    }
}
