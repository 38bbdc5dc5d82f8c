//! From what FETCH asks for to what is printed: RFC 3501 §6.4.5, §7.4.2.
//!
//! A [`Plan`] is made once for a command. For each message [`Plan::begin`] prints the head of the response, then
//! [`Plan::step`] prints on until octets of the content are needed: those that go to the client as they are
//! ([`Step::Content`]), or a header section of which some fields go ([`Step::Fields`]). Nothing holds a content, and the
//! structure is decoded only where an item needs it. Driven by `flow::read`.
//!
//! ```
//! # use maitred_imap::{Reader, Input, Body, response, fetch::{MessageFacts, Plan, Step}};
//! # use maitred_mail::{Entry, Timestamp, Flags, Keywords, ModSeq, Seq, Uid};
//! # let mut reader = Reader::new(Default::default());
//! # reader.input(b"a UID FETCH 5 BODY[]\r\n");
//! # let Input::Command(command) = reader.next() else { panic!() };
//! # let Body::Fetch { items, .. } = command.body else { panic!() };
//! # let entry = Entry { uid: Uid(5), flags: Flags::SEEN, keywords: Keywords(0), modseq: ModSeq(1) };
//! let content = b"Subject: x\r\n\r\nHello\r\n";
//! let plan = Plan::new(&items);
//! let facts = MessageFacts {
//!     seq: Seq(1), entry, keyword_names: &[], is_recent: false, tells_flags: false,
//!     internal_date: Timestamp(0), octets: content.len() as u64, structure: &[],
//! };
//! let mut out = Vec::new();
//! let mut progress = plan.begin(&facts, &mut out)?;
//! loop {
//!     let octets = |range: std::ops::Range<u64>| &content[range.start as usize..range.end as usize];
//!     match plan.step(&mut progress, &facts, &mut out) {
//!         Step::Content(range) => response::literal_content(octets(range), &mut out),
//!         Step::Fields(range) => plan.fields(&mut progress, octets(range), &mut out),
//!         Step::Done => break,
//!     }
//! }
//! assert_eq!(out, b"* 1 FETCH (UID 5 BODY[] {21}\r\nSubject: x\r\n\r\nHello\r\n)\r\n");
//! # Ok::<(), maitred_mail::mime::DecodeError>(())
//! ```

mod section;
#[cfg(test)]
mod tests;

use std::ops::Range;

use maitred_mail::mime::{DecodeError, Structure};
use maitred_mail::{Entry, Seq, Timestamp};

use crate::command::{FetchItem, Section, SectionText};
use crate::response::{self, literal_head, print_number};
use section::Content;

/// Octets of a header section in which HEADER.FIELDS looks for fields: 1 MiB, as far as structures are read too.
pub const FIELDS_OCTETS_MAX: u64 = 1024 * 1024;

/// What is known of a message without opening its content.
#[derive(Debug, Clone, Copy)]
pub struct MessageFacts<'a> {
    /// Its number in the session's view.
    pub seq: Seq,
    /// UID and flags.
    pub entry: Entry,
    /// The mailbox's keywords.
    pub keyword_names: &'a [Box<str>],
    /// `\Recent` is set for this session.
    pub is_recent: bool,
    /// FLAGS are told though they may not be asked for: this command has just set `\Seen` (RFC 3501 §6.4.5).
    pub tells_flags: bool,
    /// INTERNALDATE. Read only when the plan [`Plan::needs_record`], as are the next two.
    pub internal_date: Timestamp,
    /// RFC822.SIZE
    pub octets: u64,
    /// The encoded [`Structure`]. Read only when the plan [`Plan::needs_structure`].
    pub structure: &'a [u8],
}

/// What [`Plan::step`] wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// These octets of the content go to the client behind what is printed, as [`response::literal_content`]. Their number
    /// is announced: when they cannot be read, the connection has to be closed. Never empty.
    Content(Range<u64>),
    /// [`Plan::fields`] wants these octets of the content, at most [`FIELDS_OCTETS_MAX`]. Nothing is announced yet.
    Fields(Range<u64>),
    /// The response is complete.
    Done,
}

/// The items of a FETCH command, as they are printed for each message.
#[derive(Debug)]
pub struct Plan {
    items: Vec<Item>,
    needs_record: bool,
    needs_structure: bool,
    needs_content: bool,
    sets_seen: bool,
    has_flags: bool,
}

#[derive(Debug)]
enum Item {
    Body { has_extensions: bool },
    Envelope,
    Flags,
    InternalDate,
    Octets,
    Uid,
    Content(Content),
}

/// How far the response for one message is printed.
#[derive(Debug)]
pub struct Progress {
    structure: Option<Structure>,
    /// Items that are printed, or under way.
    begun: usize,
    is_first: bool,
    /// The fields are in a header section of more octets than [`FIELDS_OCTETS_MAX`].
    is_cut: bool,
}

impl Plan {
    /// From the items of a command.
    pub fn new(items: &[FetchItem]) -> Self {
        let items: Vec<Item> = items.iter().map(Item::new).collect();
        Self {
            needs_record: items.iter().any(|item| !matches!(item, Item::Flags | Item::Uid)),
            needs_structure: items.iter().any(Item::needs_structure),
            needs_content: items.iter().any(|item| matches!(item, Item::Content(_))),
            has_flags: items.iter().any(|item| matches!(item, Item::Flags)),
            sets_seen: false,
            items,
        }
        .with_seen()
    }

    /// True when `\Seen` is to be set, where the mailbox is not read-only (RFC 3501 §6.4.5).
    pub fn sets_seen(&self) -> bool {
        self.sets_seen
    }

    /// True when more than UID and flags is wanted.
    pub fn needs_record(&self) -> bool {
        self.needs_record
    }

    /// True when [`MessageFacts::structure`] is read.
    pub fn needs_structure(&self) -> bool {
        self.needs_structure
    }

    /// True when there will be other steps than [`Step::Done`].
    pub fn needs_content(&self) -> bool {
        self.needs_content
    }

    /// Prints the head of the response.
    ///
    /// # Errors
    /// The structure is broken, as far as it is needed. Nothing is printed then.
    pub fn begin(&self, facts: &MessageFacts<'_>, out: &mut Vec<u8>) -> Result<Progress, DecodeError> {
        let structure = if self.needs_structure { Some(Structure::decode(facts.structure)?) } else { None };
        out.extend_from_slice(b"* ");
        print_number(facts.seq.0.into(), out);
        out.extend_from_slice(b" FETCH (");
        let mut progress = Progress { structure, begun: 0, is_first: true, is_cut: false };
        if facts.tells_flags && !self.has_flags {
            progress.separate(out);
            print_flags(facts, out);
        }
        Ok(progress)
    }

    /// Prints on until content is needed or the response is complete. `facts` are those of [`Plan::begin`].
    pub fn step(&self, progress: &mut Progress, facts: &MessageFacts<'_>, out: &mut Vec<u8>) -> Step {
        while let Some(item) = self.items.get(progress.begun) {
            progress.begun += 1;
            progress.separate(out);
            if let Some(step) = item.print(progress, facts, out) {
                return step;
            }
        }
        out.extend_from_slice(b")\r\n");
        Step::Done
    }

    /// Prints the fields of the header section that [`Step::Fields`] asked for.
    pub fn fields(&self, progress: &mut Progress, section: &[u8], out: &mut Vec<u8>) {
        let item = progress.begun.checked_sub(1).and_then(|at| self.items.get(at));
        if let Some(Item::Content(content)) = item {
            content.print_fields(section, progress.is_cut, out);
        }
    }

    fn with_seen(mut self) -> Self {
        self.sets_seen =
            self.items.iter().any(|item| matches!(item, Item::Content(content) if content.sets_seen()));
        self
    }
}

impl Progress {
    fn separate(&mut self, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.is_first) {
            out.push(b' ');
        }
    }
}

impl Item {
    fn new(item: &FetchItem) -> Self {
        let message = |text| Section { part: Vec::new(), text };
        let by_name = |name: &str, text| Self::Content(Content::named(name, message(text), item.sets_seen()));
        match item {
            FetchItem::Body => Self::Body { has_extensions: false },
            FetchItem::BodyStructure => Self::Body { has_extensions: true },
            FetchItem::Section { is_peek, section, partial } => {
                Self::Content(Content::new(section.clone(), *partial, !is_peek))
            }
            FetchItem::Envelope => Self::Envelope,
            FetchItem::Flags => Self::Flags,
            FetchItem::InternalDate => Self::InternalDate,
            FetchItem::Rfc822 => by_name("RFC822 ", SectionText::All),
            FetchItem::Rfc822Header => by_name("RFC822.HEADER ", SectionText::Header),
            FetchItem::Rfc822Size => Self::Octets,
            FetchItem::Rfc822Text => by_name("RFC822.TEXT ", SectionText::Text),
            FetchItem::Uid => Self::Uid,
        }
    }

    fn needs_structure(&self) -> bool {
        match self {
            Self::Body { .. } | Self::Envelope => true,
            Self::Content(content) => !content.is_whole(),
            Self::Flags | Self::InternalDate | Self::Octets | Self::Uid => false,
        }
    }

    /// Prints the item as far as no content is needed.
    fn print(&self, progress: &mut Progress, facts: &MessageFacts<'_>, out: &mut Vec<u8>) -> Option<Step> {
        match (self, &progress.structure) {
            (Self::Body { has_extensions }, Some(structure)) => {
                out.extend_from_slice(if *has_extensions { b"BODYSTRUCTURE " } else { b"BODY " });
                response::body_structure(&structure.root, *has_extensions, out);
            }
            (Self::Envelope, Some(structure)) => {
                out.extend_from_slice(b"ENVELOPE ");
                response::envelope(&structure.envelope, out);
            }
            // `begin` has decoded it for these.
            (Self::Body { .. } | Self::Envelope, None) => {}
            (Self::Flags, _) => print_flags(facts, out),
            (Self::InternalDate, _) => {
                out.extend_from_slice(b"INTERNALDATE ");
                response::internal_date(facts.internal_date, out);
            }
            (Self::Octets, _) => {
                out.extend_from_slice(b"RFC822.SIZE ");
                print_number(facts.octets, out);
            }
            (Self::Uid, _) => {
                out.extend_from_slice(b"UID ");
                print_number(facts.entry.uid.0.into(), out);
            }
            (Self::Content(content), structure) => {
                return print_content(content, structure.as_ref(), facts, &mut progress.is_cut, out);
            }
        }
        None
    }
}

fn print_flags(facts: &MessageFacts<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"FLAGS ");
    response::flag_list(&facts.entry, facts.keyword_names, facts.is_recent, out);
}

fn print_content(
    content: &Content,
    structure: Option<&Structure>,
    facts: &MessageFacts<'_>,
    is_cut: &mut bool,
    out: &mut Vec<u8>,
) -> Option<Step> {
    out.extend_from_slice(content.label());
    let Some(range) = content.range(structure, facts.octets) else {
        // RFC 3501 §4.5: NIL is what does not exist, unlike what is empty.
        out.extend_from_slice(b"NIL");
        return None;
    };
    if content.is_fields() {
        let end = range.end.min(range.start.saturating_add(FIELDS_OCTETS_MAX));
        *is_cut = end < range.end;
        return Some(Step::Fields(range.start..end));
    }
    let range = content.cut(range);
    if range.is_empty() {
        out.extend_from_slice(b"\"\"");
        return None;
    }
    literal_head(range.end - range.start, out);
    Some(Step::Content(range))
}
