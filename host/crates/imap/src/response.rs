//! What we answer, octet by octet: RFC 3501 §7 and §9. Everything is appended to a `Vec<u8>`.
//!
//! Invariants: what is printed is 7-bit but for the content of literals; a quoted string has neither CR nor LF nor NUL.

mod fetch;
mod listing;
pub(crate) mod status;

use crate::command::Tag;
use crate::grammar::ParseError;
use crate::name;

pub use fetch::flag_list;
pub(crate) use fetch::{body_structure, envelope, internal_date};
pub use listing::{Attribute, Listed, StatusFacts, list, search_begin, search_end, search_number, status};
pub use status::{Refusal, TURNED_AWAY};

/// Quoted strings longer than this go as literals: some clients have a limit for lines.
const QUOTED_OCTETS_MAX: usize = 4096;

/// The answer to what is no command: BAD, or NO where the client did nothing that the grammar forbids. Untagged without
/// a tag (RFC 3501 §7.1.3).
pub fn refused(tag: Option<&Tag>, error: &ParseError, out: &mut Vec<u8>) {
    out.extend_from_slice(tag.map_or("*", Tag::as_str).as_bytes());
    out.push(b' ');
    // A NO belongs to a command; without one it would be a warning (RFC 3501 §7.1.2).
    let words = match error {
        ParseError::Charset if tag.is_some() => {
            "NO [BADCHARSET (US-ASCII UTF-8)] Unknown charset, or text that is not in it"
        }
        ParseError::Name if tag.is_some() => "NO [CANNOT] Mailbox name is not in modified UTF-7",
        // RFC 4469 §4.
        ParseError::LiteralTooBig if tag.is_some() => "NO [TOOBIG] Literal is too big",
        ParseError::Tag => "BAD Missing tag",
        ParseError::Unknown => "BAD Unknown command",
        ParseError::Octets => "BAD Illegal octets",
        ParseError::Flag => "BAD Illegal flag",
        ParseError::Limit(what) => return with_words("BAD [LIMIT] Too many ", what, out),
        ParseError::LineTooLong => "BAD Line is too long",
        ParseError::LiteralMissing => "BAD Literal without content",
        ParseError::Syntax(what) => return with_words("BAD Expected ", what, out),
        ParseError::Charset | ParseError::Name | ParseError::LiteralTooBig => "BAD Illegal argument",
    };
    with_words(words, "", out);
}

fn with_words(words: &str, more: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(words.as_bytes());
    out.extend_from_slice(more.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The client may send its literal (RFC 3501 §7.5).
pub fn go_ahead(out: &mut Vec<u8>) {
    out.extend_from_slice(b"+ OK\r\n");
}

/// Why a session ends that sends a command without end.
pub fn endless(out: &mut Vec<u8>) {
    out.extend_from_slice(b"* BYE [TOOBIG] Command does not end\r\n");
}

/// Appends a number.
pub fn print_number(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut rest = number;
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10).to_le_bytes()[0];
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// Appends `{octets}` CRLF.
pub(crate) fn literal_head(octets: u64, out: &mut Vec<u8>) {
    out.push(b'{');
    print_number(octets, out);
    out.extend_from_slice(b"}\r\n");
}

/// Appends content of a literal. RFC 3501 §9, `CHAR8`: no literal has NUL; it is shown as 0x80, which Dovecot does too, so
/// that lengths and offsets hold.
pub fn literal_content(octets: &[u8], out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(octets);
    if memchr::memchr(0, octets).is_some() {
        let nuls = out.iter_mut().skip(begin).filter(|octet| **octet == 0);
        nuls.for_each(|octet| *octet = 0x80);
    }
}

/// Appends a string: quoted where that is possible, else a literal. NUL, which neither can have, is left out.
pub fn string(octets: &[u8], out: &mut Vec<u8>) {
    let mut is_plain = octets.len() <= QUOTED_OCTETS_MAX;
    let mut has_specials = false;
    let mut has_nul = false;
    for octet in octets {
        is_plain &= !matches!(octet, 0 | b'\r' | b'\n' | 0x80..);
        has_specials |= matches!(octet, b'"' | b'\\');
        has_nul |= *octet == 0;
    }
    if has_nul {
        let octets: Vec<u8> = octets.iter().copied().filter(|octet| *octet != 0).collect();
        return string(&octets, out);
    }
    if !is_plain {
        literal_head(u64::try_from(octets.len()).unwrap_or(u64::MAX), out);
        return out.extend_from_slice(octets);
    }
    out.push(b'"');
    if has_specials {
        for octet in octets {
            if matches!(octet, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*octet);
        }
    } else {
        out.extend_from_slice(octets);
    }
    out.push(b'"');
}

/// Appends a string or NIL.
pub fn nstring(octets: Option<&[u8]>, out: &mut Vec<u8>) {
    match octets {
        Some(octets) => string(octets, out),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Appends an atom where that is possible, else a string.
pub fn astring(octets: &[u8], out: &mut Vec<u8>) {
    let is_atom = |octet: &u8| {
        octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.' | b'$' | b'+' | b'/')
    };
    // RFC 3501 §9: NIL as an atom means something else to some clients.
    if !octets.is_empty() && octets.iter().all(is_atom) && !octets.eq_ignore_ascii_case(b"NIL") {
        out.extend_from_slice(octets);
    } else {
        string(octets, out);
    }
}

/// Appends a mailbox name in modified UTF-7.
pub fn mailbox(text: &str, out: &mut Vec<u8>) {
    let mut wire = Vec::with_capacity(text.len());
    name::encode(text, &mut wire);
    astring(&wire, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn printed(print: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        print(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn strings_take_the_shortest_form_that_can_hold_them() {
        for (octets, as_string, as_astring) in [
            ("abc", "\"abc\"", "abc"),
            ("", "\"\"", "\"\""),
            ("nil", "\"nil\"", "\"nil\""),
            ("a b", "\"a b\"", "\"a b\""),
            ("a\"\\", "\"a\\\"\\\\\"", "\"a\\\"\\\\\""),
            ("ä", "{2}\r\nä", "{2}\r\nä"),
            ("a\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb"),
            ("a\0b", "\"ab\"", "\"ab\""),
        ] {
            assert_eq!(printed(|out| string(octets.as_bytes(), out)), as_string);
            assert_eq!(printed(|out| astring(octets.as_bytes(), out)), as_astring);
        }
        assert_eq!(printed(|out| nstring(None, out)), "NIL");
        assert_eq!(printed(|out| mailbox("Entwürfe", out)), "\"Entw&APw-rfe\"");
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let tag = Tag("a1".into());
        for (tag, error, line) in [
            (
                Some(&tag),
                ParseError::Charset,
                "a1 NO [BADCHARSET (US-ASCII UTF-8)] Unknown charset, or text that is not in it\r\n",
            ),
            (Some(&tag), ParseError::Syntax("a date"), "a1 BAD Expected a date\r\n"),
            (Some(&tag), ParseError::Limit("flags"), "a1 BAD [LIMIT] Too many flags\r\n"),
            (None, ParseError::LineTooLong, "* BAD Line is too long\r\n"),
            (None, ParseError::LiteralTooBig, "* BAD Illegal argument\r\n"),
        ] {
            assert_eq!(printed(|out| refused(tag, &error, out)), line);
        }
    }

    proptest! {
        #[test]
        fn numbers_are_printed_as_everywhere(number: u64) {
            prop_assert_eq!(printed(|out| print_number(number, out)), number.to_string());
        }

        #[test]
        fn a_printed_name_is_read_back(name in "[^\\p{C}]{0,20}") {
            let mut line = b"a SELECT ".to_vec();
            mailbox(&name, &mut line);
            let found = crate::grammar::parse(&line, &crate::grammar::Limits::default());
            let is_inbox = name.to_ascii_uppercase().starts_with("INBOX");
            match found.unwrap().body {
                crate::Body::Select(found) => prop_assert!(is_inbox || *found == *name),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
