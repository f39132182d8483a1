//! The way to the API server: found by kube's usual rules, counted and traced.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt, TryFutureExt, future::BoxFuture};
use http::{Request, Response};
use kube::{
    Client,
    client::{Body, ClientBuilder},
    config::{Config, InferConfigError},
};
use tower::{BoxError, Layer, Service};
use tracing::Instrument;

use crate::{fence::Fence, metrics::Metrics, traces};

/// There is no way to an API server.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Neither a kubeconfig nor a pod's own account was found.
    #[error("no API server is known: {0}")]
    Config(#[from] InferConfigError),
    /// What was found cannot be used.
    #[error("the API server's address or credentials cannot be used: {0}")]
    Build(#[source] Box<kube::Error>),
}

/// Connects by `KUBECONFIG`, `~/.kube/config` or the pod's service account.
pub async fn connect(metrics: &Metrics, fence: &Fence) -> Result<Client, ClientError> {
    let mut config = Config::infer().await?;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.write_timeout = Some(Duration::from_secs(20));
    // Who fails waits by itself, each for another while.
    config.default_retry = false;
    let builder = ClientBuilder::try_from(config);
    let builder = builder.map_err(|error| ClientError::Build(Box::new(error)))?;
    let counted = Counted {
        metrics: metrics.clone(),
        fence: fence.clone(),
    };
    Ok(builder.with_layer(&counted).build())
}

/// Counts requests by method and status, and sends no write of who does not
/// lead.
#[derive(Clone)]
struct Counted {
    metrics: Metrics,
    fence: Fence,
}

impl<S> Layer<S> for Counted {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting {
            inner,
            metrics: self.metrics.clone(),
            fence: self.fence.clone(),
        }
    }
}

struct Counting<S> {
    inner: S,
    metrics: Metrics,
    fence: Fence,
}

impl<S, B> Service<Request<Body>> for Counting<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError> + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Err(error) = self.fence.check(&request) {
            return async move { Err(error.into()) }.boxed();
        }
        let span = traces::request(&mut request);
        let method = request.method().as_str().to_owned();
        let requests = self.metrics.api_requests.clone();
        let answer = span.in_scope(|| self.inner.call(request));
        answer
            .map_err(Into::into)
            .instrument(span.clone())
            .inspect(move |answer| {
                traces::answered(&span, answer);
                let status = answer
                    .as_ref()
                    .ok()
                    .map(|it| it.status().as_u16().to_string());
                let status = status.as_deref().unwrap_or("none");
                requests.with_label_values(&[method.as_str(), status]).inc();
            })
            .boxed()
    }
}
