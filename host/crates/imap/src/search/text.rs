//! Text found in headers and in contents, without regard to case.
//!
//! Invariants of a [`Scan`]: each octet of the content is looked at once; a chunk and the end of the one before are held,
//! or one header section of at most [`HEADER_OCTETS_MAX`]; the pieces in which the content comes make no difference.

use std::ops::Range;

use maitred_mail::header::{Fields, decode_words};
use maitred_mail::mime::{Content, Part, Structure};
use maitred_mail::transfer::{Encoding, TextDecoder};
use memchr::memmem::{self, Finder};

use super::HEADER_OCTETS_MAX;

/// What is looked for, in lower case.
#[derive(Debug)]
pub(super) struct Needle {
    finder: Finder<'static>,
}

/// One BODY or TEXT.
#[derive(Debug)]
pub(super) struct TextNeedle {
    pub(super) needle: Needle,
    /// BODY: not in the message's header section, nor in those of parts.
    pub(super) is_body: bool,
}

impl Needle {
    pub(super) fn new(text: &str) -> Self {
        let mut folded = Vec::with_capacity(text.len());
        fold(text, &mut folded);
        Self { finder: Finder::new(&folded).into_owned() }
    }

    fn octets(&self) -> usize {
        self.finder.needle().len()
    }

    fn is_in(&self, folded: &[u8]) -> bool {
        self.finder.find(folded).is_some()
    }

    /// In an unfolded value, as it is written or with its encoded words decoded.
    pub(super) fn is_in_header(&self, value: &[u8]) -> bool {
        let lower = value.to_ascii_lowercase();
        if self.is_in(&lower) {
            return true;
        }
        if value.is_ascii() && memmem::find(value, b"=?").is_none() {
            return false;
        }
        let mut folded = Vec::with_capacity(value.len());
        fold(&decode_words(value, HEADER_OCTETS_MAX), &mut folded);
        self.is_in(&folded)
    }
}

/// Appends the text in lower case: what most of RFC 5051 amounts to in practice.
fn fold(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    while !rest.is_empty() {
        let ascii = rest.bytes().position(|octet| !octet.is_ascii()).unwrap_or(rest.len());
        let (plain, after) = rest.split_at_checked(ascii).unwrap_or((rest, ""));
        let begin = out.len();
        out.extend_from_slice(plain.as_bytes());
        out.get_mut(begin..).unwrap_or_default().make_ascii_lowercase();
        let other = after.find(|character: char| character.is_ascii()).unwrap_or(after.len());
        let (other, after) = after.split_at_checked(other).unwrap_or((after, ""));
        let mut buffer = [0; 4];
        for character in other.chars().flat_map(char::to_lowercase) {
            out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
        rest = after;
    }
}

/// Which texts a content has, in the order of the search's BODY and TEXT keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hits(pub(super) Vec<bool>);

impl Hits {
    pub(super) fn has(&self, nth: usize) -> bool {
        self.0.get(nth).copied().unwrap_or_default()
    }
}

/// Looks for texts in a content: read what is [`Scan::wanted`] and [`Scan::push`] it until nothing is wanted any more.
pub struct Scan<'a> {
    needles: &'a [TextNeedle],
    hits: Hits,
    /// What is left to be searched, from the last to the first.
    segments: Vec<Segment>,
    /// Octets before the end of what may be the beginning of a text: those of the longest one, less one.
    overlap: usize,
    /// Of the segment that is under way.
    running: Running,
    decoded: String,
    folded: Vec<u8>,
}

#[derive(Debug)]
struct Segment {
    range: Range<u64>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// A header section.
    Header {
        /// It is text of the body: that of a nested message.
        is_body: bool,
    },
    /// The body of a text part.
    Text { encoding: Encoding, charset: Option<Box<[u8]>> },
}

enum Running {
    None,
    Header { section: Vec<u8>, is_body: bool },
    Text(Box<TextDecoder>),
}

impl<'a> Scan<'a> {
    pub(super) fn new(needles: &'a [TextNeedle], structure: &Structure) -> Self {
        let mut segments = Vec::new();
        if needles.iter().any(|needle| !needle.is_body) {
            segments.push(header(&structure.root, false));
        }
        collect(&structure.root, needles.iter().any(|needle| !needle.is_body), &mut segments);
        segments.retain(|segment| !segment.range.is_empty());
        segments.reverse();
        Self {
            needles,
            hits: Hits(vec![false; needles.len()]),
            segments,
            overlap: needles.iter().map(|needle| needle.needle.octets()).max().unwrap_or(0).saturating_sub(1),
            running: Running::None,
            decoded: String::new(),
            folded: Vec::new(),
        }
    }

    /// Octets of the content that are searched next: read some from the beginning of the range, as many as you like.
    /// `None` when all is found, or there is no more.
    pub fn wanted(&self) -> Option<Range<u64>> {
        let is_over = self.hits.0.iter().all(|is_found| *is_found);
        self.segments.last().filter(|_| !is_over).map(|segment| segment.range.clone())
    }

    /// Searches octets from the beginning of what is [`Scan::wanted`]. None at all says that there are no more.
    pub fn push(&mut self, octets: &[u8]) {
        let Some(segment) = self.segments.last_mut() else { return };
        if matches!(self.running, Running::None) {
            self.running = segment.kind.begin();
        }
        let pushed = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        segment.range.start = segment.range.start.saturating_add(pushed);
        let is_over = segment.range.is_empty() || octets.is_empty();
        match &mut self.running {
            Running::None => {}
            Running::Header { section, .. } => {
                let room = HEADER_OCTETS_MAX.saturating_sub(section.len());
                section.extend_from_slice(octets.get(..room).unwrap_or(octets));
            }
            Running::Text(decoder) => {
                self.decoded.clear();
                decoder.push(octets, &mut self.decoded);
                self.search_decoded();
            }
        }
        if is_over {
            self.finish_segment();
        }
    }

    /// What was found.
    pub fn into_hits(self) -> Hits {
        self.hits
    }

    fn finish_segment(&mut self) {
        self.segments.pop();
        match std::mem::replace(&mut self.running, Running::None) {
            Running::None => {}
            Running::Header { section, is_body } => self.search_header(&section, is_body),
            Running::Text(decoder) => {
                self.decoded.clear();
                decoder.finish(&mut self.decoded);
                self.search_decoded();
            }
        }
        self.folded.clear();
    }

    fn search_decoded(&mut self) {
        fold(&self.decoded, &mut self.folded);
        self.look(true);
        let searched = self.folded.len().saturating_sub(self.overlap);
        self.folded.drain(..searched);
    }

    /// Each field on a line of its own, as it is written and decoded.
    fn search_header(&mut self, section: &[u8], is_body: bool) {
        for field in Fields::new(section) {
            let value = field.unfolded();
            self.folded.clear();
            for octets in [field.name, b": ", &value] {
                self.folded.extend_from_slice(octets);
            }
            self.folded.make_ascii_lowercase();
            self.look(is_body);
            if !value.is_ascii() || memmem::find(&value, b"=?").is_some() {
                self.folded.clear();
                fold(&decode_words(&value, HEADER_OCTETS_MAX), &mut self.folded);
                self.look(is_body);
            }
        }
    }

    /// Looks for what is not yet found.
    fn look(&mut self, is_body: bool) {
        for (needle, is_found) in self.needles.iter().zip(&mut self.hits.0) {
            if !*is_found && (is_body || !needle.is_body) {
                *is_found = needle.needle.is_in(&self.folded);
            }
        }
    }
}

impl Kind {
    fn begin(&self) -> Running {
        match self {
            Self::Header { is_body } => Running::Header { section: Vec::new(), is_body: *is_body },
            Self::Text { encoding, charset } => {
                Running::Text(Box::new(TextDecoder::new(*encoding, charset.as_deref())))
            }
        }
    }
}

fn header(part: &Part, is_body: bool) -> Segment {
    Segment { range: part.header.clone(), kind: Kind::Header { is_body } }
}

/// The text in a part, in the order in which it stands there. Header sections of parts, which have the names of files,
/// are for TEXT; attachments that are no text are not searched.
fn collect(part: &Part, has_text: bool, segments: &mut Vec<Segment>) {
    match &part.content {
        Content::Multipart(children) => {
            for child in children {
                if has_text {
                    segments.push(header(child, false));
                }
                collect(child, has_text, segments);
            }
        }
        Content::Message(message) => {
            segments.push(header(&message.root, true));
            collect(&message.root, has_text, segments);
        }
        Content::Leaf if part.fields.is_of("text") => {
            let charset = part.fields.parameter("charset").map(Into::into);
            let kind = Kind::Text { encoding: part.fields.transfer(), charset };
            segments.push(Segment { range: part.body.clone(), kind });
        }
        Content::Leaf => {}
    }
}
