//! Patterns of mailbox names, as LIST and LSUB have them: RFC 3501 §6.3.8.

/// The hierarchy separator of every mailbox name here.
pub const SEPARATOR: u8 = b'/';

/// A pattern, taken apart once and matched against many names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// `*`
    Anything,
    /// `%`
    Level,
    Octet(u8),
}

impl Pattern {
    /// The pattern of a LIST with this reference: RFC 3501 §6.3.8 leaves to us how the two are put together; here the
    /// pattern follows the reference.
    pub fn new(reference: &str, pattern: &str) -> Self {
        let mut pieces: Vec<Piece> = Vec::with_capacity(reference.len() + pattern.len());
        for octet in reference.bytes().chain(pattern.bytes()) {
            let piece = match octet {
                b'*' => Piece::Anything,
                b'%' => Piece::Level,
                octet => Piece::Octet(octet),
            };
            // Neighbouring wildcards mean no more than the wider one, and cost no more.
            match (pieces.last_mut(), piece) {
                (Some(last @ (Piece::Anything | Piece::Level)), Piece::Anything) => *last = Piece::Anything,
                (Some(Piece::Anything | Piece::Level), Piece::Level) => {}
                _ => pieces.push(piece),
            }
        }
        Self { pieces }
    }

    /// True when it has no wildcard.
    pub fn is_literal(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Octet(_)))
    }

    /// True when the name matches. Time is at most the product of both lengths, whatever the wildcards.
    pub fn matches(&self, name: &str) -> bool {
        // RFC 3501 §5.1: INBOX in any case. Below it, case counts.
        let is_inbox = name.eq_ignore_ascii_case("INBOX");
        let same = |a: u8, b: u8| a == b || (is_inbox && a.eq_ignore_ascii_case(&b));
        // Which pieces are next, one octet of the name after the other.
        let mut open = vec![false; self.pieces.len() + 1];
        let mut next = open.clone();
        self.reach(&mut open, 0);
        for octet in name.bytes() {
            next.fill(false);
            for (at, piece) in self.pieces.iter().enumerate() {
                if !open.get(at).copied().unwrap_or(false) {
                    continue;
                }
                match piece {
                    Piece::Anything => self.reach(&mut next, at),
                    Piece::Level if octet != SEPARATOR => self.reach(&mut next, at),
                    Piece::Octet(wanted) if same(*wanted, octet) => self.reach(&mut next, at + 1),
                    Piece::Level | Piece::Octet(_) => {}
                }
            }
            std::mem::swap(&mut open, &mut next);
        }
        open.last().copied().unwrap_or(false)
    }

    /// Marks a piece as next, and those behind wildcards, which may match nothing.
    fn reach(&self, open: &mut [bool], mut at: usize) {
        while let Some(slot) = open.get_mut(at) {
            *slot = true;
            match self.pieces.get(at) {
                Some(Piece::Anything | Piece::Level) => at += 1,
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching<'a>(pattern: &str, names: &[&'a str]) -> Vec<&'a str> {
        let pattern = Pattern::new("", pattern);
        names.iter().copied().filter(|name| pattern.matches(name)).collect()
    }

    #[test]
    fn wildcards_stop_at_levels_or_do_not() {
        let names = ["INBOX", "a", "a/b", "a/b/c", "ab", "ä/b"];
        assert_eq!(matching("*", &names), names);
        assert_eq!(matching("%", &names), ["INBOX", "a", "ab"]);
        assert_eq!(matching("a/%", &names), ["a/b"]);
        assert_eq!(matching("a*", &names), ["a", "a/b", "a/b/c", "ab"]);
        assert_eq!(matching("%/%", &names), ["a/b", "ä/b"]);
        assert_eq!(matching("*b", &names), ["a/b", "ab", "ä/b"]);
        assert_eq!(matching("%%*%b", &names), ["a/b", "ab", "ä/b"]);
        assert_eq!(matching("", &names), [""; 0]);
    }

    #[test]
    fn inbox_is_found_in_any_case_and_nothing_else_is() {
        assert_eq!(matching("inbox", &["INBOX", "Inbox2"]), ["INBOX"]);
        assert_eq!(matching("iN*", &["INBOX", "INfo"]), ["INBOX"]);
        assert_eq!(matching("archive", &["Archive"]), [""; 0]);
    }

    #[test]
    fn the_pattern_follows_the_reference() {
        assert!(Pattern::new("a/", "%").matches("a/b") && !Pattern::new("a/", "%").matches("b"));
    }

    proptest::proptest! {
        #[test]
        fn a_name_matches_itself_and_every_way_to_blank_it(
            name in "[a-c/]{1,30}",
            blanks in proptest::collection::vec(proptest::bool::ANY, 30),
        ) {
            proptest::prop_assert!(Pattern::new("", &name).matches(&name));
            let blanked: String = name.chars().zip(blanks).map(|(c, b)| if b { '*' } else { c }).collect();
            proptest::prop_assert!(Pattern::new("", &blanked).matches(&name));
        }
    }
}
