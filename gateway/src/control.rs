//! How a command reaches a running gateway: a Unix socket in the keys folder,
//! which nobody but the gateway's own user can open.
//!
//! The embedded store is open in one process alone, so a command asks the
//! gateway where one runs and opens the store itself where none does.

mod ask;
mod socket;

use std::{path::Path, sync::Arc};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    routing::post,
};
use serde::{Deserialize, Serialize};

pub use self::{
    ask::{AskError, ask},
    socket::Listening,
};
use crate::{
    gateway::Gateway,
    user::{
        Users,
        command::{Answer, Command},
    },
};

/// The socket's name in the keys folder.
const SOCKET: &str = "control.sock";
/// The path that takes commands about users.
const USERS: &str = "/users";
/// The longest command, in bytes.
const MAX_COMMAND: usize = 64 << 10;

/// A command, and which store it means.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Call {
    store: String,
    command: Command,
}

/// What came of it, or why nothing did.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Reply {
    Done(Answer),
    Failed(String),
    /// This gateway has another store.
    OtherStore(String),
}

/// Listens for commands until what it gives is dropped. A gateway that cannot
/// do so serves nevertheless, and says so.
pub async fn listen(gateway: &Arc<Gateway>) -> Option<Listening> {
    let router = Router::new()
        .route(USERS, post(about_users))
        .layer(DefaultBodyLimit::max(MAX_COMMAND))
        .with_state(gateway.clone());
    let folder: &Path = &gateway.config.keys.path;
    match socket::listen(folder, router).await {
        Ok(listening) => Some(listening),
        Err(error) => {
            tracing::warn!(
                folder = %folder.display(), %error,
                "commands about users cannot reach this gateway"
            );
            None
        }
    }
}

async fn about_users(State(gateway): State<Arc<Gateway>>, Json(call): Json<Call>) -> Json<Reply> {
    let own = Users::store_name(&gateway.config);
    if call.store != own {
        return Json(Reply::OtherStore(own));
    }
    Json(match gateway.users.run(call.command).await {
        Ok(answer) => Reply::Done(answer),
        Err(error) => Reply::Failed(error.to_string()),
    })
}
