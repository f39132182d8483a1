//! What the gateway tells about itself.

pub(crate) mod audit;
pub mod log;
pub mod metrics;
