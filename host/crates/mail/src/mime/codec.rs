//! A structure as compact octets, to be stored with its message.
//!
//! Version 1: numbers are LEB128; octets have their length first; an optional value has its length plus one, or 0;
//! lists have their count first. A range is its start and its length.

use super::{
    Content, ContentFields, Disposition, EnvelopeFields, NESTING_CEILING, Parameter, Part, Structure,
};
use crate::header::ListedAddress;

/// Octets that are no structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a later version, or not a structure at all.
    #[error("structure has version {0}, not {VERSION}")]
    Version(u8),
    /// They end too early, go on too long, or mean nothing.
    #[error("structure is broken {left} octets before its end")]
    Broken {
        /// How many octets were not yet read.
        left: usize,
    },
}

const VERSION: u8 = 1;
const LEAF: u8 = 0;
const MULTIPART: u8 = 1;
const MESSAGE: u8 = 2;

impl Structure {
    /// As octets that [`Structure::decode`] reads.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer(Vec::with_capacity(256));
        writer.0.push(VERSION);
        writer.structure(self);
        writer.0
    }

    /// Reads what [`Structure::encode`] wrote. Any octets can be given: memory is bounded by a multiple of theirs.
    ///
    /// # Errors
    /// [`DecodeError`] when nobody wrote them so.
    pub fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let Some((version, rest)) = octets.split_first() else { return Err(DecodeError::Broken { left: 0 }) };
        if *version != VERSION {
            return Err(DecodeError::Version(*version));
        }
        let mut reader = Reader { rest };
        let structure = reader.structure(0);
        structure.filter(|_| reader.rest.is_empty()).ok_or(DecodeError::Broken { left: reader.rest.len() })
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    fn count(&mut self, count: usize) {
        self.number(u64::try_from(count).unwrap_or(u64::MAX));
    }

    fn octets(&mut self, octets: &[u8]) {
        self.count(octets.len());
        self.0.extend_from_slice(octets);
    }

    fn optional(&mut self, octets: Option<&[u8]>) {
        self.count(octets.map_or(0, |octets| octets.len().saturating_add(1)));
        self.0.extend_from_slice(octets.unwrap_or_default());
    }

    fn structure(&mut self, structure: &Structure) {
        let envelope = &structure.envelope;
        for text in [&envelope.date, &envelope.subject, &envelope.in_reply_to, &envelope.message_id] {
            self.optional(text.as_deref());
        }
        let EnvelopeFields { from, sender, reply_to, to, cc, bcc, .. } = envelope;
        for list in [from, sender, reply_to, to, cc, bcc] {
            self.count(list.len());
            for address in list {
                for text in [&address.name, &address.route, &address.mailbox, &address.host] {
                    self.optional(text.as_deref());
                }
            }
        }
        self.part(&structure.root);
    }

    fn part(&mut self, part: &Part) {
        for range in [&part.header, &part.body] {
            self.number(range.start);
            self.number(range.end.saturating_sub(range.start));
        }
        self.number(part.lines);
        self.fields(&part.fields);
        match &part.content {
            Content::Leaf => self.0.push(LEAF),
            Content::Multipart(children) => {
                self.0.push(MULTIPART);
                self.count(children.len());
                children.iter().for_each(|child| self.part(child));
            }
            Content::Message(message) => {
                self.0.push(MESSAGE);
                self.structure(message);
            }
        }
    }

    fn fields(&mut self, fields: &ContentFields) {
        self.octets(&fields.media_type);
        self.octets(&fields.subtype);
        self.parameters(&fields.parameters);
        self.optional(fields.disposition.as_ref().map(|disposition| disposition.kind.as_slice()));
        if let Some(disposition) = &fields.disposition {
            self.parameters(&disposition.parameters);
        }
        for text in [&fields.encoding, &fields.id, &fields.description, &fields.md5, &fields.location] {
            self.optional(text.as_deref());
        }
        self.count(fields.language.len());
        fields.language.iter().for_each(|tag| self.octets(tag));
    }

    fn parameters(&mut self, parameters: &[Parameter]) {
        self.count(parameters.len());
        for parameter in parameters {
            self.octets(&parameter.name);
            self.octets(&parameter.value);
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn octet(&mut self) -> Option<u8> {
        let (octet, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*octet)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            let bits = u64::from(octet & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if octet & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, octets: u64) -> Option<Vec<u8>> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(octets).ok()?)?;
        self.rest = rest;
        Some(taken.to_vec())
    }

    fn octets(&mut self) -> Option<Vec<u8>> {
        let octets = self.number()?;
        self.take(octets)
    }

    /// The outer `None` is an error.
    fn optional(&mut self) -> Option<Option<Vec<u8>>> {
        match self.number()?.checked_sub(1) {
            None => Some(None),
            Some(octets) => self.take(octets).map(Some),
        }
    }

    /// As many elements as are announced. Nothing is reserved: each needs octets that must be there.
    fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(element(self)?);
        }
        Some(list)
    }

    fn structure(&mut self, depth: usize) -> Option<Structure> {
        let (date, subject) = (self.optional()?, self.optional()?);
        let (in_reply_to, message_id) = (self.optional()?, self.optional()?);
        let mut addresses = || self.list(Self::address);
        let (from, sender, reply_to) = (addresses()?, addresses()?, addresses()?);
        let (to, cc, bcc) = (addresses()?, addresses()?, addresses()?);
        let envelope =
            EnvelopeFields { date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id };
        Some(Structure { envelope, root: self.part(depth)? })
    }

    fn address(&mut self) -> Option<ListedAddress> {
        let (name, route) = (self.optional()?, self.optional()?);
        Some(ListedAddress { name, route, mailbox: self.optional()?, host: self.optional()? })
    }

    fn part(&mut self, depth: usize) -> Option<Part> {
        if depth > NESTING_CEILING {
            return None;
        }
        let mut range = || {
            let start = self.number()?;
            Some(start..start.checked_add(self.number()?)?)
        };
        let (header, body) = (range()?, range()?);
        let lines = self.number()?;
        let fields = self.fields()?;
        let content = match self.octet()? {
            LEAF => Content::Leaf,
            MULTIPART => Content::Multipart(self.list(|reader| reader.part(depth + 1))?),
            MESSAGE => Content::Message(Box::new(self.structure(depth + 1)?)),
            _ => return None,
        };
        Some(Part { header, body, lines, fields, content })
    }

    fn fields(&mut self) -> Option<ContentFields> {
        let (media_type, subtype) = (self.octets()?, self.octets()?);
        let parameters = self.list(Self::parameter)?;
        let disposition = match self.optional()? {
            Some(kind) => Some(Disposition { kind, parameters: self.list(Self::parameter)? }),
            None => None,
        };
        let (encoding, id, description) = (self.optional()?, self.optional()?, self.optional()?);
        let (md5, location) = (self.optional()?, self.optional()?);
        let language = self.list(Self::octets)?;
        Some(ContentFields {
            media_type,
            subtype,
            parameters,
            disposition,
            encoding,
            id,
            description,
            md5,
            language,
            location,
        })
    }

    fn parameter(&mut self) -> Option<Parameter> {
        Some(Parameter { name: self.octets()?, value: self.octets()? })
    }
}
