//! Receiving: a session of SMTP, submission or LMTP is answered, and a message taken.
//!
//! RFC 5321 §3.3, §4.5.1, §6; RFC 6409 (submission); RFC 2033 (LMTP). Driven by `net` through the engine
//! [`maitred_smtp::server::Session`].
//!
//! Invariants: 250 to the end of data only with the store's proof; a transaction is judged by the one chain of plugins
//! that was there at MAIL; whether a recipient is local is looked up in memory: there is no resolver in here, so mail
//! for us causes no DNS query.

mod end;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use maitred_mail::{
    Authenticated, Class, EnhancedStatus, Envelope, ForwardPath, MailParameters, MessageId, Recipient,
    ReversePath,
};
use maitred_policy::facts::Notes;
use maitred_policy::{
    Answer, Chain, Direction, Findings, Hook, HookCall, LoginFacts, LoginProtocol, Original, Peer,
    Resolution, SessionFacts, TlsFacts, TransactionFacts,
};
use maitred_smtp::Refusal;
use maitred_smtp::server::{Event, Mode, Session};
use maitred_store::Coming;
use maitred_wire::sasl::{Credentials, Mechanism};
use maitred_wire::{Handler, Ticket};

use crate::content::{Content, ContentError};
use crate::house::House;
use crate::judge::{Judgement, Ruling};
use crate::login::LoginPeer;
use crate::resolve::{self, Place};
use crate::{quota, submission};

/// A connection as the listener knows it.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The session's number.
    pub session: u64,
    /// Both ends.
    pub peer: Peer,
    /// The listener's protocol as the configuration names it: `smtp`, `submission`, `submissions`, `lmtp`.
    pub listener: &'static str,
    /// The same for the engine.
    pub mode: Mode,
    /// The client is in one of the listener's `relay_from` networks.
    pub may_relay: bool,
}

/// Answers one session.
pub struct Receive {
    house: Arc<House>,
    mode: Mode,
    /// Without a login.
    may_relay: bool,
    facts: SessionFacts,
    /// For the hooks of the session; each transaction takes its own.
    chain: Arc<Chain>,
    /// What was said about the session holds for all its transactions.
    judgement: Judgement,
    is_extended: bool,
    transaction: Option<Box<Transaction>>,
}

/// MAIL to the end of data.
struct Transaction {
    id: MessageId,
    chain: Arc<Chain>,
    envelope: Arc<Envelope>,
    /// Where each accepted recipient leads, in the order of RCPT.
    places: Vec<Place>,
    judgement: Judgement,
    /// The whole message is there, a plugin is called about it, and it is not yet sent to be committed.
    coming: Option<Coming>,
    content: Option<Content>,
    /// The message as it came, where somebody may ask about it.
    original: Option<Original>,
    /// Decided before the end of data; told then.
    ruling: Ruling,
    began: Instant,
    /// As the header section says.
    message_id: Option<String>,
    /// What the queue calls it.
    queued: Vec<MessageId>,
}

impl Receive {
    /// A session that has just been accepted.
    pub fn new(house: Arc<House>, arrival: &Arrival) -> Self {
        let facts = SessionFacts {
            id: MessageId(arrival.session).to_string(),
            listener: arrival.listener.to_owned(),
            direction: match arrival.mode {
                Mode::Submission => Direction::Submission,
                Mode::Smtp | Mode::Lmtp => Direction::Inbound,
            },
            peer: arrival.peer,
            helo: None,
            tls: None,
            login: None,
            may_relay: arrival.may_relay,
            transaction: None,
            started: house.now(),
            notes: Notes::default(),
            findings: Findings::default(),
        };
        Self {
            chain: (house.chains)(),
            house,
            mode: arrival.mode,
            may_relay: arrival.may_relay,
            facts,
            judgement: Judgement::default(),
            is_extended: false,
            transaction: None,
        }
    }

    async fn connected(&mut self, session: &mut Session, ticket: Ticket) {
        self.note_tls(session);
        let ruling = self.judgement.ask(&self.chain, &self.facts, HookCall::Connect).await;
        self.rule(session, ticket, ruling);
    }

    async fn hello(&mut self, session: &mut Session, ticket: Ticket, name: String, is_extended: bool) {
        self.note_tls(session);
        if session.login().is_none() {
            // Forgotten at STARTTLS.
            self.facts.login = None;
            self.facts.may_relay = self.may_relay;
        }
        self.is_extended = is_extended;
        let ruling = self.judgement.ask(&self.chain, &self.facts, HookCall::Helo(&name)).await;
        self.facts.helo = Some(name);
        self.rule(session, ticket, ruling);
    }

    async fn authenticate(
        &mut self,
        session: &mut Session,
        ticket: Ticket,
        mechanism: Mechanism,
        credentials: &Credentials,
    ) {
        let peer = self.facts.peer.remote.ip();
        let from = LoginPeer {
            protocol: LoginProtocol::Smtp,
            peer,
            has_tls: self.facts.tls.is_some(),
            mechanism: mechanism.name(),
        };
        let verified = self.house.admit(&from, credentials).await;
        let login = LoginFacts {
            mechanism: mechanism.name().to_owned(),
            identity: verified.as_ref().map_or_else(
                |_| credentials.authentication.clone(),
                |login: &Authenticated| login.address().to_string(),
            ),
            has_succeeded: verified.is_ok(),
        };
        let ruling = self.judgement.ask(&self.chain, &self.facts, HookCall::Auth(&login)).await;
        session.delay(self.judgement.take_delay(self.house.config.limits.delay_max));
        match (verified, ruling) {
            (Ok(verified), Ruling::Go) => {
                tracing::info!(session = self.facts.id, account = %verified.address(), peer.addr = %peer, "logged in");
                self.facts.login = Some(login);
                self.facts.may_relay = true;
                session.authenticate(ticket, verified);
            }
            (_, Ruling::Disconnect(refusal)) => session.disconnect(ticket, &refusal),
            (Ok(_), Ruling::Refuse(refusal)) => session.refuse(ticket, &refusal),
            (Err(error), _) => {
                tracing::info!(session = self.facts.id, peer.addr = %peer, %error, "login refused");
                session.refuse(ticket, &Refusal::new(error.status(), error.public_text()));
            }
        }
    }

    async fn mail(
        &mut self,
        session: &mut Session,
        ticket: Ticket,
        reverse_path: ReversePath,
        parameters: MailParameters,
    ) {
        if self.mode == Mode::Submission
            && let Err(refusal) = submission::check_sender(&self.house, session.login(), &reverse_path)
        {
            return session.refuse(ticket, &refusal);
        }
        let chain = (self.house.chains)();
        let id = self.house.store.next_message_id();
        self.facts.transaction = Some(TransactionFacts {
            id,
            reverse_path: reverse_path.clone(),
            size: parameters.size,
            recipients: Arc::default(),
        });
        let mut judgement = self.judgement.clone();
        let ruling = judgement.ask(&chain, &self.facts, HookCall::Mail(&reverse_path)).await;
        let delay = judgement.take_delay(self.house.config.limits.delay_max);
        if ruling == Ruling::Go {
            self.transaction = Some(Box::new(Transaction {
                id,
                chain,
                envelope: Arc::new(Envelope { reverse_path, parameters, recipients: Vec::new() }),
                places: Vec::new(),
                judgement,
                coming: None,
                content: None,
                original: None,
                ruling: Ruling::Go,
                began: self.house.clock.now(),
                message_id: None,
                queued: Vec::new(),
            }));
        } else {
            self.facts.transaction = None;
        }
        answer(session, ticket, ruling, delay);
    }

    async fn rcpt(&mut self, session: &mut Session, ticket: Ticket, path: ForwardPath) {
        let Some(transaction) = self.transaction.as_deref_mut() else {
            return session.refuse(ticket, &broken());
        };
        let may_relay = self.facts.may_relay;
        let placed = match transaction.resolve(&self.house, &self.facts, &path).await {
            Ok(Some(place)) => Ok(place),
            Ok(None) => resolve::place(&self.house.store.directory(), &self.house.config, &path, may_relay),
            Err(refusal) => Err(refusal),
        };
        let size = transaction.envelope.parameters.size;
        let room = |place: Place| quota::check(&self.house, &place.accounts, size).map(|()| place);
        let place = match placed.and_then(room) {
            Ok(place) => place,
            Err(refusal) => {
                tracing::info!(
                    session = self.facts.id, reverse_path = %transaction.envelope.reverse_path,
                    forward_path = %path, status = %refusal.status, "recipient refused"
                );
                return session.refuse(ticket, &refusal);
            }
        };
        let call = HookCall::Rcpt(&transaction.envelope.reverse_path, &place.recipient);
        let ruling = transaction.judgement.ask(&transaction.chain, &self.facts, call).await;
        let delay = transaction.judgement.take_delay(self.house.config.limits.delay_max);
        if ruling == Ruling::Go {
            Arc::make_mut(&mut transaction.envelope).recipients.push(place.recipient.clone());
            if let Some(facts) = &mut self.facts.transaction {
                Arc::make_mut(&mut facts.recipients).push(place.recipient.clone());
            }
            transaction.places.push(place);
        }
        answer(session, ticket, ruling, delay);
    }

    fn data(&mut self, session: &mut Session, ticket: Ticket) {
        let Some(transaction) = self.transaction.as_deref_mut() else {
            return session.refuse(ticket, &broken());
        };
        let limits = &self.house.config.limits;
        transaction.content = Some(Content::new(self.house.store.draft(), limits.header_octets_max));
        session.accept(ticket);
    }

    async fn chunk(&mut self, octets: Bytes) {
        let Some(transaction) = self.transaction.as_deref_mut() else { return };
        // What is refused already is read away.
        let Some(content) = transaction.content.as_mut() else { return };
        match content.take(octets).await {
            Ok(false) => {}
            Ok(true) => transaction.head_is_complete(&self.house, &self.facts).await,
            Err(error) => transaction.stop(Ruling::Refuse(Refusal::new(error.status(), public_text(&error)))),
        }
    }

    /// The transaction comes to nothing; if policy had something to say about it, that is remembered.
    fn give_up(&mut self) {
        if let Some(transaction) = self.transaction.take()
            && !transaction.judgement.said.is_empty()
        {
            let elapsed = self.house.clock.now().saturating_duration_since(transaction.began);
            let life = transaction.life(
                &self.facts,
                self.house.now(),
                (0, EnhancedStatus::OK, "abandoned", elapsed),
            );
            self.house.traces.note(life);
        }
    }

    fn note_tls(&mut self, session: &Session) {
        self.facts.tls = session.tls().map(|tls| TlsFacts {
            version: tls.version.clone(),
            cipher: tls.cipher.clone(),
            server_name: tls.server_name.clone(),
        });
    }

    fn rule(&mut self, session: &mut Session, ticket: Ticket, ruling: Ruling) {
        let delay = self.judgement.take_delay(self.house.config.limits.delay_max);
        answer(session, ticket, ruling, delay);
    }
}

impl Transaction {
    /// What policy says about who a recipient is; `None`: nothing.
    async fn resolve(
        &mut self,
        house: &House,
        session: &SessionFacts,
        path: &ForwardPath,
    ) -> Result<Option<Place>, Refusal> {
        let ForwardPath::Address(given) = path else { return Ok(None) };
        let is_ours = house.store.directory().is_local(given.domain());
        if self.chain.is_silent(Hook::Resolve) || !(is_ours || session.may_relay) {
            return Ok(None);
        }
        let call = HookCall::Resolve(&self.envelope.reverse_path, given);
        let (answer, said) = self.chain.first(session, call).await;
        self.judgement.hear(said);
        let refuse = |of: maitred_policy::Refusal, class| {
            let status = EnhancedStatus { class, ..of.status };
            Err(Refusal { status, text: of.text })
        };
        match answer {
            Some(Answer::Resolution(Resolution::Rewrite(to))) => {
                resolve::rewritten(&house.store.directory(), &house.config, given, &to).map(Some)
            }
            Some(Answer::Resolution(Resolution::Reject(of))) => refuse(of, Class::Permanent),
            Some(Answer::Resolution(Resolution::Tempfail(of))) => refuse(of, Class::Persistent),
            Some(Answer::Resolution(Resolution::Discard(reason))) => {
                tracing::info!(mail.id = %self.id, forward_path = %given, reason, "recipient discarded");
                let recipient = Recipient { address: given.clone(), original: None };
                Ok(Some(Place { recipient, accounts: Vec::new(), remote: Vec::new() }))
            }
            _ => Ok(None),
        }
    }

    /// Nothing more is kept of the message; the ruling is told at the end of data.
    fn stop(&mut self, ruling: Ruling) {
        self.content = None;
        self.ruling = ruling;
    }
}

impl Handler<Session> for Receive {
    async fn handle(&mut self, session: &mut Session, event: Event) {
        match event {
            Event::Connected { ticket } => self.connected(session, ticket).await,
            Event::Hello { ticket, name, is_extended } => {
                self.hello(session, ticket, name, is_extended).await
            }
            Event::Authenticate { ticket, mechanism, credentials } => {
                self.authenticate(session, ticket, mechanism, &credentials).await;
            }
            Event::Mail { ticket, reverse_path, parameters } => {
                self.mail(session, ticket, reverse_path, parameters).await;
            }
            Event::Rcpt { ticket, forward_path } => self.rcpt(session, ticket, forward_path).await,
            Event::Data { ticket } => self.data(session, ticket),
            Event::Chunk(octets) => self.chunk(octets).await,
            Event::EndOfData { ticket, octets } => self.end_of_data(session, ticket, octets).await,
            Event::Reset => {
                self.give_up();
                self.facts.transaction = None;
            }
        }
    }

    async fn closed(&mut self, _session: &mut Session) {
        self.give_up();
        self.judgement.ask(&self.chain, &self.facts, HookCall::Disconnect).await;
    }
}

fn answer(session: &mut Session, ticket: Ticket, ruling: Ruling, delay: Duration) {
    session.delay(delay);
    match ruling {
        Ruling::Go => session.accept(ticket),
        Ruling::Refuse(refusal) => session.refuse(ticket, &refusal),
        Ruling::Disconnect(refusal) => session.disconnect(ticket, &refusal),
    }
}

/// The engine asked for what cannot be: a defect of ours, not of the peer.
fn broken() -> Refusal {
    tracing::error!("the engine asked out of sequence");
    Refusal::new(EnhancedStatus::TRY_LATER, "Local error in processing")
}

/// The words for the peer, which learns nothing of our disks.
fn public_text(error: &ContentError) -> String {
    match error {
        ContentError::HeadTooBig { .. } => format!("Refused: {error}"),
        ContentError::Store(_) => "The message cannot be stored now".to_owned(),
    }
}
