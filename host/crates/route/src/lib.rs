//! Where mail goes: static routes, MX order, implicit and null MX, loops, TLS policy.
//!
//! RFC 5321 §5.1, RFC 7505 (null MX), RFC 7435 (opportunistic security). No I/O: `flow::relay` asks the DNS and brings
//! the answers.
//!
//! Invariants: "no" ends in a bounce and "not now" in a retry, never the other way round; a domain with MX records is
//! never reached by its address record; no hop is ourselves.
#![deny(clippy::indexing_slicing)]

pub mod config;
pub mod router;

pub use config::{Config, ConfigError, Credentials, Relay, StaticRoute, TlsPolicy};
pub use router::{Host, NextHop, Plan, RouteError, Router};
