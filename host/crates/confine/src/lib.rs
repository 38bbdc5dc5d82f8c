//! The process shuts itself in: which files it reaches, what it asks of the kernel, whose rights it has.
//!
//! A second wall behind the one that plugins run in: whoever breaks out of that, or takes a parser over, finds a process
//! without root, without files but its own, and without the calls that attacks go on with. Landlock for files, seccomp for
//! system calls, no_new_privs with both. The sole owner of those crates; asked by `maitred serve` alone.
//! Invariants: what was given up is never had back; no wall covers a part of the threads; `require` never ends in less.

mod config;
mod error;
mod reach;
#[cfg_attr(not(target_os = "linux"), path = "elsewhere.rs")]
mod system;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

pub use config::{Config, Mode, Wall};
pub use error::Error;
pub use reach::Reach;
pub use system::{User, is_root};
