//! Delivery: one durable commit for everybody a message is for.
//!
//! RFC 5321 §6.1 (responsibility), §4.4 (Return-Path). The body is stored once; mailbox entries of local recipients and
//! one queue entry for all recipients elsewhere refer to it, in the same commit. Called by `receive`, and for mail of
//! our own by whoever makes it (DSNs).

use bytes::Bytes;
use maitred_mail::{
    AccountId, Address, Durable, EnhancedStatus, Envelope, Flags, ForwardPath, MailParameters, MessageId,
    Recipient, ReversePath, Timestamp,
};
use maitred_queue::{Entry, QueuedRecipient, State};
use maitred_store::{Batch, Changed, Intent, NewBody, Urgency};

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
    /// Local accounts, each once in each mailbox.
    pub copies: Vec<Copy>,
    /// Recipients elsewhere, each once.
    pub remote: Vec<Recipient>,
    /// Recipients elsewhere that get it with another reverse-path.
    pub forwards: Vec<(ReversePath, Recipient)>,
    /// `None`: INBOX.
    pub mailbox: Option<String>,
    /// Flags and keywords in IMAP's spelling.
    pub flags: Vec<String>,
    /// When it came.
    pub accepted: Timestamp,
}

/// A copy for a local account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copy {
    /// Whose.
    pub account: AccountId,
    /// The address that led there.
    pub address: Address,
    /// `None`: where the parcel says.
    pub mailbox: Option<String>,
    /// Beside the parcel's.
    pub flags: Vec<String>,
}

impl Parcel {
    /// For nobody yet.
    pub(crate) fn new(envelope: &Envelope, accepted: Timestamp) -> Self {
        Self {
            reverse_path: envelope.reverse_path.clone(),
            // What the client estimated is not what is stored now.
            parameters: MailParameters { size: None, ..envelope.parameters.clone() },
            copies: Vec::new(),
            remote: Vec::new(),
            forwards: Vec::new(),
            mailbox: None,
            flags: Vec::new(),
            accepted,
        }
    }

    /// Nobody gets it.
    pub(crate) fn is_empty(&self) -> bool {
        self.copies.is_empty() && self.remote.is_empty() && self.forwards.is_empty()
    }

    /// Files it as policy said.
    pub(crate) fn file(&mut self, judgement: &Judgement) {
        let junk = judgement.quarantine.as_ref().map(|_| JUNK.to_owned());
        self.mailbox = junk.or_else(|| judgement.mailbox.clone());
        self.flags.clone_from(&judgement.flags);
    }

    /// Adds where one recipient leads.
    pub(crate) fn add(&mut self, place: &resolve::Place) {
        for (account, address) in &place.accounts {
            self.keep(Copy { account: *account, address: address.clone(), mailbox: None, flags: Vec::new() });
        }
        self.add_remote(place);
    }

    /// Adds the addresses elsewhere that one recipient leads to.
    pub(crate) fn add_remote(&mut self, place: &resolve::Place) {
        for address in &place.remote {
            if self.remote.iter().all(|known| known.address != *address) {
                self.remote.push(named(place, address));
            }
        }
    }

    /// Adds a copy, unless that account has one in that mailbox.
    pub(crate) fn keep(&mut self, copy: Copy) {
        let is_same = |known: &Copy| known.account == copy.account && known.mailbox == copy.mailbox;
        if !self.copies.iter().any(is_same) {
            self.copies.push(copy);
        }
    }

    /// Adds a copy for somebody elsewhere, under this reverse-path.
    pub(crate) fn forward(&mut self, reverse_path: &ReversePath, recipient: Recipient) {
        if *reverse_path == self.reverse_path {
            if self.remote.iter().all(|known| known.address != recipient.address) {
                self.remote.push(recipient);
            }
            return;
        }
        let is_same = |(path, known): &(ReversePath, Recipient)| {
            path == reverse_path && known.address == recipient.address
        };
        if !self.forwards.iter().any(is_same) {
            self.forwards.push((reverse_path.clone(), recipient));
        }
    }

    /// One commit, durable when this returns. Accounts get it once each, the queue once for each reverse-path. A report about
    /// recipients that do not take it goes into the same commit.
    pub(crate) async fn commit(
        self,
        house: &House,
        body: NewBody,
        report: Option<(NewBody, Parcel)>,
    ) -> Result<(Durable, Vec<Changed>), DeliverError> {
        let mut bodies = vec![body];
        let mut intents = self.into_intents(0);
        if let Some((body, parcel)) = report {
            bodies.push(body);
            intents.extend(parcel.into_intents(1));
        }
        let receipt = house.store.commit(Batch { bodies, intents, urgency: Urgency::Now }).await?;
        let durable = receipt.durable.ok_or(DeliverError::Broken("a commit for now has no proof"))?;
        Ok((durable, receipt.changes))
    }

    /// What the store is asked to do with the body of this place in its batch: first the copies, in their order.
    pub(crate) fn into_intents(self, body: usize) -> Vec<Intent> {
        let deliver = |copy: &Copy| {
            let all: Vec<String> = self.flags.iter().chain(&copy.flags).cloned().collect();
            let (flags, keywords) = split_flags(&all);
            let mailbox = copy.mailbox.as_deref().or(self.mailbox.as_deref()).unwrap_or(INBOX);
            Intent::Deliver {
                account: copy.account,
                mailbox: mailbox.into(),
                body,
                flags,
                keywords,
                internal_date: self.accepted,
            }
        };
        let mut intents: Vec<Intent> = self.copies.iter().map(deliver).collect();
        let mut rest = self.forwards;
        let mut groups = vec![(self.reverse_path, self.remote)];
        while let Some((path, _)) = rest.first() {
            let path = path.clone();
            let (these, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(of, _)| *of == path);
            groups.push((path, these.into_iter().map(|(_, recipient)| recipient).collect()));
            rest = others;
        }
        for (reverse_path, recipients) in groups {
            if !recipients.is_empty() {
                let entry = queue_entry(reverse_path, self.parameters.clone(), recipients, self.accepted);
                intents.push(Intent::Enqueue { body: Ok(body), entry });
            }
        }
        intents
    }
}

/// A recipient elsewhere, with the name that it was given by.
pub(crate) fn named(place: &resolve::Place, address: &Address) -> Recipient {
    let given = &place.recipient;
    let original = given.original.as_ref().or((*address != given.address).then_some(&given.address));
    Recipient { address: address.clone(), original: original.cloned() }
}

fn queue_entry(
    reverse_path: ReversePath,
    parameters: MailParameters,
    recipients: Vec<Recipient>,
    accepted: Timestamp,
) -> Entry {
    let fresh = |recipient| QueuedRecipient { recipient, state: State::Fresh };
    Entry {
        reverse_path,
        parameters,
        recipients: recipients.into_iter().map(fresh).collect(),
        accepted,
        attempts: 0,
        due: accepted,
        is_held: false,
        is_warned: false,
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
    let copies = parcel.copies.clone();
    let (durable, changes) = parcel.commit(house, body, None).await?;
    house.tell_stored((id, &envelope.reverse_path), &copies, None, &changes);
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
                accounts: vec![(AccountId(1), at(named))],
                remote: vec![at("x@c.test")],
            });
        }
        assert_eq!((parcel.copies.len(), parcel.remote.len()), (1, 1));
        assert_eq!(parcel.remote.first().unwrap().original, Some(at("a@a.test")));
    }

    #[test]
    fn flags_of_a_plugin_are_system_flags_or_keywords() {
        let names = ["\\seen", "$Junk", "$junk", "\\Recent"].map(str::to_owned);
        assert_eq!(split_flags(&names), (Flags::SEEN, vec!["$Junk".into()]));
    }
}
