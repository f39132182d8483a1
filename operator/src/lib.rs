//! Turns Flightgate resources into credentials and gateway configuration.
//!
//! Every resource goes the same way: *gather* what is there (as plain structs),
//! *plan* what ought to be there (a pure function: no file, no network, no
//! clock), *apply* the plan, *report* it. [`compile`] does the first and the
//! last two with files, [`controller`] with an API server.

pub mod api_key;
pub mod backoff;
pub mod catalogue;
pub mod client;
pub mod compile;
pub mod config;
pub mod controller;
pub mod events;
pub mod fence;
pub mod gateways;
pub mod health;
pub mod lease;
pub mod log;
pub mod metrics;
pub mod mint;
pub mod oauth_application;
pub mod plan;
pub mod plugin;
pub mod rotation;
pub mod run;
pub mod traces;
pub mod validate;
pub mod webhook;
