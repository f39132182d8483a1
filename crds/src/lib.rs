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
