//! Changes of a header section: add, change and remove fields without touching the others.
//!
//! Called with what plugins ask for, so names and values are checked: no value can end its field or the section.

use std::fmt::Write as _;

use super::{Field, Fields, field_octets, is_field_name};
use crate::status::{Class, EnhancedStatus};

/// A field that cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Empty, or an octet that RFC 5322 §2.2 does not allow in a name.
    #[error("field name is not printable ASCII without a colon")]
    Name,
    /// NUL, a line end that no text follows on a line that white space begins, or a bare CR or LF.
    #[error("octet {at} of the field value is not allowed there")]
    Value {
        /// Offset in the value.
        at: usize,
    },
    /// A line without white space to fold at.
    #[error("field needs a line of {octets} octets, more than {LINE_OCTETS_MAX}")]
    Line {
        /// How long it would be.
        octets: usize,
    },
}

impl EditError {
    /// RFC 3463 §3.7: a conversion that we do not know how to do.
    pub fn status(&self) -> EnhancedStatus {
        EnhancedStatus::new(Class::Permanent, 5, 6)
    }
}

/// Where a field is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Above all others.
    First,
    /// Below all others.
    Last,
    /// Above the nth field of any name, counted from 0; below all when there are not so many.
    At(u32),
}

/// RFC 5322 §2.1.1: no line may be longer, without its line end.
pub const LINE_OCTETS_MAX: usize = 998;
/// RFC 5322 §2.1.1: lines should not be longer.
const LINE_OCTETS: usize = 78;

/// Prints `Name: value` with its line end, folded (RFC 5322 §2.2.3) unless the value is already.
///
/// # Errors
/// [`EditError`] when name or value could be read as something else than one field.
pub fn field(name: &str, value: &[u8]) -> Result<Vec<u8>, EditError> {
    if !is_field_name(name.as_bytes()) {
        return Err(EditError::Name);
    }
    let value = value.trim_ascii();
    let is_folded = check_value(value)?;
    let mut out = Vec::with_capacity(name.len() + value.len() + value.len() / 32 + 8);
    let mut head = String::with_capacity(name.len() + 2);
    // Writing to a String cannot fail.
    let _ = write!(head, "{name}: ");
    out.extend_from_slice(head.as_bytes());
    if is_folded {
        out.extend_from_slice(value);
    } else {
        fold(value, &mut out);
    }
    let longest = out.split(|octet| *octet == b'\n').map(|line| line.trim_ascii_end().len()).max();
    if let Some(octets) = longest.filter(|octets| *octets > LINE_OCTETS_MAX) {
        return Err(EditError::Line { octets });
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

/// The section with one more field.
///
/// # Errors
/// As [`field`].
pub fn add(section: &[u8], name: &str, value: &[u8], place: Place) -> Result<Vec<u8>, EditError> {
    let field = field(name, value)?;
    let at = match place {
        Place::First => Some(0),
        Place::Last => None,
        Place::At(nth) => nth_of(Fields::new(section), nth).map(|field| field.range.start),
    };
    let at = at.unwrap_or_else(|| end_of(section));
    let mut field = field;
    if at > 0 && section.get(at - 1) != Some(&b'\n') {
        field.splice(..0, *b"\r\n");
    }
    Ok(replaced(section, at, at, &field))
}

/// The section with another value for the nth field of that name (from 0); nothing when there is none.
///
/// # Errors
/// As [`field`].
pub fn change(section: &[u8], name: &str, nth: u32, value: &[u8]) -> Result<Option<Vec<u8>>, EditError> {
    let field = field(name, value)?;
    let old = nth_of(Fields::new(section).filter(|field| field.is(name)), nth);
    Ok(old.map(|old| replaced(section, old.range.start, old.range.end, &field)))
}

/// The section without the nth field of that name (from 0); nothing when there is none.
pub fn remove(section: &[u8], name: &str, nth: u32) -> Option<Vec<u8>> {
    let old = nth_of(Fields::new(section).filter(|field| field.is(name)), nth)?;
    Some(replaced(section, old.range.start, old.range.end, &[]))
}

/// The section without any field of that name; nothing when there was none.
pub fn remove_all(section: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut from = 0;
    for field in Fields::new(section).filter(|field| field.is(name)) {
        out.extend_from_slice(section.get(from..field.range.start).unwrap_or_default());
        from = field.range.end;
    }
    if from == 0 {
        return None;
    }
    out.extend_from_slice(section.get(from..).unwrap_or_default());
    Some(out)
}

fn nth_of<'a>(mut fields: impl Iterator<Item = Field<'a>>, nth: u32) -> Option<Field<'a>> {
    fields.nth(usize::try_from(nth).unwrap_or(usize::MAX))
}

/// Where the empty line begins, or the section ends.
fn end_of(section: &[u8]) -> usize {
    let mut at = 0;
    while let Some(rest) = section.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(b"\n") || rest.starts_with(b"\r\n") {
            return at;
        }
        at += field_octets(rest);
    }
    section.len()
}

fn replaced(section: &[u8], from: usize, to: usize, by: &[u8]) -> Vec<u8> {
    let (before, after) = (section.get(..from).unwrap_or_default(), section.get(to..).unwrap_or_default());
    [before, by, after].concat()
}

/// True when the value is folded already. A line of it must hold more than white space: RFC 5322 §3.2.2 has no others.
fn check_value(value: &[u8]) -> Result<bool, EditError> {
    let mut from = 0;
    while let Some(at) =
        value.get(from..).and_then(|rest| rest.iter().position(|o| matches!(o, b'\r' | b'\n' | 0)))
    {
        let at = from + at;
        let next = value.get(at..).unwrap_or_default();
        let Some(line) = next.strip_prefix(b"\r\n") else { return Err(EditError::Value { at }) };
        let is_text = line.trim_ascii_start().len();
        let blank = line.get(..line.len() - is_text).unwrap_or_default();
        if blank.is_empty() || is_text == 0 || blank.iter().any(|octet| !matches!(octet, b' ' | b'\t')) {
            return Err(EditError::Value { at });
        }
        from = at + 2;
    }
    Ok(from > 0)
}

/// Breaks lines before white space that text follows. `out` holds the beginning of the first line.
fn fold(value: &[u8], out: &mut Vec<u8>) {
    let mut column = out.len();
    let mut rest = value;
    while !rest.is_empty() {
        let blank = rest.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
        let word = rest.iter().skip(blank).take_while(|octet| !matches!(octet, b' ' | b'\t')).count();
        let (piece, after) = rest.split_at_checked(blank + word).unwrap_or((rest, &[]));
        if blank > 0 && column + piece.len() > LINE_OCTETS {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
        out.extend_from_slice(piece);
        column += piece.len();
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::unfold;

    const SECTION: &[u8] = b"A: 1\r\nB: 2\r\n more\r\na: 3\r\n\r\n";

    #[test]
    fn fields_are_added_changed_and_removed_in_place() {
        let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
        assert_eq!(
            text(add(SECTION, "X", b"9", Place::First).unwrap()),
            "X: 9\r\nA: 1\r\nB: 2\r\n more\r\na: 3\r\n\r\n"
        );
        assert_eq!(
            text(add(SECTION, "X", b"9", Place::Last).unwrap()),
            "A: 1\r\nB: 2\r\n more\r\na: 3\r\nX: 9\r\n\r\n"
        );
        assert_eq!(
            text(add(SECTION, "X", b"9", Place::At(2)).unwrap()),
            "A: 1\r\nB: 2\r\n more\r\nX: 9\r\na: 3\r\n\r\n"
        );
        assert_eq!(
            text(change(SECTION, "A", 1, b"9").unwrap().unwrap()),
            "A: 1\r\nB: 2\r\n more\r\nA: 9\r\n\r\n"
        );
        assert_eq!(text(remove(SECTION, "b", 0).unwrap()), "A: 1\r\na: 3\r\n\r\n");
        assert_eq!(text(remove_all(SECTION, "A").unwrap()), "B: 2\r\n more\r\n\r\n");
        assert_eq!((remove(SECTION, "b", 1), remove_all(SECTION, "c")), (None, None));
        assert_eq!(text(add(b"A: 1", "X", b"9", Place::Last).unwrap()), "A: 1\r\nX: 9\r\n");
    }

    #[test]
    fn no_value_ends_its_field() {
        for value in ["a\r\nB: c", "a\nb", "a\rb", "a\0", "a\r\n\r\n b", "a\r\n \r\n b"] {
            assert!(matches!(field("X", value.as_bytes()), Err(EditError::Value { .. })), "{value:?}");
        }
        assert_eq!(field("X", b"a\r\n b").unwrap(), b"X: a\r\n b\r\n");
        assert_eq!(field("X Y", b"a"), Err(EditError::Name));
        assert_eq!(field("X\r\nY", b"a"), Err(EditError::Name));
        assert!(matches!(field("X", &[b'a'; 1200]), Err(EditError::Line { octets: 1203 })));
    }

    proptest::proptest! {
        #[test]
        fn a_printed_field_is_one_field_with_that_value(value in "[ -~\t]{0,400}") {
            let line = field("X", value.as_bytes()).unwrap();
            let found: Vec<_> = Fields::new(&line).collect();
            proptest::prop_assert_eq!(found.len(), 1);
            let unfolded = unfold(found[0].value).into_owned();
            proptest::prop_assert_eq!(unfolded, value.as_bytes().trim_ascii().to_vec());
        }
    }
}
