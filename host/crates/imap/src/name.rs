//! Mailbox names on the wire: modified UTF-7, RFC 3501 §5.1.3.

use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine};

/// Base64 with `,` for `/` and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &IMAP_MUTF7,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// A name as text; `None` when it is none, or has control characters.
///
/// Octets outside of ASCII are read as UTF-8, which clients send that know RFC 6855 or nothing. What is encoded without
/// need is read as well: it is the same name.
pub fn decode(name: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(name.len());
    let mut rest = std::str::from_utf8(name).ok()?;
    while let Some((plain, after)) = rest.split_once('&') {
        text.push_str(plain);
        let (encoded, after) = after.split_once('-')?;
        rest = after;
        if encoded.is_empty() {
            text.push('&');
            continue;
        }
        let octets = BASE64.decode(encoded).ok()?;
        let units = octets.chunks_exact(2);
        if !units.remainder().is_empty() {
            return None;
        }
        let units = units.map(|pair| u16::from_be_bytes([first(pair), last(pair)]));
        for character in char::decode_utf16(units) {
            text.push(character.ok()?);
        }
    }
    text.push_str(rest);
    (!text.chars().any(char::is_control)).then_some(text)
}

/// Appends a name as it goes over the wire: printable ASCII.
pub fn encode(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| !matches!(c, ' '..='~') || c == '&') {
        let (plain, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.extend_from_slice(plain.as_bytes());
        if let Some(after) = from.strip_prefix('&') {
            out.extend_from_slice(b"&-");
            rest = after;
            continue;
        }
        let end = from.find(|c: char| matches!(c, ' '..='~')).unwrap_or(from.len());
        let (encoded, after) = from.split_at_checked(end).unwrap_or((from, ""));
        let octets: Vec<u8> = encoded.encode_utf16().flat_map(u16::to_be_bytes).collect();
        out.push(b'&');
        out.extend_from_slice(BASE64.encode(octets).as_bytes());
        out.push(b'-');
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
}

fn first(pair: &[u8]) -> u8 {
    pair.first().copied().unwrap_or_default()
}

fn last(pair: &[u8]) -> u8 {
    pair.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> String {
        let mut out = Vec::new();
        encode(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_go_both_ways() {
        for (wire, text) in [
            ("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
            ("INBOX", "INBOX"),
            ("&-", "&"),
            ("Q&-A", "Q&A"),
            ("Entw&APw-rfe", "Entwürfe"),
            ("&2D3eCQ-", "😉"),
            ("&AOQA9g-&-&APw-", "äö&ü"),
        ] {
            assert_eq!(decode(wire.as_bytes()).as_deref(), Some(text), "{wire}");
            assert_eq!(encoded(text), wire);
        }
    }

    #[test]
    fn what_is_encoded_without_need_is_read() {
        assert_eq!(decode(b"&AEE-").as_deref(), Some("A"));
        assert_eq!(decode(b"&U,BTFw-&ZeVnLIqe-").as_deref(), Some("台北日本語"));
        assert_eq!(decode("Entwürfe".as_bytes()).as_deref(), Some("Entwürfe"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        // No end, odd octets, half a surrogate, no base64, control characters, no UTF-8.
        for wire in [&b"&"[..], b"&AOQ", b"&AOQA-", b"&2D0-", b"&/a-", b"&AAo-", b"a\tb", b"\x7f", b"\xff"] {
            assert_eq!(decode(wire), None, "{wire:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn decoding_undoes_encoding(text in "[^\\p{C}]{0,30}") {
            let wire = encoded(&text);
            proptest::prop_assert!(wire.bytes().all(|octet| matches!(octet, b' '..=b'~')));
            proptest::prop_assert_eq!(decode(wire.as_bytes()), Some(text));
        }

        #[test]
        fn no_octets_panic(wire in proptest::collection::vec(proptest::sample::select(b"&-A,/a\xc3\xa4+\0".to_vec()), 0..30)) {
            if let Some(text) = decode(&wire) {
                proptest::prop_assert_eq!(decode(encoded(&text).as_bytes()), Some(text));
            }
        }
    }
}
