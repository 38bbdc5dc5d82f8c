//! The client side: scripted sessions, our own server at the other end, any octets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod driver;
mod pair;
mod properties;
mod transcripts;
