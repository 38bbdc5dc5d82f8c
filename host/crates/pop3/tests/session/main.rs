//! The session from outside: scripted sessions and properties.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may")]

mod driver;
mod long;
mod properties;
mod transcripts;
