//! `[dns]` in the configuration.

use std::net::SocketAddr;
use std::time::Duration;

/// Whom to ask, and how patiently.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Resolvers to ask; none: those of the system.
    pub servers: Vec<SocketAddr>,
    /// How long to wait for one answer, 5 s.
    pub timeout: Duration,
    /// How often to ask again, 2.
    pub attempts: usize,
    /// How many answers are remembered, 4096. Their TTLs are obeyed.
    pub cache_entries: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { servers: Vec::new(), timeout: Duration::from_secs(5), attempts: 2, cache_entries: 4096 }
    }
}
