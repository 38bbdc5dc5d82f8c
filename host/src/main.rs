//! `maitred`: the mail server whose policy is Wasm.
//!
//! Exit codes: 0 stopped as asked, 1 failed at run time, 2 bad configuration or arguments.

mod cli;
mod config;
mod demo;
mod logging;
mod serve;

use std::process::ExitCode;

/// How it is set stands in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::main()
}
