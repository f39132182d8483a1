//! Drives the built binaries as a partner would: over TLS, with nothing mocked
//! but, where a test must see or say exactly which bytes, the upstream.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails may"
)]

mod browser;
mod client;
mod flow;
mod gateway;
mod grants;
mod harness;
mod oauth;
mod raw;
mod upstream;

mod admin;
mod airforce;
mod attacks;
mod authorization;
mod boundary;
mod clients;
mod configuration;
mod durability;
mod expiry;
mod fittrackee;
mod flight_crew_view;
mod flights;
mod flow_durability;
mod forwarding;
mod framing;
mod http2;
mod identity;
mod introspection;
mod last_use;
mod metadata;
mod oauth2_crate;
mod oauth_errors;
mod permit;
mod races;
mod reload;
mod revocation;
mod shut_out;
mod startup;
mod streaming;
mod tls;
mod tokens;
mod users;
mod we_fly;
