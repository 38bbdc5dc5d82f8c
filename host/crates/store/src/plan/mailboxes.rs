//! Mailboxes by name: create, delete, rename, subscribe.

use bytes::Bytes;
use maitred_mail::{AccountId, MailboxId, ModSeq, Uid};

use super::{Plan, Told};
use crate::codec::Head;
use crate::intent::Changed;
use crate::record::SpecialUse;
use crate::view::Read;
use crate::{Error, keys};

/// A name is at most so long.
const NAME_OCTETS_MAX: usize = 255;
/// An account has at most so many names.
pub(crate) const NAMES_MAX: usize = 10_000;

/// What a name stands for.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(crate) struct NameRecord {
    /// `None`: only a parent of others.
    pub(crate) mailbox: Option<MailboxId>,
    pub(crate) special_use: Option<SpecialUse>,
}

/// All names of an account, in order.
pub(crate) fn names(read: &dyn Read, account: AccountId) -> Result<Vec<(Box<str>, NameRecord)>, Error> {
    let prefix = keys::name(account, "");
    let pairs = read.range(&prefix, &keys::behind(&prefix), NAMES_MAX)?;
    let decoded = pairs.into_iter().map(|(key, value)| {
        let name = keys::name_of(&key).ok_or_else(|| Error::Damaged("a mailbox name".to_owned()))?;
        Ok((Box::from(name), decode(&value)?))
    });
    decoded.collect()
}

fn decode(value: &[u8]) -> Result<NameRecord, Error> {
    serde_json::from_slice(value).map_err(|error| Error::Damaged(format!("a mailbox name: {error}")))
}

fn encode(record: NameRecord) -> Result<Bytes, Error> {
    serde_json::to_vec(&record).map(Bytes::from).map_err(|error| Error::Unavailable(error.to_string()))
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
    match trimmed.split_once('/') {
        Some((first, rest)) if first.eq_ignore_ascii_case("INBOX") => Ok(format!("INBOX/{rest}").into()),
        None if trimmed.eq_ignore_ascii_case("INBOX") => Ok("INBOX".into()),
        _ => Ok(trimmed.into()),
    }
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}

impl Plan<'_, '_> {
    fn name(&self, account: AccountId, name: &str) -> Result<Option<NameRecord>, Error> {
        self.get(&keys::name(account, name))?.map(|value| decode(&value)).transpose()
    }

    fn put_name(&mut self, account: AccountId, name: &str, record: NameRecord) -> Result<(), Error> {
        self.put(keys::name(account, name), encode(record)?);
        Ok(())
    }

    /// The mailbox that mail to this name goes into; made when it is not there.
    pub(super) fn deliverable(&mut self, account: AccountId, name: &str) -> Result<MailboxId, Error> {
        let name = canonical(name)?;
        match self.name(account, &name)? {
            Some(NameRecord { mailbox: Some(id), .. }) => Ok(id),
            _ => {
                self.check_account(account)?;
                self.make(account, &name, None)
            }
        }
    }

    pub(super) fn create_mailbox(
        &mut self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> Result<Changed, Error> {
        self.check_account(account)?;
        let name = canonical(name)?;
        match self.name(account, &name)? {
            Some(NameRecord { mailbox: Some(_), .. }) => Err(Error::Exists(name.into())),
            _ => self.make(account, &name, special_use).map(Changed::Mailbox),
        }
    }

    /// A new, empty mailbox with its parents.
    pub(super) fn make(
        &mut self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxId, Error> {
        let prefix = keys::name(account, "");
        if self.range(&prefix, &keys::behind(&prefix), NAMES_MAX)?.len() >= NAMES_MAX {
            return Err(Error::Full);
        }
        let id = MailboxId(self.next_number()?);
        let head = Head {
            account,
            uid_validity: self.next_uid_validity()?,
            uid_next: Uid(1),
            modseq: ModSeq(1),
            messages: 0,
            unseen: 0,
            recent_from: Uid(1),
        };
        self.put_parents(account, name)?;
        self.put_name(account, name, NameRecord { mailbox: Some(id), special_use })?;
        self.put_head(id, &head);
        Ok(id)
    }

    fn put_parents(&mut self, account: AccountId, name: &str) -> Result<(), Error> {
        for (at, _) in name.match_indices('/') {
            let parent = name.get(..at).unwrap_or_default();
            if self.name(account, parent)?.is_none() {
                self.put_name(account, parent, NameRecord { mailbox: None, special_use: None })?;
            }
        }
        Ok(())
    }

    pub(super) fn delete_mailbox(&mut self, account: AccountId, name: &str) -> Result<Changed, Error> {
        let name = canonical(name)?;
        if &*name == "INBOX" {
            return Err(Error::BadName(name.into()));
        }
        let record = self.name(account, &name)?.ok_or(Error::NoMailbox)?;
        let has_children = names(self, account)?.iter().any(|(other, _)| is_below(other, &name));
        match record.mailbox {
            // RFC 3501 §6.3.4: a name with children and no mailbox cannot be deleted.
            None if has_children => return Err(Error::InUse(name.into())),
            None => {}
            Some(id) => self.remove_mailbox(id)?,
        }
        if has_children {
            self.put_name(account, &name, NameRecord { mailbox: None, special_use: None })?;
        } else {
            self.delete(keys::name(account, &name));
        }
        Ok(Changed::Done)
    }

    /// The mailbox with all its messages.
    pub(super) fn remove_mailbox(&mut self, id: MailboxId) -> Result<(), Error> {
        self.expunge(id, None, false)?;
        self.delete(keys::head(id));
        self.delete(keys::keywords(id));
        self.tell(id, Told::Gone);
        Ok(())
    }

    pub(super) fn rename_mailbox(
        &mut self,
        account: AccountId,
        from: &str,
        to: &str,
    ) -> Result<Changed, Error> {
        let (from, to) = (canonical(from)?, canonical(to)?);
        if self.name(account, &to)?.is_some_and(|record| record.mailbox.is_some()) {
            return Err(Error::Exists(to.into()));
        }
        let record = self.name(account, &from)?.ok_or(Error::NoMailbox)?;
        if &*from == "INBOX" {
            // RFC 3501 §6.3.5: the messages move, INBOX stays.
            let inbox = record.mailbox.ok_or(Error::NoMailbox)?;
            let new = self.make(account, &to, None)?;
            let uids = self.all_uids(inbox)?;
            self.move_to(inbox, &uids, new)?;
            return Ok(Changed::Done);
        }
        if is_below(&to, &from) || &*to == "INBOX" {
            return Err(Error::BadName(to.into()));
        }
        let (moved, kept): (Vec<_>, Vec<_>) =
            names(self, account)?.into_iter().partition(|(name, _)| *name == from || is_below(name, &from));
        for (old, _) in &moved {
            self.delete(keys::name(account, old));
        }
        for (old, record) in moved {
            let new = canonical(&format!("{to}{}", old.get(from.len()..).unwrap_or_default()))?;
            // A child may come to stand where another mailbox is.
            if kept.iter().any(|(name, other)| *name == new && other.mailbox.is_some()) {
                return Err(Error::Exists(new.into()));
            }
            self.put_name(account, &new, record)?;
        }
        self.put_parents(account, &to)?;
        Ok(Changed::Done)
    }

    pub(super) fn subscribe(
        &mut self,
        account: AccountId,
        name: &str,
        is_subscribed: bool,
    ) -> Result<Changed, Error> {
        self.check_account(account)?;
        let name = canonical(name)?;
        let key = keys::subscription(account, &name);
        if is_subscribed {
            self.put(key, Bytes::from_static(b"1"))
        } else {
            self.delete(key)
        }
        Ok(Changed::Done)
    }
}
