//! The Flightgate resources and the contract between operator and gateway.
//!
//! The operator and the gateway never import each other; what both must agree
//! on stands here: the three resource types, the [`contract`] document that
//! the operator hands to the gateway, and the [`gateway_config`] that both read
//! (the gateway as its configuration, the operator as the catalogue that
//! resources are checked against).

pub mod contract;
pub mod gateway_config;
pub mod period;
pub mod secret;

#[cfg(feature = "resources")]
pub mod api_key;
#[cfg(feature = "resources")]
pub mod condition;
#[cfg(feature = "resources")]
pub mod oauth_application;
#[cfg(feature = "resources")]
mod schema;
#[cfg(feature = "resources")]
pub mod webhook;

#[cfg(feature = "resources")]
pub use self::{api_key::ApiKey, oauth_application::OAuthApplication, webhook::Webhook};

/// The API group of the resources.
pub const GROUP: &str = "flightgate.dev";

/// Asks for new credentials: whenever its value differs from the one that was
/// last acted on, such as `now`.
pub const ROTATE_ANNOTATION: &str = "flightgate.dev/rotate";

/// The three definitions, as an API server takes them.
#[cfg(feature = "resources")]
pub fn definitions()
-> [k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition; 3]
{
    use kube::CustomResourceExt;
    [OAuthApplication::crd(), ApiKey::crd(), Webhook::crd()]
}
