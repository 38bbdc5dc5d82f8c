//! APPEND: RFC 3501 §6.3.11, RFC 4315 §3 (APPENDUID). The message streams into the store as it comes, octet by octet.

use bytes::Bytes;
use maitred_imap::command::{Append, FlagList};
use maitred_imap::{Refusal, Session};
use maitred_mail::{MailboxId, Timestamp};
use maitred_store::{Batch, Changed, Error, Intent, Urgency};
use maitred_wire::Ticket;

use super::{Imap, Running, refusal_of};
use crate::content::{Content, ContentError};

/// A message on its way.
pub(super) struct Appending {
    name: String,
    mailbox: MailboxId,
    flags: FlagList,
    internal_date: Timestamp,
    /// What came, or why it is of no use any more; told at the end.
    content: Result<Content, Refusal>,
}

impl Imap {
    pub(super) async fn append(&mut self, session: &mut Session, ticket: Ticket, append: Append) {
        match self.begin_append(append).await {
            Ok(appending) => {
                self.running = Some(Running::Append(Box::new(appending)));
                session.accept(ticket);
            }
            Err(refusal) => self.refuse(session, ticket, refusal),
        }
    }

    async fn begin_append(&self, append: Append) -> Result<Appending, Refusal> {
        let account = self.account()?;
        let mailbox = self.destination(&append.mailbox).await?;
        // Told before the client sends it all; the commit has the last word.
        let owner = self.house.store.account(account).ok_or(Refusal::Unavailable)?;
        if owner.quota.is_some_and(|quota| owner.used.saturating_add(append.octets) > quota) {
            return Err(Refusal::OverQuota);
        }
        let head_octets_max = self.house.config.limits.header_octets_max;
        Ok(Appending {
            name: append.mailbox.to_string(),
            mailbox,
            flags: append.flags,
            internal_date: append.internal_date.unwrap_or_else(|| self.house.now()),
            content: Ok(Content::exact(self.house.store.draft(), head_octets_max)),
        })
    }

    /// A mailbox to put messages into: the client may create it when it is not there (RFC 3501 §7.1).
    pub(super) async fn destination(&self, name: &str) -> Result<MailboxId, Refusal> {
        let found = self.house.store.mailbox(self.account()?, name).await;
        match found.map(|record| record.id) {
            Ok(Some(id)) => Ok(id),
            Ok(None) | Err(Error::NoMailbox) => Err(Refusal::NoDestination),
            Err(error) => Err(self.refusal()(error)),
        }
    }

    pub(super) async fn take_chunk(&mut self, octets: Bytes) {
        let session = self.session;
        if let Some(Running::Append(appending)) = &mut self.running
            && let Ok(content) = &mut appending.content
            && let Err(error) = content.take(octets).await
        {
            appending.content = Err(refusal_of_content(session, &error));
        }
    }

    pub(super) async fn appended(&mut self, session: &mut Session, ticket: Ticket) {
        let running = self.running.take();
        let Some(Running::Append(appending)) = running else {
            return self.refuse(session, ticket, Refusal::Broken);
        };
        let name = appending.name.clone();
        let changed = self.end_append(*appending).await;
        self.update(session);
        match changed {
            Ok(Changed::Delivered { uid_validity, uid, .. }) => {
                self.tell_appended(&name, uid_validity, &[uid]);
                session.appended(ticket, uid_validity, uid);
            }
            Ok(_) => session.refuse(ticket, Refusal::Broken),
            Err(refusal) => session.refuse(ticket, refusal),
        }
    }

    async fn end_append(&self, appending: Appending) -> Result<Changed, Refusal> {
        let Appending { name: _, mailbox, flags: FlagList { flags, keywords }, internal_date, content } =
            appending;
        let mut content = content?;
        content.end().await.map_err(|error| refusal_of_content(self.session, &error))?;
        let batch = Batch {
            bodies: vec![content.into_body("", "")],
            intents: vec![Intent::Append { mailbox, body: 0, flags, keywords, internal_date }],
            urgency: Urgency::Now,
        };
        let receipt = self.house.store.commit(batch).await;
        let mut receipt = receipt.map_err(|error| match error {
            Error::NoMailbox => Refusal::NoDestination,
            error => self.refusal()(error),
        })?;
        receipt.changes.pop().ok_or(Refusal::Broken)
    }
}

fn refusal_of_content(session: u64, error: &ContentError) -> Refusal {
    tracing::error!(session, protocol = "imap", %error, "appended message not taken");
    match error {
        ContentError::HeadTooBig { .. } => Refusal::TooBig,
        ContentError::Store(error) => refusal_of(error),
    }
}
