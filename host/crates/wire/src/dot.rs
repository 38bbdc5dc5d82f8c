//! Dot-stuffing, both ways: RFC 5321 §4.5.2 (DATA) and RFC 1939 §3 (multi-line responses).
//!
//! Invariant: only CRLF.CRLF ends the data; a CR or LF alone is reported, never turned into a line end.

/// Adds a dot to each line that begins with one. Give the pieces in order; the end mark is the caller's
/// ([`Stuffer::end_mark`]).
#[derive(Debug, Clone)]
pub struct Stuffer {
    is_line_start: bool,
    is_cr: bool,
}

impl Default for Stuffer {
    fn default() -> Self {
        Self { is_line_start: true, is_cr: false }
    }
}

impl Stuffer {
    /// Appends `octets`, stuffed, to `out`.
    pub fn stuff(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let mut rest = octets;
        while let Some((first, tail)) = rest.split_first() {
            if self.is_line_start && *first == b'.' {
                out.push(b'.');
            }
            if self.is_cr && *first == b'\n' {
                out.push(b'\n');
                (self.is_line_start, self.is_cr) = (true, false);
                rest = tail;
                continue;
            }
            // A run up to and including the next CR.
            let run = memchr::memchr(b'\r', rest).map_or(rest.len(), |at| at + 1);
            let (piece, after) = rest.split_at_checked(run).unwrap_or((rest, &[]));
            out.extend_from_slice(piece);
            self.is_cr = piece.last() == Some(&b'\r');
            self.is_line_start = false;
            rest = after;
        }
    }

    /// What ends the data: `.CRLF`, with a CRLF before it when the last line had none.
    pub fn end_mark(&self) -> &'static [u8] {
        if self.is_line_start { b".\r\n" } else { b"\r\n.\r\n" }
    }
}

/// What [`Unstuffer::unstuff`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All input is taken, the end mark has not come.
    More,
    /// The end mark came; so many octets of the input belong to the data and its end.
    End(usize),
}

/// Removes the dots again and finds the end mark.
#[derive(Debug, Clone, Default)]
pub struct Unstuffer {
    state: State,
    has_bare: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Behind CRLF, or at the very start.
    #[default]
    LineStart,
    /// A dot at the start of a line.
    Dot,
    /// CR behind that dot.
    DotCr,
    /// Inside a line.
    Text,
    /// CR inside a line.
    Cr,
    /// The end mark was read.
    Done,
}

impl Unstuffer {
    /// Appends the data of `octets` to `out`, until the end mark.
    pub fn unstuff(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Progress {
        let mut at = 0;
        while let Some(octet) = octets.get(at).copied() {
            if self.state == State::Text {
                let rest = octets.get(at..).unwrap_or_default();
                let run = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                out.extend_from_slice(rest.get(..run).unwrap_or_default());
                if run > 0 {
                    at += run;
                    continue;
                }
            }
            at += 1;
            self.step(octet, out);
            if self.state == State::Done {
                return Progress::End(at);
            }
        }
        Progress::More
    }

    /// True when a CR or LF came alone: the message must be refused (it is no SMTP line end, and others take it for one).
    pub fn has_bare(&self) -> bool {
        self.has_bare
    }

    fn step(&mut self, octet: u8, out: &mut Vec<u8>) {
        self.state = match (self.state, octet) {
            (State::LineStart, b'.') => State::Dot,
            (State::Dot, b'\r') => State::DotCr,
            (State::DotCr, b'\n') => State::Done,
            (State::Cr, b'\n') => {
                out.extend_from_slice(b"\r\n");
                State::LineStart
            }
            (State::DotCr | State::Cr, _) => {
                // A CR that no LF followed: keep it, remember it, look at this octet anew.
                self.has_bare = true;
                out.push(b'\r');
                self.state = State::Text;
                return self.step(octet, out);
            }
            (_, b'\r') => State::Cr,
            (_, b'\n') => {
                self.has_bare = true;
                out.push(b'\n');
                State::Text
            }
            (_, other) => {
                out.push(other);
                State::Text
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unstuff(octets: &[u8], cut: usize) -> (Vec<u8>, Option<usize>, bool) {
        let (mut unstuffer, mut out, mut before) = (Unstuffer::default(), Vec::new(), 0);
        for piece in octets.chunks(cut.max(1)) {
            if let Progress::End(taken) = unstuffer.unstuff(piece, &mut out) {
                return (out, Some(before + taken), unstuffer.has_bare());
            }
            before += piece.len();
        }
        (out, None, unstuffer.has_bare())
    }

    #[test]
    fn only_crlf_dot_crlf_ends_the_data() {
        for fake in [
            "a\n.\nb",
            "a\n.\r\nb",
            "a\r\n.\nb",
            "a\r.\rb",
            "a\r\n.\rb",
            "a\r.\r\nb",
            "a\n.\rb",
            "\n.\r\n",
            "a\r\n\u{0}.\r\nb",
        ] {
            let (_, end, bare) = unstuff(fake.as_bytes(), 100);
            assert_eq!(end, None, "{fake:?}");
            assert!(bare || fake.contains('\0'), "{fake:?}");
        }
        assert_eq!(unstuff(b"a\r\n..b\r\n.\r\nQUIT", 100), (b"a\r\n.b\r\n".to_vec(), Some(11), false));
        assert_eq!(unstuff(b".\r\n", 100), (Vec::new(), Some(3), false));
    }

    proptest::proptest! {
        #[test]
        fn unstuffing_undoes_stuffing_at_any_cut(text in "[a.\r\n]{0,60}", cut in 1usize..7) {
            // CRLF only, as the sender must make sure of.
            let text = text.replace('\r', "").replace('\n', "\r\n");
            let (mut stuffer, mut stuffed) = (Stuffer::default(), Vec::new());
            for piece in text.as_bytes().chunks(cut) {
                stuffer.stuff(piece, &mut stuffed);
            }
            stuffed.extend_from_slice(stuffer.end_mark());
            let expected = if text.is_empty() || text.ends_with('\n') { text } else { text + "\r\n" };
            let length = stuffed.len();
            proptest::prop_assert_eq!(unstuff(&stuffed, cut), (expected.into_bytes(), Some(length), false));
        }

        #[test]
        fn any_split_gives_the_same_data(text in "[a.\r\n]{0,60}", cut in 1usize..7) {
            proptest::prop_assert_eq!(unstuff(text.as_bytes(), cut), unstuff(text.as_bytes(), 1000));
        }
    }
}
