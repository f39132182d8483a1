//! Turns Flightgate resources into credentials and gateway configuration.
//!
//! Every resource goes the same way: *gather* what is there (as plain structs),
//! *plan* what ought to be there (a pure function: no file, no network, no
//! clock), *apply* the plan, *report* it. [`compile`] does the first and the
//! last two with files.

pub mod api_key;
pub mod catalogue;
pub mod compile;
pub mod mint;
pub mod oauth_application;
pub mod plan;
pub mod rotation;
pub mod validate;
pub mod webhook;
