//! A collector that takes OTLP over HTTP and remembers what it was sent.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::Span,
};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What it does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Takes it.
    Taking,
    /// Reads it and never answers.
    Silent,
}

/// A collector.
pub(super) struct Collector {
    pub(super) address: String,
    taken: Arc<Mutex<Taken>>,
    task: JoinHandle<()>,
}

/// What it has taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    pub(super) spans: Vec<Span>,
    /// The attributes of who sent them.
    pub(super) resource: Vec<KeyValue>,
    /// The requests as they came.
    pub(super) heads: Vec<String>,
    pub(super) bodies: Vec<u8>,
}

impl Collector {
    pub(super) async fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::<Mutex<Taken>>::default();
        let into = taken.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, mode, into.clone()));
            }
        });
        Self {
            address,
            taken,
            task,
        }
    }

    /// What it has taken so far.
    pub(super) fn taken(&self) -> Taken {
        self.taken.lock().unwrap().clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Taken {
    /// The one span that is like this.
    pub(super) fn span(&self, mut is_it: impl FnMut(&Span) -> bool) -> Option<Span> {
        self.spans.iter().find(|it| is_it(it)).cloned()
    }
}

/// The text of an attribute.
pub(super) fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|it| it.key == key)?;
    let Some(AnyValue { value: Some(value) }) = &found.value else {
        return None;
    };
    Some(match value {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

async fn take(mut stream: TcpStream, mode: Mode, taken: Arc<Mutex<Taken>>) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let (_, length) = head.split_once("content-length: ").unwrap();
        let (length, _) = length.split_once("\r\n").unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).await.ok()?;
        if mode == Mode::Silent {
            std::future::pending::<()>().await;
        }
        let request = ExportTraceServiceRequest::decode(&*body).unwrap();
        {
            let mut taken = taken.lock().unwrap();
            for of in request.resource_spans {
                taken.resource = of.resource.unwrap().attributes;
                let spans = of.scope_spans.into_iter().flat_map(|it| it.spans);
                taken.spans.extend(spans);
            }
            taken.heads.push(head);
            taken.bodies.extend(body);
        }
        let answer =
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}
