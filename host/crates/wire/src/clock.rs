//! Time as a seam: words, engines and flow never read a clock themselves.

use std::time::Instant;

/// Where `flow` has its time from: the machine's clock, or a test's.
pub trait Clock: Send + Sync {
    /// For measuring and for deadlines.
    fn now(&self) -> Instant;
    /// Unix time in milliseconds, for dates. (A plain number: this crate does not know `mail`.)
    fn unix_ms(&self) -> i64;
}
