//! `[dns]` in the configuration.

use std::net::SocketAddr;
use std::time::Duration;

/// Whom to ask, and how patiently. There is no `dnssec`: answers are not validated here, and a key that does nothing would
/// promise that they are.
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

/// What cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// `timeout` is too short for any answer, or longer than anybody waits.
    #[error("dns.timeout: must be between 10ms and 1m")]
    Timeout,
    /// `attempts` has no end.
    #[error("dns.attempts: must be at most 10")]
    Attempts,
}

impl Config {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// What cannot be.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.timeout < Duration::from_millis(10) || self.timeout > Duration::from_mins(1) {
            return Err(ConfigError::Timeout);
        }
        if self.attempts > 10 { Err(ConfigError::Attempts) } else { Ok(()) }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { servers: Vec::new(), timeout: Duration::from_secs(5), attempts: 2, cache_entries: 4096 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_attempts_have_bounds() {
        assert_eq!(Config::default().check(), Ok(()));
        let check = |timeout, attempts| Config { timeout, attempts, ..Config::default() }.check();
        assert_eq!(check(Duration::ZERO, 2), Err(ConfigError::Timeout));
        assert_eq!(check(Duration::from_hours(1), 2), Err(ConfigError::Timeout));
        assert_eq!(check(Duration::from_secs(1), 11), Err(ConfigError::Attempts));
    }
}
