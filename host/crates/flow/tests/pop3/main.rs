//! POP3 sessions against the memory store.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may")]

mod contents;
mod house;
mod logins;
mod removal;
