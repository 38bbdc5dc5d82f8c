//! The session: replies in, commands and a message out, questions for whoever has the messages.

mod transaction;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use maitred_mail::{Address, Class, EnhancedStatus, MailParameters, ReversePath};
use maitred_wire::{Engine, Line, LineReader, OverTls, Step, Ticket};

use super::config::{Config, TlsUse};
use super::state::{Offer, State};
use crate::command::{Command, InitialResponse};
use crate::reply::{Reply, ReplyReader};

/// What someone else must decide (with a ticket) or know (without).
#[derive(Debug)]
pub enum Event {
    /// The server waits for a message: [`Session::begin`] or [`Session::quit`].
    Ready {
        /// For the answer.
        ticket: Ticket,
    },
    /// The next piece of the message is wanted: [`Session::content`] or [`Session::abort`].
    Content {
        /// For the answer.
        ticket: Ticket,
        /// From which octet on.
        offset: u64,
        /// At most so many.
        octets_max: usize,
    },
    /// The transaction is over: one fate for each recipient of the letter, in order.
    Settled(Vec<Fate>),
    /// The session is of no further use and ends. A transaction that was under way was settled before.
    Failed(Failure),
}

/// A message to hand over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Who is told of failures.
    pub reverse_path: ReversePath,
    /// BODY and SMTPUTF8 as the message came with; SIZE follows from `octets`.
    pub parameters: MailParameters,
    /// For whom.
    pub recipients: Vec<Address>,
    /// How long it is.
    pub octets: u64,
}

/// What became of a letter for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The server has it.
    Accepted(Reply),
    /// The server does not take it, for now or for good.
    Refused(Reply),
    /// The server cannot take such a message: we did not try.
    Unfit(Failure),
    /// It was not this recipient's turn: another transaction is needed.
    NotTried,
    /// The connection failed before its answer came; [`Event::Failed`] follows.
    Lost(Failure),
}

/// Why something failed that the server did not refuse in so many words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// RFC 3463.
    pub status: EnhancedStatus,
    /// One line for people.
    pub text: String,
    /// The server's reply, when it was one.
    pub reply: Option<Reply>,
}

/// The client's side of one connection.
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    state: State,
    offer: Offer,
    tls: Option<OverTls>,
    reader: LineReader,
    replies: ReplyReader,
    out: Vec<u8>,
    events: VecDeque<Event>,
    deadline: Option<Instant>,
    tickets: u64,
    is_peer_gone: bool,
    /// Octets taken since the last whole line.
    line_octets: usize,
}

impl Session {
    /// A session that has not begun.
    pub fn new(config: Arc<Config>) -> Self {
        Self {
            state: State::Connecting,
            offer: Offer::default(),
            tls: None,
            reader: LineReader::new(config.limits.reply_octets_max),
            replies: ReplyReader::default(),
            out: Vec::new(),
            events: VecDeque::new(),
            deadline: None,
            tickets: 0,
            is_peer_gone: false,
            line_octets: 0,
            config,
        }
    }

    /// TLS, when it is up.
    pub fn tls(&self) -> Option<&OverTls> {
        self.tls.as_ref()
    }

    /// No more messages.
    pub fn quit(&mut self, ticket: &Ticket) {
        if matches!(self.state, State::Ready(number) if number == ticket.number()) {
            self.say(&Command::Quit);
            self.state = State::Quitting;
        }
    }

    fn ask(&mut self, event: impl FnOnce(Ticket) -> Event) -> u64 {
        self.tickets += 1;
        self.events.push_back(event(Ticket::issue(self.tickets)));
        self.tickets
    }

    fn say(&mut self, command: &Command) {
        self.say_line(&command.to_string());
    }

    fn say_line(&mut self, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.extend_from_slice(b"\r\n");
        self.deadline = None;
    }

    fn ready(&mut self) {
        let number = self.ask(|ticket| Event::Ready { ticket });
        self.state = State::Ready(number);
    }

    fn hello(&mut self) {
        self.say(&Command::Ehlo(self.config.hostname.clone()));
        self.state = State::Hello;
    }

    /// The session ends; whoever has no fate yet in a transaction gets this one.
    fn fail(&mut self, failure: Failure, has_to_quit: bool) {
        let state = std::mem::replace(&mut self.state, State::Closing);
        if let State::Envelope(transaction) | State::Content(transaction, _) | State::EndOfData(transaction) =
            state
        {
            self.settle(*transaction, &Fate::Lost(failure.clone()));
        }
        self.events.push_back(Event::Failed(failure));
        if has_to_quit {
            self.say(&Command::Quit);
        }
    }

    /// A reply to what is no transaction.
    fn hear(&mut self, reply: Reply) {
        if reply.is_closing() && !matches!(self.state, State::Quitting) {
            return self.fail(Failure::of(reply), false);
        }
        match &mut self.state {
            State::Connecting if reply.is_positive() => self.hello(),
            State::Hello if reply.is_positive() => {
                self.offer = Offer::read(&reply);
                self.greeted();
            }
            State::Hello if reply.is_permanent() => {
                // RFC 5321 §3.2: a server that does not know EHLO may know HELO.
                self.say(&Command::Helo(self.config.hostname.clone()));
                self.state = State::OldHello;
            }
            State::OldHello if reply.is_positive() => {
                self.offer = Offer::default();
                self.greeted();
            }
            State::StartingTls if reply.is_positive() => {
                self.reader.clear();
                self.state = State::Shaking;
            }
            State::StartingTls if self.config.tls != TlsUse::Required => {
                self.offer.has_starttls = false;
                self.greeted();
            }
            State::Authenticating(unsent) if reply.is_intermediate() => match unsent.pop() {
                Some(line) => self.say_line(&line),
                None => self.fail(Failure::of(reply), true),
            },
            State::Authenticating(_) if reply.is_positive() => self.ready(),
            State::Resetting if reply.is_positive() => self.ready(),
            State::Quitting => self.state = State::Closing,
            // "Go on" is an answer to DATA alone, and never one that a message was taken.
            State::Envelope(transaction) if reply.is_intermediate() && !transaction.awaits_data() => {
                self.fail(Failure::of(reply), false);
            }
            State::EndOfData(_) if reply.is_intermediate() => self.fail(Failure::of(reply), false),
            State::Envelope(_) | State::EndOfData(_) => self.hear_in_transaction(reply),
            // A reply that nothing called for: the order of replies is lost.
            State::Ready(_) | State::Content(..) => {
                self.fail(Failure::protocol("a reply without a command"), false);
            }
            _ => self.fail(Failure::of(reply), true),
        }
    }

    /// EHLO or HELO was answered: TLS, then AUTH, then messages.
    fn greeted(&mut self) {
        if self.tls.is_none() && self.config.tls != TlsUse::Never && self.offer.has_starttls {
            self.say(&Command::StartTls);
            self.state = State::StartingTls;
            return;
        }
        if self.tls.is_none() && self.config.tls == TlsUse::Required {
            return self.fail(Failure::new(SECURE, "the server does not offer TLS"), true);
        }
        let config = Arc::clone(&self.config);
        let Some(login) = &config.login else { return self.ready() };
        if self.tls.is_none() {
            return self.fail(Failure::new(SECURE, "no password is sent without TLS"), true);
        }
        let has = |name: &str| self.offer.mechanisms.iter().any(|mechanism| mechanism == name);
        let (mechanism, initial, unsent) = if has("PLAIN") {
            let text = STANDARD.encode(format!("\0{}\0{}", login.username, login.password));
            ("PLAIN", Some(InitialResponse(text)), Vec::new())
        } else if has("LOGIN") {
            ("LOGIN", None, vec![STANDARD.encode(&login.password), STANDARD.encode(&login.username)])
        } else {
            return self.fail(Failure::new(SECURE, "the server offers no login that we know"), true);
        };
        self.say(&Command::Auth { mechanism: mechanism.to_owned(), initial });
        self.state = State::Authenticating(unsent);
    }

    fn take_line(&mut self, line: &[u8]) {
        self.line_octets = 0;
        match self.replies.line(line) {
            Ok(None) => {}
            Ok(Some(reply)) => {
                self.deadline = None;
                self.hear(reply);
            }
            Err(error) => self.fail(Failure::protocol(&error.to_string()), false),
        }
    }

    fn timeout(&self) -> Duration {
        let limits = &self.config.limits;
        match &self.state {
            State::Connecting => limits.greeting_timeout,
            State::EndOfData(_) => limits.end_timeout,
            State::Quitting => limits.quit_timeout,
            State::Envelope(transaction) if transaction.awaits_data() => limits.data_timeout,
            _ => limits.command_timeout,
        }
    }

    /// Waits for octets; `None` when there is something to do instead.
    fn wait(&mut self, now: Instant) -> Option<Step<Event>> {
        if self.is_peer_gone {
            match self.state {
                State::Quitting => self.state = State::Closing,
                _ => self.fail(Failure::new(CONNECTION, "the server closed the connection"), false),
            }
            return None;
        }
        if self.line_octets > self.config.limits.reply_octets_max * 2 {
            self.fail(Failure::protocol("a reply without an end"), false);
            return None;
        }
        let deadline = *self.deadline.get_or_insert(now + self.timeout());
        if now >= deadline {
            match self.state {
                State::Quitting => self.state = State::Closing,
                _ => self.fail(Failure::new(CONNECTION, "the server did not answer in time"), false),
            }
            return None;
        }
        Some(Step::Wait { until: Some(deadline) })
    }
}

impl Engine for Session {
    type Event = Event;

    fn input(&mut self, octets: &[u8]) -> usize {
        if octets.is_empty() {
            self.is_peer_gone = true;
            return 0;
        }
        match self.state {
            // RFC 3207 §4.2: what came in plaintext behind the reply is dropped.
            State::Closing | State::Shaking => octets.len(),
            _ => {
                let taken = self.reader.input(octets);
                self.line_octets = self.line_octets.saturating_add(taken);
                taken
            }
        }
    }

    fn poll(&mut self, now: Instant) -> Step<Event> {
        loop {
            if !self.out.is_empty() {
                return Step::Send(Bytes::from(std::mem::take(&mut self.out)));
            }
            if let Some(event) = self.events.pop_front() {
                return Step::Event(event);
            }
            match self.state {
                State::Closing => return Step::Close,
                State::Shaking => return Step::StartTls,
                _ => match self.reader.next() {
                    Line::Whole(line) => self.take_line(&line),
                    Line::TooLong => self.fail(Failure::protocol("a line of a reply is too long"), false),
                    Line::Bare => self.fail(Failure::protocol("a reply with a bare CR or LF"), false),
                    Line::None => {
                        if let Some(step) = self.wait(now) {
                            return step;
                        }
                    }
                },
            }
        }
    }

    fn secured(&mut self, tls: OverTls) {
        self.tls = Some(tls);
        self.reader.clear();
        self.replies = ReplyReader::default();
        self.offer = Offer::default();
        self.line_octets = 0;
        // RFC 3207 §4.2: hello is said again. With TLS from the first octet on, the greeting comes first.
        if matches!(self.state, State::Shaking) {
            self.hello();
        }
    }

    fn goodbye(&mut self) -> Option<Bytes> {
        match self.state {
            State::Envelope(_) | State::Content(..) | State::EndOfData(_) => None,
            _ => Some(Bytes::new()),
        }
    }
}

impl Failure {
    pub(super) fn new(status: EnhancedStatus, text: &str) -> Self {
        Self { status, text: text.to_owned(), reply: None }
    }

    /// The server's own words.
    fn of(reply: Reply) -> Self {
        let status = match reply.status() {
            // What is no refusal came where it has no meaning.
            status if status.class == Class::Success => PROTOCOL,
            status => status,
        };
        Self { status, text: reply.to_line(), reply: Some(reply) }
    }

    fn protocol(text: &str) -> Self {
        Self::new(PROTOCOL, text)
    }
}

/// 4.7.0: it may offer more security another day.
const SECURE: EnhancedStatus = EnhancedStatus::new(Class::Persistent, 7, 0);
/// 4.4.2 bad connection.
const CONNECTION: EnhancedStatus = EnhancedStatus::new(Class::Persistent, 4, 2);
/// 4.5.0 other or undefined protocol status.
const PROTOCOL: EnhancedStatus = EnhancedStatus::new(Class::Persistent, 5, 0);
