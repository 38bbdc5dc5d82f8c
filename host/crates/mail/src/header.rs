//! Header fields: RFC 5322 §2.2 as it arrives, not as it should be.
//!
//! A *section* is the octets before the empty line; the empty line and what follows it may be there and are not read.
//! Lines end with LF, a CR before it belongs to the line end. Lines that are no field (no colon, a space in the name)
//! are passed over, and stay where they are when the section is edited. Everything here takes linear time.

pub mod address;
pub mod date;
pub mod edit;
pub mod word;

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

pub use address::ListedAddress;
pub use date::Date;
pub(crate) use date::behind_comment;
pub use edit::{EditError, Place};
pub use word::decode_words;

/// One header field where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written, without the white space that RFC 5322 §4.5.3 allows before the colon.
    pub name: &'a [u8],
    /// What stands between the colon and the last line end, folding and all.
    pub value: &'a [u8],
    /// The whole field with its line end, as offsets in the section.
    pub range: Range<usize>,
    /// [`Field::value`] as offsets in the section.
    pub value_range: Range<usize>,
}

impl<'a> Field<'a> {
    /// True when this field has that name, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value on one line: [`unfold`].
    pub fn unfolded(&self) -> Cow<'a, [u8]> {
        unfold(self.value)
    }
}

/// The fields of a section from top to bottom.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    section: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// The fields of this section.
    pub fn new(section: &'a [u8]) -> Self {
        Self { section, at: 0 }
    }

    /// The first field of that name.
    pub fn first(mut self, name: &str) -> Option<Field<'a>> {
        self.find(|field| field.is(name))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            let rest = self.section.get(self.at..)?;
            if rest.is_empty() || rest.starts_with(b"\n") || rest.starts_with(b"\r\n") {
                return None;
            }
            let start = self.at;
            self.at += field_octets(rest);
            let whole = self.section.get(start..self.at)?;
            let Some(colon) = memchr(b':', whole) else { continue };
            let Some((before, after)) = whole.split_at_checked(colon) else { continue };
            let name = before.trim_ascii_end();
            if !is_field_name(name) || before.contains(&b'\n') {
                continue;
            }
            let value = without_line_end(after.get(1..).unwrap_or_default());
            let from = start + colon + 1;
            return Some(Field { name, value, range: start..self.at, value_range: from..from + value.len() });
        }
    }
}

/// RFC 5322 §2.2: printable ASCII without the colon. The colon itself is refused, and so is nothing at all.
pub fn is_field_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|octet| octet.is_ascii_graphic() && *octet != b':')
}

/// RFC 5322 §2.2.3: the value on one line. Line ends and NUL go, the white space that followed them stays; there is
/// none around the whole.
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    let stays = |octet: &u8| !matches!(octet, b'\r' | b'\n' | 0);
    if value.iter().all(stays) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.iter().copied().filter(stays).collect())
}

/// Where the empty line behind the header section ends: the offset of the body, if the section ends in `message`.
pub fn body_offset(message: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(rest) = message.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(b"\n") {
            return Some(at + 1);
        }
        if rest.starts_with(b"\r\n") {
            return Some(at + 2);
        }
        at += memchr(b'\n', rest)? + 1;
    }
    None
}

/// How long the field that begins here is: to behind the first line end that no white space follows.
fn field_octets(rest: &[u8]) -> usize {
    let mut from = 0;
    while let Some(at) = rest.get(from..).and_then(|tail| memchr(b'\n', tail)) {
        from += at + 1;
        if !matches!(rest.get(from), Some(b' ' | b'\t')) {
            return from;
        }
    }
    rest.len()
}

fn without_line_end(line: &[u8]) -> &[u8] {
    match line.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_where_they_stand() {
        let section = b"From x@y Tue Nov 24 10:00\r\nSubject: a\r\n b\r\nbroken\r\nTo : c\n\r\nNot: this\r\n";
        let found: Vec<_> = Fields::new(section).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].name, b"Subject");
        assert_eq!(&section[found[0].range.clone()], b"Subject: a\r\n b\r\n");
        assert_eq!(&section[found[0].value_range.clone()], b" a\r\n b");
        assert_eq!(found[0].unfolded().as_ref(), b"a b");
        assert_eq!((found[1].name, found[1].value), (&b"To"[..], &b" c"[..]));
        assert_eq!(body_offset(section), Some(section.len() - 11));
        assert_eq!(body_offset(b"A: b\r\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_octets_break_the_fields(section in proptest::collection::vec(
            proptest::sample::select(b"aB:\r\n \t\0\xff=?@<>,;()\"\\".to_vec()), 0..200,
        )) {
            let mut end = 0;
            for field in Fields::new(&section) {
                proptest::prop_assert!(field.range.start >= end && field.range.end <= section.len());
                proptest::prop_assert_eq!(&section[field.value_range.clone()], field.value);
                end = field.range.end;
                let _ = (address::parse_list(field.value, 10), Date::parse(field.value));
                proptest::prop_assert!(decode_words(&field.unfolded(), 20).len() <= 20);
            }
            for nth in 0..3 {
                edit::add(&section, "X", b"1", Place::At(nth)).unwrap();
                edit::change(&section, "A", nth, b"1").unwrap();
                edit::remove(&section, "A", nth);
            }
            let left = edit::remove_all(&section, "aB");
            proptest::prop_assert!(left.is_none_or(|left| Fields::new(&left).first("aB").is_none()));
        }
    }
}
