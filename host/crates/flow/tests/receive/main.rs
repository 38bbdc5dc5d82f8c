//! Whole sessions against the memory store: what is answered, and what is stored.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may")]

mod delivery;
mod house;
mod logins;
mod plugins;
mod policy;
mod submission;
