//! Kubeconfigs. They are JSON, which is YAML.

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use crate::pki::Identity;

/// How one user reaches one cluster, without reference to any other file.
#[derive(Clone)]
pub(crate) struct Access(Value);

impl Access {
    /// By a client certificate.
    pub(crate) fn new(server: &str, authority: &str, identity: &Identity) -> Self {
        Self(json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "e2e", "cluster": {
                "server": server,
                "certificate-authority-data": base64(authority),
            }}],
            "users": [{"name": "e2e", "user": {
                "client-certificate-data": base64(&identity.certificate),
                "client-key-data": base64(&identity.key),
            }}],
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e"}}],
            "current-context": "e2e",
        }))
    }

    /// What `kubectl config view --raw --flatten --minify --output json` prints.
    pub(crate) fn flattened(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap())
    }

    /// The same cluster, by a bearer token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        let mut access = self.clone();
        access.0["users"][0]["user"] = json!({ "token": token });
        access
    }

    /// The same cluster, as somebody else, whom these credentials may
    /// impersonate.
    pub(crate) fn acting_as(&self, user: &str, groups: &[&str]) -> Self {
        let mut access = self.clone();
        let credentials = &mut access.0["users"][0]["user"];
        credentials["as"] = json!(user);
        credentials["as-groups"] = json!(groups);
        access
    }

    /// As the content of a file.
    pub(crate) fn text(&self) -> String {
        self.0.to_string()
    }

    /// The URL of the API server.
    pub(crate) fn server(&self) -> &str {
        self.0["clusters"][0]["cluster"]["server"].as_str().unwrap()
    }

    /// A client. It works on the runtime that this is called on, and ends with
    /// it: every test needs its own.
    pub(crate) async fn client(&self) -> Client {
        let config: Kubeconfig = serde_json::from_value(self.0.clone()).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(config, &options)
            .await
            .unwrap();
        Client::try_from(config).unwrap()
    }
}

fn base64(text: &str) -> Value {
    serde_json::to_value(k8s_openapi::ByteString(text.as_bytes().to_vec())).unwrap()
}
