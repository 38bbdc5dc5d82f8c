//! Takes a message apart while it streams by: RFC 2046 §5.1.
//!
//! Invariants: only the current header section and the beginning of the current line are held, both bounded; the
//! pieces in which the message arrives make no difference; work is linear in the octets, but for a look at each open
//! boundary (at most the nesting limit) on lines that begin with `--`.

use std::mem;

use memchr::{memchr, memchr_iter, memrchr};

use super::fields::{self, BOUNDARY_OCTETS_MAX, Kind};
use super::{Content, ContentFields, EnvelopeFields, Limits, NESTING_CEILING, Part, Structure};

/// Makes a [`Structure`] of a message fed from its first octet.
#[derive(Debug)]
pub struct StructureBuilder {
    limits: Limits,
    /// The message, and in each the part that is open in it.
    open: Vec<Open>,
    /// True while a header section is read, that of the last open part.
    is_in_header: bool,
    /// The header section so far, as much of it as the limit allows.
    header: Vec<u8>,
    header_octets_left: usize,
    addresses_left: usize,
    parts: usize,
    /// True when the limit of parts is reached: the last part has the rest.
    is_sealed: bool,
    /// How many open parts wait for a delimiter.
    boundaries: usize,
    /// Octets seen.
    at: u64,
    /// Lines that ended.
    lines: u64,
    line_start: u64,
    /// The beginning of the current line when it came in pieces.
    line: Vec<u8>,
    /// True when the last piece of it ended with CR.
    has_return: bool,
    /// How the last line ended.
    last: LineEnd,
}

/// A part that has begun.
#[derive(Debug)]
struct Open {
    part: Part,
    /// A message has an envelope, a part of a multipart none.
    envelope: Option<EnvelopeFields>,
    /// A multipart that is not yet closed: what its delimiters begin with, `--` among it.
    delimiter: Option<Vec<u8>>,
    /// Lines before its body.
    lines_before: u64,
    is_in_digest: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct LineEnd {
    /// 1 or 2; 0 before the first line and when the message ends without.
    octets: u64,
    /// True when the line has nothing else.
    is_blank: bool,
}

/// A delimiter with its white space is not longer, or is none.
const LINE_HELD: usize = BOUNDARY_OCTETS_MAX + 262;

impl StructureBuilder {
    /// Before the first octet.
    pub fn new(limits: Limits) -> Self {
        let mut builder = Self {
            limits: Limits { nesting_max: limits.nesting_max.min(NESTING_CEILING), ..limits },
            open: Vec::new(),
            is_in_header: true,
            header: Vec::new(),
            header_octets_left: limits.header_octets_max,
            addresses_left: limits.addresses_max,
            parts: 0,
            is_sealed: false,
            boundaries: 0,
            at: 0,
            lines: 0,
            line_start: 0,
            line: Vec::new(),
            has_return: false,
            last: LineEnd::default(),
        };
        builder.begin(0, Some(EnvelopeFields::default()), false);
        builder
    }

    /// The next octets of the message.
    pub fn push(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() {
            if !self.is_in_header && (self.is_sealed || self.boundaries == 0) {
                self.pass_over(rest);
                return;
            }
            let end = memchr(b'\n', rest).map(|at| at + 1);
            let (piece, after) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, &[]));
            rest = after;
            self.at = self.at.saturating_add(len(piece));
            self.hold_header(piece);
            if end.is_none() {
                self.hold(piece);
            } else if self.line.is_empty() {
                let last =
                    LineEnd { octets: line_end(piece, false), is_blank: matches!(piece, b"\n" | b"\r\n") };
                self.end_line(piece, last);
            } else {
                let octets = line_end(piece, self.has_return);
                let last = LineEnd { octets, is_blank: self.at - self.line_start == octets };
                self.hold(piece);
                let mut line = mem::take(&mut self.line);
                self.end_line(&line, last);
                line.clear();
                self.line = line;
            }
        }
    }

    /// The message is over.
    pub fn finish(mut self) -> Structure {
        let line = mem::take(&mut self.line);
        let is_partial = self.line_start < self.at;
        if is_partial && !self.is_sealed {
            // The last line may be a delimiter all the same.
            self.delimiter(&line);
        }
        self.end_headers(self.at);
        let lines = self.lines + u64::from(is_partial);
        loop {
            let Some(open) = self.close(self.at, lines) else { return Structure::empty() };
            if self.open.is_empty() {
                return Structure { envelope: open.envelope.unwrap_or_default(), root: open.part };
            }
            self.adopt(open);
        }
    }

    /// Octets of a body in which no delimiter is awaited.
    fn pass_over(&mut self, octets: &[u8]) {
        self.line.clear();
        self.lines += u64::try_from(memchr_iter(b'\n', octets).count()).unwrap_or(0);
        if let Some(last) = memrchr(b'\n', octets) {
            self.line_start = self.at.saturating_add(len(octets.get(..=last).unwrap_or_default()));
        }
        self.at = self.at.saturating_add(len(octets));
    }

    fn hold(&mut self, piece: &[u8]) {
        let room = LINE_HELD.saturating_sub(self.line.len());
        self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
        self.has_return = piece.ends_with(b"\r");
    }

    fn hold_header(&mut self, piece: &[u8]) {
        if self.is_in_header {
            let piece = piece.get(..self.header_octets_left).unwrap_or(piece);
            self.header_octets_left -= piece.len();
            self.header.extend_from_slice(piece);
        }
    }

    /// A line is complete: `line` is it, or the beginning of a long one.
    fn end_line(&mut self, line: &[u8], last: LineEnd) {
        let is_delimiter = !self.is_sealed && line.starts_with(b"--") && self.delimiter(line);
        if self.is_in_header && last.is_blank && !is_delimiter {
            self.end_header(self.at, self.lines + 1);
        }
        self.lines += 1;
        self.line_start = self.at;
        self.last = last;
    }

    /// True when this line, the current one, is a delimiter of an open multipart: then that goes on or is over.
    fn delimiter(&mut self, line: &[u8]) -> bool {
        if self.boundaries == 0 || self.at - self.line_start > LINE_HELD as u64 {
            return false;
        }
        let found = self.open.iter().enumerate().rev().find_map(|(nth, open)| {
            let tail = line.strip_prefix(open.delimiter.as_deref()?)?;
            // RFC 2046 §5.1.1: white space may follow. Behind the last delimiter some software writes more.
            let is_last = tail.starts_with(b"--");
            (is_last || tail.trim_ascii().is_empty()).then_some((nth, is_last))
        });
        let Some((nth, is_last)) = found else { return false };
        // A delimiter held in the header section does no harm: no field that we read begins with `--`.
        // RFC 2046 §5.1.1: the line end before the delimiter belongs to it.
        let end = self.line_start.saturating_sub(self.last.octets);
        self.end_headers(end);
        let end = end.max(self.open.last().map_or(0, |open| open.part.body.start));
        let is_blank_taken = end < self.line_start && self.last.is_blank;
        let lines = self.lines.saturating_sub(u64::from(is_blank_taken));
        while self.open.len() > nth + 1 {
            if let Some(open) = self.close(end, lines) {
                self.adopt(open);
            }
        }
        if is_last {
            if let Some(open) = self.open.last_mut() {
                open.delimiter = None;
            }
        } else {
            let is_in_digest =
                self.open.last().is_some_and(|open| open.part.fields.is("multipart", "digest"));
            self.begin(self.at, None, is_in_digest);
        }
        self.count_boundaries();
        true
    }

    /// A part begins with its header section.
    fn begin(&mut self, at: u64, envelope: Option<EnvelopeFields>, is_in_digest: bool) {
        self.parts += 1;
        // The last part that the limit allows has all the rest.
        self.is_sealed = self.parts >= self.limits.parts_max && self.parts > 1;
        let fields = fields::media_type("application", "octet-stream");
        let part = Part { header: at..at, body: at..at, lines: 0, fields, content: Content::Leaf };
        // The line that begins here is counted when its delimiter has ended.
        let lines_before = self.lines + u64::from(self.parts > 1);
        self.open.push(Open { part, envelope, delimiter: None, lines_before, is_in_digest });
        self.is_in_header = !self.is_sealed;
        self.header.clear();
    }

    /// The header section of the last open part is over.
    fn end_header(&mut self, end: u64, lines: u64) {
        let may_nest = self.open.len() < self.limits.nesting_max && self.parts + 1 < self.limits.parts_max;
        let Some(open) = self.open.last_mut() else { return };
        let addresses = open.envelope.is_some().then_some(&mut self.addresses_left);
        let read = fields::read(&self.header, addresses, open.is_in_digest);
        if let Some(envelope) = &mut open.envelope {
            *envelope = read.envelope;
        }
        let end = end.max(open.part.header.start);
        open.part.header.end = end;
        open.part.body = end..end;
        open.lines_before = lines;
        open.part.fields = read.content;
        let mut is_message = false;
        match fields::kind(&open.part.fields) {
            Kind::Multipart(boundary) if may_nest => {
                open.delimiter = Some([b"--", boundary].concat());
                open.part.content = Content::Multipart(Vec::new());
            }
            Kind::Message if may_nest => is_message = true,
            Kind::Leaf => {}
            Kind::Multipart(_) | Kind::Message | Kind::Opaque => make_opaque(&mut open.part.fields),
        }
        self.is_in_header = false;
        if is_message {
            self.begin(end, Some(EnvelopeFields::default()), false);
        }
        self.header.clear();
        self.count_boundaries();
    }

    /// The header section that is being read ends here without an empty line, and so do those of messages in it.
    fn end_headers(&mut self, end: u64) {
        while self.is_in_header {
            self.end_header(end, self.lines);
        }
    }

    /// The last open part ends here.
    fn close(&mut self, end: u64, lines: u64) -> Option<Open> {
        let mut open = self.open.pop()?;
        open.part.body.end = end.max(open.part.body.start);
        if open.part.octets() > 0 {
            open.part.lines = lines.saturating_sub(open.lines_before);
        }
        if matches!(&open.part.content, Content::Multipart(children) if children.is_empty()) {
            open.part.content = Content::Leaf;
            make_opaque(&mut open.part.fields);
        }
        Some(open)
    }

    /// Puts a closed part into the one around it.
    fn adopt(&mut self, closed: Open) {
        let Some(parent) = self.open.last_mut() else { return };
        match (&mut parent.part.content, closed.envelope) {
            (Content::Multipart(children), _) => children.push(closed.part),
            (content, envelope) => {
                let envelope = envelope.unwrap_or_default();
                *content = Content::Message(Box::new(Structure { envelope, root: closed.part }));
            }
        }
    }

    fn count_boundaries(&mut self) {
        self.boundaries = self.open.iter().filter(|open| open.delimiter.is_some()).count();
    }
}

impl Structure {
    /// Of nothing.
    fn empty() -> Self {
        let part =
            Part { header: 0..0, body: 0..0, lines: 0, fields: fields::text_plain(), content: Content::Leaf };
        Self { envelope: EnvelopeFields::default(), root: part }
    }
}

/// A composite that is not taken apart: text when it is a multipart, which people may still read, else octets.
fn make_opaque(fields: &mut ContentFields) {
    let opaque = if fields.is_of("multipart") {
        fields::text_plain()
    } else {
        fields::media_type("application", "octet-stream")
    };
    fields.media_type = opaque.media_type;
    fields.subtype = opaque.subtype;
    fields.parameters = opaque.parameters;
}

fn len(octets: &[u8]) -> u64 {
    u64::try_from(octets.len()).unwrap_or(u64::MAX)
}

/// How long the line end of this piece is; the piece before it may have ended with CR.
fn line_end(piece: &[u8], has_return: bool) -> u64 {
    if piece.ends_with(b"\r\n") || (piece == b"\n" && has_return) { 2 } else { 1 }
}
