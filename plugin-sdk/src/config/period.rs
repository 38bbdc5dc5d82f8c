//! A length of time as operators write it: `5m`, `4h`, `36d`.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// A length of time: a whole number and `ms`, `s`, `m`, `h`, `d` or `w`, as in maitred's own configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Period(Duration);

const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

impl Period {
    /// So many minutes.
    pub const fn minutes(number: u64) -> Self {
        Self(Duration::from_secs(number.saturating_mul(60)))
    }

    /// So many hours.
    pub const fn hours(number: u64) -> Self {
        Self::minutes(number.saturating_mul(60))
    }

    /// So many days.
    pub const fn days(number: u64) -> Self {
        Self::hours(number.saturating_mul(24))
    }

    /// As the standard library has it.
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// In milliseconds, as the clock counts.
    pub fn as_ms(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// In seconds, rounded up, as the table counts a time to live.
    pub fn as_seconds(self) -> u32 {
        u32::try_from(self.as_ms().div_ceil(1_000)).unwrap_or(u32::MAX)
    }

    /// Whether it is no time at all.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl From<Duration> for Period {
    fn from(of: Duration) -> Self {
        Self(of)
    }
}

impl TryFrom<String> for Period {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let read = || {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            let (number, unit) = text.split_at_checked(digits)?;
            let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
            Some(Self(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(*factor)?)))
        };
        read()
            .ok_or_else(|| format!("{text:?} is no length of time, such as \"30s\", \"5m\", \"4h\", \"36d\""))
    }
}

impl fmt::Display for Period {
    /// In the largest unit that has no rest; weeks are days.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.as_ms();
        let fits = UNITS.iter().take(5).rev().find(|(_, factor)| all > 0 && all.is_multiple_of(*factor));
        match fits {
            Some((unit, factor)) => write!(f, "{}{unit}", all / factor),
            None => f.write_str("0s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Period, String> {
        Period::try_from(text.to_owned())
    }

    #[test]
    fn a_number_and_a_unit_are_a_period() {
        for (text, ms) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("5m", 300_000),
            ("4 h", 14_400_000),
            ("36d", 3_110_400_000),
            ("1w", 604_800_000),
            ("0s", 0),
        ] {
            assert_eq!(read(text).map(Period::as_ms), Ok(ms), "{text}");
        }
    }

    #[test]
    fn anything_else_is_none_and_is_named() {
        for text in
            ["", "5", "m", "5 minutes", "-5m", "1.5h", "5M", "99999999999999999999d", "9999999999999999d"]
        {
            assert!(read(text).is_err_and(|error| error.contains(&format!("{text:?}"))), "{text}");
        }
    }

    #[test]
    fn a_period_is_written_as_it_was_read() {
        for text in ["0s", "250ms", "90s", "5m", "36d"] {
            assert_eq!(read(text).map(|period| period.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(read("2w").map(|period| period.to_string()), Ok("14d".to_owned()));
    }

    #[test]
    fn a_time_to_live_is_not_cut_short() {
        assert_eq!(read("1500ms").map(Period::as_seconds), Ok(2));
        assert_eq!(read("100000000d").map(Period::as_seconds), Ok(u32::MAX));
    }
}
