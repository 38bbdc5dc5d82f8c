//! Which octets of a message `BODY[…]` means: RFC 3501 §6.4.5.

use std::ops::Range;

use maitred_mail::header::Fields;
use maitred_mail::mime::{Part, Structure};

use crate::command::{Partial, Section, SectionText};
use crate::response::{astring, literal_content, literal_head, print_number};

/// An item that shows octets of the content.
#[derive(Debug)]
pub(super) struct Content {
    /// `BODY[…] ` as it is printed before each value.
    label: Box<[u8]>,
    section: Section,
    partial: Option<Partial>,
    sets_seen: bool,
    /// The names of HEADER.FIELDS in lower case, sorted: there may be thousands, and as many fields.
    names: Vec<Box<[u8]>>,
}

impl Content {
    pub(super) fn new(section: Section, partial: Option<Partial>, sets_seen: bool) -> Self {
        let label = label(&section, partial).into();
        let mut names: Vec<Box<[u8]>> = match &section.text {
            SectionText::HeaderFields { names, .. } => {
                names.iter().map(|name| name.to_ascii_lowercase().into_bytes().into()).collect()
            }
            _ => Vec::new(),
        };
        names.sort_unstable();
        Self { label, section, partial, sets_seen, names }
    }

    /// By one of its older names, given with a space behind.
    pub(super) fn named(name: &str, section: Section, sets_seen: bool) -> Self {
        Self { label: name.as_bytes().into(), section, partial: None, sets_seen, names: Vec::new() }
    }

    pub(super) fn label(&self) -> &[u8] {
        &self.label
    }

    pub(super) fn sets_seen(&self) -> bool {
        self.sets_seen
    }

    /// True for the message as a whole: no structure is needed to know where it is.
    pub(super) fn is_whole(&self) -> bool {
        self.section.part.is_empty() && self.section.text == SectionText::All
    }

    pub(super) fn is_fields(&self) -> bool {
        matches!(self.section.text, SectionText::HeaderFields { .. })
    }

    /// Where the section is, before [`Content::cut`]; `None` when the message, of so many octets, has no such.
    pub(super) fn range(&self, structure: Option<&Structure>, octets: u64) -> Option<Range<u64>> {
        if self.is_whole() {
            return Some(0..octets);
        }
        let range = range(structure?, &self.section)?;
        // Only a structure that is not this message's is longer; what is announced can be read all the same.
        Some(range.start.min(octets)..range.end.min(octets))
    }

    /// RFC 3501 §6.4.5: a partial fetch behind the end is empty, across it truncated.
    pub(super) fn cut(&self, range: Range<u64>) -> Range<u64> {
        let Some(partial) = self.partial else { return range };
        let start = range.start.saturating_add(partial.first.into()).min(range.end);
        start..start.saturating_add(partial.octets.into()).min(range.end)
    }

    fn has_name(&self, name: &[u8]) -> bool {
        let lower = || name.iter().map(u8::to_ascii_lowercase);
        self.names.binary_search_by(|known| known.iter().copied().cmp(lower())).is_ok()
    }

    /// Prints those fields of the header section that are wanted, with the line that ends it.
    pub(super) fn print_fields(&self, section: &[u8], is_cut: bool, out: &mut Vec<u8>) {
        let SectionText::HeaderFields { is_not, .. } = &self.section.text else { return };
        let begin = out.len();
        for field in Fields::new(section) {
            if self.has_name(field.name) != *is_not {
                literal_content(section.get(field.range).unwrap_or_default(), out);
            }
        }
        // RFC 3501 §6.4.5: the blank line is there when the message has one.
        if is_cut
            || section.ends_with(b"\n\r\n")
            || section.ends_with(b"\n\n")
            || matches!(section, b"\r\n" | b"\n")
        {
            out.extend_from_slice(b"\r\n");
        }
        let printed = u64::try_from(out.len() - begin).unwrap_or(u64::MAX);
        let kept = self.cut(0..printed);
        let (from, to) = (begin + within(kept.start), begin + within(kept.end));
        out.truncate(to);
        out.drain(begin..from);
        if out.len() == begin {
            return out.extend_from_slice(b"\"\"");
        }
        let mut head = Vec::with_capacity(16);
        literal_head(kept.end - kept.start, &mut head);
        out.splice(begin..begin, head);
    }
}

/// Offsets in what is held fit.
fn within(octets: u64) -> usize {
    usize::try_from(octets).unwrap_or(usize::MAX)
}

fn range(structure: &Structure, section: &Section) -> Option<Range<u64>> {
    let part = structure.part(&section.part)?;
    match section.text {
        SectionText::All => Some(part.body.clone()),
        SectionText::Mime => Some(part.header.clone()),
        SectionText::Header | SectionText::HeaderFields { .. } => {
            message(structure, part, section).map(|root| root.header.clone())
        }
        SectionText::Text => message(structure, part, section).map(|root| root.body.clone()),
    }
}

/// HEADER and TEXT are of the message itself, or of one in a part of type MESSAGE/RFC822.
fn message<'a>(structure: &'a Structure, part: &'a Part, section: &Section) -> Option<&'a Part> {
    if section.part.is_empty() { Some(&structure.root) } else { part.message().map(|message| &message.root) }
}

/// RFC 3501 §7.4.2: `BODY[<section>]<<origin octet>> `.
fn label(section: &Section, partial: Option<Partial>) -> Vec<u8> {
    let mut out = b"BODY[".to_vec();
    for (nth, number) in section.part.iter().enumerate() {
        if nth > 0 {
            out.push(b'.');
        }
        print_number((*number).into(), &mut out);
    }
    if !section.part.is_empty() && section.text != SectionText::All {
        out.push(b'.');
    }
    match &section.text {
        SectionText::All => {}
        SectionText::Header => out.extend_from_slice(b"HEADER"),
        SectionText::HeaderFields { is_not, names } => {
            out.extend_from_slice(if *is_not { b"HEADER.FIELDS.NOT (" } else { b"HEADER.FIELDS (" });
            for (nth, name) in names.iter().enumerate() {
                if nth > 0 {
                    out.push(b' ');
                }
                astring(name.as_bytes(), &mut out);
            }
            out.push(b')');
        }
        SectionText::Text => out.extend_from_slice(b"TEXT"),
        SectionText::Mime => out.extend_from_slice(b"MIME"),
    }
    out.push(b']');
    if let Some(partial) = partial {
        out.push(b'<');
        print_number(partial.first.into(), &mut out);
        out.push(b'>');
    }
    out.push(b' ');
    out
}
