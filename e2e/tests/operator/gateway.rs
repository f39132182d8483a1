//! A gateway's admin listener, without the gateway: it says what a test has it
//! say.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use crds::contract::Sha256Hash;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, api::ListParams};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};

/// What it says to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// All documents of its namespace, as they are now.
    Following,
    /// What it said last.
    Stuck,
    /// That it cannot follow any of them.
    Rejecting,
    /// Nothing: it takes the connection and does not answer.
    Silent,
}

/// A gateway that is a table of hashes.
pub(super) struct FakeGateway {
    pub(super) address: String,
    mode: Arc<Mutex<Mode>>,
    used: Arc<Mutex<BTreeMap<String, String>>>,
    task: JoinHandle<()>,
}

impl FakeGateway {
    pub(super) async fn start(client: Client, namespace: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mode = Arc::new(Mutex::new(Mode::Following));
        let used = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let state = Arc::new(State {
            used: used.clone(),
            secrets: Api::namespaced(client, namespace),
            mode: mode.clone(),
            last: Mutex::default(),
            one_at_a_time: Semaphore::new(1),
        });
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, state.clone()));
            }
        });
        Self {
            address,
            mode,
            used,
            task,
        }
    }

    /// Says from now on that a secret was last used then.
    pub(super) fn use_secret(&self, id: &str, at: &str) {
        let mut used = self.used.lock().unwrap();
        used.insert(id.to_owned(), at.to_owned());
    }

    pub(super) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }
}

impl Drop for FakeGateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct State {
    secrets: Api<Secret>,
    mode: Arc<Mutex<Mode>>,
    used: Arc<Mutex<BTreeMap<String, String>>>,
    last: Mutex<BTreeMap<String, String>>,
    one_at_a_time: Semaphore,
}

async fn answer(mut stream: TcpStream, state: Arc<State>) -> Option<()> {
    let mut head = Vec::new();
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        head.clear();
        let mode = *state.mode.lock().unwrap();
        if mode == Mode::Silent {
            std::future::pending::<()>().await;
        }
        let _turn = state.one_at_a_time.acquire().await.ok()?;
        if mode != Mode::Stuck {
            let fresh = documents(&state.secrets).await;
            if let Some(fresh) = fresh {
                *state.last.lock().unwrap() = fresh;
            }
        }
        let known = state.last.lock().unwrap().clone();
        let body = if mode == Mode::Rejecting {
            let names = known.into_keys();
            let reasons: BTreeMap<_, _> = names
                .map(|name| (name, "profile `x` is not in gateway.yaml"))
                .collect();
            json!({"generation": 1, "documents": {}, "rejected": reasons})
        } else {
            let used = state.used.lock().unwrap().clone();
            json!({"generation": 1, "documents": known, "rejected": {}, "lastUsed": used})
        };
        let body = body.to_string();
        let text = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).await.ok()?;
    }
}

/// As the gateway reads them: by type, and the name is the Secret's.
async fn documents(secrets: &Api<Secret>) -> Option<BTreeMap<String, String>> {
    let params = ListParams::default().fields("type=flightgate.dev/config");
    let secrets = secrets.list(&params).await.ok()?.items.into_iter();
    let documents = secrets.filter_map(|secret| {
        let bytes = secret.data?.remove("config.json")?;
        let name = secret.metadata.name?;
        Some((name, Sha256Hash::of(&bytes.0).to_string()))
    });
    Some(documents.collect())
}
