//! The queue's part of `[outbound]` in the configuration.

use std::time::Duration;

use maitred_mail::Timestamp;

use crate::entry::QueueId;

/// When to try again, to warn, to give up, and how much at a time.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long after the first, second … attempt the next one follows; the last one repeats. 1, 5, 15 and 30 minutes,
    /// 1, 2 and 4 hours (RFC 5321 §4.5.4.1 asks for at least 30 minutes after the first few).
    pub retry: Vec<Duration>,
    /// When to give up, counted from acceptance: 5 days (RFC 5321 §4.5.4.1: at least 4 to 5).
    pub expire: Duration,
    /// When the reverse-path is told, once, that its message is late: 4 hours.
    pub delay_warning: Duration,
    /// Attempts to one domain at a time: 20.
    pub max_connections_per_domain: u32,
    /// When to write a result down again that the store did not take: 30 seconds.
    pub settle_retry: Duration,
}

/// What cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// `retry` has no entry, or one of zero: that would be a storm.
    #[error("outbound.retry: needs at least one time, each of at least one second")]
    Retry,
    /// `max_connections_per_domain` is zero: nothing would ever leave.
    #[error("outbound.max_connections_per_domain: must be at least 1")]
    Connections,
    /// `expire` is zero: nothing would ever be tried twice.
    #[error("outbound.expire: must be longer than zero")]
    Expire,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            retry: [1, 5, 15, 30, 60, 120, 240].map(Duration::from_mins).to_vec(),
            expire: Duration::from_hours(5 * 24),
            delay_warning: Duration::from_hours(4),
            max_connections_per_domain: 20,
            settle_retry: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// What cannot be.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.retry.is_empty() || self.retry.iter().any(|pause| *pause < Duration::from_secs(1)) {
            return Err(ConfigError::Retry);
        }
        if self.max_connections_per_domain == 0 {
            return Err(ConfigError::Connections);
        }
        if self.expire.is_zero() { Err(ConfigError::Expire) } else { Ok(()) }
    }

    /// How long to wait after so many attempts.
    pub(crate) fn pause(&self, attempts: u32) -> Duration {
        let at = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        self.retry.get(at).or(self.retry.last()).copied().unwrap_or(Duration::from_mins(1))
    }

    /// When to try again after so many attempts: up to a tenth later than [`Config::pause`], by the entry's number, so
    /// that what failed together does not come back together.
    pub(crate) fn next_due(&self, id: QueueId, attempts: u32, now: Timestamp) -> Timestamp {
        let pause = self.pause(attempts);
        let mixed = (id.0 ^ u64::from(attempts)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56;
        let share = u32::try_from(mixed).unwrap_or(0);
        now.plus(pause).plus((pause / 10) * share / 256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pause_repeats() {
        let config = Config::default();
        assert_eq!(config.pause(1), Duration::from_mins(1));
        assert_eq!(config.pause(7), Duration::from_hours(4));
        assert_eq!(config.pause(700), Duration::from_hours(4));
    }

    #[test]
    fn what_would_be_a_storm_or_a_standstill_is_refused() {
        let bad = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check()
        };
        assert_eq!(bad(|_| ()), Ok(()));
        assert_eq!(bad(|c| c.retry.clear()), Err(ConfigError::Retry));
        assert_eq!(bad(|c| c.retry.push(Duration::ZERO)), Err(ConfigError::Retry));
        assert_eq!(bad(|c| c.max_connections_per_domain = 0), Err(ConfigError::Connections));
        assert_eq!(bad(|c| c.expire = Duration::ZERO), Err(ConfigError::Expire));
    }
}
