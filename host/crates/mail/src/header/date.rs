//! Dates of mail: RFC 5322 §3.3 with the obsolete forms of §4.3, and a little more tolerance.

use crate::time::{Civil, MONTHS, Timestamp};

/// A date as written: the clock on the wall and its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// What the clock showed, as seconds since 1970-01-01T00:00:00 of that clock.
    pub local_seconds: i64,
    /// How far that clock is ahead of UTC, in seconds.
    pub zone_seconds: i64,
}

impl Date {
    /// Reads `[Tue,] 24 Nov 2026 11:14[:04] [+0100]`, with comments and obsolete years and zones.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let words = Words { rest: value };
        let mut words = words.filter(|word| *word != b",").peekable();
        // The name of the day says nothing that the date does not.
        words.next_if(|word| word.first().is_some_and(u8::is_ascii_alphabetic));
        let day = number(words.next()?)?;
        let name = words.next()?.get(..3)?;
        let month = MONTHS.iter().position(|month| name.eq_ignore_ascii_case(month.as_bytes()))?;
        let year = year(words.next()?)?;
        let hour = number(words.next()?)?;
        words.next_if(|word| *word == b":")?;
        let minute = number(words.next()?)?;
        let mut second = 0;
        if words.next_if(|word| *word == b":").is_some() {
            second = number(words.next()?)?;
        }
        if !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let month = u32::try_from(month).ok()? + 1;
        let civil = Civil { year, month, day, hour, minute, second, weekday: 0 };
        let zone_seconds = words.next().map_or(0, zone);
        Some(Self { local_seconds: civil.to_seconds(), zone_seconds })
    }

    /// The moment.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_seconds(self.local_seconds - self.zone_seconds)
    }

    /// What the clock showed, taken apart (RFC 3501 §6.4.4: SENTON and its like disregard the zone).
    pub fn local(self) -> Civil {
        Civil::of(self.local_seconds)
    }
}

/// RFC 5322 §4.3: two digits are 1950 to 2049, three are years since 1900.
fn year(word: &[u8]) -> Option<i64> {
    let year = i64::from(number(word)?);
    match word.len() {
        2 if year < 50 => Some(year + 2000),
        2 | 3 => Some(year + 1900),
        4 => Some(year),
        _ => None,
    }
}

/// Seconds ahead of UTC. RFC 5322 §4.3: military and unknown zones count as -0000.
fn zone(word: &[u8]) -> i64 {
    let hours = match word {
        [sign @ (b'+' | b'-'), digits @ ..] if digits.len() == 4 => {
            let digits = number(digits).map_or(0, i64::from);
            let seconds = digits / 100 * 3600 + digits % 100 * 60;
            return if *sign == b'-' { -seconds } else { seconds };
        }
        _ if word.eq_ignore_ascii_case(b"EDT") => -4,
        _ if word.eq_ignore_ascii_case(b"EST") || word.eq_ignore_ascii_case(b"CDT") => -5,
        _ if word.eq_ignore_ascii_case(b"CST") || word.eq_ignore_ascii_case(b"MDT") => -6,
        _ if word.eq_ignore_ascii_case(b"MST") || word.eq_ignore_ascii_case(b"PDT") => -7,
        _ if word.eq_ignore_ascii_case(b"PST") => -8,
        _ => 0,
    };
    hours * 3600
}

fn number(word: &[u8]) -> Option<u32> {
    if word.is_empty() || word.len() > 4 {
        return None;
    }
    word.iter().try_fold(0, |sum, octet| octet.is_ascii_digit().then(|| sum * 10 + u32::from(octet - b'0')))
}

/// Words, commas and colons; white space, hyphens between words and comments are passed over.
struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let (first, after) = self.rest.split_first()?;
            match first {
                b'(' => self.rest = behind_comment(self.rest),
                // Some software writes 24-Nov-2026; a zone's hyphen has digits behind it and white space before it.
                octet if octet.is_ascii_whitespace() => self.rest = after,
                b'-' if !after.first().is_some_and(u8::is_ascii_digit) => self.rest = after,
                _ => break,
            }
        }
        let octets = match self.rest {
            [b',' | b':', ..] => 1,
            [b'-', digits @ ..] if digits.iter().take_while(|octet| octet.is_ascii_digit()).count() == 4 => {
                // -2026 in 24-Nov-2026 is a year: a zone is the last word, and a year has a colon behind it.
                if memchr::memchr(b':', digits).is_some() {
                    self.rest = digits;
                    4
                } else {
                    5
                }
            }
            [_, rest @ ..] => {
                1 + rest.iter().take_while(|o| o.is_ascii_alphanumeric() || matches!(o, b'.')).count()
            }
            [] => return None,
        };
        let (word, rest) = self.rest.split_at_checked(octets)?;
        self.rest = rest;
        Some(word)
    }
}

/// What follows the comment that begins here (RFC 5322 §3.2.2, nested); nothing when it does not end.
pub(crate) fn behind_comment(octets: &[u8]) -> &[u8] {
    let mut depth = 0_usize;
    let mut is_quoted = false;
    for (at, octet) in octets.iter().enumerate() {
        match octet {
            _ if is_quoted => is_quoted = false,
            b'\\' => is_quoted = true,
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return octets.get(at + 1..).unwrap_or_default();
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_today_and_of_long_ago_are_read() {
        let second = 1_795_515_244;
        for (text, expected) in [
            ("Tue, 24 Nov 2026 10:14:04 +0000", second),
            (" Tue, 24 Nov 2026 11:14:04 +0100 (CET (or so\\)))", second),
            ("24 nov 2026 05:14:04 EST", second),
            ("Tue 24 Nov 26 10:14:04 Z", second),
            ("Tue,\r\n 24 (day) Nov 2026 10 : 14 : 04 GMT", second),
            ("24-Nov-2026 02:14:04 -0800", second),
            ("Thu, 1 Jan 1970 00:00", 0),
            ("Fri, 21 Nov 97 09:55:06 -0600", 880_127_706),
            ("1 Jan 100 00:00:00 UT", 946_684_800),
        ] {
            let found = Date::parse(text.as_bytes()).map(|date| date.timestamp().seconds());
            assert_eq!(found, Some(expected), "{text}");
        }
        assert_eq!(Date::parse(b"1 Feb 2026 23:30 -0500").unwrap().local().day, 1);
        for text in [
            "",
            "Tue",
            "32 Nov 2026 10:00",
            "1 Foo 2026 10:00",
            "1 Nov 2026",
            "1 Nov 2026 25:00",
            "(((",
            "1 Nov 99999 1:1",
        ] {
            assert_eq!(Date::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_printed_timestamp_is_read_back() {
        for seconds in [0, 951_782_400, 1_795_515_244, 4_102_444_799] {
            let text = Timestamp::from_seconds(seconds).to_string();
            assert_eq!(Date::parse(text.as_bytes()).unwrap().timestamp().seconds(), seconds);
        }
    }
}
