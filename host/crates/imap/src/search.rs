//! Which messages a SEARCH finds: RFC 3501 §6.4.4.
//!
//! A [`Search`] is made once for a command. [`Search::verdict`] decides about a message from the [`Facts`] that are there
//! and names the cheapest one that is missing, so that contents are read only when nothing else decides:
//!
//! 1. flags and numbers, which the session's view has;
//! 2. [`Stage::Record`]: date and size;
//! 3. [`Stage::Structure`]: the envelope, which is stored with the record;
//! 4. [`Stage::Header`]: the header section, for HEADER;
//! 5. [`Stage::Text`]: a [`Scan`] of the text in the content, for BODY and TEXT.
//!
//! Texts are compared without regard to case, headers both as they are written and with their encoded words decoded.
//! Invariant: more facts never change a verdict, they only make it possible. Driven by `flow::read`.

#[cfg(test)]
mod tests;
mod text;

use std::ops::{Range, RangeInclusive};

use maitred_mail::header::{Date, Fields, ListedAddress};
use maitred_mail::mime::Structure;
use maitred_mail::{Entry, Flags, Keywords, Seq, Snapshot, Timestamp};

use crate::command::{Day, SearchKey};
use crate::set::has_number;
use text::{Needle, TextNeedle};

pub use text::{Hits, Scan};

/// What is known of a message.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Its number in the session's view.
    pub seq: Seq,
    /// UID and flags.
    pub entry: Entry,
    /// `\Recent` is set for this session.
    pub is_recent: bool,
    /// [`Stage::Record`]: INTERNALDATE and RFC822.SIZE.
    pub record: Option<(Timestamp, u64)>,
    /// [`Stage::Structure`]
    pub structure: Option<&'a Structure>,
    /// [`Stage::Header`]: the octets of the root's header section, at most [`HEADER_OCTETS_MAX`] of them.
    pub header: Option<&'a [u8]>,
    /// [`Stage::Text`]: what [`Search::scan`] found.
    pub hits: Option<&'a Hits>,
}

impl Facts<'_> {
    /// What the view knows.
    pub fn new(seq: Seq, entry: Entry, is_recent: bool) -> Self {
        Self { seq, entry, is_recent, record: None, structure: None, header: None, hits: None }
    }
}

/// Octets of a header section that are searched: 1 MiB, as far as structures are read too.
pub const HEADER_OCTETS_MAX: usize = 1024 * 1024;

/// What may have to be fetched about a message, cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// [`Facts::record`]
    Record,
    /// [`Facts::structure`]
    Structure,
    /// [`Facts::header`]
    Header,
    /// [`Facts::hits`]; the structure is needed for it.
    Text,
}

/// What is known about a message and a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is found.
    Matches,
    /// It is not.
    Fails,
    /// That depends on this, among others.
    Needs(Stage),
}

/// A search key, ready for many messages.
#[derive(Debug)]
pub struct Search {
    root: Node,
    texts: Vec<TextNeedle>,
}

#[derive(Debug)]
enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Flags(Flags),
    Keyword(Keywords),
    Recent,
    Seq(Vec<RangeInclusive<u32>>),
    Uid(Vec<RangeInclusive<u32>>),
    /// INTERNALDATE's day is in this range.
    Received(Range<i64>),
    /// Date:'s day is in this range.
    Sent(Range<i64>),
    Larger(u64),
    Smaller(u64),
    /// A field of the envelope contains this.
    Envelope(EnvelopeField, Needle),
    /// Some field of this name contains this.
    Header(Box<str>, Needle),
    /// The text of this number is in the content.
    Text(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EnvelopeField {
    Bcc,
    Cc,
    Date,
    From,
    InReplyTo,
    MessageId,
    Subject,
    To,
}

impl Search {
    /// A key in this mailbox, as the session knows it: that gives numbers and keywords their meaning.
    pub fn new(key: &SearchKey, told: &Snapshot) -> Self {
        let mut texts = Vec::new();
        let root = compile(key, told, &mut texts);
        Self { root, texts }
    }

    /// What these facts say.
    pub fn verdict(&self, facts: &Facts<'_>) -> Verdict {
        self.root.evaluate(facts)
    }

    /// Looks for what BODY and TEXT want in a content of this structure.
    pub fn scan(&self, structure: &Structure) -> Scan<'_> {
        Scan::new(&self.texts, structure)
    }
}

fn compile(key: &SearchKey, told: &Snapshot, texts: &mut Vec<TextNeedle>) -> Node {
    use EnvelopeField::{Bcc, Cc, From, Subject, To};
    let mut text = |text: &str, is_body: bool| {
        texts.push(TextNeedle { needle: Needle::new(text), is_body });
        Node::Text(texts.len() - 1)
    };
    let envelope = |field, text: &str| Node::Envelope(field, Needle::new(text));
    let last_uid = || told.last_uid().map_or(0, |uid| uid.0);
    match key {
        SearchKey::And(keys) => Node::And(keys.iter().map(|key| compile(key, told, texts)).collect()),
        SearchKey::Or(first, second) => {
            Node::Or([first, second].into_iter().map(|key| compile(key, told, texts)).collect())
        }
        SearchKey::Not(key) => Node::Not(Box::new(compile(key, told, texts))),
        SearchKey::Bcc(text) => envelope(Bcc, text),
        SearchKey::Cc(text) => envelope(Cc, text),
        SearchKey::From(text) => envelope(From, text),
        SearchKey::Subject(text) => envelope(Subject, text),
        SearchKey::To(text) => envelope(To, text),
        SearchKey::Header { name, text } => header(name, text),
        SearchKey::Body(words) => text(words, true),
        SearchKey::Text(words) => text(words, false),
        SearchKey::Before(Day(day)) => Node::Received(i64::MIN..*day),
        SearchKey::On(Day(day)) => Node::Received(*day..*day + 1),
        SearchKey::Since(Day(day)) => Node::Received(*day..i64::MAX),
        SearchKey::SentBefore(Day(day)) => Node::Sent(i64::MIN..*day),
        SearchKey::SentOn(Day(day)) => Node::Sent(*day..*day + 1),
        SearchKey::SentSince(Day(day)) => Node::Sent(*day..i64::MAX),
        SearchKey::Flag(flag) => Node::Flags(*flag),
        SearchKey::Keyword(name) => keyword(name, told),
        SearchKey::New => Node::And(vec![Node::Recent, Node::Not(Box::new(Node::Flags(Flags::SEEN)))]),
        SearchKey::Old => Node::Not(Box::new(Node::Recent)),
        SearchKey::Recent => Node::Recent,
        SearchKey::Larger(octets) => Node::Larger(*octets),
        SearchKey::Smaller(octets) => Node::Smaller(*octets),
        SearchKey::Seq(set) => Node::Seq(set.ranges(told.len())),
        SearchKey::Uid(set) => Node::Uid(set.ranges(last_uid())),
    }
}

/// A keyword that the mailbox does not have is on no message.
fn keyword(name: &str, told: &Snapshot) -> Node {
    let bit = told.keyword_names.iter().position(|known| known.eq_ignore_ascii_case(name));
    match bit.and_then(|bit| 1_u64.checked_shl(u32::try_from(bit).ok()?)) {
        Some(bit) => Node::Keyword(Keywords(bit)),
        None => Node::Or(Vec::new()),
    }
}

/// Fields that the envelope shows as they are written need no header section.
fn header(name: &str, text: &str) -> Node {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    let field = match () {
        () if is("Date") => EnvelopeField::Date,
        () if is("In-Reply-To") => EnvelopeField::InReplyTo,
        () if is("Message-ID") => EnvelopeField::MessageId,
        () if is("Subject") => EnvelopeField::Subject,
        () => return Node::Header(name.into(), Needle::new(text)),
    };
    Node::Envelope(field, Needle::new(text))
}

impl From<bool> for Verdict {
    fn from(matches: bool) -> Self {
        if matches { Self::Matches } else { Self::Fails }
    }
}

impl Node {
    /// The depth is bounded by the grammar's `nesting_max`.
    fn evaluate(&self, facts: &Facts<'_>) -> Verdict {
        match self {
            Self::And(nodes) => combine(nodes, facts, Verdict::Fails, Verdict::Matches),
            Self::Or(nodes) => combine(nodes, facts, Verdict::Matches, Verdict::Fails),
            Self::Not(node) => match node.evaluate(facts) {
                Verdict::Matches => Verdict::Fails,
                Verdict::Fails => Verdict::Matches,
                needs @ Verdict::Needs(_) => needs,
            },
            Self::Flags(flags) => facts.entry.flags.has(*flags).into(),
            Self::Keyword(bit) => (facts.entry.keywords.0 & bit.0 != 0).into(),
            Self::Recent => facts.is_recent.into(),
            Self::Seq(ranges) => has_number(ranges, facts.seq.0).into(),
            Self::Uid(ranges) => has_number(ranges, facts.entry.uid.0).into(),
            Self::Received(days) => {
                of(facts.record, Stage::Record, |(date, _)| days.contains(&day(date.seconds())))
            }
            Self::Larger(octets) => of(facts.record, Stage::Record, |(_, size)| size > *octets),
            Self::Smaller(octets) => of(facts.record, Stage::Record, |(_, size)| size < *octets),
            Self::Sent(days) => of(facts.structure, Stage::Structure, |structure| {
                // RFC 3501 §6.4.4: disregarding time and timezone.
                let date = structure.envelope.date.as_deref().and_then(Date::parse);
                date.is_some_and(|date| days.contains(&day(date.local_seconds)))
            }),
            Self::Envelope(field, needle) => {
                of(facts.structure, Stage::Structure, |structure| field.contains(structure, needle))
            }
            Self::Header(name, needle) => of(facts.header, Stage::Header, |section| {
                Fields::new(section).any(|field| field.is(name) && needle.is_in_header(&field.unfolded()))
            }),
            Self::Text(nth) => of(facts.hits, Stage::Text, |hits| hits.has(*nth)),
        }
    }
}

/// Kleene's logic: `decisive` decides for all; else what is missing is asked for, the cheapest first.
fn combine(nodes: &[Node], facts: &Facts<'_>, decisive: Verdict, otherwise: Verdict) -> Verdict {
    let mut missing: Option<Stage> = None;
    for node in nodes {
        match node.evaluate(facts) {
            Verdict::Needs(stage) => missing = Some(missing.map_or(stage, |known| known.min(stage))),
            verdict if verdict == decisive => return decisive,
            _ => {}
        }
    }
    missing.map_or(otherwise, Verdict::Needs)
}

fn of<T>(fact: Option<T>, stage: Stage, test: impl FnOnce(T) -> bool) -> Verdict {
    fact.map_or(Verdict::Needs(stage), |fact| test(fact).into())
}

fn day(seconds: i64) -> i64 {
    seconds.div_euclid(86_400)
}

impl EnvelopeField {
    fn contains(self, structure: &Structure, needle: &Needle) -> bool {
        let envelope = &structure.envelope;
        let is_in =
            |field: &Option<Vec<u8>>| field.as_deref().is_some_and(|field| needle.is_in_header(field));
        match self {
            Self::Bcc => is_in_addresses(&envelope.bcc, needle),
            Self::Cc => is_in_addresses(&envelope.cc, needle),
            Self::Date => is_in(&envelope.date),
            Self::From => is_in_addresses(&envelope.from, needle),
            Self::InReplyTo => is_in(&envelope.in_reply_to),
            Self::MessageId => is_in(&envelope.message_id),
            Self::Subject => is_in(&envelope.subject),
            Self::To => is_in_addresses(&envelope.to, needle),
        }
    }
}

/// In the list as people write it: `Name <mailbox@host>, …`.
fn is_in_addresses(list: &[ListedAddress], needle: &Needle) -> bool {
    if list.is_empty() {
        return false;
    }
    let mut written = Vec::with_capacity(list.len() * 40);
    for address in list {
        if !written.is_empty() {
            written.extend_from_slice(b", ");
        }
        if let Some(name) = &address.name {
            written.extend_from_slice(name);
            written.push(b' ');
        }
        written.push(b'<');
        written.extend_from_slice(address.mailbox.as_deref().unwrap_or_default());
        if let Some(host) = &address.host {
            written.push(b'@');
            written.extend_from_slice(host);
        }
        written.push(b'>');
    }
    needle.is_in_header(&written)
}
