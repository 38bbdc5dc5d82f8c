//! What a batch of intents comes to: changes of keys, and what watchers of mailboxes are told.
//!
//! A plan reads what is committed (and what earlier batches of the same group planned) and writes into itself; only when
//! every intent of a batch can be done does the group take it over. UIDs and mod-sequences are given out here.

pub(crate) mod accounts;
pub(crate) mod mailboxes;
mod messages;
mod tables;

pub(crate) use messages::split_names;

use std::collections::BTreeMap;

use bytes::Bytes;
use maitred_mail::{AccountId, Address, Directory, Entry, MailboxId, ModSeq, Uid, UidValidity};

use crate::Error;
use crate::codec::{self, Head, Message};
use crate::index::Pair;
use crate::intent::{Changed, Intent};
use crate::keys::{self, Key};
use crate::record::BodyRef;
use crate::view::{Read, merge};

/// Changes of keys, sorted.
pub(crate) type Writes = BTreeMap<Key, Option<Bytes>>;

/// A content of the batch, already given its place in the log.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) body: BodyRef,
    pub(crate) octets: u64,
    pub(crate) summary: codec::Summary,
}

/// What watchers of a mailbox must know, in order.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    Added(Entry),
    Changed(Entry),
    Removed(Uid),
    /// The counters and keyword names are as the view says now.
    Head,
    /// The mailbox is gone.
    Gone,
}

/// A group of batches being planned.
pub(crate) struct Group<'a> {
    view: &'a dyn Read,
    pub(crate) writes: Writes,
    pub(crate) told: Vec<(MailboxId, Told)>,
    pub(crate) directory: Option<Directory>,
    pub(crate) new_passwords: Vec<AccountId>,
    pub(crate) is_queue_changed: bool,
    /// Mailboxes whose mod-sequence was seen in this run; after an unclean end the first sight skips ahead.
    pub(crate) skipped: Vec<MailboxId>,
}

/// One batch being planned over its group.
pub(crate) struct Plan<'g, 'a> {
    group: &'g Group<'a>,
    context: &'g Context<'g>,
    writes: Writes,
    told: Vec<(MailboxId, Told)>,
    directory: Option<Directory>,
    new_passwords: Vec<AccountId>,
    is_queue_changed: bool,
    skipped: Vec<MailboxId>,
}

/// What planning needs to know beside the keys.
pub(crate) struct Context<'c> {
    /// As of the last group.
    pub(crate) directory: &'c Directory,
    /// True for a mailbox whose mod-sequence must skip ahead: not seen yet since an unclean end.
    pub(crate) must_skip: &'c dyn Fn(MailboxId) -> bool,
    /// Up to which UID sessions were told of a mailbox's messages as recent.
    pub(crate) recent: &'c dyn Fn(MailboxId) -> Option<Uid>,
    /// Unix time.
    pub(crate) clock_seconds: u32,
}

/// How far a mod-sequence skips ahead after an unclean end: more than flag changes can have been lost in 100 ms.
const MODSEQ_SKIP: u64 = 1 << 20;

impl<'a> Group<'a> {
    pub(crate) fn new(view: &'a dyn Read) -> Self {
        Self {
            view,
            writes: Writes::new(),
            told: Vec::new(),
            directory: None,
            new_passwords: Vec::new(),
            is_queue_changed: false,
            skipped: Vec::new(),
        }
    }

    /// Plans one batch: all of it is in the group then, or none of it.
    pub(crate) fn plan(
        &mut self,
        intents: &[Intent],
        bodies: &[Placed],
        context: &Context<'_>,
    ) -> Result<Vec<Changed>, Error> {
        let mut plan = Plan {
            group: self,
            context,
            writes: Writes::new(),
            told: Vec::new(),
            directory: None,
            new_passwords: Vec::new(),
            is_queue_changed: false,
            skipped: Vec::new(),
        };
        let changes =
            intents.iter().map(|intent| plan.intent(intent, bodies)).collect::<Result<Vec<_>, _>>()?;
        let Plan { writes, told, directory, new_passwords, is_queue_changed, skipped, .. } = plan;
        self.writes.extend(writes);
        self.told.extend(told);
        self.directory = directory.or(self.directory.take());
        self.new_passwords.extend(new_passwords);
        self.is_queue_changed |= is_queue_changed;
        self.skipped.extend(skipped);
        Ok(changes)
    }
}

impl Read for Group<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match self.writes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.view.get(key),
        }
    }

    fn range(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<Pair>, Error> {
        over(&self.writes, self.view, from, to, max)
    }
}

impl Read for Plan<'_, '_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match self.writes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.group.get(key),
        }
    }

    fn range(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<Pair>, Error> {
        over(&self.writes, self.group, from, to, max)
    }
}

fn over(writes: &Writes, below: &dyn Read, from: &[u8], to: &[u8], max: usize) -> Result<Vec<Pair>, Error> {
    let bounds = (std::ops::Bound::Included(from), std::ops::Bound::Excluded(to));
    merge(writes.range::<[u8], _>(bounds), |at, max| below.range(at, to, max), from, max)
}

impl Plan<'_, '_> {
    fn intent(&mut self, intent: &Intent, bodies: &[Placed]) -> Result<Changed, Error> {
        let placed = |at: usize| bodies.get(at).ok_or_else(|| Error::Unknown("body of the batch".to_owned()));
        match intent {
            Intent::Deliver { account, mailbox, body, flags, keywords, internal_date } => {
                let id = self.deliverable(*account, mailbox)?;
                self.add(id, placed(*body)?, *flags, keywords, *internal_date)
            }
            Intent::Append { mailbox, body, flags, keywords, internal_date } => {
                self.add(*mailbox, placed(*body)?, *flags, keywords, *internal_date)
            }
            Intent::Flags(change) => self.change_flags(change),
            Intent::Copy { from, uids, to } => self.copy(*from, uids, *to),
            Intent::Move { from, uids, to } => self.move_to(*from, uids, *to),
            Intent::Expunge { mailbox, uids, only_deleted } => {
                self.expunge(*mailbox, uids.as_deref(), *only_deleted).map(Changed::Expunged)
            }
            Intent::CreateMailbox { account, name, special_use } => {
                self.create_mailbox(*account, name, *special_use)
            }
            Intent::DeleteMailbox { account, name } => self.delete_mailbox(*account, name),
            Intent::RenameMailbox { account, from, to } => self.rename_mailbox(*account, from, to),
            Intent::Subscribe { account, name, is_subscribed } => {
                self.subscribe(*account, name, *is_subscribed)
            }
            Intent::Enqueue { body, entry } => {
                let body = match body {
                    Ok(at) => placed(*at)?.body.clone(),
                    Err(body) => body.clone(),
                };
                let id = self.next_number()?;
                self.put(keys::queue(id), codec::encode_queue(entry, &body)?);
                self.is_queue_changed = true;
                Ok(Changed::Queued(maitred_mail::MessageId(id)))
            }
            Intent::UpdateQueue { id, entry } => {
                let (_, body) = self.queue_entry(id.0)?;
                self.put(keys::queue(id.0), codec::encode_queue(entry, &body)?);
                self.is_queue_changed = true;
                Ok(Changed::Done)
            }
            Intent::RemoveQueue { id } => {
                self.queue_entry(id.0)?;
                self.delete(keys::queue(id.0));
                self.is_queue_changed = true;
                Ok(Changed::Done)
            }
            Intent::Table(cells) => self.change_table(cells),
            _ => self.administer(intent),
        }
    }

    fn queue_entry(&self, id: u64) -> Result<(maitred_queue::Entry, BodyRef), Error> {
        let unknown = || Error::Unknown(format!("queue entry {}", maitred_mail::MessageId(id)));
        codec::decode_queue(self.get(&keys::queue(id))?.ok_or_else(unknown)?)
    }

    fn put(&mut self, key: Key, value: Bytes) {
        self.writes.insert(key, Some(value));
    }

    fn delete(&mut self, key: Key) {
        self.writes.insert(key, None);
    }

    fn tell(&mut self, mailbox: MailboxId, told: Told) {
        self.told.push((mailbox, told));
    }

    /// A number that was never given out before.
    fn next_number(&mut self) -> Result<u64, Error> {
        let last = self.get(&keys::last_number())?.map_or(Ok(0), |value| codec::decode_number(&value))?;
        self.put(keys::last_number(), codec::encode_number(last + 1));
        Ok(last + 1)
    }

    /// Greater than any that was given out before, whatever the clock says: a mailbox that is made again is a new one
    /// (RFC 9051 §2.3.1.1).
    fn next_uid_validity(&mut self) -> Result<UidValidity, Error> {
        let last =
            self.get(&keys::last_uid_validity())?.map_or(Ok(0), |value| codec::decode_number(&value))?;
        let next = (last + 1).max(u64::from(self.context.clock_seconds));
        self.put(keys::last_uid_validity(), codec::encode_number(next));
        u32::try_from(next).map(UidValidity).map_err(|_| Error::Full)
    }

    fn head(&self, id: MailboxId) -> Result<Head, Error> {
        let mut head = Head::decode(self.get(&keys::head(id))?.ok_or(Error::NoMailbox)?)?;
        head.recent_from = head.recent_from.max((self.context.recent)(id).unwrap_or_default());
        Ok(head)
    }

    fn put_head(&mut self, id: MailboxId, head: &Head) {
        self.put(keys::head(id), head.encode());
        self.tell(id, Told::Head);
    }

    /// The mod-sequence of the next change.
    fn next_modseq(&mut self, id: MailboxId, head: &mut Head) -> ModSeq {
        let is_known = self.skipped.contains(&id) || self.group.skipped.contains(&id);
        if !is_known && (self.context.must_skip)(id) {
            head.modseq.0 += MODSEQ_SKIP;
            self.skipped.push(id);
        }
        head.modseq.0 += 1;
        head.modseq
    }

    fn entry(&self, id: MailboxId, uid: Uid) -> Result<Option<Entry>, Error> {
        self.get(&keys::flags(id, uid))?.map(|value| codec::decode_entry(uid, value)).transpose()
    }

    fn message(&self, id: MailboxId, uid: Uid) -> Result<Option<Message>, Error> {
        self.get(&keys::message(id, uid))?.map(Message::decode).transpose()
    }

    fn directory(&self) -> &Directory {
        self.directory.as_ref().or(self.group.directory.as_ref()).unwrap_or(self.context.directory)
    }

    fn directory_mut(&mut self) -> &mut Directory {
        if self.directory.is_none() {
            self.directory = Some(self.directory().clone());
        }
        self.directory.get_or_insert_default()
    }

    fn account_of(&self, address: &Address) -> Result<AccountId, Error> {
        self.directory().account(address).ok_or_else(|| Error::NoAccount(address.clone()))
    }

    /// Adds to (or takes from) what an account uses; refuses to pass its quota.
    fn charge(&mut self, account: AccountId, added: u64, freed: u64) -> Result<(), Error> {
        let used = self.get(&keys::used(account))?.map_or(Ok(0), |value| codec::decode_number(&value))?;
        if added > 0 {
            let record = accounts::AccountRecord::read(self, account)?;
            if record.quota.is_some_and(|quota| used.saturating_add(added) > quota) {
                return Err(Error::OverQuota(account));
            }
        }
        let used = used.saturating_add(added).saturating_sub(freed);
        self.put(keys::used(account), codec::encode_number(used));
        Ok(())
    }
}
