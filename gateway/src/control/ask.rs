//! The command's side: asks the running gateway, or opens the store itself.

use std::{io, sync::Arc, time::Duration};

use crds::gateway_config::GatewayConfig;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, time::timeout};

use super::{Call, Reply, USERS, socket};
use crate::{
    clock::System,
    gateway::store,
    keys::{Keys, KeysError},
    oauth::grant::Grants,
    store::StoreError,
    user::{
        UserError, Users,
        command::{Answer, Command},
    },
};

/// How long a store may be open in a process that does not answer: a gateway
/// that starts, or one that ends.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);
/// How long a gateway may take to answer.
const PATIENCE: Duration = Duration::from_mins(1);
/// The longest answer, in bytes.
const MAX_ANSWER: usize = 16 << 20;

/// A command was not done, unless the text says that it may have been.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It cannot be.
    #[error("{0}")]
    Refused(String),
    /// The gateway has another store.
    #[error(
        "the gateway that runs with these keys has its store at {0}: name its configuration with --config"
    )]
    OtherStore(String),
    /// The gateway went away, or is not one.
    #[error(
        "the running gateway did not answer ({0}): look with `user list` whether it was done, and try again"
    )]
    Silent(String),
    /// Neither way is open.
    #[error(
        "{0}; the gateway that has it open does not listen for commands: its log says why, or wait until it has started"
    )]
    Locked(StoreError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Users, or their store.
    #[error(transparent)]
    User(#[from] UserError),
}

/// Has this done by the running gateway, or by oneself where none runs.
pub async fn ask(config: &Arc<GatewayConfig>, command: Command) -> Result<Answer, AskError> {
    let mut tries = 0;
    loop {
        if let Ok(stream) = socket::connect(&config.keys.path).await {
            return over(stream, config, command).await;
        }
        match alone(config) {
            Ok(users) => return Ok(users.run(command).await?),
            Err(AskError::User(UserError::Store(error @ StoreError::Locked { .. }))) => {
                tries += 1;
                if tries == TRIES {
                    return Err(AskError::Locked(error));
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Users over the store itself.
fn alone(config: &Arc<GatewayConfig>) -> Result<Users, AskError> {
    let keys = Keys::open(&config.keys.path, &System)?;
    let store = store(&config.store, &keys).map_err(UserError::from)?;
    // No gateway runs that would have to hear of it.
    let grants = Grants::new(store.clone(), &keys.pepper, Arc::default());
    let users = Users::new(
        config.clone(),
        &config.issuer,
        store,
        &keys.pepper,
        Arc::new(System),
        Arc::new(System),
    );
    Ok(users.with_grants(Arc::new(grants)))
}

async fn over(
    stream: UnixStream,
    config: &GatewayConfig,
    command: Command,
) -> Result<Answer, AskError> {
    let call = Call {
        store: Users::store_name(config),
        command,
    };
    let reply = timeout(PATIENCE, exchange(stream, &call))
        .await
        .map_err(|_| AskError::Silent("it takes too long".into()))?
        .map_err(|error| AskError::Silent(error.to_string()))?;
    match reply {
        Reply::Done(answer) => Ok(answer),
        Reply::Failed(text) => Err(AskError::Refused(text)),
        Reply::OtherStore(path) => Err(AskError::OtherStore(path)),
    }
}

async fn exchange(stream: UnixStream, call: &Call) -> io::Result<Reply> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let request = Request::post(USERS)
        .header(header::HOST, "control")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(serde_json::to_vec(call)?)))
        .map_err(io::Error::other)?;
    let answer = async {
        let answer = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER);
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        if status != StatusCode::OK {
            return Err(io::Error::other(format!(
                "it says {status}: it may be of another version"
            )));
        }
        Ok(serde_json::from_slice(&body)?)
    };
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended.map_err(io::Error::other)?;
            answer.await
        }
    }
}
