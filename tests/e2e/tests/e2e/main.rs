//! The whole program as people and their mail clients use it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod clients;
mod commands;
mod confine;
mod evil;
mod journey;
mod life;
mod mailboxes;
mod over_http;
mod relay;
mod senders;
mod swaps;
