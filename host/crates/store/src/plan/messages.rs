//! Messages in mailboxes: add, flags, copy, expunge.

use std::collections::BTreeSet;
use std::sync::Arc;

use maitred_mail::{Entry, Flags, Keywords, MailboxId, Timestamp, Uid};

use super::{Placed, Plan, Told};
use crate::codec::{self, Message};
use crate::intent::{Changed, FlagChange, FlagOp};
use crate::view::Read;
use crate::{Error, keys};

/// How many keys are read at once.
const PAGE: usize = 1000;

/// Messages on their way from one mailbox to another.
struct Gathered {
    messages: Vec<(Entry, Message)>,
    keyword_names: Vec<Box<str>>,
}

impl Plan<'_, '_> {
    pub(super) fn add(
        &mut self,
        id: MailboxId,
        placed: &Placed,
        flags: Flags,
        keywords: &[Box<str>],
        internal_date: Timestamp,
    ) -> Result<Changed, Error> {
        let mut head = self.head(id)?;
        self.charge(head.account, placed.octets, 0)?;
        let keywords = self.keyword_bits(id, keywords, true)?;
        let uid = head.uid_next;
        head.uid_next = Uid(uid.0.checked_add(1).ok_or(Error::Full)?);
        head.messages += 1;
        head.unseen += u32::from(!flags.has(Flags::SEEN));
        let entry = Entry { uid, flags, keywords, modseq: self.next_modseq(id, &mut head) };
        let message = Message {
            internal_date,
            octets: placed.octets,
            body: placed.body.clone(),
            summary: placed.summary.clone(),
        };
        self.put(keys::message(id, uid), message.encode());
        self.put(keys::flags(id, uid), codec::encode_entry(&entry));
        self.tell(id, Told::Added(entry));
        self.put_head(id, &head);
        Ok(Changed::Delivered { mailbox: id, uid_validity: head.uid_validity, uid })
    }

    pub(super) fn change_flags(&mut self, change: &FlagChange) -> Result<Changed, Error> {
        let id = change.mailbox;
        let mut head = self.head(id)?;
        let bits = self.keyword_bits(id, &change.keywords, change.op != FlagOp::Remove)?;
        let (mut entries, mut modified, mut modseq) = (Vec::new(), Vec::new(), None);
        for uid in &change.uids {
            let Some(old) = self.entry(id, *uid)? else { continue };
            if change.unchanged_since.is_some_and(|since| old.modseq > since) {
                modified.push(*uid);
                continue;
            }
            let (flags, keywords) = match change.op {
                FlagOp::Set => (change.flags, bits),
                FlagOp::Add => (old.flags.with(change.flags), Keywords(old.keywords.0 | bits.0)),
                FlagOp::Remove => (old.flags.without(change.flags), Keywords(old.keywords.0 & !bits.0)),
            };
            if (flags, keywords) == (old.flags, old.keywords) {
                entries.push(old);
                continue;
            }
            // RFC 7162 §3.1: one command's changes share one mod-sequence.
            let modseq = *modseq.get_or_insert_with(|| self.next_modseq(id, &mut head));
            let new = Entry { uid: *uid, flags, keywords, modseq };
            head.unseen = (head.unseen + u32::from(!flags.has(Flags::SEEN)))
                .saturating_sub(u32::from(!old.flags.has(Flags::SEEN)));
            self.put(keys::flags(id, *uid), codec::encode_entry(&new));
            self.tell(id, Told::Changed(new));
            entries.push(new);
        }
        if modseq.is_some() {
            self.put_head(id, &head);
        }
        Ok(Changed::Flags { entries: Arc::new(entries), modified })
    }

    pub(super) fn copy(&mut self, from: MailboxId, uids: &[Uid], to: MailboxId) -> Result<Changed, Error> {
        let source = self.gather(from, uids)?;
        self.add_gathered(source, to)
    }

    /// The originals go first: what a move needs is never more than what it frees.
    pub(super) fn move_to(&mut self, from: MailboxId, uids: &[Uid], to: MailboxId) -> Result<Changed, Error> {
        let source = self.gather(from, uids)?;
        self.expunge(from, Some(uids), false)?;
        self.add_gathered(source, to)
    }

    /// What is there of these, before anything is added: a copy into the same mailbox does not copy its copies.
    fn gather(&self, from: MailboxId, uids: &[Uid]) -> Result<Gathered, Error> {
        self.head(from)?;
        let mut messages = Vec::new();
        for uid in uids.iter().copied().collect::<BTreeSet<_>>() {
            if let (Some(entry), Some(message)) = (self.entry(from, uid)?, self.message(from, uid)?) {
                messages.push((entry, message));
            }
        }
        Ok(Gathered { messages, keyword_names: self.keyword_names(from)? })
    }

    fn add_gathered(&mut self, source: Gathered, to: MailboxId) -> Result<Changed, Error> {
        let uid_validity = self.head(to)?.uid_validity;
        let mut pairs = Vec::with_capacity(source.messages.len());
        for (entry, message) in source.messages {
            let keywords = named(entry.keywords, &source.keyword_names);
            let placed = Placed { body: message.body, octets: message.octets, summary: message.summary };
            let added = self.add(to, &placed, entry.flags, &keywords, message.internal_date)?;
            if let Changed::Delivered { uid: new, .. } = added {
                pairs.push((entry.uid, new));
            }
        }
        Ok(Changed::Copied { uid_validity, uids: pairs })
    }

    pub(super) fn expunge(
        &mut self,
        id: MailboxId,
        uids: Option<&[Uid]>,
        only_deleted: bool,
    ) -> Result<Vec<Uid>, Error> {
        let mut head = self.head(id)?;
        let candidates: Vec<Uid> = match uids {
            Some(uids) => uids.iter().copied().collect::<BTreeSet<_>>().into_iter().collect(),
            None => self.all_uids(id)?,
        };
        let (mut gone, mut freed) = (Vec::new(), 0);
        for uid in candidates {
            let Some(entry) = self.entry(id, uid)? else { continue };
            if only_deleted && !entry.flags.has(Flags::DELETED) {
                continue;
            }
            freed += self.message(id, uid)?.map_or(0, |message| message.octets);
            head.messages = head.messages.saturating_sub(1);
            head.unseen = head.unseen.saturating_sub(u32::from(!entry.flags.has(Flags::SEEN)));
            self.delete(keys::message(id, uid));
            self.delete(keys::flags(id, uid));
            self.tell(id, Told::Removed(uid));
            gone.push(uid);
        }
        if !gone.is_empty() {
            self.next_modseq(id, &mut head);
            self.charge(head.account, 0, freed)?;
            self.put_head(id, &head);
        }
        Ok(gone)
    }

    pub(super) fn all_uids(&self, id: MailboxId) -> Result<Vec<Uid>, Error> {
        let prefix = keys::flags(id, Uid(0));
        let (mut from, to) = (prefix.to_vec(), keys::behind(prefix.get(..9).unwrap_or_default()));
        let mut uids = Vec::new();
        loop {
            let page = self.range(&from, &to, PAGE)?;
            uids.extend(page.iter().filter_map(|(key, _)| keys::uid_of(key)));
            match page.last() {
                Some((last, _)) if page.len() == PAGE => {
                    from = last.to_vec();
                    from.push(0);
                }
                _ => return Ok(uids),
            }
        }
    }

    fn keyword_names(&self, id: MailboxId) -> Result<Vec<Box<str>>, Error> {
        Ok(self.get(&keys::keywords(id))?.map(|value| split_names(&value)).unwrap_or_default())
    }

    /// The bits of these names; unknown ones get a bit when `is_adding`, else count for nothing.
    fn keyword_bits(
        &mut self,
        id: MailboxId,
        names: &[Box<str>],
        is_adding: bool,
    ) -> Result<Keywords, Error> {
        if names.is_empty() {
            return Ok(Keywords(0));
        }
        let mut known = self.keyword_names(id)?;
        let (mut bits, before) = (0, known.len());
        for name in names {
            let bit = match known.iter().position(|k| k.eq_ignore_ascii_case(name)) {
                Some(bit) => bit,
                None if !is_adding => continue,
                None if known.len() >= maitred_mail::mailbox::KEYWORDS_MAX => {
                    return Err(Error::TooManyKeywords(id));
                }
                None => {
                    known.push(name.clone());
                    known.len() - 1
                }
            };
            bits |= 1 << bit;
        }
        if known.len() > before {
            self.put(keys::keywords(id), known.join("\0").into_bytes().into());
            self.tell(id, Told::Head);
        }
        Ok(Keywords(bits))
    }
}

pub(crate) fn split_names(value: &[u8]) -> Vec<Box<str>> {
    String::from_utf8_lossy(value).split('\0').map(Box::from).collect()
}

fn named(keywords: Keywords, names: &[Box<str>]) -> Vec<Box<str>> {
    names
        .iter()
        .enumerate()
        .filter(|(bit, _)| (keywords.0 >> bit) & 1 == 1)
        .map(|(_, name)| name.clone())
        .collect()
}
