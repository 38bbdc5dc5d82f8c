//! IMAP sessions against the memory store: what is answered, and what is stored.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may")]

mod append;
mod changes;
mod fetch;
mod house;
mod mailboxes;
mod model;
mod search;
