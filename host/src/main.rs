//! `maitred`: the mail server whose policy is Wasm.
//!
//! Exit codes: 0 stopped as asked, 1 failed at run time, 2 bad configuration or arguments.

mod cli;
mod config;
mod demo;
mod logging;
mod serve;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
