//! Content transfer encodings (RFC 2045 §6) undone, and charsets to UTF-8, piece by piece.
//!
//! Damaged input is read as far as it makes sense and never refused: this feeds searches and previews, it proves
//! nothing. Any split of the input gives the same output; nothing is held but a few octets.

/// How a body is encoded: RFC 2045 §6.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// `7bit`, `8bit`, `binary`, and what nobody knows.
    #[default]
    Identity,
    /// RFC 2045 §6.7.
    QuotedPrintable,
    /// RFC 2045 §6.8.
    Base64,
}

impl Encoding {
    /// From the value of Content-Transfer-Encoding.
    pub fn of(name: &[u8]) -> Self {
        let name = name.trim_ascii();
        if name.eq_ignore_ascii_case(b"base64") {
            Self::Base64
        } else if name.eq_ignore_ascii_case(b"quoted-printable") {
            Self::QuotedPrintable
        } else {
            Self::Identity
        }
    }
}

/// Undoes one encoding of one body.
#[derive(Debug, Clone)]
pub struct Decoder(State);

impl Decoder {
    /// At the beginning of a body.
    pub fn new(encoding: Encoding) -> Self {
        Self(match encoding {
            Encoding::Identity => State::Identity,
            Encoding::QuotedPrintable => State::Quoted { blanks: Vec::new(), at: Quoted::Text },
            Encoding::Base64 => State::Base64 { bits: 0, digits: 0 },
        })
    }

    /// Decodes the next piece to the end of `out`.
    pub fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        match &mut self.0 {
            State::Identity => out.extend_from_slice(octets),
            State::Quoted { blanks, at } => {
                octets.iter().for_each(|octet| *at = at.next(*octet, blanks, out));
            }
            State::Base64 { bits, digits } => {
                for octet in octets {
                    base64_octet(*octet, bits, digits, out);
                }
            }
        }
    }

    /// What the end of the body completes.
    pub fn finish(self, out: &mut Vec<u8>) {
        match self.0 {
            State::Identity => {}
            State::Quoted { at: Quoted::Hex(first), .. } => out.extend_from_slice(&[b'=', first]),
            State::Quoted { .. } => {}
            State::Base64 { bits, digits } => base64_end(bits, digits, out),
        }
    }
}

/// Decodes a whole at once to the end of `out`.
pub fn decode(encoding: Encoding, octets: &[u8], out: &mut Vec<u8>) {
    let mut decoder = Decoder::new(encoding);
    decoder.push(octets, out);
    decoder.finish(out);
}

#[derive(Debug, Clone)]
enum State {
    Identity,
    Quoted { blanks: Vec<u8>, at: Quoted },
    Base64 { bits: u32, digits: u8 },
}

/// Where in RFC 2045 §6.7 the last octet left us.
#[derive(Debug, Clone, Copy)]
enum Quoted {
    Text,
    /// CR that may begin a line end.
    Return,
    /// `=`
    Equals,
    /// `=` and one hex digit.
    Hex(u8),
    /// `=` and white space, perhaps before a line end.
    Padding,
    /// `=` and CR.
    SoftReturn,
}

/// White space that may be padding is held so long and then is text.
const BLANKS_MAX: usize = 998;

impl Quoted {
    fn next(self, octet: u8, blanks: &mut Vec<u8>, out: &mut Vec<u8>) -> Self {
        match (self, octet) {
            (Self::Return, b'\n') => {
                blanks.clear();
                out.extend_from_slice(b"\r\n");
                Self::Text
            }
            (Self::Return, _) => {
                out.append(blanks);
                out.push(b'\r');
                Self::Text.next(octet, blanks, out)
            }
            (Self::Text, b'\r') => Self::Return,
            // Rule (3): white space before a line end was added on the way.
            (Self::Text, b'\n') => {
                blanks.clear();
                out.push(b'\n');
                Self::Text
            }
            (Self::Text, b' ' | b'\t') => {
                if blanks.len() == BLANKS_MAX {
                    out.append(blanks);
                }
                blanks.push(octet);
                Self::Text
            }
            (Self::Text, _) => {
                out.append(blanks);
                if octet == b'=' {
                    return Self::Equals;
                }
                out.push(octet);
                Self::Text
            }
            // Rule (5): soft line breaks.
            (Self::Equals | Self::Padding | Self::SoftReturn, b'\n') => Self::Text,
            (Self::Equals | Self::Padding, b'\r') => Self::SoftReturn,
            (Self::Equals | Self::Padding, b' ' | b'\t') => Self::Padding,
            (Self::Equals, _) if octet.is_ascii_hexdigit() => Self::Hex(octet),
            (Self::Equals | Self::Padding, _) => {
                out.push(b'=');
                Self::Text.next(octet, blanks, out)
            }
            (Self::SoftReturn, _) => Self::Text.next(octet, blanks, out),
            (Self::Hex(first), _) => {
                if let Some(decoded) = hex_octet(&[first, octet]) {
                    out.push(decoded);
                    return Self::Text;
                }
                out.extend_from_slice(&[b'=', first]);
                Self::Text.next(octet, blanks, out)
            }
        }
    }
}

/// The octet that two hex digits at the beginning of `octets` are, in any case.
pub(crate) fn hex_octet(octets: &[u8]) -> Option<u8> {
    let digit = |at: usize| octets.get(at).and_then(|octet| char::from(*octet).to_digit(16));
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// RFC 2045 §6.8: other octets are passed over; padding ends a quantum, and text may follow (joined encodings).
fn base64_octet(octet: u8, bits: &mut u32, digits: &mut u8, out: &mut Vec<u8>) {
    let digit = match octet {
        b'A'..=b'Z' => octet - b'A',
        b'a'..=b'z' => octet - b'a' + 26,
        b'0'..=b'9' => octet - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        b'=' => {
            base64_end(*bits, *digits, out);
            (*bits, *digits) = (0, 0);
            return;
        }
        _ => return,
    };
    *bits = *bits << 6 | u32::from(digit);
    *digits += 1;
    if *digits == 4 {
        let [_, quantum @ ..] = bits.to_be_bytes();
        out.extend_from_slice(&quantum);
        (*bits, *digits) = (0, 0);
    }
}

fn base64_end(bits: u32, digits: u8, out: &mut Vec<u8>) {
    match digits {
        2 => out.push((bits >> 4).to_be_bytes()[3]),
        3 => {
            let [_, _, first, second] = (bits >> 2).to_be_bytes();
            out.extend_from_slice(&[first, second]);
        }
        _ => {}
    }
}

/// A text body as UTF-8: transfer encoding undone, charset converted.
pub struct TextDecoder {
    transfer: Decoder,
    charset: &'static encoding_rs::Encoding,
    /// Once there was something that is not ASCII: until then nothing has to be converted.
    decoder: Option<encoding_rs::Decoder>,
    has_begun: bool,
    octets: Vec<u8>,
}

impl TextDecoder {
    /// A body in that encoding and charset (RFC 2045 §5.2: US-ASCII when none is named). Text in a charset that
    /// nobody knows, or in none, is read as UTF-8, which US-ASCII is part of.
    pub fn new(encoding: Encoding, charset: Option<&[u8]>) -> Self {
        let is_ascii = charset.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"us-ascii"));
        let charset = charset.filter(|_| !is_ascii).and_then(encoding_rs::Encoding::for_label);
        Self {
            transfer: Decoder::new(encoding),
            charset: charset.unwrap_or(encoding_rs::UTF_8),
            decoder: None,
            has_begun: false,
            octets: Vec::new(),
        }
    }

    /// Appends the text of the next piece to `out`.
    pub fn push(&mut self, octets: &[u8], out: &mut String) {
        if matches!(self.transfer.0, State::Identity) {
            return self.convert(octets, false, out);
        }
        let mut decoded = std::mem::take(&mut self.octets);
        decoded.clear();
        self.transfer.push(octets, &mut decoded);
        self.convert(&decoded, false, out);
        self.octets = decoded;
    }

    /// What the end of the body completes.
    pub fn finish(mut self, out: &mut String) {
        let mut decoded = std::mem::take(&mut self.octets);
        decoded.clear();
        std::mem::replace(&mut self.transfer, Decoder::new(Encoding::Identity)).finish(&mut decoded);
        self.convert(&decoded, true, out);
    }

    fn convert(&mut self, octets: &[u8], is_last: bool, out: &mut String) {
        if self.decoder.is_none()
            && self.charset.is_ascii_compatible()
            && octets.is_ascii()
            && let Ok(text) = str::from_utf8(octets)
        {
            self.has_begun |= !text.is_empty();
            return out.push_str(text);
        }
        // A mark of the byte order stands at the very beginning or nowhere.
        let decoder = self.decoder.get_or_insert_with(|| {
            if self.has_begun {
                self.charset.new_decoder_without_bom_handling()
            } else {
                self.charset.new_decoder_with_bom_removal()
            }
        });
        convert(decoder, octets, is_last, out);
    }
}

fn convert(charset: &mut encoding_rs::Decoder, octets: &[u8], is_last: bool, out: &mut String) {
    let room = charset.max_utf8_buffer_length(octets.len());
    out.reserve(room.unwrap_or_else(|| octets.len().saturating_mul(3)).saturating_add(16));
    let mut rest = octets;
    loop {
        let (result, read, _) = charset.decode_to_string(rest, out, is_last);
        rest = rest.get(read..).unwrap_or_default();
        match result {
            encoding_rs::CoderResult::InputEmpty => return,
            encoding_rs::CoderResult::OutputFull => {
                out.reserve(rest.len().saturating_mul(3).saturating_add(16))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn decoded(encoding: Encoding, octets: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        decode(encoding, octets, &mut out);
        out
    }

    #[test]
    fn quoted_printable_is_read_with_its_damages() {
        for (raw, plain) in [
            ("a=3Db=\r\nc =20 \t\r\nd", "a=bc  \r\nd"),
            ("soft = \t\r\nend=", "soft end"),
            ("=e4=C", "\u{fffd}=C"),
            ("=zz =\rx", "=zz x"),
            ("lf \nx  ", "lf\nx"),
        ] {
            assert_eq!(
                String::from_utf8_lossy(&decoded(Encoding::QuotedPrintable, raw.as_bytes())),
                plain,
                "{raw:?}"
            );
        }
    }

    #[test]
    fn base64_is_read_with_its_damages() {
        for (raw, plain) in
            [("aGFs\r\nbG8=", "hallo"), ("aGFsbG8", "hallo"), ("a!G-F s", "hal"), ("YQ==Yg==", "ab")]
        {
            assert_eq!(decoded(Encoding::Base64, raw.as_bytes()), plain.as_bytes(), "{raw}");
        }
    }

    #[test]
    fn text_is_converted_across_pieces() {
        let mut text = String::new();
        let mut decoder = TextDecoder::new(Encoding::of(b" Quoted-Printable "), Some(b"shift_jis"));
        for piece in [&b"=83"[..], b"=5", b"C a"] {
            decoder.push(piece, &mut text);
        }
        decoder.finish(&mut text);
        assert_eq!(text, "ソ a");
    }

    #[test]
    fn a_mark_of_the_byte_order_is_one_at_the_beginning_only() {
        let text = |pieces: &[&[u8]]| {
            let mut text = String::new();
            let mut decoder = TextDecoder::new(Encoding::Identity, Some(b"utf-8"));
            pieces.iter().for_each(|piece| decoder.push(piece, &mut text));
            decoder.finish(&mut text);
            text
        };
        assert_eq!(text(&[b"\xef\xbb", b"\xbfa"]), "a");
        assert_eq!(text(&[b"", b"\xef\xbb\xbfa"]), "a");
        assert_eq!(text(&[b"a", b"\xef\xbb\xbfb"]), "a\u{feff}b");
        assert_eq!(text(&[b"a", b"\xc3", b"\xa9", b"b", b"\xc3"]), "aéb\u{fffd}");
    }

    proptest::proptest! {
        #[test]
        fn any_split_is_the_same_text(
            octets in proptest::collection::vec(proptest::sample::select(b"ab=\r\n+/\x1b$B(\xef\xbb\xbf\x83\x5c\xc3".to_vec()), 0..60),
            cuts in (0usize..60, 0usize..60),
            charset in proptest::sample::select(vec!["utf-8", "us-ascii", "shift_jis", "iso-2022-jp", "utf-16le", "gb18030", "x"]),
        ) {
            let text = |pieces: &[&[u8]]| {
                let (mut decoder, mut out) = (TextDecoder::new(Encoding::Identity, Some(charset.as_bytes())), String::new());
                pieces.iter().for_each(|piece| decoder.push(piece, &mut out));
                decoder.finish(&mut out);
                out
            };
            let (first, second) = (cuts.0.min(cuts.1).min(octets.len()), cuts.0.max(cuts.1).min(octets.len()));
            let label = encoding_rs::Encoding::for_label(charset.as_bytes()).unwrap_or(encoding_rs::UTF_8);
            let label = if charset == "us-ascii" { encoding_rs::UTF_8 } else { label };
            let (whole, _) = label.decode_with_bom_removal(&octets);
            proptest::prop_assert_eq!(&text(&[&octets]), &whole);
            proptest::prop_assert_eq!(&text(&[&octets[..first], &octets[first..second], &octets[second..]]), &whole);
        }

        #[test]
        fn any_split_decodes_to_the_same(
            octets in proptest::collection::vec(proptest::sample::select(b"=\r\n \tA3fz+/\xff".to_vec()), 0..80),
            at in 0usize..80,
        ) {
            let (a, b) = octets.split_at(at.min(octets.len()));
            for encoding in [Encoding::Identity, Encoding::QuotedPrintable, Encoding::Base64] {
                let (mut decoder, mut out) = (Decoder::new(encoding), Vec::new());
                decoder.push(a, &mut out);
                decoder.push(b, &mut out);
                decoder.finish(&mut out);
                proptest::prop_assert_eq!(out, decoded(encoding, &octets));
            }
        }

        #[test]
        fn base64_undoes_base64(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
            let text = base64::engine::general_purpose::STANDARD.encode(&octets);
            proptest::prop_assert_eq!(decoded(Encoding::Base64, text.as_bytes()), octets);
        }
    }
}
