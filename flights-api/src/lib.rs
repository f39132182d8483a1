//! The reference API behind the gateway: pilots' IGC flights.
//!
//! An ordinary HTTP API with its own store, which knows of the gateway only what
//! the gateway tells every API behind it: a signed identity per request
//! ([`identity`]). Errors are problem details, listed in [`http::problem`].
//!
//! The way of an upload: [`http::upload`] reads the body, [`igc`] reads the flight,
//! [`store`] keeps both. Everything that was acknowledged survives a crash.

pub mod clock;
pub mod config;
pub mod flight;
pub mod http;
pub mod identity;
pub mod igc;
pub mod server;
pub mod store;
