//! The queue: when to try a message again, when to give up, how many at a time to one destination.
//!
//! RFC 5321 §4.5.4. No I/O: the entries are kept by `store`, time is given by the caller, attempts are made by
//! `flow::relay`.
#![deny(clippy::indexing_slicing)]

pub mod config;
pub mod entry;
pub mod schedule;

pub use config::{Config, ConfigError};
pub use entry::{Entry, QueueId, QueuedRecipient, State};
pub use schedule::{Commit, NotQueued, Outcome, Queue, Report, Settled, Standing, Unit};
