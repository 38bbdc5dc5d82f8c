//! Whole sessions without sockets and without mail.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may")]

mod driver;
mod properties;
mod transcripts;
