//! Mailboxes by name: RFC 3501 §6.3.3 to §6.3.10; RFC 3348 (CHILDREN), RFC 6154 (SPECIAL-USE).

use std::collections::BTreeSet;

use maitred_imap::Refusal;
use maitred_imap::command::{List, StatusItem};
use maitred_imap::pattern::Pattern;
use maitred_imap::response::{self, Attribute, Listed, StatusFacts};
use maitred_store::{Intent, MailboxRecord, SpecialUse};

use super::Imap;

impl Imap {
    pub(super) async fn create(&self, name: Box<str>) -> Result<(), Refusal> {
        let intent = Intent::CreateMailbox { account: self.account()?, name, special_use: None };
        self.commit(intent).await.map(drop).map_err(self.refusal())
    }

    pub(super) async fn delete(&self, name: Box<str>) -> Result<(), Refusal> {
        let intent = Intent::DeleteMailbox { account: self.account()?, name };
        self.commit(intent).await.map(drop).map_err(self.refusal())
    }

    pub(super) async fn rename(&self, from: Box<str>, to: Box<str>) -> Result<(), Refusal> {
        let intent = Intent::RenameMailbox { account: self.account()?, from, to };
        self.commit(intent).await.map(drop).map_err(self.refusal())
    }

    pub(super) async fn subscribe(&self, name: Box<str>, is_subscribed: bool) -> Result<(), Refusal> {
        let intent = Intent::Subscribe { account: self.account()?, name, is_subscribed };
        self.commit(intent).await.map(drop).map_err(self.refusal())
    }

    pub(super) async fn list(&self, list: &List, is_lsub: bool) -> Result<Vec<u8>, Refusal> {
        let records = self.house.store.mailboxes(self.account()?).await.map_err(self.refusal())?;
        let patterns: Vec<_> =
            list.patterns.iter().map(|pattern| Pattern::new(&list.reference, pattern)).collect();
        let mut out = Vec::new();
        if is_lsub {
            list_subscribed(&mut out, &records, &patterns);
        } else {
            list_mailboxes(&mut out, &records, &patterns, list);
        }
        Ok(out)
    }

    pub(super) async fn status(&self, name: &str, items: &[StatusItem]) -> Result<Vec<u8>, Refusal> {
        let record = self.house.store.mailbox(self.account()?, name).await.map_err(self.refusal())?;
        record.id.ok_or(Refusal::NoMailbox)?;
        let MailboxRecord { messages, recent, uid_next, uid_validity, unseen, .. } = record;
        let (uid_next, uid_validity) = (uid_next.0, uid_validity.0);
        let mut out = Vec::new();
        response::status(
            name,
            items,
            &StatusFacts { messages, recent, uid_next, uid_validity, unseen },
            &mut out,
        );
        Ok(out)
    }
}

/// The mailboxes there are, by name: who has one below is found by looking behind it.
struct Names<'a>(Vec<&'a str>);

impl<'a> Names<'a> {
    fn new(records: &'a [MailboxRecord]) -> Self {
        let mut names: Vec<&str> =
            records.iter().filter(|record| record.id.is_some()).map(|record| &*record.name).collect();
        names.sort_unstable();
        Self(names)
    }

    fn has_below(&self, name: &str) -> bool {
        let below = format!("{name}/");
        let at = self.0.partition_point(|other| *other < below.as_str());
        self.0.get(at).is_some_and(|other| other.starts_with(&below))
    }
}

fn list_mailboxes(out: &mut Vec<u8>, records: &[MailboxRecord], patterns: &[Pattern], list: &List) {
    let names = Names::new(records);
    for record in records {
        let has_below = names.has_below(&record.name);
        // A name without a mailbox is there for the sake of those below it; else it is nothing but a subscription.
        let is_there = record.id.is_some() || has_below;
        let is_wanted = match list.selection.subscribed {
            true => record.is_subscribed,
            false => is_there,
        } && (!list.selection.special_use || record.special_use.is_some());
        if !is_wanted || !patterns.iter().any(|pattern| pattern.matches(&record.name)) {
            continue;
        }
        let mut attributes = Vec::with_capacity(4);
        match (is_there, record.id) {
            (false, _) => attributes.extend([Attribute::NonExistent, Attribute::Noselect]),
            (true, None) => attributes.push(Attribute::Noselect),
            (true, Some(_)) => {}
        }
        if record.is_subscribed && (list.selection.subscribed || list.returns.subscribed) {
            attributes.push(Attribute::Subscribed);
        }
        attributes.push(if has_below { Attribute::HasChildren } else { Attribute::HasNoChildren });
        attributes.extend(record.special_use.map(attribute));
        response::list(Listed::List, &attributes, &record.name, out);
    }
}

/// RFC 3501 §6.3.9: a name that is not subscribed but has subscribed ones below, which `%` keeps from matching, is said with
/// `\Noselect`.
fn list_subscribed(out: &mut Vec<u8>, records: &[MailboxRecord], patterns: &[Pattern]) {
    let mut said = BTreeSet::new();
    let matches = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
    for record in records.iter().filter(|record| record.is_subscribed) {
        if matches(&record.name) {
            let attributes: &[Attribute] = if record.id.is_none() { &[Attribute::Noselect] } else { &[] };
            if said.insert(&*record.name) {
                response::list(Listed::Lsub, attributes, &record.name, out);
            }
            continue;
        }
        let parents = record.name.rmatch_indices('/').filter_map(|(at, _)| record.name.get(..at));
        for parent in parents {
            let is_subscribed = || records.iter().any(|other| other.is_subscribed && *other.name == *parent);
            if matches(parent) && !said.contains(parent) && !is_subscribed() {
                said.insert(parent);
                response::list(Listed::Lsub, &[Attribute::Noselect], parent, out);
            }
        }
    }
}

fn attribute(special_use: SpecialUse) -> Attribute {
    match special_use {
        SpecialUse::Archive => Attribute::Archive,
        SpecialUse::Drafts => Attribute::Drafts,
        SpecialUse::Junk => Attribute::Junk,
        SpecialUse::Sent => Attribute::Sent,
        SpecialUse::Trash => Attribute::Trash,
    }
}
