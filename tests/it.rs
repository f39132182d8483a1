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
mod gateway;
mod grants;
mod harness;
mod oauth;
mod raw;
mod upstream;

mod admin;
mod attacks;
mod authorization;
mod boundary;
mod configuration;
mod durability;
mod expiry;
mod flights;
mod flow_durability;
mod forwarding;
mod framing;
mod http2;
mod identity;
mod introspection;
mod last_use;
mod metadata;
mod oauth_errors;
mod permit;
mod races;
mod reload;
mod revocation;
mod startup;
mod streaming;
mod tls;
mod tokens;
mod users;
