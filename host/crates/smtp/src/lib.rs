//! SMTP, submission and LMTP: both sides of a connection as values, without I/O.
//!
//! RFC 5321, RFC 6409 (submission), RFC 2033 (LMTP), with RFC 1870, 2034, 2920, 3207, 4954, 6152 and 6531.
//! Driven by `net`; the server side is answered by `flow::receive`, the client side by `flow::relay`.
#![deny(clippy::indexing_slicing)]

pub mod client;
pub mod command;
pub mod reply;
pub mod server;

pub use command::{Command, CommandError};
pub use reply::{Refusal, Reply};
