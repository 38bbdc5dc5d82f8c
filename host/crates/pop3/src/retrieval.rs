//! A message on its way out: RETR and TOP, RFC 1939 §5 and §7.
//!
//! Invariants: at most one piece is held; a content whose last line has no end gets one before the end mark; an octet
//! count that was told is kept: nothing behind it is sent.

use maitred_mail::Uid;
use maitred_wire::dot::Stuffer;
use memchr::memchr;

/// How far one message is.
#[derive(Debug)]
pub(crate) struct Retrieval {
    uid: Uid,
    octets: u64,
    /// So many are sent.
    offset: u64,
    stuffer: Stuffer,
    extent: Extent,
}

/// How much of it is wanted.
#[derive(Debug)]
enum Extent {
    /// RETR
    Whole,
    /// TOP
    Top(Top),
}

/// What a piece of the content came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The next piece, please.
    More,
    /// All is printed, with the end mark.
    Complete,
    /// The content ended before its time.
    Short,
}

impl Retrieval {
    /// The whole message.
    pub(crate) fn whole(uid: Uid, octets: u64) -> Self {
        Self { uid, octets, offset: 0, stuffer: Stuffer::default(), extent: Extent::Whole }
    }

    /// Its header section and so many lines of its body.
    pub(crate) fn top(uid: Uid, octets: u64, lines: u32) -> Self {
        let top = Top { lines, is_in_head: true, is_empty_line: true };
        Self { extent: Extent::Top(top), ..Self::whole(uid, octets) }
    }

    pub(crate) fn uid(&self) -> Uid {
        self.uid
    }

    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    /// Where the next piece begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.extent, Extent::Whole)
    }

    /// Prints the next piece.
    pub(crate) fn print(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Progress {
        let left = usize::try_from(self.octets.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let piece = piece.get(..left).unwrap_or(piece);
        if piece.is_empty() && left > 0 {
            return Progress::Short;
        }
        let (piece, is_enough) = match &mut self.extent {
            Extent::Whole => (piece, false),
            Extent::Top(top) => top.take(piece),
        };
        // Few lines begin with a dot.
        out.reserve(piece.len() + piece.len() / 64 + 8);
        self.stuffer.stuff(piece, out);
        self.offset += piece.len() as u64;
        if !is_enough && self.offset < self.octets {
            return Progress::More;
        }
        out.extend_from_slice(self.stuffer.end_mark());
        Progress::Complete
    }
}

/// Finds where TOP ends. Here an LF ends a line whatever is before it: a message with other line ends is shown in
/// reasonable pieces too.
#[derive(Debug)]
struct Top {
    /// Lines of the body that are still wanted.
    lines: u32,
    is_in_head: bool,
    /// Nothing but CR came since the last line end.
    is_empty_line: bool,
}

impl Top {
    /// How much of this piece is wanted, and whether that is all.
    fn take<'a>(&mut self, piece: &'a [u8]) -> (&'a [u8], bool) {
        let mut taken = 0;
        while let Some(rest) = piece.get(taken..).filter(|rest| !rest.is_empty()) {
            let end = memchr(b'\n', rest);
            let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
            self.is_empty_line &= line.iter().all(|octet| *octet == b'\r');
            let Some(end) = end else { break };
            taken += end + 1;
            if self.has_enough() {
                return (piece.get(..taken).unwrap_or(piece), true);
            }
        }
        (piece, false)
    }

    /// A line ended.
    fn has_enough(&mut self) -> bool {
        if self.is_in_head {
            self.is_in_head = !self.is_empty_line;
        } else {
            self.lines = self.lines.saturating_sub(1);
        }
        self.is_empty_line = true;
        !self.is_in_head && self.lines == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(mut retrieval: Retrieval, content: &[u8], cut: usize) -> (String, Progress) {
        let mut out = Vec::new();
        let mut progress = Progress::More;
        while progress == Progress::More {
            let from = usize::try_from(retrieval.offset()).unwrap();
            let to = content.len().min(from + cut);
            progress = retrieval.print(&content[from..to], &mut out);
        }
        (String::from_utf8(out).unwrap(), progress)
    }

    fn top(content: &str, lines: u32) -> String {
        let retrieval = || Retrieval::top(Uid(1), content.len() as u64, lines);
        let (whole, progress) = print(retrieval(), content.as_bytes(), 1000);
        assert_eq!(progress, Progress::Complete);
        for cut in 1..9 {
            assert_eq!(print(retrieval(), content.as_bytes(), cut).0, whole, "pieces of {cut}");
        }
        whole
    }

    #[test]
    fn top_ends_behind_its_lines() {
        let content = "A: b\r\nC: d\r\n\r\n1\r\n.2\r\n\r\n4";
        assert_eq!(top(content, 0), "A: b\r\nC: d\r\n\r\n.\r\n");
        assert_eq!(top(content, 2), "A: b\r\nC: d\r\n\r\n1\r\n..2\r\n.\r\n");
        assert_eq!(top(content, 3), "A: b\r\nC: d\r\n\r\n1\r\n..2\r\n\r\n.\r\n");
        for lines in [4, 5, u32::MAX] {
            assert_eq!(top(content, lines), "A: b\r\nC: d\r\n\r\n1\r\n..2\r\n\r\n4\r\n.\r\n");
        }
    }

    #[test]
    fn odd_messages_have_a_top_too() {
        assert_eq!(top("", 1), ".\r\n");
        assert_eq!(top("\r\nbody\r\nmore\r\n", 1), "\r\nbody\r\n.\r\n");
        assert_eq!(top("A: b", 1), "A: b\r\n.\r\n");
        assert_eq!(top("A: b\r\n", 1), "A: b\r\n.\r\n");
        assert_eq!(top("A: b\n\n1\n2\n", 1), "A: b\n\n1\n\r\n.\r\n");
    }

    #[test]
    fn nothing_is_sent_behind_the_octets_that_were_told() {
        let mut out = Vec::new();
        assert_eq!(Retrieval::whole(Uid(1), 3).print(b"abcdef", &mut out), Progress::Complete);
        assert_eq!(out, b"abc\r\n.\r\n");
        assert_eq!(Retrieval::whole(Uid(1), 3).print(b"", &mut out), Progress::Short);
    }

    proptest::proptest! {
        #[test]
        fn any_pieces_give_the_same_octets(content in "[a.\r\n]{0,60}", cut in 1usize..9) {
            let retrieval = || Retrieval::whole(Uid(1), content.len() as u64);
            let whole = print(retrieval(), content.as_bytes(), 1000);
            proptest::prop_assert_eq!(print(retrieval(), content.as_bytes(), cut), whole);
        }
    }
}
