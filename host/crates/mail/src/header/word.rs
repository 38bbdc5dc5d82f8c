//! Encoded words: RFC 2047, with the language of RFC 2231 §5.

use memchr::memmem;

use crate::transfer::{self, Encoding};

/// The unfolded value of an unstructured field, or a display name, as people read it; cut at `octets_max` octets.
///
/// White space between encoded words goes (RFC 2047 §6.2). Neighbours of one charset are decoded together, because
/// much software breaks a character in two. What is no encoded word, or in a charset nobody knows, stays as it is.
pub fn decode_words(value: &[u8], octets_max: usize) -> String {
    let mut out = Decoded { text: String::new(), octets_max, charset: &[], octets: Vec::new() };
    let mut rest = value;
    while !rest.is_empty() && out.text.len() <= octets_max {
        let start = memmem::find(rest, b"=?").unwrap_or(rest.len());
        let (plain, tail) = rest.split_at_checked(start).unwrap_or((rest, &[]));
        match EncodedWord::parse(tail) {
            Some(word) => {
                if out.octets.is_empty() || !plain.iter().all(u8::is_ascii_whitespace) {
                    out.plain(plain);
                }
                out.word(&word);
                rest = tail.get(word.octets..).unwrap_or_default();
            }
            None => {
                let (marks, after) = tail.split_at_checked(2.min(tail.len())).unwrap_or((tail, &[]));
                out.plain(plain);
                out.plain(marks);
                rest = after;
            }
        }
    }
    out.flush();
    cut(&mut out.text, octets_max);
    out.text
}

struct Decoded<'a> {
    text: String,
    octets_max: usize,
    charset: &'a [u8],
    /// Decoded octets in that charset that are not yet text.
    octets: Vec<u8>,
}

impl<'a> Decoded<'a> {
    fn plain(&mut self, octets: &[u8]) {
        if octets.is_empty() {
            return;
        }
        self.flush();
        let room = self.octets_max.saturating_sub(self.text.len()).saturating_add(4);
        self.text.push_str(&String::from_utf8_lossy(octets.get(..room).unwrap_or(octets)));
    }

    fn word(&mut self, word: &EncodedWord<'a>) {
        if !word.charset.eq_ignore_ascii_case(self.charset) || self.octets.len() > self.octets_max {
            self.flush();
        }
        self.charset = word.charset;
        if word.is_base64 {
            transfer::decode(Encoding::Base64, word.text, &mut self.octets);
        } else {
            decode_q(word.text, &mut self.octets);
        }
    }

    fn flush(&mut self) {
        if let Some(charset) = encoding_rs::Encoding::for_label(self.charset) {
            self.text.push_str(&charset.decode_without_bom_handling(&self.octets).0);
        }
        self.octets.clear();
    }
}

struct EncodedWord<'a> {
    charset: &'a [u8],
    is_base64: bool,
    text: &'a [u8],
    /// The whole of it.
    octets: usize,
}

/// RFC 2047 §2 has 75 octets; software that forgets it is read as well.
const WORD_OCTETS_MAX: usize = 2_000;

impl<'a> EncodedWord<'a> {
    /// `=?charset?B|Q?text?=` at the beginning of `octets`.
    fn parse(octets: &'a [u8]) -> Option<Self> {
        let octets = octets.get(..WORD_OCTETS_MAX).unwrap_or(octets);
        let (charset, rest) = until_question(octets.strip_prefix(b"=?")?)?;
        let (encoding, rest) = until_question(rest)?;
        let (text, rest) = until_question(rest)?;
        let rest = rest.strip_prefix(b"=")?;
        let charset = charset.split(|octet| *octet == b'*').next()?;
        encoding_rs::Encoding::for_label(charset)?;
        let is_base64 = match encoding {
            b"b" | b"B" => true,
            b"q" | b"Q" => false,
            _ => return None,
        };
        Some(Self { charset, is_base64, text, octets: octets.len() - rest.len() })
    }
}

fn until_question(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'?', octets)?;
    Some((octets.get(..at)?, octets.get(at + 1..)?))
}

/// RFC 2047 §4.2.
fn decode_q(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        match (octet, transfer::hex_octet(after)) {
            (b'=', Some(decoded)) => {
                out.push(decoded);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'_', _) => out.push(b' '),
            _ => out.push(*octet),
        }
    }
}

/// Cuts at a character.
fn cut(text: &mut String, octets_max: usize) {
    let mut end = octets_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_become_text() {
        for (raw, text) in [
            ("=?ISO-8859-1?Q?a?= b", "a b"),
            ("=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a_b?=", "a b"),
            ("=?iso-8859-1*de?q?Gr=FC=DFe?= an alle", "Grüße an alle"),
            ("x =?utf-8?B?4oI=?= =?UTF-8?b?rA==?= y", "x € y"),
            ("=?utf-8?B?4oKs?=,=?koi8-r?B?8NLJ18XU?=", "€,Привет"),
            ("=?x-unknown?Q?a?= =?utf-8?X?a?= =?utf-8?Q?a", "=?x-unknown?Q?a?= =?utf-8?X?a?= =?utf-8?Q?a"),
            ("plain =ZZ text", "plain =ZZ text"),
        ] {
            assert_eq!(decode_words(raw.as_bytes(), 1000), text, "{raw}");
        }
        assert_eq!(decode_words("ééé".as_bytes(), 3), "é");
    }
}
