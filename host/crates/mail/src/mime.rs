//! What a message is made of: RFC 2045, RFC 2046, as IMAP's ENVELOPE and BODYSTRUCTURE show it (RFC 3501 §7.4.2).
//!
//! A [`StructureBuilder`] is fed with a message while it arrives and holds header sections only. The [`Structure`] it
//! makes is stored with the message, so that reading it never opens the body. Damaged messages have a structure too:
//! nothing is refused.
//! Invariants: ranges of nested parts lie inside the body of the part around them; a leaf is never `multipart/*` nor
//! `message/rfc822`; a multipart has at least one part.

mod builder;
mod codec;
mod fields;
mod file_name;
mod parameters;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::header::{Fields, ListedAddress};
use crate::transfer::Encoding;

pub use builder::StructureBuilder;
pub use codec::DecodeError;
pub use parameters::Parameter;

/// How much of a message is taken apart. What is beyond belongs to an opaque leaf; nothing is ever refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Octets of all header sections together whose fields are read: 1 MiB.
    pub header_octets_max: usize,
    /// Parts, each multipart and each nested message among them: 1000, at least 1.
    pub parts_max: usize,
    /// Parts inside one another: 50, at most [`NESTING_CEILING`].
    pub nesting_max: usize,
    /// Addresses in all envelopes together: 4096.
    pub addresses_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { header_octets_max: 1024 * 1024, parts_max: 1_000, nesting_max: 50, addresses_max: 4_096 }
    }
}

/// No structure is deeper, whatever [`Limits`] say.
pub const NESTING_CEILING: usize = 100;

/// A message, the whole or a nested one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    /// What ENVELOPE shows.
    pub envelope: EnvelopeFields,
    /// The message as a part: its header section and body.
    pub root: Part,
}

/// The fields of ENVELOPE: raw octets, unfolded, nothing decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnvelopeFields {
    /// `Date:`
    pub date: Option<Vec<u8>>,
    /// `Subject:`
    pub subject: Option<Vec<u8>>,
    /// `From:`
    pub from: Vec<ListedAddress>,
    /// `Sender:` as written; ENVELOPE shows [`EnvelopeFields::sender_or_from`].
    pub sender: Vec<ListedAddress>,
    /// `Reply-To:` as written; ENVELOPE shows [`EnvelopeFields::reply_to_or_from`].
    pub reply_to: Vec<ListedAddress>,
    /// `To:`
    pub to: Vec<ListedAddress>,
    /// `Cc:`
    pub cc: Vec<ListedAddress>,
    /// `Bcc:`
    pub bcc: Vec<ListedAddress>,
    /// `In-Reply-To:`
    pub in_reply_to: Option<Vec<u8>>,
    /// `Message-ID:`
    pub message_id: Option<Vec<u8>>,
}

impl EnvelopeFields {
    /// RFC 3501 §7.4.2: without Sender the server shows From.
    pub fn sender_or_from(&self) -> &[ListedAddress] {
        if self.sender.is_empty() { &self.from } else { &self.sender }
    }

    /// RFC 3501 §7.4.2: without Reply-To the server shows From.
    pub fn reply_to_or_from(&self) -> &[ListedAddress] {
        if self.reply_to.is_empty() { &self.from } else { &self.reply_to }
    }
}

/// One part. Offsets are octets from the beginning of the whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The header section with the empty line that ends it.
    pub header: Range<u64>,
    /// What follows, without the line end that belongs to the next delimiter (RFC 2046 §5.1.1).
    pub body: Range<u64>,
    /// Text lines of the body; the last need not have a line end.
    pub lines: u64,
    /// What the header section says about the body.
    pub fields: ContentFields,
    /// What the body is made of.
    pub content: Content,
}

impl Part {
    /// The octets of the body.
    pub fn octets(&self) -> u64 {
        self.body.end.saturating_sub(self.body.start)
    }

    /// The parts of a multipart; none of anything else.
    pub fn children(&self) -> &[Part] {
        match &self.content {
            Content::Multipart(children) => children,
            Content::Leaf | Content::Message(_) => &[],
        }
    }

    /// The nested message of `message/rfc822`.
    pub fn message(&self) -> Option<&Structure> {
        match &self.content {
            Content::Message(message) => Some(message),
            Content::Leaf | Content::Multipart(_) => None,
        }
    }

    fn shift(&mut self, delta: i64) {
        for offset in [&mut self.header.start, &mut self.header.end, &mut self.body.start, &mut self.body.end]
        {
            *offset = offset.saturating_add_signed(delta);
        }
        match &mut self.content {
            Content::Leaf => {}
            Content::Multipart(children) => children.iter_mut().for_each(|child| child.shift(delta)),
            Content::Message(message) => message.root.shift(delta),
        }
    }
}

/// What a part's body is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing that we look into.
    Leaf,
    /// `multipart/*`: at least one part.
    Multipart(Vec<Part>),
    /// `message/rfc822` or `message/global` (RFC 6532 §3.7).
    Message(Box<Structure>),
}

/// The Content-* fields of a part: raw octets, unfolded, nothing decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentFields {
    /// Such as `text`, in the case it is written in.
    pub media_type: Vec<u8>,
    /// Such as `plain`.
    pub subtype: Vec<u8>,
    /// In the order they are written, with the continuations of RFC 2231 as they are.
    pub parameters: Vec<Parameter>,
    /// `Content-Disposition:` (RFC 2183).
    pub disposition: Option<Disposition>,
    /// `Content-Transfer-Encoding:`; BODYSTRUCTURE shows `7BIT` when there is none.
    pub encoding: Option<Vec<u8>>,
    /// `Content-ID:`
    pub id: Option<Vec<u8>>,
    /// `Content-Description:`
    pub description: Option<Vec<u8>>,
    /// `Content-MD5:`
    pub md5: Option<Vec<u8>>,
    /// `Content-Language:` (RFC 3282).
    pub language: Vec<Vec<u8>>,
    /// `Content-Location:` (RFC 2557).
    pub location: Option<Vec<u8>>,
}

impl ContentFields {
    /// True when the media type is this one, in any case.
    pub fn is(&self, media_type: &str, subtype: &str) -> bool {
        self.is_of(media_type) && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// True when the top-level media type is this one, in any case.
    pub fn is_of(&self, media_type: &str) -> bool {
        self.media_type.eq_ignore_ascii_case(media_type.as_bytes())
    }

    /// The value of a parameter of Content-Type.
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        parameters::find(&self.parameters, name)
    }

    /// How the body is encoded.
    pub fn transfer(&self) -> Encoding {
        self.encoding.as_deref().map_or(Encoding::Identity, Encoding::of)
    }
}

/// RFC 2183.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition {
    /// `inline`, `attachment` or another.
    pub kind: Vec<u8>,
    /// Such as `filename`.
    pub parameters: Vec<Parameter>,
}

impl Structure {
    /// The part that IMAP calls by these numbers (RFC 3501 §6.4.5); the whole message without numbers.
    pub fn part(&self, numbers: &[u32]) -> Option<&Part> {
        let mut at = &self.root;
        let mut is_message = true;
        for number in numbers {
            let nth = usize::try_from(*number).ok()?.checked_sub(1)?;
            at = match &at.content {
                Content::Multipart(children) => children.get(nth)?,
                // A message that is no multipart has itself as part 1.
                _ if is_message => Some(at).filter(|_| nth == 0)?,
                Content::Message(message) => match &message.root.content {
                    Content::Multipart(children) => children.get(nth)?,
                    _ => Some(&message.root).filter(|_| nth == 0)?,
                },
                Content::Leaf => return None,
            };
            is_message = false;
        }
        Some(at)
    }

    /// Whether a structure holds anything of a field of this name.
    pub fn is_about(name: &[u8]) -> bool {
        fields::is_read(name)
    }

    /// Whether the structure under one header section is that under another, but for its offsets: its fields are the same.
    pub fn is_alike(one: &[u8], other: &[u8]) -> bool {
        let read = |section| Fields::new(section).filter(|field| fields::is_read(field.name));
        let (mut one, mut other) = (read(one), read(other));
        loop {
            match (one.next(), other.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) if a.name.eq_ignore_ascii_case(b.name) && a.value == b.value => {}
                _ => return false,
            }
        }
    }

    /// Moves the body and all in it by `delta` octets, because the header section grew or shrank by so many.
    pub fn shift(&mut self, delta: i64) {
        let start = self.root.header.start;
        self.root.shift(delta);
        self.root.header.start = start;
    }

    /// The structure of the same body under another header section, given with the empty line that ends it.
    ///
    /// Offsets move by the difference in length. A new Content-Type counts only when the body would be taken apart in
    /// the same way, since nobody reads the body again.
    #[must_use]
    pub fn with_header(&self, section: &[u8], limits: Limits) -> Self {
        let mut structure = self.clone();
        let old = self.root.header.end.saturating_sub(self.root.header.start);
        let octets = u64::try_from(section.len()).unwrap_or(u64::MAX);
        structure.shift(octets.saturating_sub(old).try_into().unwrap_or(i64::MAX));
        if octets < old {
            structure.shift((old - octets).try_into().map_or(i64::MIN, |less: i64| -less));
        }
        let mut budget = limits.addresses_max;
        let read = fields::read(
            section.get(..limits.header_octets_max).unwrap_or(section),
            Some(&mut budget),
            false,
        );
        let is_same = match (&self.root.content, fields::kind(&read.content)) {
            (Content::Leaf, fields::Kind::Leaf) | (Content::Message(_), fields::Kind::Message) => true,
            (Content::Multipart(_), fields::Kind::Multipart(boundary)) => {
                self.root.fields.parameter("boundary") == Some(boundary)
            }
            _ => false,
        };
        let old = structure.root.fields;
        structure.envelope = read.envelope;
        structure.root.fields = if is_same {
            read.content
        } else {
            ContentFields {
                media_type: old.media_type,
                subtype: old.subtype,
                parameters: old.parameters,
                encoding: old.encoding,
                ..read.content
            }
        };
        structure
    }
}
