//! The header section of a message on its way: looked through and edited without touching the body.
//!
//! RFC 5322 §2.2. A header section here is fields with their line ends, without the empty line that ends it. Fields we
//! do not edit keep their octets.

use bytes::Bytes;
use maitred_policy::{Edit, HeaderPosition};
use memchr::memchr;

/// One field of a header section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field<'a> {
    /// All its octets, line end included.
    octets: &'a [u8],
}

impl<'a> Field<'a> {
    /// Before the colon.
    fn name(&self) -> &'a [u8] {
        let colon = memchr(b':', self.octets).unwrap_or(0);
        self.octets.get(..colon).unwrap_or_default().trim_ascii_end()
    }

    fn is(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name.as_bytes())
    }
}

/// True when the section has a field of this name.
pub fn has(head: &[u8], name: &str) -> bool {
    fields(head).any(|field| field.is(name))
}

/// The value of the first field of this name, on one line, at most 200 octets of it.
pub fn value(head: &[u8], name: &str) -> Option<String> {
    let field = fields(head).find(|field| field.is(name))?;
    let octets = field.octets.get(name.len() + 1..)?.trim_ascii();
    let text = String::from_utf8_lossy(octets.get(..200).unwrap_or(octets));
    Some(text.replace(char::is_control, ""))
}

/// How many fields of this name the section has.
pub fn count(head: &[u8], name: &str) -> usize {
    fields(head).filter(|field| field.is(name)).count()
}

/// The section with a change applied; edits of other things change nothing here.
pub fn edited(head: &Bytes, edit: &Edit) -> Bytes {
    match edit {
        Edit::AddHeader { name, value, position } => add(head, &field(name, value), *position),
        Edit::ChangeHeader { name, nth, value } => {
            let new = field(name, value);
            replace(head, |number, found| (found.is(name) && number == *nth).then_some(new.as_slice()), name)
        }
        Edit::RemoveHeader { name, nth } => {
            replace(head, |number, found| (found.is(name) && number == *nth).then_some(&[]), name)
        }
        Edit::RemoveAllHeaders(name) if !has(head, name) => head.clone(),
        Edit::RemoveAllHeaders(name) => replace(head, |_, found| found.is(name).then_some(&[]), name),
        _ => head.clone(),
    }
}

/// The name of the field that an edit has put above or below all others.
pub fn new_name<'a>(edit: &Edit, old: &[u8], new: &'a [u8]) -> Option<&'a [u8]> {
    let Edit::AddHeader { position, .. } = edit else { return None };
    let at = match position {
        HeaderPosition::First => 0,
        HeaderPosition::Last => old.len(),
        HeaderPosition::At(_) => return None,
    };
    Some(Field { octets: new.get(at..)? }.name())
}

/// True when the octets can be the start of a header section: a field name and a colon (RFC 5322 §3.6.8).
pub fn begins_with_field(octets: &[u8]) -> bool {
    match memchr(b':', octets) {
        Some(0) | None => false,
        Some(colon) => octets
            .get(..colon)
            .unwrap_or_default()
            .trim_ascii_end()
            .iter()
            .all(|octet| octet.is_ascii_graphic()),
    }
}

fn fields(head: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = head;
    std::iter::from_fn(move || {
        let end = field_end(rest);
        let (octets, after) = rest.split_at_checked(end)?;
        rest = after;
        (!octets.is_empty()).then_some(Field { octets })
    })
}

/// Up to the line end that no white space follows.
fn field_end(octets: &[u8]) -> usize {
    let mut at = 0;
    while let Some(line) = octets.get(at..).and_then(|rest| memchr(b'\n', rest)) {
        at += line + 1;
        if !matches!(octets.get(at), Some(b' ' | b'\t')) {
            return at;
        }
    }
    octets.len()
}

/// A field in wire form. Line ends that do not fold would begin another field: they become spaces.
fn field(name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + value.len() + 4);
    out.extend(name.bytes().filter(|octet| octet.is_ascii_graphic() && *octet != b':'));
    out.extend_from_slice(b": ");
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        match rest {
            [b'\r', b'\n', b' ' | b'\t', ..] => {
                out.extend_from_slice(b"\r\n");
                rest = rest.get(2..).unwrap_or_default();
                continue;
            }
            [b'\r' | b'\n' | 0, ..] => out.push(b' '),
            _ => out.push(*first),
        }
        rest = after;
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn add(head: &Bytes, field: &[u8], position: HeaderPosition) -> Bytes {
    let at = match position {
        HeaderPosition::First => 0,
        HeaderPosition::Last => head.len(),
        HeaderPosition::At(nth) => fields(head).take(nth as usize).map(|f| f.octets.len()).sum(),
    };
    let (before, after) = head.split_at_checked(at).unwrap_or((head, &[]));
    [before, field, after].concat().into()
}

/// `choose` is asked for each field, with its number among those of that name.
fn replace<'a>(head: &Bytes, choose: impl Fn(u32, &Field<'_>) -> Option<&'a [u8]>, name: &str) -> Bytes {
    let mut out = Vec::with_capacity(head.len());
    let mut number = 0;
    for field in fields(head) {
        out.extend_from_slice(choose(number, &field).unwrap_or(field.octets));
        number += u32::from(field.is(name));
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"Received: a\r\n\tb\r\nSubject: x\r\nreceived: c\r\n";

    fn edit(edit: &Edit) -> String {
        String::from_utf8(edited(&Bytes::from_static(HEAD), edit).to_vec()).unwrap()
    }

    #[test]
    fn fields_are_counted_with_their_folds_and_without_case() {
        assert_eq!(count(HEAD, "RECEIVED"), 2);
        assert!(has(HEAD, "subject") && !has(HEAD, "b"));
    }

    #[test]
    fn a_field_is_added_first_last_or_between() {
        let added =
            |position| edit(&Edit::AddHeader { name: "X".into(), value: Bytes::from_static(b"1"), position });
        assert_eq!(
            added(HeaderPosition::First),
            "X: 1\r\nReceived: a\r\n\tb\r\nSubject: x\r\nreceived: c\r\n"
        );
        assert_eq!(
            added(HeaderPosition::At(1)),
            "Received: a\r\n\tb\r\nX: 1\r\nSubject: x\r\nreceived: c\r\n"
        );
        assert_eq!(
            added(HeaderPosition::Last),
            "Received: a\r\n\tb\r\nSubject: x\r\nreceived: c\r\nX: 1\r\n"
        );
    }

    #[test]
    fn the_nth_of_a_name_is_changed_or_removed() {
        let value = Bytes::from_static(b"z");
        assert_eq!(
            edit(&Edit::ChangeHeader { name: "Received".into(), nth: 1, value }),
            "Received: a\r\n\tb\r\nSubject: x\r\nReceived: z\r\n"
        );
        assert_eq!(
            edit(&Edit::RemoveHeader { name: "received".into(), nth: 0 }),
            "Subject: x\r\nreceived: c\r\n"
        );
        assert_eq!(edit(&Edit::RemoveAllHeaders("received".into())), "Subject: x\r\n");
    }

    #[test]
    fn the_name_of_an_outermost_field_is_known_as_it_is_written() {
        let named = |name: &str, position| {
            let old = Bytes::from_static(HEAD);
            let edit = Edit::AddHeader { name: name.to_owned(), value: Bytes::from_static(b"1"), position };
            let new = edited(&old, &edit);
            new_name(&edit, &old, &new).map(|name| String::from_utf8(name.to_vec()).unwrap())
        };
        assert_eq!(named("X-A", HeaderPosition::First).as_deref(), Some("X-A"));
        assert_eq!(named("Sub ject", HeaderPosition::Last).as_deref(), Some("Subject"));
        assert_eq!(named("X-A", HeaderPosition::At(1)), None);
    }

    #[test]
    fn a_value_cannot_begin_another_field() {
        let value = Bytes::from_static(b"a\r\n b\r\nBcc: c\n\r\n\r\nbody");
        let head = edited(
            &Bytes::new(),
            &Edit::AddHeader { name: "X".into(), value, position: HeaderPosition::First },
        );
        assert_eq!(fields(&head).count(), 1);
        assert!(!head.windows(4).any(|four| four == b"\r\n\r\n"));
    }
}
