//! The way to the API server, by kubectl's rules.

use std::time::Duration;

use jiff::Timestamp;
use kube::{
    Client, Config,
    client::Body,
    config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::arguments::Connection;

/// There is no way to an API server.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccessError {
    /// Neither a kubeconfig nor a pod's own account was found.
    #[error(
        "no cluster is known: set KUBECONFIG, or name a file with --kubeconfig ({})",
        chain(.0)
    )]
    Infer(#[source] Box<InferConfigError>),
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig cannot be used: {}", chain(.0))]
    Kubeconfig(#[from] Box<KubeconfigError>),
    /// What it says cannot be used.
    #[error("the cluster's address or your credentials cannot be used: {}", chain(.0))]
    Build(#[source] Box<kube::Error>),
}

/// A client, and where to look.
pub(super) struct Access {
    /// Speaks to the API server.
    pub(super) client: Client,
    /// The namespace that is meant where none is named.
    pub(super) namespace: String,
}

impl Access {
    /// Connects as the flags say.
    pub(super) async fn new(flags: &Connection) -> Result<Self, AccessError> {
        // Whoever was first has it installed already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut config = config(flags).await?;
        config.connect_timeout = Some(Duration::from_secs(10));
        config.read_timeout = Some(Duration::from_secs(30));
        config.write_timeout = Some(Duration::from_secs(30));
        if let Some(user) = &flags.act_as {
            config.auth_info.impersonate = Some(user.clone());
        }
        if !flags.act_as_groups.is_empty() {
            config.auth_info.impersonate_groups = Some(flags.act_as_groups.clone());
        }
        let namespace = flags.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config);
        let client = client.map_err(|error| AccessError::Build(Box::new(error)))?;
        Ok(Self { client, namespace })
    }

    /// The time by the API server's clock, to the second; else by this machine's.
    pub(super) async fn now(&self) -> Timestamp {
        self.server_time().await.unwrap_or_else(Timestamp::now)
    }

    async fn server_time(&self) -> Option<Timestamp> {
        let request = http::Request::get("/version").body(Body::empty()).ok()?;
        let answer = self.client.send(request).await.ok()?;
        let date = answer.headers().get(http::header::DATE)?.to_str().ok()?;
        let time = jiff::fmt::rfc2822::parse(date).ok()?;
        Some(time.timestamp())
    }
}

async fn config(flags: &Connection) -> Result<Config, AccessError> {
    let options = KubeConfigOptions {
        context: flags.context.clone(),
        cluster: flags.cluster.clone(),
        user: flags.user.clone(),
    };
    let is_chosen =
        options.context.is_some() || options.cluster.is_some() || options.user.is_some();
    let config = match &flags.kubeconfig {
        Some(path) => match Kubeconfig::read_from(path) {
            Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
            Err(error) => Err(error),
        },
        None if is_chosen => Config::from_kubeconfig(&options).await,
        None => {
            let config = Config::infer().await;
            return config.map_err(|error| AccessError::Infer(Box::new(error)));
        }
    };
    Ok(config.map_err(Box::new)?)
}

/// An error with all that is behind it, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}
