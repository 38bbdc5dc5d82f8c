//! Delivery: one durable commit for everybody a message is for.
//!
//! RFC 5321 §6.1 (responsibility), §4.4 (Return-Path). The body is stored once; mailbox entries of local recipients and
//! one queue entry for all recipients elsewhere refer to it, in the same commit. Called by `receive`, and for mail of
//! our own by whoever makes it (DSNs).

use bytes::Bytes;
use maitred_mail::{
    AccountId, Durable, EnhancedStatus, Envelope, Flags, ForwardPath, MailParameters, MessageId, Recipient,
    ReversePath, Timestamp,
};
use maitred_queue::{Entry, QueuedRecipient, State};
use maitred_store::{Batch, Intent, NewBody, Urgency};

use crate::content::{Content, ContentError};
use crate::house::House;
use crate::judge::Judgement;
use crate::{resolve, trace};

/// Why a message was not stored.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The content cannot be taken.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// None of the recipients can be reached from here.
    #[error("no recipient can be reached")]
    NoRecipients,
    /// The store did not do it: nothing is stored.
    #[error(transparent)]
    Store(#[from] maitred_store::Error),
    /// The store acknowledged without proof: a defect of ours.
    #[error("broken: {0}")]
    Broken(&'static str),
}

impl DeliverError {
    /// What the peer is told.
    pub fn status(&self) -> EnhancedStatus {
        match self {
            Self::Content(error) => error.status(),
            Self::NoRecipients => EnhancedStatus::NO_SUCH_USER,
            // Who was there at RCPT and is gone now: the client asks again, and RCPT says so.
            Self::Store(error) if error.status() == EnhancedStatus::NO_SUCH_USER => EnhancedStatus::TRY_LATER,
            Self::Store(error) => error.status(),
            Self::Broken(_) => EnhancedStatus::TRY_LATER,
        }
    }
}

/// Who gets a message, and how it is filed.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    /// Who is told of failures.
    pub reverse_path: ReversePath,
    /// As MAIL had them.
    pub parameters: MailParameters,
    /// Local accounts, each once.
    pub accounts: Vec<AccountId>,
    /// Recipients elsewhere, each once.
    pub remote: Vec<Recipient>,
    /// `None`: INBOX.
    pub mailbox: Option<String>,
    /// Flags and keywords in IMAP's spelling.
    pub flags: Vec<String>,
    /// When it came.
    pub accepted: Timestamp,
}

impl Parcel {
    /// For nobody yet.
    pub(crate) fn new(envelope: &Envelope, accepted: Timestamp) -> Self {
        Self {
            reverse_path: envelope.reverse_path.clone(),
            // What the client estimated is not what is stored now.
            parameters: MailParameters { size: None, ..envelope.parameters.clone() },
            accounts: Vec::new(),
            remote: Vec::new(),
            mailbox: None,
            flags: Vec::new(),
            accepted,
        }
    }

    /// Nobody gets it.
    pub(crate) fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.remote.is_empty()
    }

    /// Files it as policy said.
    pub(crate) fn file(&mut self, judgement: &Judgement) {
        let junk = judgement.quarantine.as_ref().map(|_| JUNK.to_owned());
        self.mailbox = junk.or_else(|| judgement.mailbox.clone());
        self.flags.clone_from(&judgement.flags);
    }

    /// Adds where one recipient leads.
    pub(crate) fn add(&mut self, place: &resolve::Place) {
        for account in &place.accounts {
            if !self.accounts.contains(account) {
                self.accounts.push(*account);
            }
        }
        for address in &place.remote {
            if self.remote.iter().all(|known| known.address != *address) {
                let named = &place.recipient;
                let original =
                    named.original.as_ref().or((*address != named.address).then_some(&named.address));
                self.remote.push(Recipient { address: address.clone(), original: original.cloned() });
            }
        }
    }

    /// One commit, durable when this returns. Accounts get it once each, the queue once for all.
    pub(crate) async fn commit(self, house: &House, body: NewBody) -> Result<Durable, DeliverError> {
        let batch = Batch { bodies: vec![body], intents: self.into_intents(0), urgency: Urgency::Now };
        let receipt = house.store.commit(batch).await?;
        receipt.durable.ok_or(DeliverError::Broken("a commit for now has no proof"))
    }

    /// What the store is asked to do with the body of this place in its batch.
    pub(crate) fn into_intents(self, body: usize) -> Vec<Intent> {
        let (flags, keywords) = split_flags(&self.flags);
        let mailbox: Box<str> = self.mailbox.as_deref().unwrap_or(INBOX).into();
        let deliver = |account: &AccountId| Intent::Deliver {
            account: *account,
            mailbox: mailbox.clone(),
            body,
            flags,
            keywords: keywords.clone(),
            internal_date: self.accepted,
        };
        let mut intents: Vec<Intent> = self.accounts.iter().map(deliver).collect();
        if !self.remote.is_empty() {
            intents.push(Intent::Enqueue { body: Ok(body), entry: self.queue_entry() });
        }
        intents
    }

    fn queue_entry(self) -> Entry {
        let fresh = |recipient| QueuedRecipient { recipient, state: State::Fresh };
        Entry {
            reverse_path: self.reverse_path,
            parameters: self.parameters,
            recipients: self.remote.into_iter().map(fresh).collect(),
            accepted: self.accepted,
            attempts: 0,
            due: self.accepted,
            is_held: false,
            is_warned: false,
        }
    }
}

/// Takes a message that this server made itself (a DSN, the demo's letters): no policy, no limits of a peer. Recipients
/// nobody has here are passed over.
///
/// # Errors
/// When nothing was stored; then nobody gets it.
pub async fn submit_internal(
    house: &House,
    envelope: &Envelope,
    content: Bytes,
) -> Result<(MessageId, Durable), DeliverError> {
    let id = house.store.next_message_id();
    let parcel = addressed(house, envelope, id);
    if parcel.is_empty() {
        return Err(DeliverError::NoRecipients);
    }
    let body = own_body(house, &envelope.reverse_path, content).await?;
    let durable = parcel.commit(house, body).await?;
    tracing::info!(mail.id = %id, reverse_path = %envelope.reverse_path, "made a message");
    Ok((id, durable))
}

/// A parcel for everybody in the envelope who can be reached.
pub(crate) fn addressed(house: &House, envelope: &Envelope, id: MessageId) -> Parcel {
    let directory = house.store.directory();
    let mut parcel = Parcel::new(envelope, house.now());
    for recipient in &envelope.recipients {
        let path = ForwardPath::Address(recipient.address.clone());
        match resolve::place(&directory, &house.config, &path, true) {
            Ok(place) => parcel.add(&resolve::Place { recipient: recipient.clone(), ..place }),
            Err(refusal) => tracing::warn!(
                mail.id = %id, forward_path = %recipient.address, status = %refusal.status,
                "a recipient of our own mail cannot be reached"
            ),
        }
    }
    parcel
}

/// A message of our own as the store takes it.
pub(crate) async fn own_body(
    house: &House,
    reverse_path: &ReversePath,
    content: Bytes,
) -> Result<NewBody, ContentError> {
    let mut taken = Content::new(house.store.draft(), house.config.limits.header_octets_max);
    taken.take(content).await?;
    taken.end().await?;
    Ok(taken.into_body(&trace::return_path(reverse_path), ""))
}

/// System flags as a set, everything else as keywords. `\Recent` and unknown system flags mean nothing here.
fn split_flags(names: &[String]) -> (Flags, Vec<Box<str>>) {
    let mut flags = Flags::default();
    let mut keywords: Vec<Box<str>> = Vec::new();
    for name in names {
        match Flags::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)) {
            Some((flag, _)) => flags = flags.with(*flag),
            None if name.starts_with('\\') || keywords.iter().any(|k| k.eq_ignore_ascii_case(name)) => {}
            None => keywords.push(name.as_str().into()),
        }
    }
    (flags, keywords)
}

const INBOX: &str = "INBOX";
/// Where quarantined mail goes: every account has it (RFC 6154).
const JUNK: &str = "Junk";

#[cfg(test)]
mod tests {
    use maitred_mail::Address;

    use super::*;

    #[test]
    fn each_account_and_each_address_elsewhere_is_served_once() {
        let at = |text: &str| Address::parse(text).unwrap();
        let envelope = Envelope {
            reverse_path: ReversePath::Null,
            parameters: MailParameters::default(),
            recipients: Vec::new(),
        };
        let mut parcel = Parcel::new(&envelope, Timestamp(0));
        for named in ["a@a.test", "b@a.test"] {
            parcel.add(&resolve::Place {
                recipient: Recipient { address: at(named), original: None },
                accounts: vec![AccountId(1)],
                remote: vec![at("x@c.test")],
            });
        }
        assert_eq!((parcel.accounts.len(), parcel.remote.len()), (1, 1));
        assert_eq!(parcel.remote.first().unwrap().original, Some(at("a@a.test")));
    }

    #[test]
    fn flags_of_a_plugin_are_system_flags_or_keywords() {
        let names = ["\\seen", "$Junk", "$junk", "\\Recent"].map(str::to_owned);
        assert_eq!(split_flags(&names), (Flags::SEEN, vec!["$Junk".into()]));
    }
}
