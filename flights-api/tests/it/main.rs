//! What flights-api promises, tested through HTTP and through its binary.

// Clippy knows a `#[test]` for a test, not the functions that tests call.
#![allow(clippy::unwrap_used, clippy::unreadable_literal)]

mod binary;
mod deleting;
mod durability;
mod hostile;
mod identity;
mod killed;
mod listing;
mod oracle;
mod reading;
mod routes;
mod support;
mod uploading;
