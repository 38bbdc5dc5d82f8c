//! The DNS: a caching resolver behind [`maitred_mail::dns::Resolver`], and a small authoritative server for tests and demo.
//!
//! RFC 1035, RFC 2308 (negative answers), RFC 7505 (null MX). The only room that knows the DNS library.
//! Invariant: what cannot be judged is [`maitred_mail::dns::DnsError::Temporary`], for a bounce hangs on the difference.

mod config;
mod resolver;
pub mod zone;

pub use config::{Config, ConfigError};
pub use resolver::Dns;
