//! Mail on its way out, from the queue to other servers and back into the queue or a report: with a store in memory, a DNS
//! that is a table and servers that do as they are told.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may")]

mod connections;
mod fates;
mod hosts;
mod house;
mod moods;
mod operator;
mod policy;
mod reports;
mod tls;
mod world;
