//! Wall-clock time as mail writes it: RFC 5322 §3.3 dates. Nothing here reads a clock.

use std::fmt;
use std::time::Duration;

/// Unix time in milliseconds, UTC.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A moment taken apart in UTC (or, for [`Civil::of`] with an offset, in that zone).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Such as 2026.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 59.
    pub second: u32,
    /// 0 is Sunday.
    pub weekday: u32,
}

/// English month names as RFC 5322 and RFC 3501 write them.
pub const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

impl Timestamp {
    /// Later by `d`, at most at the end of time.
    #[must_use]
    pub fn plus(self, d: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whole seconds.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// From whole seconds.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Taken apart in UTC.
    pub fn civil(self) -> Civil {
        Civil::of(self.seconds())
    }
}

impl fmt::Display for Timestamp {
    /// RFC 5322 date-time in UTC: `Tue, 24 Nov 2026 10:14:04 +0000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil();
        let weekday = WEEKDAYS.get(c.weekday as usize).copied().unwrap_or_default();
        write!(
            f,
            "{weekday}, {:02} {} {:04} {:02}:{:02}:{:02} +0000",
            c.day,
            c.month_name(),
            c.year,
            c.hour,
            c.minute,
            c.second
        )
    }
}

impl Civil {
    /// The civil date and time `seconds` after 1970-01-01T00:00:00 (add a zone's offset before, for that zone).
    pub fn of(seconds: i64) -> Self {
        let days = seconds.div_euclid(86_400);
        let rest = u32::try_from(seconds.rem_euclid(86_400)).unwrap_or(0);
        // Days to civil date: eras of 400 years that begin on 1 March.
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + i64::from(month <= 2);
        Self {
            year,
            month: u32::try_from(month).unwrap_or(1),
            day: u32::try_from(day).unwrap_or(1),
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
            weekday: u32::try_from((days + 4).rem_euclid(7)).unwrap_or(0),
        }
    }

    /// The seconds since 1970-01-01 of this civil time (weekday is not read).
    pub fn to_seconds(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let yoe = year.rem_euclid(400);
        let month = i64::from(self.month);
        let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + i64::from(self.day) - 1;
        let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
        let days = era * 146_097 + doe - 719_468;
        days * 86_400 + i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second)
    }

    /// `Jan` to `Dec`.
    pub fn month_name(self) -> &'static str {
        MONTHS.get((self.month as usize).wrapping_sub(1)).copied().unwrap_or("Jan")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_an_rfc_5322_date() {
        assert_eq!(Timestamp::from_seconds(1_795_515_244).to_string(), "Tue, 24 Nov 2026 10:14:04 +0000");
        assert_eq!(Timestamp(0).to_string(), "Thu, 01 Jan 1970 00:00:00 +0000");
    }

    proptest::proptest! {
        #[test]
        fn civil_time_and_seconds_are_inverse(seconds in -60_000_000_000i64..300_000_000_000) {
            proptest::prop_assert_eq!(Civil::of(seconds).to_seconds(), seconds);
        }
    }
}
