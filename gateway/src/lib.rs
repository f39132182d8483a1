//! The gateway: issues and checks tokens, and forwards what is permitted.
//!
//! The modules follow the way of a request: [`server`] takes the bytes in,
//! [`route`] says where they lead, [`permit`] decides, [`forward`] passes on;
//! [`oauth`] answers what is for the gateway itself, at the paths of a
//! [`surface`]. `ARCHITECTURE.md` has the map.

pub mod admin;
pub mod body;
pub mod clock;
pub mod config;
pub mod control;
pub mod core;
pub mod forward;
pub mod gateway;
pub mod identity;
pub mod keys;
pub mod mint;
pub mod oauth;
pub mod pages;
pub mod permit;
pub mod problem;
pub mod registry;
pub mod request_id;
pub mod revocations;
pub mod route;
pub mod scopes;
pub mod serve;
pub mod server;
mod site;
pub mod store;
pub mod surface;
pub mod telemetry;
pub mod user;
