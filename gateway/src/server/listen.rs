//! The public listener: one socket per thread on one port, so that the kernel
//! spreads connections and no thread hands one over to another.

use std::{
    cell::Cell,
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpStream, sync::Notify};

use super::{Tls, http, tls};
use crate::core::Core;

/// Connections that wait for being accepted.
const BACKLOG: i32 = 4_096;
/// How long accepting pauses when the system has no room for connections.
const PAUSE: Duration = Duration::from_millis(50);

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has it.
    #[error(
        "{name} {address} is taken by another process: stop that one, or choose another port in gateway.yaml"
    )]
    Taken {
        /// The key in the configuration.
        name: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The system refused.
    #[error("{name} {address}: {source}")]
    Io {
        /// The key in the configuration.
        name: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// `count` sockets on one address.
pub fn bind(
    name: &'static str,
    address: SocketAddr,
    count: usize,
) -> Result<Vec<TcpListener>, ListenError> {
    let fail = |address, source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken { name, address },
        _ => ListenError::Io {
            name,
            address,
            source,
        },
    };
    // Sockets that share a port share it with any process of the same user. One
    // that does not share it tells whether it is free.
    if address.port() != 0 {
        bind_one(address, Sharing::Alone).map_err(|source| fail(address, source))?;
    }
    let mut listeners: Vec<TcpListener> = Vec::with_capacity(count);
    for _ in 0..count.max(1) {
        let address = match listeners.first() {
            Some(first) => first.local_addr().map_err(|source| fail(address, source))?,
            None => address,
        };
        listeners.push(bind_one(address, Sharing::Port).map_err(|source| fail(address, source))?);
    }
    for listener in &listeners {
        let socket = socket2::SockRef::from(listener);
        socket
            .listen(BACKLOG)
            .map_err(|source| fail(address, source))?;
    }
    Ok(listeners)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    Port,
}

fn bind_one(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Port)?;
    socket.bind(&address.into())?;
    if sharing == Sharing::Alone {
        // Two that reuse the address may both bind; only one may listen.
        socket.listen(1)?;
    }
    Ok(socket.into())
}

/// The connections of one thread.
#[derive(Clone)]
pub(super) struct Connections(Rc<Count>);

struct Count {
    open: Cell<usize>,
    most: usize,
    changed: Notify,
}

struct Open(Rc<Count>);

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self(Rc::new(Count {
            open: Cell::new(0),
            most,
            changed: Notify::new(),
        }))
    }

    pub(super) fn open(&self) -> usize {
        self.0.open.get()
    }

    /// Waits until there is room for another one.
    async fn room(&self) {
        while self.open() >= self.0.most {
            self.0.changed.notified().await;
        }
    }

    fn opened(&self) -> Open {
        self.0.open.set(self.open() + 1);
        Open(self.0.clone())
    }

    /// Waits until there is none.
    pub(super) async fn all_closed(&self) {
        while self.open() > 0 {
            self.0.changed.notified().await;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.changed.notify_one();
    }
}

/// Accepts connections for ever.
pub(super) async fn accept(
    core: &Rc<Core>,
    listener: &tokio::net::TcpListener,
    tls: &Tls,
    connections: &Connections,
) {
    loop {
        connections.room().await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                core.metrics.connection_accepted();
                let (core, tls, open) = (core.clone(), tls.load_full(), connections.opened());
                tokio::task::spawn_local(async move {
                    serve(&core, stream, peer, tls).await;
                    core.metrics.connection_closed();
                    drop(open);
                });
            }
            Err(error) => {
                // Out of file descriptors, mostly: closing connections will help.
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(
    core: &Rc<Core>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: std::sync::Arc<rustls::ServerConfig>,
) {
    let patience = core.shared.config.limits.handshake_timeout.duration();
    match tokio::time::timeout(patience, tls::handshake(stream, tls)).await {
        Ok(Ok(stream)) => http::serve(core, stream, peer).await,
        Ok(Err(error)) => {
            core.metrics.connection_failed();
            tracing::debug!(%error, %peer, "handshake failed");
        }
        Err(_) => {
            core.metrics.connection_failed();
            tracing::debug!(%peer, "handshake not finished in time");
        }
    }
}
