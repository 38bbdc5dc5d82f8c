//! A message as it goes out: every line end is CRLF, dots are doubled.
//!
//! RFC 5321 §2.3.8 and §4.5.2. A bare CR or LF, which our own doors do not let in, would be the end of a line to some
//! servers and none to others: it is sent as CRLF, so that nobody can be made to see another message than we mean.

use maitred_wire::dot::Stuffer;

/// Takes pieces in order.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    stuffer: Stuffer,
    /// The last octet was a CR, held back until the next one is known.
    is_cr: bool,
    clean: Vec<u8>,
}

impl Outgoing {
    /// Appends a piece as it is sent.
    pub(super) fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        self.clean.clear();
        let mut rest = octets;
        while let Some((first, tail)) = rest.split_first() {
            match (self.is_cr, first) {
                (_, b'\n') => {
                    self.clean.extend_from_slice(b"\r\n");
                    self.is_cr = false;
                    rest = tail;
                }
                (true, _) => {
                    self.clean.extend_from_slice(b"\r\n");
                    self.is_cr = false;
                }
                (false, b'\r') => {
                    self.is_cr = true;
                    rest = tail;
                }
                (false, _) => {
                    let run = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                    let (piece, after) = rest.split_at_checked(run).unwrap_or((rest, &[]));
                    self.clean.extend_from_slice(piece);
                    rest = after;
                }
            }
        }
        self.stuffer.stuff(&self.clean, out);
    }

    /// Appends the end of data.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.is_cr) {
            self.stuffer.stuff(b"\r\n", out);
        }
        out.extend_from_slice(self.stuffer.end_mark());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(message: &[u8], cut: usize) -> Vec<u8> {
        let (mut outgoing, mut out) = (Outgoing::default(), Vec::new());
        for piece in message.chunks(cut.max(1)) {
            outgoing.push(piece, &mut out);
        }
        outgoing.end(&mut out);
        out
    }

    #[test]
    fn no_form_of_an_end_mark_inside_a_message_ends_it() {
        let ends = ["\r\n", "\n", "\r"];
        for before in ends {
            for dots in [".", "..", ""] {
                for after in ends {
                    let message = format!("a{before}{dots}{after}MAIL FROM:<x@x>{after}");
                    let out = sent(message.as_bytes(), 1000);
                    let text = String::from_utf8(out).unwrap();
                    assert_eq!(text.find("\r\n.\r\n"), Some(text.len() - 5), "{message:?}: {text:?}");
                    assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{message:?}: {text:?}");
                }
            }
        }
    }

    #[test]
    fn a_well_formed_message_is_sent_as_it_is() {
        assert_eq!(sent(b"a\r\n.b\r\n", 1), b"a\r\n..b\r\n.\r\n");
        assert_eq!(sent(b"", 1), b".\r\n");
        assert_eq!(sent(b"a", 1), b"a\r\n.\r\n");
        assert_eq!(sent(b"a\r", 1), b"a\r\n.\r\n");
    }

    proptest::proptest! {
        #[test]
        fn any_cut_gives_the_same_octets(message in "[a.\r\n]{0,60}", cut in 1usize..7) {
            let whole = sent(message.as_bytes(), 1000);
            proptest::prop_assert_eq!(sent(message.as_bytes(), cut), whole.clone());
            let bare = String::from_utf8(whole).unwrap().replace("\r\n", "");
            proptest::prop_assert!(!bare.contains(['\r', '\n']));
        }
    }
}
