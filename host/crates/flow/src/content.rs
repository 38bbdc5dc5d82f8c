//! A message on its way into the store: the header section is kept aside, the rest streams on.
//!
//! RFC 5322 §2.1. Fed with octets as they come, by `receive` and by IMAP's APPEND. The head may be edited until the end;
//! the body is never read a second time, unless a plugin replaces it: what IMAP shows of a message (its
//! [`Structure`]) is made while it streams by and stored with it.

use std::sync::Arc;

use bytes::Bytes;
use maitred_mail::mime::{Limits, Structure, StructureBuilder};
use maitred_mail::{Body, Class, EnhancedStatus};
use maitred_policy::Edit;
use maitred_store::{Draft, NewBody};

use crate::head;

/// Why a content is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The header section does not end soon enough.
    #[error("the header section exceeds {octets_max} octets")]
    HeadTooBig {
        /// What is allowed.
        octets_max: usize,
    },
    /// The store has no room, or no disk.
    #[error(transparent)]
    Store(#[from] maitred_store::Error),
}

impl ContentError {
    /// What the peer is told.
    pub fn status(&self) -> EnhancedStatus {
        match self {
            Self::HeadTooBig { .. } => EnhancedStatus::TOO_BIG,
            Self::Store(error) if error.status().class == Class::Success => EnhancedStatus::TRY_LATER,
            Self::Store(error) => error.status(),
        }
    }
}

/// A message being taken.
pub struct Content {
    /// What may be the header section, until its end is found.
    gathered: Vec<u8>,
    /// The first line of what was gathered begins a field.
    is_field: bool,
    /// The header section without its empty line, once it is whole.
    head: Option<Bytes>,
    /// What stands between head and body.
    separator: &'static str,
    draft: Draft,
    /// Is fed with head, separator and body as they came.
    builder: StructureBuilder,
    /// What it made of them, once somebody asked.
    structure: Option<Arc<Structure>>,
    /// The head says other things than the one that `builder` saw.
    is_head_edited: bool,
    /// It is so many octets longer than the one that `structure` is about, or will be.
    moved: i64,
    head_octets_max: usize,
    is_exact: bool,
}

impl Content {
    /// A message from a peer: one that does not begin with a header field gets an empty header section, so that what we
    /// write above it is not mistaken for its own. A header section beyond the limit is refused.
    pub fn new(draft: Draft, head_octets_max: usize) -> Self {
        Self {
            gathered: Vec::new(),
            is_field: false,
            head: None,
            separator: "\r\n",
            draft,
            builder: StructureBuilder::new(Limits::default()),
            structure: None,
            is_head_edited: false,
            moved: 0,
            head_octets_max,
            is_exact: false,
        }
    }

    /// A message from a user's own client (APPEND): stored octet by octet as it is, whatever it is.
    pub fn exact(draft: Draft, head_octets_max: usize) -> Self {
        Self { is_exact: true, ..Self::new(draft, head_octets_max) }
    }

    /// Takes octets; true when the header section became whole with them.
    ///
    /// # Errors
    /// When the message cannot be taken; the content is of no use then.
    pub async fn take(&mut self, octets: Bytes) -> Result<bool, ContentError> {
        if self.head.is_some() {
            self.builder.push(&octets);
            self.draft.write(&octets).await?;
            return Ok(false);
        }
        let (all, end) = match head_end(&octets, 0).filter(|_| self.gathered.is_empty()) {
            // Most often the whole section comes at once: then nothing is copied but the slice that is kept.
            Some(end) => (octets, end),
            None => {
                // The empty line may be cut by the end of what was gathered before.
                let from = self.gathered.len().saturating_sub(3);
                self.gathered.extend_from_slice(&octets);
                let Some(end) = head_end(&self.gathered, from) else { return self.go_on(from).await };
                (Bytes::from(std::mem::take(&mut self.gathered)), end)
            }
        };
        if !self.is_exact && !head::begins_with_field(&all) && end > 0 {
            return self.take_all_as_body(&all).await;
        }
        if end > self.head_octets_max {
            return self.head_is_too_big(&all).await;
        }
        self.builder.push(&all);
        self.head = Some(all.slice(..end));
        self.draft.write(all.get(end + 2..).unwrap_or_default()).await?;
        Ok(true)
    }

    /// No more comes. True when only now the header section is whole: the message had no body.
    ///
    /// # Errors
    /// When the message cannot be taken.
    pub async fn end(&mut self) -> Result<bool, ContentError> {
        if self.head.is_some() {
            return Ok(false);
        }
        let all = Bytes::from(std::mem::take(&mut self.gathered));
        if !self.is_exact && !head::begins_with_field(&all) {
            return self.take_all_as_body(&all).await;
        }
        let head = if self.is_exact {
            self.separator = "";
            all
        } else if all.ends_with(b"\r\n") {
            all
        } else {
            [&all, b"\r\n".as_slice()].concat().into()
        };
        self.builder.push(&head);
        self.builder.push(self.separator.as_bytes());
        self.head = Some(head);
        Ok(true)
    }

    /// The header section as it is now, without its empty line; empty before it is whole.
    pub fn head(&self) -> &Bytes {
        static NONE: Bytes = Bytes::new();
        self.head.as_ref().unwrap_or(&NONE)
    }

    /// A change of the header section.
    pub fn edit(&mut self, edit: &Edit) {
        let head = head::edited(self.head(), edit);
        if head == *self.head() {
            return;
        }
        let is_beside =
            head::new_name(edit, self.head(), &head).is_some_and(|name| !Structure::is_about(name));
        self.take_head(head, is_beside);
    }

    /// Another header section; without an empty line, and each line ends in CRLF.
    pub fn set_head(&mut self, head: Bytes) {
        self.take_head(head, false);
    }

    /// `is_beside`: it has one more field, which no structure is about.
    fn take_head(&mut self, head: Bytes, is_beside: bool) {
        if is_beside || Structure::is_alike(self.head(), &head) {
            let octets = |head: &Bytes| i64::try_from(head.len()).unwrap_or(i64::MAX);
            self.moved += octets(&head) - octets(self.head());
        } else {
            self.is_head_edited = true;
        }
        self.head = Some(head);
    }

    /// Another body.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn replace_body(&mut self, mut draft: Draft, body: &[u8]) -> Result<(), ContentError> {
        draft.write(body).await?;
        self.draft = draft;
        self.separator = "\r\n";
        self.builder = StructureBuilder::new(Limits::default());
        self.structure = None;
        self.builder.push(self.head.as_deref().unwrap_or_default());
        self.builder.push(self.separator.as_bytes());
        self.builder.push(body);
        self.is_head_edited = false;
        self.moved = 0;
        Ok(())
    }

    /// The body as far as it is there, for plugins.
    pub fn body(&mut self) -> Arc<dyn Body> {
        self.draft.as_body()
    }

    /// What the message is made of, once all of it is there. `None` under another header section than the one that it came with: that
    /// may say otherwise what the body is.
    pub fn structure(&mut self) -> Option<Arc<Structure>> {
        if self.is_head_edited { None } else { Some(self.finished()) }
    }

    fn finished(&mut self) -> Arc<Structure> {
        let builder = &mut self.builder;
        let finish = || {
            let builder = std::mem::replace(builder, StructureBuilder::new(Limits::default()));
            Arc::new(builder.finish())
        };
        let structure = self.structure.get_or_insert_with(finish);
        if self.moved != 0 {
            Arc::make_mut(structure).shift(std::mem::take(&mut self.moved));
        }
        Arc::clone(structure)
    }

    /// How long the message is now.
    pub fn octets(&self) -> u64 {
        (self.gathered.len() + self.head().len() + self.separator.len()) as u64 + self.draft.octets()
    }

    /// What the store takes: `local_head` (Return-Path, for local readers only) and `trace` (Received) above the message.
    pub fn into_body(mut self, local_head: &str, trace: &str) -> NewBody {
        let head = [local_head.as_bytes(), trace.as_bytes(), self.head(), self.separator.as_bytes()].concat();
        let above = local_head.len() + trace.len();
        let structure = self.finished();
        self.structure = None;
        let structure = Arc::unwrap_or_clone(structure);
        let structure = if self.is_head_edited {
            structure.with_header(&head, Limits::default())
        } else {
            // Trace fields say nothing that IMAP shows: the rest only stands further down.
            shifted(structure, above)
        };
        let local_head = u32::try_from(local_head.len()).unwrap_or(0);
        NewBody { head: head.into(), tail: self.draft, summary: structure.encode().into(), local_head }
    }

    /// The end of the header section is not in sight; the octets before `from` were looked at before.
    async fn go_on(&mut self, from: usize) -> Result<bool, ContentError> {
        let fresh = self.gathered.get(from..).unwrap_or_default();
        if !self.is_field && !self.is_exact && memchr::memchr(b'\n', fresh).is_some() {
            self.is_field = head::begins_with_field(&self.gathered);
            if !self.is_field {
                let all = Bytes::from(std::mem::take(&mut self.gathered));
                return self.take_all_as_body(&all).await;
            }
        }
        if self.gathered.len() > self.head_octets_max {
            let all = Bytes::from(std::mem::take(&mut self.gathered));
            return self.head_is_too_big(&all).await;
        }
        Ok(false)
    }

    async fn head_is_too_big(&mut self, all: &[u8]) -> Result<bool, ContentError> {
        if !self.is_exact {
            return Err(ContentError::HeadTooBig { octets_max: self.head_octets_max });
        }
        self.separator = "";
        self.take_all_as_body(all).await
    }

    async fn take_all_as_body(&mut self, all: &[u8]) -> Result<bool, ContentError> {
        self.builder.push(self.separator.as_bytes());
        self.builder.push(all);
        self.draft.write(all).await?;
        self.head = Some(Bytes::new());
        Ok(true)
    }
}

/// The structure of the same message under `above` more octets.
fn shifted(mut structure: Structure, above: usize) -> Structure {
    if above > 0 {
        structure.shift(i64::try_from(above).unwrap_or(i64::MAX));
    }
    structure
}

/// Where the empty line behind the header section begins, looked for from `from` on.
fn head_end(octets: &[u8], from: usize) -> Option<usize> {
    if octets.starts_with(b"\r\n") {
        return Some(0);
    }
    let rest = octets.get(from..)?;
    memchr::memmem::find(rest, b"\r\n\r\n").map(|at| from + at + 2)
}

#[cfg(test)]
mod tests;
