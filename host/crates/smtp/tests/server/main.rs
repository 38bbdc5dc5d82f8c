//! The server session from outside: scripted sessions, properties, and every end mark that smuggling has tried.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may")]

mod driver;
mod properties;
mod smuggling;
mod transcripts;
