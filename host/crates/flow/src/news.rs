//! What happened is told afterwards: what became of mail, and what changed in mailboxes.
//!
//! The facts are only put together when a plugin listens. Called by the stages that made it happen, when it is durable.

use maitred_mail::{Address, EnhancedStatus, MessageId, ReversePath};
use maitred_policy::{Hook, MailboxChange, MailboxFacts, OutcomeFacts, OutcomeKind};
use maitred_queue::{Commit, Outcome, Unit};
use maitred_store::Changed;

use crate::deliver::Copy;
use crate::house::House;

impl House {
    fn hears(&self, hook: Hook) -> bool {
        !(self.chains)().is_silent(hook)
    }

    /// A message was stored for these accounts; `changes` are the store's, in their order.
    pub(crate) fn tell_stored(
        &self,
        (id, reverse_path): (MessageId, &ReversePath),
        copies: &[Copy],
        default: Option<&str>,
        changes: &[Changed],
    ) {
        if self.hears(Hook::Outcome) {
            let stored = |copy: &Copy| OutcomeFacts {
                kind: OutcomeKind::Stored,
                id,
                reverse_path: reverse_path.clone(),
                recipient: copy.address.clone(),
                remote: None,
                status: EnhancedStatus::OK,
                text: String::new(),
                attempts: 1,
                at: self.now(),
            };
            self.herald.outcomes(copies.iter().map(stored).collect());
        }
        if self.hears(Hook::Mailbox) {
            let directory = self.store.directory();
            let appended = |(copy, change): (&Copy, &Changed)| match change {
                Changed::Delivered { uid_validity, uid, .. } => Some(MailboxFacts {
                    account: directory.own_address(&copy.address),
                    mailbox: copy.mailbox.as_deref().or(default).unwrap_or("INBOX").to_owned(),
                    uids: vec![uid.0],
                    uid_validity: uid_validity.0,
                    change: MailboxChange::Appended,
                }),
                _ => None,
            };
            self.herald.mailboxes(copies.iter().zip(changes).filter_map(appended).collect());
        }
    }

    /// Recipients that will be tried again.
    pub(crate) fn tell_deferred(&self, unit: &Unit, outcomes: &[(Address, Outcome)]) {
        if !self.hears(Hook::Outcome) {
            return;
        }
        let deferred = |(address, outcome): &(Address, Outcome)| {
            let is_deferred =
                !outcome.status.is_permanent() && outcome.status.class != maitred_mail::Class::Success;
            is_deferred.then(|| OutcomeFacts {
                kind: OutcomeKind::Deferred,
                id: unit.id,
                reverse_path: unit.reverse_path.clone(),
                recipient: address.clone(),
                remote: outcome.remote.clone(),
                status: outcome.status,
                text: outcome.text.clone(),
                attempts: 1,
                at: self.now(),
            })
        };
        self.herald.outcomes(outcomes.iter().filter_map(deferred).collect());
    }

    /// Recipients that are settled.
    pub(crate) fn tell_settled(&self, commit: &Commit) {
        if !self.hears(Hook::Outcome) {
            return;
        }
        let delivered = commit.delivered.iter().map(|of| (OutcomeKind::Delivered, of));
        let failed = commit
            .failed
            .iter()
            .map(|of| (if of.is_expired { OutcomeKind::Expired } else { OutcomeKind::Bounced }, of));
        let facts = delivered.chain(failed).map(|(kind, settled)| OutcomeFacts {
            kind,
            id: commit.id,
            reverse_path: commit.before.reverse_path.clone(),
            recipient: settled.recipient.address.clone(),
            remote: settled.outcome.remote.clone(),
            status: settled.outcome.status,
            text: settled.outcome.text.clone(),
            attempts: commit.before.attempts.saturating_add(1),
            at: settled.last_attempt.unwrap_or_else(|| self.now()),
        });
        self.herald.outcomes(facts.collect());
    }

    /// Messages of a mailbox changed.
    pub(crate) fn tell_mailbox(
        &self,
        account: &Address,
        mailbox: &str,
        uid_validity: u32,
        uids: Vec<u32>,
        change: MailboxChange,
    ) {
        if !uids.is_empty() && self.hears(Hook::Mailbox) {
            let mailbox = mailbox.to_owned();
            let facts = MailboxFacts { account: account.clone(), mailbox, uids, uid_validity, change };
            self.herald.mailboxes(vec![facts]);
        }
    }

    /// Somebody would hear of it: the caller can save the work of finding out what to tell.
    pub(crate) fn hears_of_mailboxes(&self) -> bool {
        self.hears(Hook::Mailbox)
    }
}
