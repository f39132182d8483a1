//! A TCP port on loopback that is ours.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A port that nobody else can take for as long as this lives, in use or not.
///
/// To look for a free port, close it and hope is a race. This holds a socket
/// that is bound and never listens: connections to it are refused, everybody
/// else's attempt to bind fails, and a server of this user that sets
/// `SO_REUSEPORT` may come, go, and come back.
pub(crate) struct Port {
    number: u16,
    _socket: Socket,
}

impl Port {
    /// Any port that is free.
    pub(crate) fn reserve() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into()).unwrap();
        let number = socket.local_addr().unwrap().as_socket().unwrap().port();
        Self {
            number,
            _socket: socket,
        }
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}
