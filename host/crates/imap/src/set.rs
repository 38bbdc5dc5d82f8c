//! Sequence sets: RFC 3501 §9, `sequence-set`, of sequence numbers or of UIDs.
//!
//! Invariant: a set that exists has at least one element, and no number is 0.

use std::fmt;
use std::ops::RangeInclusive;

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// A sequence number or UID, not 0.
    Number(u32),
    /// `*`: the greatest number in the mailbox.
    Last,
}

impl Bound {
    fn number(self, last: u32) -> u32 {
        match self {
            Self::Number(number) => number,
            Self::Last => last,
        }
    }

    fn parse(octets: &[u8]) -> Option<Self> {
        if octets == b"*" {
            return Some(Self::Last);
        }
        // RFC 3501 §9: nz-number. A leading zero is harmless.
        if octets.is_empty() || !octets.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = std::str::from_utf8(octets).ok()?.parse().ok()?;
        Some(Self::Number(number)).filter(|_| number != 0)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Last => f.write_str("*"),
        }
    }
}

/// `2,4:7,9,12:*`, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceSet(Vec<(Bound, Bound)>);

impl SequenceSet {
    /// Reads a set of at most `elements_max` numbers and ranges; `None` when it is no set or a greater one.
    pub fn parse(octets: &[u8], elements_max: usize) -> Option<Self> {
        let mut elements = Vec::new();
        for element in octets.split(|octet| *octet == b',') {
            if elements.len() == elements_max {
                return None;
            }
            let colon = memchr::memchr(b':', element);
            let (first, second) = match colon.and_then(|at| element.split_at_checked(at)) {
                Some((first, second)) => (first, second.strip_prefix(b":")?),
                None => (element, element),
            };
            elements.push((Bound::parse(first)?, Bound::parse(second)?));
        }
        Some(Self(elements))
    }

    /// A set of one range; `None` when a number is 0.
    pub fn of(range: RangeInclusive<u32>) -> Option<Self> {
        let is_legal = *range.start() != 0 && *range.end() != 0;
        is_legal.then(|| Self(vec![(Bound::Number(*range.start()), Bound::Number(*range.end()))]))
    }

    /// The elements as written.
    pub fn elements(&self) -> &[(Bound, Bound)] {
        &self.0
    }

    /// True when `*` occurs.
    pub fn has_last(&self) -> bool {
        self.0.iter().any(|(first, second)| *first == Bound::Last || *second == Bound::Last)
    }

    /// The greatest number that is written; `None` when there is only `*`. A sequence number that is greater than the
    /// mailbox has messages is an error of the client (RFC 3501 §9, `seq-number`); a UID is not.
    pub fn greatest(&self) -> Option<u32> {
        let bounds = self.0.iter().flat_map(|(first, second)| [*first, *second]);
        bounds.filter_map(|bound| if let Bound::Number(number) = bound { Some(number) } else { None }).max()
    }

    /// What the set means in a mailbox whose greatest number is `last` (0 when it is empty): ranges from the smallest
    /// to the greatest number, none touching another. They may hold numbers that no message has.
    ///
    /// RFC 3501 §9: `4:2` is `2:4`; §6.4.8: `559:*` always has the last message.
    pub fn ranges(&self, last: u32) -> Vec<RangeInclusive<u32>> {
        let mut ranges: Vec<(u32, u32)> = Vec::with_capacity(self.0.len());
        for (first, second) in &self.0 {
            if last == 0 && (*first == Bound::Last || *second == Bound::Last) {
                continue;
            }
            let (first, second) = (first.number(last), second.number(last));
            ranges.push((first.min(second), first.max(second)));
        }
        if !ranges.is_sorted() {
            ranges.sort_unstable();
        }
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (first, second) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(second),
                _ => merged.push((first, second)),
            }
        }
        merged.into_iter().map(|(first, second)| first..=second).collect()
    }
}

impl fmt::Display for SequenceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (first, second)) in self.0.iter().enumerate() {
            if nth > 0 {
                f.write_str(",")?;
            }
            first.fmt(f)?;
            if first != second {
                write!(f, ":{second}")?;
            }
        }
        Ok(())
    }
}

/// Appends ascending numbers as a set with ranges (RFC 4315 §3, `uid-set`), such as `304,319:320`.
pub fn print_numbers(numbers: impl IntoIterator<Item = u32>, out: &mut Vec<u8>) {
    let mut open: Option<(u32, u32)> = None;
    let mut is_first = true;
    let mut close = |range: (u32, u32), out: &mut Vec<u8>| {
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        crate::response::print_number(range.0.into(), out);
        if range.1 != range.0 {
            out.push(b':');
            crate::response::print_number(range.1.into(), out);
        }
    };
    for number in numbers {
        match &mut open {
            Some((_, end)) if end.checked_add(1) == Some(number) => *end = number,
            _ => {
                if let Some(range) = open.replace((number, number)) {
                    close(range, out);
                }
            }
        }
    }
    if let Some(range) = open {
        close(range, out);
    }
}

/// True when one of these ranges (from [`SequenceSet::ranges`]) has the number.
pub fn has_number(ranges: &[RangeInclusive<u32>], number: u32) -> bool {
    let at = ranges.partition_point(|range| *range.end() < number);
    ranges.get(at).is_some_and(|range| range.contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(set: &str, last: u32) -> Vec<RangeInclusive<u32>> {
        SequenceSet::parse(set.as_bytes(), 100).unwrap().ranges(last)
    }

    #[test]
    fn the_examples_of_rfc_3501_are_read() {
        assert_eq!(ranges("2,4:7,9,12:*", 15), [2..=2, 4..=7, 9..=9, 12..=15]);
        assert_eq!(ranges("*:4,5:7", 10), [4..=10]);
        assert_eq!(ranges("4:2", 9), [2..=4]);
        assert_eq!(ranges("559:*", 12), [12..=559]);
        assert_eq!(ranges("*", 0), []);
        assert_eq!(ranges("3,1,2", 3), [1..=3]);
        assert_eq!(ranges("4294967295,1:*", u32::MAX), [1..=u32::MAX]);
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for set in
            ["", "0", "1,", ",1", "1:", ":1", "1:2:3", "a", "-1", "+1", "4294967296", "1 2", "**", "0:3"]
        {
            assert_eq!(SequenceSet::parse(set.as_bytes(), 100), None, "{set}");
        }
        assert_eq!(SequenceSet::parse(b"1,2,3", 2), None);
    }

    #[test]
    fn numbers_are_printed_with_ranges() {
        for (numbers, text) in [
            (&[][..], ""),
            (&[304, 319, 320], "304,319:320"),
            (&[1, 2, 3, 5, 7, 8], "1:3,5,7:8"),
            (&[u32::MAX - 1, u32::MAX], "4294967294:4294967295"),
        ] {
            let mut out = Vec::new();
            print_numbers(numbers.iter().copied(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(set in "([1-9][0-9]{0,2}|\\*)(:([1-9][0-9]{0,2}|\\*))?(,[1-9][0-9]{0,2})*") {
            let parsed = SequenceSet::parse(set.as_bytes(), 1000).unwrap();
            proptest::prop_assert_eq!(SequenceSet::parse(parsed.to_string().as_bytes(), 1000), Some(parsed));
        }

        #[test]
        fn ranges_hold_what_the_elements_hold(
            elements in proptest::collection::vec((0u32..30, 0u32..30), 1..8),
            last in 1u32..30,
        ) {
            let bound = |n: u32| if n == 0 { Bound::Last } else { Bound::Number(n) };
            let set = SequenceSet(elements.iter().map(|(a, b)| (bound(*a), bound(*b))).collect());
            let ranges = set.ranges(last);
            for number in 1..40 {
                let is_in = elements.iter().any(|(a, b)| {
                    let (a, b) = (bound(*a).number(last), bound(*b).number(last));
                    (a.min(b)..=a.max(b)).contains(&number)
                });
                proptest::prop_assert_eq!(has_number(&ranges, number), is_in);
            }
            proptest::prop_assert!(ranges.windows(2).all(|w| *w[0].end() + 1 < *w[1].start()));
        }
    }
}
