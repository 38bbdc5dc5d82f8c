//! From the header section to the reply to the end of data: loops, policy, trace fields, the commit.

use std::sync::Arc;

use bytes::Bytes;
use maitred_mail::mime::Structure;
use maitred_mail::{Address, Body, Class, Durable, EnhancedStatus, ForwardPath, Recipient, Timestamp};
use maitred_policy::{Edit, HeaderPosition, Hook, HookCall, MessageFacts, Original, Outcome, SessionFacts};
use maitred_smtp::Refusal;
use maitred_smtp::server::{Mode, Session, Settled};
use maitred_store::{Changed, NewBody};
use maitred_wire::Ticket;

use super::{Receive, Transaction, broken, public_text};
use crate::content::{Content, ContentError};
use crate::deliver::{DeliverError, Parcel};
use crate::filing::{self, Filing};
use crate::house::House;
use crate::judge::Ruling;
use crate::resolve::{self, Place};
use crate::traces::{MessageTrace, PluginTrace};
use crate::{head, quota, submission, trace};

/// What a message came to.
enum End {
    Settled(Settled),
    Ruled(Ruling),
}

impl Receive {
    /// The message is there: judged, stored, answered.
    pub(super) async fn end_of_data(&mut self, session: &mut Session, ticket: Ticket, octets: u64) {
        let Some(mut transaction) = self.transaction.take() else {
            return session.refuse(ticket, &broken());
        };
        let end = match transaction.judge(&self.house, &self.facts).await {
            Ok(()) => self.conclude(&mut transaction, session).await,
            Err(error) => End::Ruled(Ruling::Refuse(Refusal::new(error.status(), public_text(&error)))),
        };
        self.facts.transaction = None;
        self.log(&transaction, &end, octets);
        session.delay(transaction.judgement.take_delay(self.house.config.limits.delay_max));
        match end {
            End::Settled(settled) => session.settle(ticket, &settled),
            End::Ruled(Ruling::Refuse(refusal)) => session.refuse(ticket, &refusal),
            End::Ruled(Ruling::Disconnect(refusal)) => session.disconnect(ticket, &refusal),
            End::Ruled(Ruling::Go) => session.refuse(ticket, &broken()),
        }
    }

    /// The message is judged: it is refused, dropped or stored.
    async fn conclude(&self, transaction: &mut Transaction, session: &Session) -> End {
        let Some(mut content) = transaction.content.take() else {
            return End::Ruled(std::mem::replace(&mut transaction.ruling, Ruling::Go));
        };
        if transaction.ruling != Ruling::Go {
            return End::Ruled(std::mem::replace(&mut transaction.ruling, Ruling::Go));
        }
        let id = transaction.id;
        if transaction.judgement.discard.is_some() || transaction.places.iter().all(Place::is_empty) {
            return End::Settled(Settled::Discarded { id });
        }
        if let Some(reason) = &transaction.judgement.quarantine {
            let edit = Edit::AddHeader {
                name: "X-Maitred-Quarantine".to_owned(),
                value: Bytes::from(reason.clone()),
                position: HeaderPosition::First,
            };
            content.edit(&edit);
        }
        let now = self.house.now();
        let hostname = &self.house.config.hostname;
        if self.mode == Mode::Submission {
            content.set_head(submission::completed(content.head(), id, hostname, now));
        }
        let return_path = trace::return_path(&transaction.envelope.reverse_path);
        let received = trace::received(&self.hop(transaction, session), &transaction.envelope);
        let octets = content.octets() + (return_path.len() + received.len()) as u64;
        let mut refused = self.refused_by_quota(transaction, octets);
        let mut parcel = Parcel::new(&transaction.envelope, now);
        parcel.file(&transaction.judgement);
        let bounced = match self.file(transaction, &mut content, &mut parcel, &mut refused).await {
            Ok(bounced) => bounced,
            Err(refusal) => return End::Ruled(Ruling::Refuse(refusal)),
        };
        if parcel.is_empty() && bounced.is_empty() {
            return match refused.into_iter().next() {
                Some((_, refusal)) => End::Ruled(Ruling::Refuse(refusal)),
                // Delivery hooks have discarded all of it.
                None => End::Settled(Settled::Discarded { id }),
            };
        }
        let report = filing::report(&self.house, (id, &parcel, content.head()), bounced).await;
        let committed = match report {
            Ok(report) => {
                self.commit(transaction, parcel, content.into_body(&return_path, &received), report).await
            }
            Err(error) => Err(error),
        };
        match committed {
            Ok(durable) => End::Settled(Settled::Stored { durable, id, refused }),
            Err(error) => {
                tracing::warn!(session = self.facts.id, mail.id = %id, %error, "message not stored");
                End::Ruled(Ruling::Refuse(refusal_of(&error)))
            }
        }
    }

    /// Durable when this returns; then it is told.
    async fn commit(
        &self,
        transaction: &mut Transaction,
        parcel: Parcel,
        body: NewBody,
        report: Option<(NewBody, Parcel)>,
    ) -> Result<Durable, DeliverError> {
        transaction.coming = None;
        let (copies, default) = (parcel.copies.clone(), parcel.mailbox.clone());
        let (durable, changes) = parcel.commit(&self.house, body, report).await?;
        let queued = |change: &Changed| match change {
            Changed::Queued(id) => Some(*id),
            _ => None,
        };
        transaction.queued = changes.iter().filter_map(queued).collect();
        let of = (transaction.id, &transaction.envelope.reverse_path);
        self.house.tell_stored(of, &copies, default.as_deref(), &changes);
        Ok(durable)
    }

    /// Fills the parcel, as the delivery hooks say where there are some. What of it is refused goes to `refused`, by place, where
    /// every recipient has its own reply (LMTP); else to the report that is answered.
    async fn file(
        &self,
        transaction: &mut Transaction,
        content: &mut Content,
        parcel: &mut Parcel,
        refused: &mut Vec<(usize, Refusal)>,
    ) -> Result<Vec<(Recipient, maitred_policy::Refusal)>, Refusal> {
        let is_refused = |refused: &[(usize, Refusal)], number| refused.iter().any(|(at, _)| *at == number);
        if filing::is_silent(&transaction.chain) || transaction.judgement.quarantine.is_some() {
            for (number, place) in transaction.places.iter().enumerate() {
                if !is_refused(refused, number) {
                    parcel.add(place);
                }
            }
            return Ok(Vec::new());
        }
        let places: Vec<Place> = transaction
            .places
            .iter()
            .enumerate()
            .map(|(number, place)| {
                let is_out = is_refused(refused, number);
                if is_out {
                    Place { accounts: Vec::new(), remote: Vec::new(), ..place.clone() }
                } else {
                    place.clone()
                }
            })
            .collect();
        let (body, structure) = (content.body(), content.structure());
        let filing = Filing {
            house: &self.house,
            chain: &transaction.chain,
            session: &self.facts,
            message: transaction.facts(content, body, structure),
        };
        let filed = filing.file(&places, parcel).await;
        transaction.judgement.hear(filed.said);
        let mut bounced = filed.bounced;
        let later = filed.refused.iter().find(|(_, of)| of.status.class == Class::Persistent);
        if let (true, Some((_, later))) = (self.mode != Mode::Lmtp, later) {
            // One reply for all: the sender keeps the message, and nobody gets it twice.
            return Err(Refusal { status: later.status, text: later.text.clone() });
        }
        for (number, of) in filed.refused {
            let is_alone = self.mode != Mode::Lmtp && !parcel.is_empty();
            if is_alone {
                bounced.extend(places.get(number).map(|place| (place.recipient.clone(), of)));
            } else {
                refused.push((number, Refusal { status: of.status, text: of.text }));
            }
        }
        Ok(bounced)
    }

    /// RFC 2033 has a reply for each recipient, so one full mailbox does not stop the others. SMTP has one for all: there
    /// the size was looked at when RCPT came, and the commit has the last word.
    fn refused_by_quota(&self, transaction: &Transaction, octets: u64) -> Vec<(usize, Refusal)> {
        let mut refused = Vec::new();
        if self.mode == Mode::Lmtp {
            for (number, place) in transaction.places.iter().enumerate() {
                if let Err(refusal) = quota::check(&self.house, &place.accounts, Some(octets)) {
                    refused.push((number, refusal));
                }
            }
        }
        refused
    }

    fn hop<'a>(&'a self, transaction: &Transaction, session: &Session) -> trace::Hop<'a> {
        trace::Hop {
            mode: self.mode,
            is_extended: self.is_extended,
            helo: self.facts.helo.as_deref().unwrap_or("unknown"),
            peer: self.facts.peer.remote.ip(),
            tls: self.facts.tls.as_ref().map(|tls| (tls.version.as_str(), tls.cipher.as_str())),
            is_authenticated: session.login().is_some(),
            hostname: &self.house.config.hostname,
            id: transaction.id,
            now: self.house.now(),
        }
    }

    /// The one line of a transaction.
    fn log(&self, transaction: &Transaction, end: &End, octets: u64) {
        let (status, verdict) = match end {
            End::Settled(Settled::Stored { .. }) if transaction.judgement.quarantine.is_some() => {
                (EnhancedStatus::OK, "quarantine")
            }
            End::Settled(Settled::Stored { .. }) => (EnhancedStatus::OK, "accept"),
            End::Settled(Settled::Discarded { .. }) => (EnhancedStatus::OK, "discard"),
            End::Ruled(Ruling::Refuse(refusal) | Ruling::Disconnect(refusal)) => (refusal.status, "refuse"),
            End::Ruled(Ruling::Go) => (EnhancedStatus::TRY_LATER, "broken"),
        };
        let elapsed = self.house.clock.now().saturating_duration_since(transaction.began);
        self.house.traces.note(transaction.life(
            &self.facts,
            self.house.now(),
            (octets, status, verdict, elapsed),
        ));
        tracing::info!(
            session = self.facts.id,
            protocol = self.facts.listener,
            peer.addr = %self.facts.peer.remote,
            mail.id = %transaction.id,
            reverse_path = %transaction.envelope.reverse_path,
            recipients = transaction.envelope.recipients.len(),
            octets,
            %status,
            verdict,
            elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            "message"
        );
    }
}

impl Transaction {
    /// What is remembered of it.
    pub(super) fn life(
        &self,
        session: &SessionFacts,
        now: Timestamp,
        (octets, status, verdict, elapsed): (u64, EnhancedStatus, &str, std::time::Duration),
    ) -> MessageTrace {
        MessageTrace {
            id: self.id.to_string(),
            message_id: self.message_id.clone(),
            session: session.id.clone(),
            protocol: session.listener.clone(),
            peer: session.peer.remote.to_string(),
            at_ms: now.0,
            reverse_path: self.envelope.reverse_path.to_string(),
            recipients: self.envelope.recipients.iter().take(20).map(|to| to.address.to_string()).collect(),
            octets,
            status: status.to_string(),
            verdict: verdict.to_owned(),
            elapsed_us: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            policy: self.judgement.said.iter().map(PluginTrace::from).collect(),
            queued: self.queued.iter().map(ToString::to_string).collect(),
            attempts: Vec::new(),
        }
    }

    /// The header section is in: loops are found, and the header hook is asked.
    pub(super) async fn head_is_complete(&mut self, house: &House, session: &SessionFacts) {
        let Some(content) = self.content.as_ref() else { return };
        self.message_id = head::value(content.head(), "Message-ID");
        if head::count(content.head(), "Received") > house.config.limits.received_max {
            return self.stop(Ruling::Refuse(Refusal::new(EnhancedStatus::LOOP, "Too many hops")));
        }
        if self.chain.is_silent(Hook::Headers) {
            return;
        }
        let facts = self.facts(content, Arc::new(Bytes::new()), None);
        let outcome = self.chain.ask(session, HookCall::Headers(&facts)).await;
        let ruling = self.judgement.absorb(outcome);
        if ruling != Ruling::Go {
            self.stop(ruling);
        }
    }

    /// The whole message is in: one plugin after the other sees it, each as the one before left it.
    async fn judge(&mut self, house: &House, session: &SessionFacts) -> Result<(), ContentError> {
        if let Some(content) = self.content.as_mut()
            && content.end().await?
        {
            self.head_is_complete(house, session).await;
        }
        self.keep_original();
        self.apply_edits(house).await?;
        let chain = Arc::clone(&self.chain);
        for plugin in chain.of(Hook::Message) {
            let Some(content) = self.content.as_mut() else { break };
            let (body, structure) = (content.body(), content.structure());
            let Some(content) = self.content.as_ref() else { break };
            let facts = self.facts(content, body, structure);
            let mut outcome = Outcome::silent();
            let call = HookCall::Message(&facts);
            let called = match plugin.recall(session, call).await {
                Some(called) => called,
                None => {
                    // That takes a moment, in which others may come to be committed with it.
                    self.coming.get_or_insert_with(|| house.store.announce());
                    plugin.call(session, call).await
                }
            };
            let is_decided = outcome.take(plugin.as_ref(), Hook::Message, called);
            let ruling = self.judgement.absorb(outcome);
            if ruling != Ruling::Go {
                self.stop(ruling);
                break;
            }
            self.apply_edits(house).await?;
            if is_decided {
                break;
            }
        }
        Ok(())
    }

    /// Signatures hold for the message as it came. Nothing is copied.
    fn keep_original(&mut self) {
        let is_silent = self.chain.is_silent(Hook::Message) && filing::is_silent(&self.chain);
        if let (Some(content), false) = (self.content.as_mut(), is_silent) {
            self.original = Some(Original { head: content.head().clone(), body: content.body() });
        }
    }

    /// The message as the next plugin sees it.
    fn facts(
        &self,
        content: &Content,
        body: Arc<dyn Body>,
        structure: Option<Arc<Structure>>,
    ) -> MessageFacts {
        MessageFacts {
            id: self.id,
            envelope: Arc::clone(&self.envelope),
            head: content.head().clone(),
            body,
            structure,
            original: self.original.clone(),
            symbols: self.judgement.symbols.clone(),
            tags: self.judgement.tags.clone(),
        }
    }

    async fn apply_edits(&mut self, house: &House) -> Result<(), ContentError> {
        for edit in std::mem::take(&mut self.judgement.edits) {
            let Some(content) = self.content.as_mut() else { return Ok(()) };
            match edit {
                Edit::ReplaceBody(body) => content.replace_body(house.store.draft(), &body).await?,
                Edit::SetSender(reverse_path) => {
                    Arc::make_mut(&mut self.envelope).reverse_path = reverse_path;
                }
                Edit::AddRecipient(recipient) => self.add_recipient(house, recipient),
                Edit::RemoveRecipient(address) => self.remove_recipient(&address),
                Edit::ChangeRecipient { old, new } => {
                    self.remove_recipient(&old);
                    for Recipient { address, original } in new {
                        let original = original.or_else(|| Some(old.clone()));
                        self.add_recipient(house, Recipient { address, original });
                    }
                }
                other => content.edit(&other),
            }
        }
        Ok(())
    }

    /// A plugin's recipient may be anywhere: the operator granted it that.
    fn add_recipient(&mut self, house: &House, recipient: Recipient) {
        let path = ForwardPath::Address(recipient.address.clone());
        match resolve::place(&house.store.directory(), &house.config, &path, true) {
            Ok(place) => {
                self.places.push(Place { recipient: recipient.clone(), ..place });
                Arc::make_mut(&mut self.envelope).recipients.push(recipient);
            }
            Err(refusal) => tracing::warn!(
                mail.id = %self.id, forward_path = %recipient.address, status = %refusal.status,
                "a plugin's recipient cannot be reached"
            ),
        }
    }

    /// Its place stays, empty: LMTP answers by place.
    fn remove_recipient(&mut self, address: &Address) {
        Arc::make_mut(&mut self.envelope).recipients.retain(|recipient| recipient.address != *address);
        for place in self.places.iter_mut().filter(|place| place.recipient.address == *address) {
            place.accounts.clear();
            place.remote.clear();
        }
    }
}

/// The words for the peer, which learns nothing of our disks.
fn refusal_of(error: &DeliverError) -> Refusal {
    let text = match error {
        DeliverError::Content(error) => public_text(error),
        DeliverError::Store(maitred_store::Error::OverQuota(_)) => "A recipient's mailbox is full".to_owned(),
        DeliverError::NoRecipients | DeliverError::Store(_) | DeliverError::Broken(_) => {
            "The message cannot be stored now".to_owned()
        }
    };
    Refusal::new(error.status(), text)
}
