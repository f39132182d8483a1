//! Measures the gateway side by side with its peers, in one run, on one machine.
//!
//! The parent process runs the parts in order and writes the tables. Everything
//! whose CPU time matters is a process of its own, which [`launch`] pins to its
//! cores and ties to the parent's life.

pub mod added;
pub mod certificate;
pub mod child;
pub mod client;
pub mod cpu;
pub mod error;
pub mod exchange;
pub mod histogram;
pub mod launch;
pub mod link;
pub mod load;
pub mod machine;
pub mod memory;
pub mod operator;
pub mod peers;
pub mod response;
pub mod rig;
pub mod rounds;
pub mod run;
pub mod start;
pub mod table;
pub mod tokens;
pub mod upstream;
