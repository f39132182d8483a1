//! The kubectl plugin: `kubectl flightgate`.

use std::process::ExitCode;

use clap::Parser;
use flightgate_operator::plugin;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    plugin::main(&plugin::Arguments::parse())
}
