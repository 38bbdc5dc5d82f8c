//! The session: commands in, responses out, questions for whoever decides.

mod authorization;
mod transaction;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use maitred_mail::{Authenticated, Durable, Uid};
use maitred_wire::sasl::{Credentials, Mechanism, Sasl};
use maitred_wire::{Engine, Line, LineReader, OverTls, Step, Ticket};

use crate::command::Command;
use crate::config::Config;
use crate::maildrop::Maildrop;
use crate::response::{Refusal, Response};
use crate::retrieval::Retrieval;
use transaction::Listing;

/// What someone else must decide (with a ticket) or know (without).
#[derive(Debug)]
pub enum Event {
    /// PASS, or AUTH came to its end: [`Session::authenticate`] or [`Session::refuse`].
    Authenticate {
        /// For the answer.
        ticket: Ticket,
        /// By which mechanism; `None`: USER and PASS.
        mechanism: Option<Mechanism>,
        /// What the client says it is.
        credentials: Credentials,
    },
    /// RETR or TOP: [`Session::content`] or [`Session::refuse`].
    Content {
        /// For the answer.
        ticket: Ticket,
        /// Of which message.
        uid: Uid,
        /// From where on.
        offset: u64,
        /// At most so many octets; fewer only at the end.
        octets_max: usize,
    },
    /// RETR handed out this message whole.
    Retrieved(Uid),
    /// QUIT: these messages (in ascending order, there may be none) shall be removed, and the maildrop be unlocked in any case:
    /// [`Session::updated`] or [`Session::refuse`].
    Update {
        /// For the answer.
        ticket: Ticket,
        /// What was marked.
        uids: Vec<Uid>,
    },
}

/// Where a session stands. Each variant holds exactly what is legal then.
#[derive(Debug)]
enum State {
    /// Nothing was said.
    Connecting,
    /// Greeted.
    Authorization,
    /// USER was said.
    Named(String),
    /// Between the lines of AUTH.
    Authenticating(Sasl),
    /// Logged in.
    Transaction(Maildrop),
    /// LIST or UIDL is being answered.
    Listing(Maildrop, Listing),
    /// RETR or TOP is being answered.
    Retrieving(Maildrop, Retrieval),
    /// A question is open; what it was about says how its answer goes on.
    Asked(u64, Question),
    /// "+OK" was said to STLS.
    StartingTls,
    /// The last word is said.
    Closing,
}

/// What an open question is about.
#[derive(Debug)]
enum Question {
    Authenticate,
    Content(Maildrop, Retrieval),
    Update { has_marked: bool },
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
    errors: u32,
}

/// A response that is held back.
#[derive(Debug, Clone, Copy)]
enum Hold {
    No,
    For(Duration),
    Until(Instant),
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
            errors: 0,
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

    /// Who logged in.
    pub fn login(&self) -> Option<&Authenticated> {
        self.login.as_ref()
    }

    /// The credentials of [`Event::Authenticate`] are right, and the maildrop is locked.
    pub fn authenticate(&mut self, ticket: Ticket, login: Authenticated, maildrop: Maildrop) {
        match self.take_question(&ticket) {
            Some(Question::Authenticate) => {
                self.login = Some(login);
                self.say(&Response::LoggedIn { messages: maildrop.count(), octets: maildrop.octets() });
                self.state = State::Transaction(maildrop);
            }
            Some(Question::Content(..) | Question::Update { .. }) => self.break_off(),
            None => {}
        }
    }

    /// What [`Event::Content`] asked for.
    pub fn content(&mut self, ticket: Ticket, octets: &[u8]) {
        match self.take_question(&ticket) {
            Some(Question::Content(maildrop, retrieval)) => {
                self.state = self.print_content(maildrop, retrieval, octets);
            }
            Some(Question::Authenticate | Question::Update { .. }) => self.break_off(),
            None => {}
        }
    }

    /// The maildrop of [`Event::Update`] is unlocked, and what was marked is gone: `durable` proves it, and is needed when
    /// anything was.
    pub fn updated(&mut self, ticket: Ticket, durable: Option<Durable>) {
        match self.take_question(&ticket) {
            Some(Question::Update { has_marked }) if durable.is_some() || !has_marked => self.say_bye(),
            Some(_) => self.break_off(),
            None => {}
        }
    }

    /// No to anything.
    pub fn refuse(&mut self, ticket: Ticket, refusal: Refusal) {
        let Some(question) = self.take_question(&ticket) else { return };
        self.state = match question {
            Question::Authenticate => self.fail(&Response::Refused(refusal), State::Authorization),
            Question::Content(maildrop, retrieval) if retrieval.offset() == 0 => {
                self.say(&Response::Refused(refusal));
                State::Transaction(maildrop)
            }
            // The end mark would say that this is all of the message: only a cut connection tells the truth.
            Question::Content(..) => State::Closing,
            // RFC 1939 §6: an error here is told, and the connection closed.
            Question::Update { .. } => {
                self.say(&Response::NotRemoved(refusal));
                State::Closing
            }
        };
    }

    /// The next response is held back for so long (its cap is the caller's).
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
        match &self.state {
            State::Connecting | State::Asked(..) | State::Listing(..) | State::Retrieving(..) => 0,
            // RFC 2595 §4: what came in plaintext behind STLS is dropped.
            State::Closing | State::StartingTls => octets.len(),
            State::Authorization | State::Named(_) | State::Authenticating(_) | State::Transaction(_) => {
                let taken = self.reader.input(octets);
                self.line_octets += taken as u64;
                self.has_more = taken < octets.len();
                taken
            }
        }
    }

    fn poll(&mut self, now: Instant) -> Step<Event> {
        loop {
            if !self.out.is_empty() {
                if let Some(until) = self.held_until(now) {
                    return Step::Wait { until: Some(until) };
                }
                return Step::Send(Bytes::from(std::mem::take(&mut self.out)));
            }
            if let Some(event) = self.events.pop_front() {
                return Step::Event(event);
            }
            self.state = match std::mem::replace(&mut self.state, State::Closing) {
                State::Connecting => {
                    let config = Arc::clone(&self.config);
                    self.say(&Response::Greeting { hostname: &config.hostname });
                    State::Authorization
                }
                State::Listing(maildrop, listing) => self.print_lines(maildrop, listing),
                State::Retrieving(maildrop, retrieval) => self.ask_content(maildrop, retrieval),
                state => {
                    self.state = state;
                    match self.read(now) {
                        Some(step) => return step,
                        None => continue,
                    }
                }
            };
        }
    }

    fn secured(&mut self, tls: OverTls) {
        self.tls = Some(tls);
        // RFC 2595 §4: the session is in the AUTHORIZATION state, and nothing said before counts.
        self.reader.clear();
        self.line_octets = 0;
        self.deadline = None;
        if matches!(self.state, State::StartingTls) {
            self.state = State::Authorization;
        }
    }

    fn goodbye(&mut self) -> Option<Bytes> {
        let is_idle = match &self.state {
            State::Connecting | State::Authorization | State::Named(_) | State::Closing => true,
            // Marks would be lost: the client may be about to say QUIT.
            State::Transaction(maildrop) => !maildrop.has_marked(),
            _ => false,
        };
        if !is_idle || !self.out.is_empty() || !self.reader.is_empty() {
            return None;
        }
        if !matches!(self.state, State::Closing) {
            self.say(&Response::Stopping);
            self.state = State::Closing;
        }
        Some(Bytes::from(std::mem::take(&mut self.out)))
    }
}

/// Waiting, asking, saying.
impl Session {
    /// The next line, or what there is to wait for; `None` when there is something to say.
    fn read(&mut self, now: Instant) -> Option<Step<Event>> {
        match &self.state {
            State::Closing => return Some(Step::Close),
            State::StartingTls => return Some(Step::StartTls),
            State::Asked(..) => return Some(Step::Wait { until: None }),
            _ => {}
        }
        match self.reader.next() {
            Line::None => self.wait(now),
            line => {
                self.take_line(line);
                None
            }
        }
    }

    /// Waits for octets; `None` when there is something to say instead.
    fn wait(&mut self, now: Instant) -> Option<Step<Event>> {
        let limits = &self.config.limits;
        if self.is_peer_gone {
            self.state = State::Closing;
            return None;
        }
        if self.line_octets > limits.endless_line_octets {
            self.say(&Response::TooManyErrors);
            self.state = State::Closing;
            return None;
        }
        let timeout = match self.state {
            State::Transaction(_) => limits.autologout,
            _ => limits.login_timeout,
        };
        let deadline = self.deadline.or_else(|| now.checked_add(timeout));
        self.deadline = deadline;
        if deadline.is_some_and(|deadline| now >= deadline) {
            // RFC 1939 §3: without removing any messages or sending any response.
            self.state = State::Closing;
            return None;
        }
        Some(Step::Wait { until: deadline })
    }

    fn take_line(&mut self, line: Line) {
        self.deadline = None;
        self.line_octets = 0;
        self.state = match (std::mem::replace(&mut self.state, State::Closing), line) {
            (State::Authenticating(sasl), line) => self.continue_auth(sasl, &line),
            (state, Line::Whole(octets)) => match Command::parse(&octets) {
                Ok(command) => self.obey(state, command),
                Err(error) => self.fail(&Response::NotUnderstood(error), state),
            },
            (state, Line::TooLong) => self.fail(&Response::LineTooLong, state),
            (state, Line::Bare) => self.fail(&Response::BareLineEnd, state),
            (state, Line::None) => state,
        };
    }

    /// One command: the old state goes in, the new one comes out.
    fn obey(&mut self, state: State, command: Command) -> State {
        match (state, command) {
            (state, Command::Capa) => {
                self.say_capabilities();
                state
            }
            (State::Authorization, command) => self.authorize(None, command),
            (State::Named(name), command) => self.authorize(Some(name), command),
            (State::Transaction(maildrop), command) => self.transact(maildrop, command),
            // These read no commands.
            (
                state @ (State::Connecting
                | State::Authenticating(_)
                | State::Listing(..)
                | State::Retrieving(..)
                | State::Asked(..)
                | State::StartingTls
                | State::Closing),
                _,
            ) => state,
        }
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

    /// The open question, if this ticket is for it; the session is closing until the caller sets a new state.
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
    fn break_off(&mut self) {
        self.say(&Response::Broken);
        self.state = State::Closing;
    }

    fn say(&mut self, response: &Response<'_>) {
        response.print(&mut self.out);
    }

    /// The last word.
    fn say_bye(&mut self) {
        let config = Arc::clone(&self.config);
        self.say(&Response::Bye { hostname: &config.hostname });
        self.state = State::Closing;
    }

    /// An error of the client: too many end the session.
    fn fail(&mut self, response: &Response<'_>, state: State) -> State {
        self.errors += 1;
        if self.errors >= self.config.limits.errors_max {
            self.say(&Response::TooManyErrors);
            return State::Closing;
        }
        self.say(response);
        state
    }
}
