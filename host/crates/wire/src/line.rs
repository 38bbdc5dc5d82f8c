//! Lines that end in CRLF and in nothing else (RFC 5321 §2.3.8, RFC 3501 §2.2).

use memchr::memchr2;

/// What [`LineReader::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole line, without its CRLF.
    Whole(Vec<u8>),
    /// A line longer than the limit; its octets are dropped up to and including its CRLF, then this comes once.
    TooLong,
    /// A CR without LF or an LF without CR inside the line, which is dropped whole: refuse it, it may be smuggling.
    Bare,
    /// No whole line yet.
    None,
}

/// Cuts a stream into lines, holding at most one line of at most `octets_max` octets.
#[derive(Debug)]
pub struct LineReader {
    held: Vec<u8>,
    octets_max: usize,
    is_cr: bool,
    is_bare: bool,
    is_too_long: bool,
    is_complete: bool,
}

impl LineReader {
    /// Lines of at most this many octets, CRLF not counted.
    pub fn new(octets_max: usize) -> Self {
        Self {
            held: Vec::new(),
            octets_max,
            is_cr: false,
            is_bare: false,
            is_too_long: false,
            is_complete: false,
        }
    }

    /// Takes octets up to and including the end of one line; answers how many. Takes none while a whole line waits.
    pub fn input(&mut self, octets: &[u8]) -> usize {
        let mut taken = 0;
        while !self.is_complete {
            let Some(rest) = octets.get(taken..).filter(|rest| !rest.is_empty()) else { break };
            taken += self.take(rest);
        }
        taken
    }

    /// The line that is complete, if one is.
    #[expect(clippy::should_implement_trait, reason = "a reader that has no line now may have one later")]
    pub fn next(&mut self) -> Line {
        if !self.is_complete {
            return Line::None;
        }
        let held = std::mem::take(&mut self.held);
        let (bare, long) = (self.is_bare, self.is_too_long);
        *self = Self::new(self.octets_max);
        match (bare, long) {
            (true, _) => Line::Bare,
            (_, true) => Line::TooLong,
            _ => Line::Whole(held),
        }
    }

    /// Forgets what is held (at STARTTLS).
    pub fn clear(&mut self) {
        *self = Self::new(self.octets_max);
    }

    /// True when nothing is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty() && !self.is_cr && !self.is_complete
    }

    /// Takes a run without CR and LF, or one of them.
    fn take(&mut self, rest: &[u8]) -> usize {
        let Some((first, _)) = rest.split_first() else { return 0 };
        match first {
            b'\n' if self.is_cr => self.is_complete = true,
            b'\n' => self.is_bare = true,
            b'\r' => {
                self.is_bare |= self.is_cr;
                self.is_cr = true;
                return 1;
            }
            _ => {
                self.is_bare |= self.is_cr;
                self.is_cr = false;
                let run = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                self.hold(rest.get(..run).unwrap_or_default());
                return run;
            }
        }
        self.is_cr = false;
        1
    }

    fn hold(&mut self, run: &[u8]) {
        if self.is_too_long || self.held.len() + run.len() > self.octets_max {
            self.is_too_long = true;
            self.held = Vec::new();
        } else {
            self.held.extend_from_slice(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(octets: &[u8], cut: usize) -> Vec<Line> {
        let mut reader = LineReader::new(10);
        let mut found = Vec::new();
        for mut piece in octets.chunks(cut.max(1)) {
            while !piece.is_empty() {
                let taken = reader.input(piece);
                piece = &piece[taken..];
                match reader.next() {
                    Line::None => {}
                    line => found.push(line),
                }
            }
        }
        found
    }

    #[test]
    fn only_crlf_ends_a_line() {
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        assert_eq!(lines(b"a\r\n\r\nbc\r\n", 100), [whole("a"), whole(""), whole("bc")]);
        assert_eq!(lines(b"a\nb\r\nc\r\n", 100), [Line::Bare, whole("c")]);
        assert_eq!(lines(b"a\rb\r\nc\r\n", 100), [Line::Bare, whole("c")]);
        assert_eq!(lines(b"a\r\r\nc\r\n", 100), [Line::Bare, whole("c")]);
        assert_eq!(lines(b"12345678901\r\nc\r\n", 100), [Line::TooLong, whole("c")]);
        assert_eq!(lines(b"1234567890\r\n", 100), [whole("1234567890")]);
    }

    proptest::proptest! {
        #[test]
        fn any_split_gives_the_same_lines(text in "[ab\r\n]{0,60}", cut in 1usize..9) {
            proptest::prop_assert_eq!(lines(text.as_bytes(), cut), lines(text.as_bytes(), 1000));
        }
    }
}
