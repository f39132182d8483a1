//! The API behind every proxy: as cheap as a server can be.
//!
//! One thread, one epoll, one precomputed answer of 1 KiB. A GET of `/auth` is
//! what nginx's `auth_request` asks instead: 200 if the bearer is in a hash set,
//! else 401.

use crate::{
    error::{Doing, Error},
    response::header,
};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
};

/// What the upstream serves.
#[derive(clap::Args)]
pub struct Options {
    /// A JSON array of the `Authorization` values that `/auth` accepts.
    #[arg(long)]
    accept: PathBuf,
    /// Where to write the address it listens on.
    #[arg(long)]
    ready_file: PathBuf,
}

const BODY_BYTES: usize = 1024;
const LISTENER: u64 = u64::MAX;

/// Serves until it is killed.
pub fn run(options: &Options) -> Result<(), Error> {
    let accepted =
        fs::read(&options.accept).doing(|| format!("read {}", options.accept.display()))?;
    let accepted: HashSet<String> =
        serde_json::from_slice(&accepted).map_err(|source| Error::Json {
            what: options.accept.display().to_string(),
            source,
        })?;
    let listener = TcpListener::bind("127.0.0.1:0").doing(|| "listen".to_owned())?;
    let address = listener
        .local_addr()
        .doing(|| "listen".to_owned())?
        .to_string();
    fs::write(&options.ready_file, address).doing(|| "say where the upstream is".to_owned())?;
    serve(&listener, &Answers::new(accepted)).doing(|| "serve".to_owned())
}

fn serve(listener: &TcpListener, answers: &Answers) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(
        &poll,
        listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut next = 0;
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None) {
            Err(rustix::io::Errno::INTR) => continue,
            result => result?,
        };
        for event in &events {
            let id = event.data.u64();
            if id == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    epoll::add(&poll, &stream, EventData::new_u64(next), EventFlags::IN)?;
                    connections.insert(
                        next,
                        Connection {
                            stream,
                            unread: Vec::new(),
                        },
                    );
                    next += 1;
                }
            } else if let Some(connection) = connections.get_mut(&id)
                && connection.serve(answers).is_err()
            {
                connections.remove(&id);
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// The start of a request whose end has not come yet.
    unread: Vec<u8>,
}

impl Connection {
    /// Answers what has come; an error is the end of the connection.
    fn serve(&mut self, answers: &Answers) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let length = match self.stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            other => other?,
        };
        self.unread.extend_from_slice(&buffer[..length]);
        while let Some(end) = self
            .unread
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
        {
            self.stream.write_all(answers.to(&self.unread[..end + 2]))?;
            self.unread.drain(..end + 4);
        }
        Ok(())
    }
}

struct Answers {
    flights: Vec<u8>,
    accepted: HashSet<Vec<u8>>,
}

impl Answers {
    fn new(accepted: HashSet<String>) -> Self {
        let flight = r#"{"id":"01J9Z3","date":"2026-07-14","glider":"ASW 27","km":512.4},"#;
        let mut body = String::from(r#"{"flights":["#);
        while body.len() + flight.len() + 2 < BODY_BYTES {
            body.push_str(flight);
        }
        body.pop();
        body.push_str("]}");
        body.push_str(&" ".repeat(BODY_BYTES - body.len()));
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {BODY_BYTES}\r\n\r\n"
        );
        Self {
            flights: [head, body].concat().into_bytes(),
            accepted: accepted.into_iter().map(String::into_bytes).collect(),
        }
    }

    fn to(&self, head: &[u8]) -> &[u8] {
        if !head.starts_with(b"GET /auth ") {
            return &self.flights;
        }
        match header(head, b"authorization") {
            Some(value) if self.accepted.contains(value) => {
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            }
            _ => b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::Response;

    #[test]
    fn the_answer_is_one_kibibyte_of_json() {
        let answers = Answers::new(HashSet::new());
        let mut response = Response::default();
        let answer = answers.to(b"GET /api/v1/flights HTTP/1.1\r\n");
        assert_eq!(response.push(answer).unwrap(), Some(200));
        assert_eq!(response.body().len(), BODY_BYTES);
        serde_json::from_slice::<serde_json::Value>(response.body()).unwrap();
    }

    #[test]
    fn auth_accepts_the_bearers_it_was_given_and_no_other() {
        let answers = Answers::new(HashSet::from(["Bearer a".to_owned()]));
        let ask = |value| {
            let head = format!("GET /auth HTTP/1.0\r\nHost: x\r\nauthorization: {value}\r\n");
            Response::default()
                .push(answers.to(head.as_bytes()))
                .unwrap()
        };
        assert_eq!(ask("Bearer a"), Some(200));
        assert_eq!(ask("Bearer b"), Some(401));
    }
}
