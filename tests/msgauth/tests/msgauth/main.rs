//! The verifier of senders against the zone server: real packets over loopback, keys made in the test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod identities;
mod limits;
mod signatures;
mod world;
