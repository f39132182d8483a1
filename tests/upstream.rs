//! An upstream that writes down exactly what it got, and says exactly what it
//! was told to say.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::raw::{Raw, fields};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// Request line and fields.
    pub(crate) head: String,
    /// Without its chunks.
    pub(crate) body: Vec<u8>,
    /// The trailer section as it stood there.
    pub(crate) trailers: String,
}

impl Recorded {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    /// The values of a field, in order.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        fields(&self.head, name)
    }

    /// The names of all fields, in small letters.
    pub(crate) fn names(&self) -> Vec<String> {
        let lines = self.head.lines().skip(1);
        let names = lines.filter_map(|line| line.split_once(':'));
        names.map(|(name, _)| name.to_ascii_lowercase()).collect()
    }
}

/// What to say, and whether to go on listening.
pub(crate) enum Reply {
    Keep(Vec<u8>),
    Close(Vec<u8>),
}

impl Reply {
    /// 200 with this body.
    pub(crate) fn ok(body: &str) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self::Keep(head.into_bytes())
    }
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Recorded>>,
    broken: AtomicUsize,
    connections: AtomicUsize,
}

/// A listening upstream; gone when it is dropped.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

impl Upstream {
    /// Says `ok` to everything.
    pub(crate) async fn ok() -> Self {
        Self::scripted(|_| Reply::ok("ok")).await
    }

    /// Says what the script says to each whole request.
    pub(crate) async fn scripted(
        script: impl Fn(&Recorded) -> Reply + Clone + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Seen::default());
        let record = seen.clone();
        Self::listen(seen, move |stream| {
            converse(stream, record.clone(), script.clone())
        })
        .await
    }

    /// Leaves each connection to this function.
    pub(crate) async fn raw<F: Future<Output = ()> + Send + 'static>(
        handle: impl Fn(Raw<TcpStream>) -> F + Send + 'static,
    ) -> Self {
        let seen = Arc::new(Seen::default());
        Self::listen(seen, move |stream| handle(Raw::new(stream))).await
    }

    async fn listen<F: Future<Output = ()> + Send + 'static>(
        seen: Arc<Seen>,
        handle: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let count = seen.clone();
        let task = tokio::spawn(async move {
            let mut conversations = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.connections.fetch_add(1, SeqCst);
                conversations.spawn(handle(stream));
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    /// The whole requests so far.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// The one request so far.
    pub(crate) fn only(&self) -> Recorded {
        let requests = self.requests();
        let [request] = &requests[..] else {
            panic!("expected one request, got {requests:?}")
        };
        request.clone()
    }

    /// Connections that ended within a request.
    pub(crate) fn broken(&self) -> usize {
        self.seen.broken.load(SeqCst)
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address where nobody listens. As long as this socket is held the system
/// gives it to no one, and only who asks for it by its number gets it.
pub(crate) fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn converse(stream: TcpStream, seen: Arc<Seen>, script: impl Fn(&Recorded) -> Reply) {
    let mut raw = Raw::new(stream);
    loop {
        match read(&mut raw).await {
            Ok(Some(request)) => {
                let reply = script(&request);
                seen.requests.lock().unwrap().push(request);
                let (Reply::Keep(bytes) | Reply::Close(bytes)) = &reply;
                raw.send(bytes).await;
                if matches!(reply, Reply::Close(_)) {
                    let _ = raw.stream.shutdown().await;
                    return;
                }
            }
            Ok(None) => return,
            Err(()) => {
                seen.broken.fetch_add(1, SeqCst);
                return;
            }
        }
    }
}

/// The next request; an error if the connection ends within it.
pub(crate) async fn read(raw: &mut Raw<TcpStream>) -> Result<Option<Recorded>, ()> {
    let head = match raw.until(b"\r\n\r\n").await {
        Ok(head) => String::from_utf8_lossy(&head).into_owned(),
        Err(part) if part.is_empty() => return Ok(None),
        Err(_) => return Err(()),
    };
    let (mut body, mut trailers) = (Vec::new(), String::new());
    if let [length] = fields(&head, "content-length")[..] {
        body = raw.exactly(length.parse().unwrap()).await.map_err(|_| ())?;
    } else if !fields(&head, "transfer-encoding").is_empty() {
        loop {
            let line = raw.until(b"\r\n").await.map_err(|_| ())?;
            let size = std::str::from_utf8(&line).unwrap().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| ())?;
            if size == 0 {
                break;
            }
            let chunk = raw.exactly(size + 2).await.map_err(|_| ())?;
            body.extend_from_slice(&chunk[..size]);
        }
        loop {
            let line = raw.until(b"\r\n").await.map_err(|_| ())?;
            if line == b"\r\n" {
                break;
            }
            trailers.push_str(&String::from_utf8_lossy(&line));
        }
    }
    Ok(Some(Recorded {
        head,
        body,
        trailers,
    }))
}
