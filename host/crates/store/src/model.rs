//! All state as plain values in memory: what the memory engine keeps, and what other engines are compared with.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use maitred_mail::directory::AliasKey;
use maitred_mail::{
    AccountId, Address, Directory, Entry, Flags, Keywords, MailboxId, ModSeq, Snapshot, Timestamp, Uid,
    UidValidity,
};
use maitred_queue::QueueId;

use crate::Error;
use crate::intent::{Changed, FlagChange, FlagOp, Intent};
use crate::record::{Account, BodyRef, MailboxRecord, MessageRecord, SpecialUse};

/// Everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) directory: Directory,
    accounts: BTreeMap<AccountId, Held>,
    mailboxes: BTreeMap<MailboxId, Mailbox>,
    pub(crate) queue: BTreeMap<QueueId, (maitred_queue::Entry, BodyRef)>,
    pub(crate) contents: HashMap<[u8; 16], Bytes>,
    last_number: u64,
    /// Mailboxes that the last batch changed.
    pub(crate) touched: BTreeSet<MailboxId>,
}

#[derive(Debug, Clone)]
struct Held {
    account: Account,
    password_hash: String,
    /// Names with their mailbox; `None` for a name that is only a parent.
    names: BTreeMap<Box<str>, (Option<MailboxId>, Option<SpecialUse>)>,
    subscribed: BTreeSet<Box<str>>,
}

#[derive(Debug, Clone)]
struct Mailbox {
    account: AccountId,
    snapshot: Snapshot,
    records: BTreeMap<Uid, MessageRecord>,
    recent_from: Uid,
}

/// A content that the batch brought, already stored.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) body: BodyRef,
    pub(crate) octets: u64,
    pub(crate) summary: Bytes,
}

const SPECIAL: [(&str, SpecialUse); 5] = [
    ("Archive", SpecialUse::Archive),
    ("Drafts", SpecialUse::Drafts),
    ("Junk", SpecialUse::Junk),
    ("Sent", SpecialUse::Sent),
    ("Trash", SpecialUse::Trash),
];
const NAME_OCTETS_MAX: usize = 255;

impl Model {
    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn held(&mut self, id: AccountId) -> Result<&mut Held, Error> {
        self.accounts.get_mut(&id).ok_or(Error::AccountGone(id))
    }

    fn held_by(&mut self, address: &Address) -> Result<&mut Held, Error> {
        let id = self.directory.account(address).ok_or_else(|| Error::NoAccount(address.clone()))?;
        self.held(id)
    }

    fn mailbox(&mut self, id: MailboxId) -> Result<&mut Mailbox, Error> {
        self.touched.insert(id);
        self.mailboxes.get_mut(&id).ok_or(Error::NoMailbox)
    }

    pub(crate) fn apply(&mut self, intent: &Intent, bodies: &[Stored]) -> Result<Changed, Error> {
        let stored = |at: usize| bodies.get(at).ok_or_else(|| Error::Unknown("body of the batch".to_owned()));
        match intent {
            Intent::Deliver { account, mailbox, body, flags, keywords, internal_date } => {
                let name = canonical(mailbox)?;
                let id = match self.held(*account)?.names.get(&name) {
                    Some((Some(id), _)) => *id,
                    _ => self.create(*account, &name, None)?,
                };
                self.add(id, stored(*body)?, *flags, keywords, *internal_date)
            }
            Intent::Append { mailbox, body, flags, keywords, internal_date } => {
                self.add(*mailbox, stored(*body)?, *flags, keywords, *internal_date)
            }
            Intent::Flags(change) => self.flags(change),
            Intent::Copy { from, uids, to } => self.copy(*from, uids, *to),
            Intent::Move { from, uids, to } => {
                let copied = self.copy(*from, uids, *to)?;
                self.expunge(*from, Some(uids), false)?;
                Ok(copied)
            }
            Intent::Expunge { mailbox, uids, only_deleted } => {
                self.expunge(*mailbox, uids.as_deref(), *only_deleted).map(Changed::Expunged)
            }
            Intent::CreateMailbox { account, name, special_use } => {
                let name = canonical(name)?;
                if self.held(*account)?.names.get(&name).is_some_and(|(id, _)| id.is_some()) {
                    return Err(Error::Exists(name.into()));
                }
                self.create(*account, &name, *special_use).map(Changed::Mailbox)
            }
            Intent::DeleteMailbox { account, name } => self.delete(*account, name),
            Intent::RenameMailbox { account, from, to } => self.rename(*account, from, to),
            Intent::Subscribe { account, name, is_subscribed } => {
                let name = canonical(name)?;
                let subscribed = &mut self.held(*account)?.subscribed;
                if *is_subscribed {
                    subscribed.insert(name)
                } else {
                    subscribed.remove(&name)
                };
                Ok(Changed::Done)
            }
            Intent::Enqueue { body, entry } => {
                let body = match body {
                    Ok(at) => stored(*at)?.body.clone(),
                    Err(body) => body.clone(),
                };
                let id = maitred_mail::MessageId(self.number());
                self.queue.insert(id, (entry.clone(), body));
                Ok(Changed::Queued(id))
            }
            Intent::UpdateQueue { id, entry } => {
                let held =
                    self.queue.get_mut(id).ok_or_else(|| Error::Unknown(format!("queue entry {id}")))?;
                held.0 = entry.clone();
                Ok(Changed::Done)
            }
            Intent::RemoveQueue { id } => self
                .queue
                .remove(id)
                .map(|_| Changed::Done)
                .ok_or_else(|| Error::Unknown(format!("queue entry {id}"))),
            _ => self.administer(intent),
        }
    }

    fn administer(&mut self, intent: &Intent) -> Result<Changed, Error> {
        match intent {
            Intent::AddDomain(domain) => {
                if !self.directory.domains.insert(domain.clone()) {
                    return Err(Error::Exists(domain.to_string()));
                }
            }
            Intent::RemoveDomain(domain) => {
                let has_alias = self.directory.aliases.keys().any(|key| match key {
                    AliasKey::Address(address) => address.domain() == domain,
                    AliasKey::CatchAll(of) => of == domain,
                });
                if has_alias || self.directory.accounts.keys().any(|address| address.domain() == domain) {
                    return Err(Error::InUse(domain.to_string()));
                }
                if !self.directory.domains.remove(domain) {
                    return Err(Error::Unknown(format!("domain {domain}")));
                }
            }
            Intent::AddAccount { address, password_hash, quota } => {
                return self.add_account(address, password_hash, *quota);
            }
            Intent::RemoveAccount(address) => {
                let id = self.held_by(address)?.account.id;
                self.accounts.remove(&id);
                self.directory.accounts.remove(&address.folded());
                self.mailboxes.retain(|_, mailbox| mailbox.account != id);
            }
            Intent::SetPassword { address, password_hash } => {
                self.held_by(address)?.password_hash.clone_from(password_hash);
            }
            Intent::SetQuota { address, quota } => self.held_by(address)?.account.quota = *quota,
            Intent::SetAlias { key, targets } => {
                self.directory.aliases.insert(key.clone(), targets.clone());
            }
            Intent::RemoveAlias(key) => {
                if self.directory.aliases.remove(key).is_none() {
                    return Err(Error::Unknown(format!("alias {key:?}")));
                }
            }
            other => return Err(Error::Unknown(format!("way to do {other:?}"))),
        }
        Ok(Changed::Done)
    }

    fn add_account(
        &mut self,
        address: &Address,
        password_hash: &str,
        quota: Option<u64>,
    ) -> Result<Changed, Error> {
        if !self.directory.is_local(address.domain()) {
            return Err(Error::Unknown(format!("domain {}", address.domain())));
        }
        let folded = address.folded();
        if self.directory.accounts.contains_key(&folded) {
            return Err(Error::Exists(address.to_string()));
        }
        let id = AccountId(self.number());
        let account = Account { id, address: folded.clone(), used: 0, quota };
        let held = Held {
            account,
            password_hash: password_hash.to_owned(),
            names: BTreeMap::new(),
            subscribed: BTreeSet::new(),
        };
        self.accounts.insert(id, held);
        self.directory.accounts.insert(folded, id);
        self.create(id, "INBOX", None)?;
        for (name, special_use) in SPECIAL {
            self.create(id, name, Some(special_use))?;
            self.held(id)?.subscribed.insert(name.into());
        }
        Ok(Changed::Account(id))
    }

    fn create(
        &mut self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxId, Error> {
        let id = MailboxId(self.number());
        let validity = UidValidity(u32::try_from(id.0).unwrap_or(u32::MAX));
        let held = self.held(account)?;
        for (at, _) in name.match_indices('/') {
            let parent = name.get(..at).unwrap_or_default();
            held.names.entry(parent.into()).or_insert((None, None));
        }
        held.names.insert(name.into(), (Some(id), special_use));
        let snapshot = Snapshot::new(id, validity);
        self.mailboxes
            .insert(id, Mailbox { account, snapshot, records: BTreeMap::new(), recent_from: Uid(1) });
        self.touched.insert(id);
        Ok(id)
    }

    fn delete(&mut self, account: AccountId, name: &str) -> Result<Changed, Error> {
        let name = canonical(name)?;
        if &*name == "INBOX" {
            return Err(Error::BadName(name.into()));
        }
        let held = self.held(account)?;
        let has_children = held.names.keys().any(|other| is_below(other, &name));
        let slot = held.names.get_mut(&name).ok_or(Error::NoMailbox)?;
        let id = slot.0.take();
        if !has_children {
            held.names.remove(&name);
        } else if id.is_none() {
            return Err(Error::InUse(name.into()));
        }
        if let Some(id) = id {
            let freed = self.mailboxes.remove(&id).map_or(0, |m| m.records.values().map(|r| r.octets).sum());
            let used = &mut self.held(account)?.account.used;
            *used = used.saturating_sub(freed);
            self.touched.insert(id);
        }
        Ok(Changed::Done)
    }

    fn rename(&mut self, account: AccountId, from: &str, to: &str) -> Result<Changed, Error> {
        let (from, to) = (canonical(from)?, canonical(to)?);
        let held = self.held(account)?;
        if held.names.get(&to).is_some_and(|(id, _)| id.is_some()) {
            return Err(Error::Exists(to.into()));
        }
        if &*from == "INBOX" {
            // RFC 3501 §6.3.5: the messages move, INBOX stays.
            let inbox = held.names.get("INBOX").and_then(|(id, _)| *id).ok_or(Error::NoMailbox)?;
            let new = self.create(account, &to, None)?;
            let uids: Vec<Uid> = self.mailbox(inbox)?.snapshot.iter().map(|e| e.uid).collect();
            self.copy(inbox, &uids, new)?;
            self.expunge(inbox, Some(&uids), false)?;
            return Ok(Changed::Done);
        }
        if !held.names.contains_key(&from) {
            return Err(Error::NoMailbox);
        }
        if is_below(&to, &from) {
            return Err(Error::BadName(to.into()));
        }
        let moved: Vec<Box<str>> =
            held.names.keys().filter(|n| **n == from || is_below(n, &from)).cloned().collect();
        for old in moved {
            let new = format!("{to}{}", old.get(from.len()..).unwrap_or_default());
            if let Some(slot) = held.names.remove(&old) {
                held.names.insert(new.into(), slot);
            }
        }
        for (at, _) in to.match_indices('/') {
            held.names.entry(to.get(..at).unwrap_or_default().into()).or_insert((None, None));
        }
        Ok(Changed::Done)
    }

    fn add(
        &mut self,
        id: MailboxId,
        stored: &Stored,
        flags: Flags,
        keywords: &[Box<str>],
        internal_date: Timestamp,
    ) -> Result<Changed, Error> {
        let account = self.mailbox(id)?.account;
        let held = self.held(account)?;
        if held.account.quota.is_some_and(|quota| held.account.used + stored.octets > quota) {
            return Err(Error::OverQuota(account));
        }
        held.account.used += stored.octets;
        let mailbox = self.mailbox(id)?;
        let keywords = mailbox.keyword_bits(keywords, true)?;
        let uid = mailbox.snapshot.uid_next;
        mailbox.snapshot.uid_next = Uid(uid.0.checked_add(1).ok_or(Error::Full)?);
        let modseq = mailbox.next_modseq();
        mailbox.snapshot.push(Entry { uid, flags, keywords, modseq });
        let record = MessageRecord {
            uid,
            internal_date,
            octets: stored.octets,
            body: stored.body.clone(),
            summary: stored.summary.clone(),
        };
        mailbox.records.insert(uid, record);
        Ok(Changed::Delivered { mailbox: id, uid_validity: mailbox.snapshot.uid_validity, uid })
    }

    fn flags(&mut self, change: &FlagChange) -> Result<Changed, Error> {
        let mailbox = self.mailbox(change.mailbox)?;
        let bits = mailbox.keyword_bits(&change.keywords, change.op != FlagOp::Remove)?;
        let modseq = mailbox.next_modseq();
        let (mut entries, mut modified) = (Vec::new(), Vec::new());
        for uid in &change.uids {
            let Some(old) = mailbox.snapshot.find(*uid).copied() else { continue };
            if change.unchanged_since.is_some_and(|since| old.modseq > since) {
                modified.push(*uid);
                continue;
            }
            let (flags, keywords) = match change.op {
                FlagOp::Set => (change.flags, bits),
                FlagOp::Add => (old.flags.with(change.flags), Keywords(old.keywords.0 | bits.0)),
                FlagOp::Remove => (old.flags.without(change.flags), Keywords(old.keywords.0 & !bits.0)),
            };
            let is_same = (flags, keywords) == (old.flags, old.keywords);
            let new = Entry { uid: *uid, flags, keywords, modseq: if is_same { old.modseq } else { modseq } };
            if !is_same {
                mailbox.snapshot.update(new);
            }
            entries.push(new);
        }
        Ok(Changed::Flags { entries: Arc::new(entries), modified })
    }

    fn copy(&mut self, from: MailboxId, uids: &[Uid], to: MailboxId) -> Result<Changed, Error> {
        let source = self.mailbox(from)?;
        let names = Arc::clone(&source.snapshot.keyword_names);
        let wanted: BTreeSet<Uid> = uids.iter().copied().collect();
        let taken: Vec<(Entry, MessageRecord)> = wanted
            .iter()
            .filter_map(|uid| Some((*source.snapshot.find(*uid)?, source.records.get(uid)?.clone())))
            .collect();
        let uid_validity = self.mailbox(to)?.snapshot.uid_validity;
        let mut pairs = Vec::new();
        for (entry, record) in taken {
            let keywords: Vec<Box<str>> = names_of(entry.keywords, &names);
            let stored = Stored { body: record.body, octets: record.octets, summary: record.summary };
            let added = self.add(to, &stored, entry.flags, &keywords, record.internal_date)?;
            if let Changed::Delivered { uid, .. } = added {
                pairs.push((entry.uid, uid));
            }
        }
        Ok(Changed::Copied { uid_validity, uids: pairs })
    }

    fn expunge(
        &mut self,
        id: MailboxId,
        uids: Option<&[Uid]>,
        only_deleted: bool,
    ) -> Result<Vec<Uid>, Error> {
        let mailbox = self.mailbox(id)?;
        let wanted: Option<BTreeSet<Uid>> = uids.map(|uids| uids.iter().copied().collect());
        let is_going = |e: &&Entry| {
            wanted.as_ref().is_none_or(|wanted| wanted.contains(&e.uid))
                && (!only_deleted || e.flags.has(Flags::DELETED))
        };
        let gone: Vec<Uid> = mailbox.snapshot.iter().filter(is_going).map(|e| e.uid).collect();
        if !gone.is_empty() {
            mailbox.next_modseq();
        }
        let mut freed = 0;
        for uid in &gone {
            mailbox.snapshot.remove(*uid);
            freed += mailbox.records.remove(uid).map_or(0, |record| record.octets);
        }
        let account = mailbox.account;
        let used = &mut self.held(account)?.account.used;
        *used = used.saturating_sub(freed);
        Ok(gone)
    }

    pub(crate) fn snapshot(&self, id: MailboxId) -> Option<Snapshot> {
        self.mailboxes.get(&id).map(|mailbox| mailbox.snapshot.clone())
    }

    pub(crate) fn records(&self, id: MailboxId, uids: &[Uid]) -> Result<Vec<MessageRecord>, Error> {
        let mailbox = self.mailboxes.get(&id).ok_or(Error::NoMailbox)?;
        Ok(uids.iter().filter_map(|uid| mailbox.records.get(uid).cloned()).collect())
    }

    pub(crate) fn claim_recent(&mut self, id: MailboxId) -> std::ops::Range<u32> {
        let Some(mailbox) = self.mailboxes.get_mut(&id) else { return 0..0 };
        let from = std::mem::replace(&mut mailbox.recent_from, mailbox.snapshot.uid_next);
        from.0..mailbox.snapshot.uid_next.0
    }

    pub(crate) fn mailboxes(&self, account: AccountId) -> Result<Vec<MailboxRecord>, Error> {
        let held = self.accounts.get(&account).ok_or(Error::AccountGone(account))?;
        let only_subscribed = held.subscribed.iter().filter(|name| !held.names.contains_key(*name));
        let nothing = (None, None);
        let names = held.names.iter().chain(only_subscribed.map(|name| (name, &nothing)));
        Ok(names.map(|(name, (id, special_use))| self.record(held, name, *id, *special_use)).collect())
    }

    fn record(
        &self,
        held: &Held,
        name: &str,
        id: Option<MailboxId>,
        special_use: Option<SpecialUse>,
    ) -> MailboxRecord {
        let empty = Snapshot::new(MailboxId(0), UidValidity(0));
        let mailbox = id.and_then(|id| self.mailboxes.get(&id));
        let snapshot = mailbox.map_or(&empty, |mailbox| &mailbox.snapshot);
        let count = |is: &dyn Fn(&Entry) -> bool| {
            u32::try_from(snapshot.iter().filter(|e| is(e)).count()).unwrap_or(u32::MAX)
        };
        MailboxRecord {
            id,
            name: name.into(),
            special_use,
            is_subscribed: held.subscribed.contains(name),
            uid_validity: snapshot.uid_validity,
            uid_next: snapshot.uid_next,
            messages: snapshot.len(),
            unseen: count(&|e| !e.flags.has(Flags::SEEN)),
            recent: count(&|e| mailbox.is_some_and(|m| e.uid >= m.recent_from)),
        }
    }

    pub(crate) fn account(&self, id: AccountId) -> Option<Account> {
        self.accounts.get(&id).map(|held| held.account.clone())
    }

    pub(crate) fn password_hash(&self, id: AccountId) -> Option<String> {
        self.accounts.get(&id).map(|held| held.password_hash.clone())
    }

    pub(crate) fn accounts(&self) -> Vec<Account> {
        self.accounts.values().map(|held| held.account.clone()).collect()
    }
}

impl Mailbox {
    fn next_modseq(&mut self) -> ModSeq {
        self.snapshot.modseq.0 += 1;
        self.snapshot.modseq
    }

    /// The bits of these names; unknown ones get a bit when `is_adding`, else count for nothing.
    fn keyword_bits(&mut self, names: &[Box<str>], is_adding: bool) -> Result<Keywords, Error> {
        let mut bits = 0;
        for name in names {
            let known = self.snapshot.keyword_names.iter().position(|k| k.eq_ignore_ascii_case(name));
            let bit = match known {
                Some(bit) => bit,
                None if !is_adding => continue,
                None if self.snapshot.keyword_names.len() >= maitred_mail::mailbox::KEYWORDS_MAX => {
                    return Err(Error::TooManyKeywords(self.snapshot.mailbox));
                }
                None => {
                    Arc::make_mut(&mut self.snapshot.keyword_names).push(name.clone());
                    self.snapshot.keyword_names.len() - 1
                }
            };
            bits |= 1 << bit;
        }
        Ok(Keywords(bits))
    }
}

fn names_of(keywords: Keywords, names: &[Box<str>]) -> Vec<Box<str>> {
    names
        .iter()
        .enumerate()
        .filter(|(bit, _)| keywords.0 >> bit & 1 == 1)
        .map(|(_, name)| name.clone())
        .collect()
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}

/// INBOX in any case is INBOX (RFC 3501 §5.1); a trailing separator says nothing.
pub(crate) fn canonical(name: &str) -> Result<Box<str>, Error> {
    let trimmed = name.strip_suffix('/').unwrap_or(name);
    let is_legal = !trimmed.is_empty()
        && trimmed.len() <= NAME_OCTETS_MAX
        && !trimmed.chars().any(char::is_control)
        && trimmed.split('/').all(|level| !level.is_empty());
    if !is_legal {
        return Err(Error::BadName(name.to_owned()));
    }
    let (first, rest) = trimmed.split_once('/').map_or((trimmed, None), |(first, rest)| (first, Some(rest)));
    let first = if first.eq_ignore_ascii_case("INBOX") { "INBOX" } else { first };
    Ok(rest.map_or_else(|| first.into(), |rest| format!("{first}/{rest}").into()))
}
