//! Drives the operator and kubectl against a real Kubernetes API server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails may"
)]

mod verdict;

mod columns;
mod control_plane;
mod definitions;
mod immutable;
mod manifests;
mod operator;
