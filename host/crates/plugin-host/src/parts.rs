//! What a message is made of, for plugins: found once for each call that asks, read and decoded piece by piece.

use std::ops::Range;

use bytes::Bytes;
use maitred_mail::mime::{Content, Limits, Part, StructureBuilder};
use maitred_mail::transfer::{Decoder, Encoding, TextDecoder};
use maitred_policy::MessageFacts;
use wasmtime::Result;

use crate::bindings::v0_1::maitred::plugin::types::PartInfo;
use crate::state::Budget;

/// A part, and where it is.
pub(crate) struct Place {
    pub(crate) info: PartInfo,
    pub(crate) source: Source,
}

/// Where the octets of a part are, and what they stand for.
pub(crate) struct Source {
    body: Range<u64>,
    encoding: Encoding,
    charset: Option<Vec<u8>>,
}

/// Octets that are looked at in one go.
const PIECE_OCTETS: usize = 64 << 10;

/// Takes the message apart, unless that was done when it came.
pub(crate) async fn find(facts: &MessageFacts) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    if let Some(structure) = &facts.structure {
        flatten(&structure.root, None, &mut places);
        return Ok(places);
    }
    let mut builder = StructureBuilder::new(Limits::default());
    builder.push(&facts.head);
    builder.push(b"\r\n");
    let mut at = 0;
    loop {
        let piece = read(facts, at, PIECE_OCTETS).await?;
        if piece.is_empty() {
            break;
        }
        builder.push(&piece);
        at += piece.len() as u64;
        take_turns(&piece).await;
    }
    flatten(&builder.finish().root, None, &mut places);
    Ok(places)
}

/// Depth is bounded by the limits of the structure.
fn flatten(part: &Part, parent: Option<u32>, places: &mut Vec<Place>) {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let fields = &part.fields;
    let content_type = format!("{}/{}", text(&fields.media_type), text(&fields.subtype));
    let index = u32::try_from(places.len()).ok();
    places.push(Place {
        info: PartInfo {
            parent,
            content_type: content_type.to_ascii_lowercase(),
            charset: fields.parameter("charset").map(text),
            disposition: fields.disposition.as_ref().map(|of| text(&of.kind).to_ascii_lowercase()),
            filename: fields.file_name(),
            content_id: fields.id.as_deref().map(text),
            size: part.octets(),
        },
        source: Source::of(part),
    });
    match &part.content {
        Content::Leaf => {}
        Content::Multipart(children) => children.iter().for_each(|child| flatten(child, index, places)),
        Content::Message(message) => flatten(&message.root, index, places),
    }
}

/// A part and all below it, in the order in which [`find`] numbers them.
pub(crate) fn all<'a>(part: &'a Part, parts: &mut Vec<&'a Part>) {
    parts.push(part);
    match &part.content {
        Content::Leaf => {}
        Content::Multipart(children) => children.iter().for_each(|child| all(child, parts)),
        Content::Message(message) => all(&message.root, parts),
    }
}

impl Place {
    /// What the list of parts costs the guest.
    pub(crate) fn octets(&self) -> usize {
        let info = &self.info;
        let texts = [&info.charset, &info.disposition, &info.filename, &info.content_id];
        64 + info.content_type.len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }

    pub(crate) fn is_text(&self) -> bool {
        self.info.content_type.starts_with("text/")
    }
}

impl Source {
    pub(crate) fn of(part: &Part) -> Self {
        Self {
            body: part.body.clone(),
            encoding: part.fields.transfer(),
            charset: part.fields.parameter("charset").map(<[u8]>::to_vec),
        }
    }

    /// The text as UTF-8.
    pub(crate) async fn text(&self, facts: &MessageFacts, budget: &mut Budget, max: usize) -> Result<String> {
        let mut decoder = TextDecoder::new(self.encoding, self.charset.as_deref());
        let sent = self.body.end.saturating_sub(self.body.start);
        let mut out = String::with_capacity(usize::try_from(sent).unwrap_or(max).min(max).min(PIECE_OCTETS));
        let mut at = self.body.start;
        while out.len() < max {
            let Some(piece) = self.piece(facts, budget, at).await? else {
                decoder.finish(&mut out);
                break;
            };
            decoder.push(&piece, &mut out);
            at += piece.len() as u64;
        }
        let end = (0..=max.min(out.len())).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0);
        out.truncate(end);
        Ok(out)
    }

    /// Decoded octets from an offset.
    pub(crate) async fn read(
        &self,
        facts: &MessageFacts,
        budget: &mut Budget,
        offset: u64,
        want: usize,
    ) -> Result<Vec<u8>> {
        let mut decoder = Decoder::new(self.encoding);
        let mut skip = offset;
        let mut out = Vec::new();
        let mut at = self.body.start;
        let mut behind = |out: &mut Vec<u8>| {
            let gone = usize::try_from(skip).unwrap_or(usize::MAX).min(out.len());
            out.drain(..gone);
            skip -= gone as u64;
        };
        while out.len() < want {
            let Some(piece) = self.piece(facts, budget, at).await? else {
                decoder.finish(&mut out);
                behind(&mut out);
                break;
            };
            decoder.push(&piece, &mut out);
            behind(&mut out);
            at += piece.len() as u64;
        }
        out.truncate(want);
        Ok(out)
    }

    /// The next octets as sent; `None` at the end. They count: whoever reads a part from its middle pays for its beginning.
    async fn piece(&self, facts: &MessageFacts, budget: &mut Budget, at: u64) -> Result<Option<Bytes>> {
        let before = facts.head.len() as u64 + 2;
        let left = usize::try_from(self.body.end.saturating_sub(at)).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(None);
        }
        let piece = read(facts, at.saturating_sub(before), left.min(PIECE_OCTETS)).await?;
        budget.spend(piece.len())?;
        take_turns(&piece).await;
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}

/// Others have a turn after a whole piece; most messages are less.
async fn take_turns(piece: &Bytes) {
    if piece.len() >= PIECE_OCTETS {
        tokio::task::yield_now().await;
    }
}

/// Octets of the body of the message.
async fn read(facts: &MessageFacts, offset: u64, max: usize) -> Result<Bytes> {
    facts.body.read(offset, max).await.map_err(|error| wasmtime::Error::msg(error.to_string()))
}
