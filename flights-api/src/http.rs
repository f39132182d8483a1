//! The API over HTTP: which path leads to which file.

pub mod body;
pub mod delete;
pub mod health;
pub mod list;
pub mod permit;
pub mod problem;
pub mod read;
pub mod representation;
pub mod trace;
pub mod upload;

use std::num::NonZero;
use std::sync::Arc;

use axum::Router;
use axum::http::Uri;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use crate::identity::verify::Verifier;
use crate::store::Store;
use problem::{Code, Problem};

/// What every handler may use.
pub struct App {
    /// The flights.
    pub store: Store,
    /// Who asks.
    pub verifier: Verifier,
    /// How uploads are taken in.
    pub uploads: Uploads,
}

/// How uploads are taken in.
pub struct Uploads {
    /// Bytes of the largest file.
    pub max_bytes: usize,
    /// One permit per byte of all uploads that are held in memory. An upload takes
    /// them as its bytes come, so a slow one keeps nobody out.
    pub memory: Arc<Semaphore>,
    /// One permit per file that is read at a time; others wait.
    pub readers: Arc<Semaphore>,
}

impl Uploads {
    /// Uploads of up to `max_bytes` each, with memory for eight of that size.
    pub fn new(max_bytes: usize) -> Uploads {
        const AT_A_TIME: usize = 8;
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Uploads {
            max_bytes,
            memory: Arc::new(Semaphore::new(
                (max_bytes * AT_A_TIME).min(Semaphore::MAX_PERMITS),
            )),
            readers: Arc::new(Semaphore::new(cores)),
        }
    }
}

/// The routes of the API.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(
            "/api/v1/flights",
            get(list::list).merge(post(upload::upload)),
        )
        .route(
            "/api/v1/flights/{id}",
            get(read::read).delete(delete::delete),
        )
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(app)
        .layer(from_fn(trace::trace))
}

/// Who is not let in does not learn which paths exist.
async fn not_found(Knock(()): Knock, uri: Uri) -> Problem {
    Problem::new(
        Code::NotFound,
        format!(
            "expected /api/v1/flights or a path below it; there is no {}",
            uri.path()
        ),
    )
}

async fn method_not_allowed(Knock(()): Knock) -> Problem {
    Problem::new(
        Code::MethodNotAllowed,
        "expected a method that the Allow header lists",
    )
}

/// Below `/api/`, an identity; elsewhere nothing.
struct Knock(());

impl axum::extract::FromRequestParts<Arc<App>> for Knock {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        app: &Arc<App>,
    ) -> Result<Knock, Problem> {
        if parts.uri.path().starts_with("/api/") {
            permit::caller(parts, app).await?;
        }
        Ok(Knock(()))
    }
}
