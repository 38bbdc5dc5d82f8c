//! Flags, copies, moves, and messages that go: RFC 3501 §6.4.2, §6.4.3, §6.4.6, §6.4.7; RFC 4315, RFC 6851.

use maitred_imap::command::{StoreAction, StoreOperation};
use maitred_imap::{Refusal, Session};
use maitred_mail::{Flags, MailboxId, Uid};
use maitred_store::{Changed, FlagChange, FlagOp, Intent, Urgency};
use maitred_wire::Ticket;

use super::Imap;

impl Imap {
    pub(super) async fn store(
        &mut self,
        session: &mut Session,
        ticket: Ticket,
        mailbox: MailboxId,
        uids: Vec<Uid>,
        operation: StoreOperation,
    ) {
        let op = match operation.action {
            StoreAction::Replace => FlagOp::Set,
            StoreAction::Add => FlagOp::Add,
            StoreAction::Remove => FlagOp::Remove,
        };
        let change = FlagChange {
            mailbox,
            uids,
            op,
            flags: operation.flags.flags,
            keywords: operation.flags.keywords,
            unchanged_since: None,
        };
        let changed = self.commit_when(Intent::Flags(change), Urgency::Soon).await;
        self.update(session);
        match changed.map_err(self.refusal()) {
            Ok(Changed::Flags { entries, .. }) => {
                self.tell_flags(&entries);
                session.stored(ticket, &entries);
            }
            Ok(_) => session.refuse(ticket, Refusal::Broken),
            Err(refusal) => session.refuse(ticket, refusal),
        }
    }

    pub(super) async fn copy(
        &mut self,
        session: &mut Session,
        ticket: Ticket,
        from: MailboxId,
        uids: Vec<Uid>,
        to: &str,
        is_move: bool,
    ) {
        let is_any = !uids.is_empty();
        let changed = match self.destination(to).await {
            Ok(to) => {
                let intent = match is_move {
                    true => Intent::Move { from, uids, to },
                    false => Intent::Copy { from, uids, to },
                };
                self.commit(intent).await.map_err(self.refusal())
            }
            Err(refusal) => Err(refusal),
        };
        self.update(session);
        match changed {
            // RFC 2180 §4.4: none of them is there any more.
            Ok(Changed::Copied { uids, .. }) if uids.is_empty() && is_any => {
                session.refuse(ticket, Refusal::Expunged);
            }
            Ok(Changed::Copied { uid_validity, uids }) => {
                let (old, new): (Vec<Uid>, Vec<Uid>) = uids.iter().copied().unzip();
                self.tell_appended(to, uid_validity, &new);
                if is_move {
                    self.tell_expunged(&old);
                }
                session.copied(ticket, uid_validity, &uids);
            }
            Ok(_) => session.refuse(ticket, Refusal::Broken),
            Err(refusal) => session.refuse(ticket, refusal),
        }
    }

    /// Takes out those with `\Deleted`, of all or of some.
    pub(super) async fn expunge(&self, mailbox: MailboxId, uids: Option<Vec<Uid>>) -> Result<(), Refusal> {
        // Most often there is none, and nothing to wait for.
        let Some(open) = &self.open else { return Err(Refusal::Broken) };
        if !open.watch.snapshot().iter().any(|entry| entry.flags.has(Flags::DELETED)) {
            return Ok(());
        }
        let intent = Intent::Expunge { mailbox, uids, only_deleted: true };
        match self.commit(intent).await.map_err(self.refusal())? {
            Changed::Expunged(uids) => self.tell_expunged(&uids),
            _ => return Err(Refusal::Broken),
        }
        Ok(())
    }
}
