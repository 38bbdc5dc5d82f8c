//! What every engine of the store does alike.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../kit/mod.rs"]
mod kit;

mod accounts;
mod concurrency;
mod mailboxes;
mod messages;
mod model;
mod queue;
mod tables;
mod tables_limits;
mod tables_model;
mod watch;
