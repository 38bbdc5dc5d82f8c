//! The session: commands in, replies out, questions for whoever decides.

mod auth;
mod commands;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use maitred_mail::{Authenticated, Durable, ForwardPath, MailParameters, MessageId, ReversePath};
use maitred_wire::sasl::{Credentials, Mechanism};
use maitred_wire::{Engine, Line, LineReader, OverTls, Step, Ticket};

use super::config::{Config, Mode};
use super::state::{Question, State, Transaction};
use crate::reply::{Refusal, Reply, Stage, mechanisms};

/// What someone else must decide (with a ticket) or know (without).
#[derive(Debug)]
pub enum Event {
    /// A client is there: [`Session::accept`] greets it, [`Session::refuse`] turns it away.
    Connected {
        /// For the answer.
        ticket: Ticket,
    },
    /// EHLO, HELO or LHLO.
    Hello {
        /// For the answer.
        ticket: Ticket,
        /// What the client calls itself: printable, without white space, not checked otherwise.
        name: String,
        /// EHLO or LHLO.
        is_extended: bool,
    },
    /// AUTH came to its end: [`Session::authenticate`] or [`Session::refuse`].
    Authenticate {
        /// For the answer.
        ticket: Ticket,
        /// By which mechanism.
        mechanism: Mechanism,
        /// What the client says it is.
        credentials: Credentials,
    },
    /// MAIL.
    Mail {
        /// For the answer.
        ticket: Ticket,
        /// Who is told of failures.
        reverse_path: ReversePath,
        /// SIZE, BODY, SMTPUTF8.
        parameters: MailParameters,
    },
    /// RCPT.
    Rcpt {
        /// For the answer.
        ticket: Ticket,
        /// For whom.
        forward_path: ForwardPath,
    },
    /// DATA, with at least one recipient: accepted, [`Event::Chunk`]s follow.
    Data {
        /// For the answer.
        ticket: Ticket,
    },
    /// Octets of the message, dots removed, CRLF line ends.
    Chunk(Bytes),
    /// The message is complete: [`Session::settle`] or [`Session::refuse`].
    EndOfData {
        /// For the answer.
        ticket: Ticket,
        /// How long the message was.
        octets: u64,
    },
    /// The transaction is over without a message: RSET, a new EHLO, or a message that the protocol refuses. What was
    /// kept of it can go.
    Reset,
}

/// What became of a message.
#[derive(Debug)]
pub enum Settled {
    /// It is on disk.
    Stored {
        /// The proof.
        durable: Durable,
        /// Its name, told to the client.
        id: MessageId,
        /// LMTP only: those who do not get it, by their place among the accepted recipients (RFC 2033 §4.2).
        refused: Vec<(usize, Refusal)>,
    },
    /// Policy dropped it, and the client shall not know.
    Discarded {
        /// Its name, told to the client.
        id: MessageId,
    },
}

/// The server's side of one connection.
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    state: State,
    tls: Option<OverTls>,
    login: Option<Authenticated>,
    reader: LineReader,
    /// Octets taken since the last whole line.
    line_octets: u64,
    /// More octets came in one piece with the last line.
    has_more: bool,
    is_peer_gone: bool,
    out: Vec<u8>,
    events: VecDeque<Event>,
    hold: Hold,
    deadline: Option<Instant>,
    tickets: u64,
    counts: Counts,
}

/// A reply that is held back.
#[derive(Debug, Clone, Copy)]
enum Hold {
    No,
    For(Duration),
    Until(Instant),
}

#[derive(Debug, Default)]
struct Counts {
    errors: u32,
    refusals: u32,
    idle_commands: u32,
    transactions: u32,
}

impl Session {
    /// A session that has not begun. With TLS from the first octet on, call [`Engine::secured`] before the first poll.
    pub fn new(config: Arc<Config>) -> Self {
        Self {
            state: State::Connecting,
            tls: None,
            login: None,
            reader: LineReader::new(config.limits.command_octets_max),
            line_octets: 0,
            has_more: false,
            is_peer_gone: false,
            out: Vec::new(),
            events: VecDeque::new(),
            hold: Hold::No,
            deadline: None,
            tickets: 0,
            counts: Counts::default(),
            config,
        }
    }

    /// What the session may do.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// TLS, when it is up.
    pub fn tls(&self) -> Option<&OverTls> {
        self.tls.as_ref()
    }

    /// Who logged in. Forgotten at STARTTLS.
    pub fn login(&self) -> Option<&Authenticated> {
        self.login.as_ref()
    }

    /// Yes to anything but [`Event::Authenticate`] and [`Event::EndOfData`], which want more than a yes.
    pub fn accept(&mut self, ticket: Ticket) {
        let Some(question) = self.take_question(&ticket) else { return };
        self.state = match question {
            Question::Connect => {
                self.say(&Reply::greeting(&self.config.hostname, self.config.mode.greeting()));
                State::Greeted
            }
            Question::Hello { is_extended } => {
                self.say_hello(is_extended);
                State::Ready
            }
            Question::Mail { is_smtputf8 } => {
                self.say(&Reply::mail_ok());
                State::Transaction(Transaction { is_smtputf8, ..Transaction::default() })
            }
            Question::Rcpt(transaction) => {
                self.say(&Reply::rcpt_ok());
                State::Transaction(Transaction { recipients: transaction.recipients + 1, ..transaction })
            }
            Question::Data(transaction) => {
                self.say(&Reply::go_ahead());
                State::Data(transaction, Box::default())
            }
            Question::Authenticate => {
                self.say(&Reply::broken());
                State::Ready
            }
            Question::EndOfData(transaction) => {
                self.say_to_each(&Reply::broken(), transaction.recipients);
                State::Ready
            }
        };
    }

    /// No to anything.
    pub fn refuse(&mut self, ticket: Ticket, refusal: &Refusal) {
        let Some(question) = self.take_question(&ticket) else { return };
        let reply = |stage| Reply::refused(stage, refusal);
        self.state = match question {
            Question::Connect => {
                self.say(&reply(Stage::Connect));
                // RFC 5321 §3.1: after 554 the client may still say QUIT; 421 closes at once.
                if refusal.status.is_permanent() { State::TurnedAway } else { State::Closing }
            }
            Question::Hello { .. } => {
                self.say(&reply(Stage::Hello));
                State::Greeted
            }
            Question::Authenticate => self.fail(&reply(Stage::Auth), State::Ready),
            Question::Mail { .. } => self.turn_down(&reply(Stage::Mail), State::Ready),
            Question::Rcpt(transaction) => {
                let state = State::Transaction(Transaction { has_refused: true, ..transaction });
                self.turn_down(&reply(Stage::Rcpt), state)
            }
            Question::Data(_) => self.turn_down(&reply(Stage::Data), State::Ready),
            Question::EndOfData(transaction) => {
                self.say_to_each(&reply(Stage::Data), transaction.recipients);
                State::Ready
            }
        };
    }

    /// No, and the connection is closed after the reply.
    pub fn disconnect(&mut self, ticket: Ticket, refusal: &Refusal) {
        let Some(question) = self.take_question(&ticket) else { return };
        let replies = match question {
            Question::EndOfData(transaction) => transaction.recipients,
            _ => 1,
        };
        self.say_to_each(&Reply::refused_and_closed(refusal), replies);
        self.state = State::Closing;
    }

    /// The credentials of [`Event::Authenticate`] are right.
    pub fn authenticate(&mut self, ticket: Ticket, login: Authenticated) {
        match self.take_question(&ticket) {
            Some(Question::Authenticate) => {
                self.login = Some(login);
                self.say(&Reply::authenticated());
                self.state = State::Ready;
            }
            Some(question) => self.break_off(&question),
            None => {}
        }
    }

    /// The message of [`Event::EndOfData`] is taken.
    pub fn settle(&mut self, ticket: Ticket, settled: &Settled) {
        let transaction = match self.take_question(&ticket) {
            Some(Question::EndOfData(transaction)) => transaction,
            Some(question) => return self.break_off(&question),
            None => return,
        };
        self.counts.idle_commands = 0;
        self.state = State::Ready;
        match settled {
            Settled::Stored { id, refused, .. } if self.config.mode == Mode::Lmtp => {
                for number in 0..transaction.recipients {
                    match refused.iter().find(|(at, _)| *at == number) {
                        Some((_, refusal)) => self.say(&Reply::refused(Stage::Data, refusal)),
                        None => self.say(&Reply::accepted(*id)),
                    }
                }
            }
            Settled::Stored { id, .. } | Settled::Discarded { id } => {
                self.say_to_each(&Reply::accepted(*id), transaction.recipients);
            }
        }
    }

    /// The next reply is held back for so long (a policy's wish; its cap is the caller's).
    pub fn delay(&mut self, by: Duration) {
        if !by.is_zero() {
            self.hold = Hold::For(by);
        }
    }
}

impl Engine for Session {
    type Event = Event;

    fn input(&mut self, octets: &[u8]) -> usize {
        if octets.is_empty() {
            self.is_peer_gone = true;
            return 0;
        }
        match &mut self.state {
            State::Connecting | State::Asked(..) => 0,
            // RFC 3207 §4.2: what came in plaintext behind STARTTLS is dropped.
            State::Closing | State::StartingTls => octets.len(),
            State::Data(_, reader) => reader.input(octets, &self.config.limits),
            State::Greeted
            | State::TurnedAway
            | State::Ready
            | State::Transaction(_)
            | State::Authenticating(_) => {
                let taken = self.reader.input(octets);
                self.line_octets += taken as u64;
                self.has_more = taken < octets.len();
                taken
            }
        }
    }

    fn poll(&mut self, now: Instant) -> Step<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Step::Event(event);
            }
            if !self.out.is_empty() {
                if let Some(until) = self.held_until(now) {
                    return Step::Wait { until: Some(until) };
                }
                return Step::Send(Bytes::from(std::mem::take(&mut self.out)));
            }
            match &self.state {
                State::Connecting => {
                    self.state = self.ask(Question::Connect, |ticket| Event::Connected { ticket })
                }
                State::Closing => return Step::Close,
                State::StartingTls => return Step::StartTls,
                State::Asked(..) => return Step::Wait { until: None },
                State::Data(..) => {
                    if !self.read_data()
                        && let Some(step) = self.wait(now)
                    {
                        return step;
                    }
                }
                _ => match self.reader.next() {
                    Line::None => {
                        if let Some(step) = self.wait(now) {
                            return step;
                        }
                    }
                    line => self.take_line(line),
                },
            }
        }
    }

    fn secured(&mut self, tls: OverTls) {
        self.tls = Some(tls);
        // RFC 3207 §4.2: the session begins anew; nothing said before counts.
        self.login = None;
        self.reader.clear();
        self.line_octets = 0;
        self.deadline = None;
        if matches!(self.state, State::StartingTls) {
            self.state = State::Greeted;
        }
    }

    fn goodbye(&mut self) -> Option<Bytes> {
        let is_idle = matches!(
            self.state,
            State::Connecting | State::Greeted | State::TurnedAway | State::Ready | State::Closing
        );
        if !is_idle || !self.out.is_empty() || !self.reader.is_empty() {
            return None;
        }
        if !matches!(self.state, State::Closing) {
            // RFC 5321 §3.8: 421 at any moment, when the service shuts down.
            self.say(&Reply::stopping(&self.config.hostname));
            self.state = State::Closing;
        }
        Some(Bytes::from(std::mem::take(&mut self.out)))
    }
}

/// Waiting, asking, saying.
impl Session {
    /// Waits for octets; `None` when there is something to say instead.
    fn wait(&mut self, now: Instant) -> Option<Step<Event>> {
        let limits = &self.config.limits;
        if self.is_peer_gone {
            self.state = State::Closing;
            return None;
        }
        if self.line_octets > limits.endless_line_octets {
            return self.end(&Reply::too_many_errors(&self.config.hostname));
        }
        let timeout = match self.state {
            State::Data(..) => limits.data_timeout,
            _ => limits.command_timeout,
        };
        if self.deadline.is_none() {
            self.deadline = now.checked_add(timeout);
        }
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return self.end(&Reply::timed_out(&self.config.hostname));
        }
        Some(Step::Wait { until: self.deadline })
    }

    fn end(&mut self, reply: &Reply) -> Option<Step<Event>> {
        self.say(reply);
        self.state = State::Closing;
        None
    }

    fn held_until(&mut self, now: Instant) -> Option<Instant> {
        let until = match self.hold {
            Hold::No => return None,
            Hold::For(by) => now.checked_add(by).unwrap_or(now),
            Hold::Until(until) => until,
        };
        self.hold = if now < until { Hold::Until(until) } else { Hold::No };
        (now < until).then_some(until)
    }

    fn ask(&mut self, question: Question, event: impl FnOnce(Ticket) -> Event) -> State {
        self.tickets += 1;
        self.events.push_back(event(Ticket::issue(self.tickets)));
        State::Asked(self.tickets, question)
    }

    /// The open question, if this ticket is for it; the session stands still until the caller sets a new state.
    fn take_question(&mut self, ticket: &Ticket) -> Option<Question> {
        match std::mem::replace(&mut self.state, State::Closing) {
            State::Asked(number, question) if number == ticket.number() => {
                self.deadline = None;
                Some(question)
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// The answer does not fit the question: our own fault.
    fn break_off(&mut self, question: &Question) {
        self.say(&Reply::broken());
        self.state = match question {
            Question::Connect | Question::Hello { .. } => State::Closing,
            _ => State::Ready,
        };
    }

    fn say(&mut self, reply: &Reply) {
        reply.print(&mut self.out);
    }

    /// LMTP has one reply for each recipient, SMTP one for all.
    fn say_to_each(&mut self, reply: &Reply, recipients: usize) {
        let times = if self.config.mode == Mode::Lmtp { recipients } else { 1 };
        for _ in 0..times {
            self.say(reply);
        }
    }

    /// An error of the client: too many end the session.
    fn fail(&mut self, reply: &Reply, state: State) -> State {
        self.counts.errors += 1;
        if self.counts.errors >= self.config.limits.errors_max {
            self.say(&Reply::too_many_errors(&self.config.hostname));
            return State::Closing;
        }
        self.say(reply);
        state
    }

    /// A refusal that is no error of the protocol: too many end the session all the same.
    fn turn_down(&mut self, reply: &Reply, state: State) -> State {
        self.counts.refusals += 1;
        if self.counts.refusals > self.config.limits.refusals_max {
            self.say(&Reply::too_many_errors(&self.config.hostname));
            return State::Closing;
        }
        self.say(reply);
        state
    }

    /// A command that does nothing: fine, but not for ever.
    fn idle(&mut self, reply: &Reply, state: State) -> State {
        self.counts.idle_commands += 1;
        if self.counts.idle_commands > self.config.limits.idle_commands_max {
            return self.fail(reply, state);
        }
        self.say(reply);
        state
    }

    fn say_hello(&mut self, is_extended: bool) {
        let config = Arc::clone(&self.config);
        if !is_extended {
            return self.say(&Reply::helo(&config.hostname));
        }
        let mut extensions = vec![
            "PIPELINING".to_owned(),
            format!("SIZE {}", config.limits.message_octets_max),
            "8BITMIME".to_owned(),
            "ENHANCEDSTATUSCODES".to_owned(),
            "SMTPUTF8".to_owned(),
        ];
        if self.may_start_tls() {
            extensions.push("STARTTLS".to_owned());
        }
        if config.has_auth && self.is_private() {
            extensions.push(format!("AUTH {}", mechanisms()));
        }
        self.say(&Reply::ehlo(&config.hostname, extensions));
    }

    fn may_start_tls(&self) -> bool {
        self.config.has_starttls && self.tls.is_none()
    }

    /// A password may be sent.
    fn is_private(&self) -> bool {
        self.tls.is_some() || self.config.allow_plaintext
    }
}
