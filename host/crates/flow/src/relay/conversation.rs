//! What is said to a host: one message after the other, as long as it listens and there are any.

use std::sync::Arc;

use maitred_mail::{Address, Body, Class, Domain, EnhancedStatus};
use maitred_queue::{Outcome, Report, Unit};
use maitred_smtp::client::{Event, Failure, Fate, Letter, Session};
use maitred_wire::{Handler, Ticket};

use super::Relay;
use crate::dialer::Call;

/// Answers one client session.
pub struct Conversation {
    relay: Arc<Relay>,
    /// For logs, DSNs and outcomes.
    remote: String,
    /// Whose mail this host takes.
    domain: Domain,
    work: Option<Work>,
    /// The server greeted us and was ready for a message.
    was_ready: bool,
    failure: Option<Failure>,
    messages: usize,
    /// A further unit that this connection did not begin.
    unbegun: Option<Unit>,
}

/// A unit of which a host has taken nothing, and why.
pub(super) struct Untaken {
    pub(super) unit: Box<Unit>,
    pub(super) outcome: Outcome,
    /// The host was ready for a message all the same.
    pub(super) was_ready: bool,
}

/// A unit that is being handed over.
struct Work {
    unit: Unit,
    left: Vec<Address>,
    outcomes: Vec<(Address, Outcome)>,
    content: Option<Arc<dyn Body>>,
    /// All of the content was handed over: the server may have it, whatever we hear.
    is_sent: bool,
}

impl Conversation {
    pub(super) fn new(relay: Arc<Relay>, call: &Call, unit: Unit) -> Self {
        Self {
            relay,
            remote: call.server_name.clone(),
            domain: unit.domain.clone(),
            work: Some(Work::new(unit)),
            was_ready: false,
            failure: None,
            messages: 0,
            unbegun: None,
        }
    }

    /// The connection is over: what is left to do elsewhere, or a unit of which this host has taken nothing.
    pub(super) async fn into_end(mut self, broken: Option<String>) -> Result<Option<Unit>, Untaken> {
        let Some(work) = self.work.take() else { return Ok(self.unbegun) };
        let outcome = self.why(broken);
        if work.is_untouched() {
            return Err(Untaken { unit: Box::new(work.unit), outcome, was_ready: self.was_ready });
        }
        self.finish(work, &outcome).await;
        Ok(self.unbegun)
    }

    /// Why recipients without an outcome have none.
    fn why(&self, broken: Option<String>) -> Outcome {
        match (&self.failure, broken) {
            (Some(failure), _) => self.outcome_of(failure),
            (None, Some(text)) => Outcome::local(NO_ANSWER, text),
            (None, None) => Outcome::local(NO_ANSWER, format!("{} closed the connection", self.remote)),
        }
    }

    /// A session that failed is no refusal of a message: later, or another host, may do.
    fn outcome_of(&self, failure: &Failure) -> Outcome {
        let status = EnhancedStatus { class: Class::Persistent, ..failure.status };
        let remote = failure.reply.as_ref().map(|_| self.remote.clone());
        let is_reply = remote.is_some();
        let text = if is_reply { failure.text.clone() } else { format!("{}: {}", self.remote, failure.text) };
        Outcome { status, remote, text, is_reply, not_before: None }
    }

    async fn ready(&mut self, session: &mut Session, ticket: &Ticket) {
        self.was_ready = true;
        if self.work.is_none() && self.messages < MESSAGES_MAX {
            self.work = self.relay.next_unit_for(&self.domain).map(Work::new);
        }
        while let Some(mut work) = self.work.take() {
            match work.open(&self.relay).await {
                Ok(letter) => {
                    session.begin(ticket, letter);
                    self.work = Some(work);
                    return;
                }
                Err(outcome) => {
                    self.finish(work, &outcome).await;
                    self.work = self.relay.next_unit_for(&self.domain).map(Work::new);
                }
            }
        }
        session.quit(ticket);
    }

    async fn content(&mut self, session: &mut Session, ticket: &Ticket, offset: u64, octets_max: usize) {
        let Some(work) = &mut self.work else { return session.abort(ticket) };
        let Some(content) = work.content.clone() else { return session.abort(ticket) };
        match content.read(offset, octets_max).await {
            Ok(octets) => {
                work.is_sent = octets.is_empty();
                session.content(ticket, &octets);
            }
            Err(error) => {
                tracing::error!(%error, "a queued message cannot be read");
                session.abort(ticket);
            }
        }
    }

    async fn settled(&mut self, fates: Vec<Fate>) {
        let Some(mut work) = self.work.take() else { return };
        self.messages += 1;
        if work.is_untouched() && fates.iter().all(|fate| matches!(fate, Fate::Lost(_))) {
            if self.messages > 1 {
                // Many servers end a connection after so many messages: another one may do.
                self.unbegun = Some(work.unit);
            } else {
                // RFC 5321 §5.1: another host may do.
                self.work = Some(work);
            }
            return;
        }
        let tried = std::mem::take(&mut work.left);
        let mut has_progress = false;
        for (address, fate) in tried.into_iter().zip(fates) {
            let outcome = match fate {
                Fate::Accepted(reply) | Fate::Refused(reply) => Outcome {
                    status: reply.status(),
                    remote: Some(self.remote.clone()),
                    text: reply.to_line(),
                    is_reply: true,
                    not_before: None,
                },
                Fate::Unfit(failure) => Outcome { status: failure.status, ..self.outcome_of(&failure) },
                Fate::Lost(failure) => self.outcome_of(&failure),
                Fate::NotTried => {
                    work.left.push(address);
                    continue;
                }
            };
            has_progress = true;
            work.outcomes.push((address, outcome));
        }
        if has_progress && !work.left.is_empty() {
            // The others are next, on the same connection.
            self.work = Some(work);
            return;
        }
        let rest = Outcome::local(EnhancedStatus::TOO_MANY_RECIPIENTS, "not this recipient's turn yet");
        self.finish(work, &rest).await;
    }

    /// Every recipient has an outcome; `rest` for those who have none.
    async fn finish(&self, mut work: Work, rest: &Outcome) {
        for recipient in &work.unit.recipients {
            if work.outcomes.iter().all(|(address, _)| *address != recipient.address) {
                work.outcomes.push((recipient.address.clone(), rest.clone()));
            }
        }
        let report = Report { outcomes: work.outcomes, is_reachable: self.was_ready };
        self.relay.finish(work.unit, report).await;
    }
}

impl Work {
    fn new(unit: Unit) -> Self {
        let left = unit.recipients.iter().map(|recipient| recipient.address.clone()).collect();
        Self { unit, left, outcomes: Vec::new(), content: None, is_sent: false }
    }

    /// No recipient has an outcome, and no server the whole message.
    fn is_untouched(&self) -> bool {
        self.outcomes.is_empty() && !self.is_sent
    }

    /// What to hand over now.
    ///
    /// # Errors
    /// Why it cannot be read.
    async fn open(&mut self, relay: &Relay) -> Result<Letter, Outcome> {
        let unreadable = |text: String| {
            Outcome::local(EnhancedStatus::TRY_LATER, format!("the queue cannot be read: {text}"))
        };
        let found = relay.house.store.queue_entry(self.unit.id).await;
        let Some((_, body)) = found.map_err(|error| unreadable(error.to_string()))? else {
            return Err(unreadable("the entry is gone".to_owned()));
        };
        let content = relay.house.store.relay_body(&body);
        let letter = Letter {
            reverse_path: self.unit.reverse_path.clone(),
            parameters: self.unit.parameters.clone(),
            recipients: self.left.clone(),
            octets: content.octets(),
        };
        self.content = Some(content);
        self.is_sent = false;
        Ok(letter)
    }
}

impl Handler<Session> for Conversation {
    async fn handle(&mut self, session: &mut Session, event: Event) {
        match event {
            Event::Ready { ticket } => self.ready(session, &ticket).await,
            Event::Content { ticket, offset, octets_max } => {
                self.content(session, &ticket, offset, octets_max).await;
            }
            Event::Settled(fates) => self.settled(fates).await,
            Event::Failed(failure) => self.failure = Some(failure),
        }
    }
}

/// 4.4.1 no answer from host.
const NO_ANSWER: EnhancedStatus = EnhancedStatus::new(Class::Persistent, 4, 1);
/// Messages over one connection.
const MESSAGES_MAX: usize = 100;
