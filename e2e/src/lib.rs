//! A real Kubernetes API for tests: a control plane of their own, or a cluster
//! that is given.
//!
//! [`Cluster::shared`] is for tests that need no more than a namespace;
//! [`ControlPlane::start`] for those that take the API server away.
//!
//! Everything here panics rather than returns errors: who calls it is a test,
//! and has nothing else to do with an error than to fail with it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test that fails may, and this is a part of tests"
)]

mod cluster;
mod control_plane;
mod definitions;
mod folder;
mod kubeconfig;
mod kubectl;
mod namespace;
mod patience;
mod pki;
mod port;
mod process;
mod program;

pub use self::{
    cluster::Cluster,
    control_plane::ControlPlane,
    kubectl::Said,
    namespace::Namespace,
    patience::{PATIENCE, eventually, within},
    process::Process,
    program::{Program, built, source},
};
