//! The server's side of one IMAP connection: commands in, responses out, questions for whoever holds the mail.
//!
//! RFC 3501 §3 (states), §5.2 to §5.5 (updates, autologout, pipelining), §7; the extensions that the crate names.
//! Invariants: one command after the other, each answered before the next is read; an answer is made page by page, so a
//! session holds one page however much is asked; nothing that came in plaintext behind STARTTLS counts; an idle session
//! holds no buffers. Driven by `net`, answered by `flow::read`.

mod appending;
mod authenticated;
mod authenticating;
mod config;
mod event;
mod idle;
mod logout;
mod not_authenticated;
mod selected;
mod state;
mod telling;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use maitred_mail::{Authenticated, Entry, Snapshot, Uid, UidValidity};
use maitred_wire::{Engine, OverTls, Step, Ticket};

use crate::command::{Command, Tag};
use crate::grammar::{Input, ParseError, Reader};
use crate::response;
use crate::response::status::{self as status, Bye, Completion, Misuse, Refusal};
use crate::view::View;

pub use config::{Config, Limits};
pub use event::Event;
use state::{About, Appending, Place, Question, Selected, State, Telling};

/// A mailbox to be selected.
#[derive(Debug)]
pub struct Selection {
    /// As it is.
    pub snapshot: Arc<Snapshot>,
    /// UIDs claimed as recent; for EXAMINE those that another session could claim.
    pub recent: Range<u32>,
    /// Some message has no `\Seen`.
    pub has_unseen: bool,
}

/// The server's side of one connection.
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    state: State,
    reader: Reader,
    out: Vec<u8>,
    /// Behind `out`.
    page: Option<Bytes>,
    event: Option<Event>,
    tls: Option<Box<OverTls>>,
    login: Option<Box<Authenticated>>,
    hold: Hold,
    deadline: Option<Instant>,
    tickets: u64,
    errors: u32,
    is_peer_gone: bool,
    /// More octets came in one piece with the last command.
    has_more: bool,
}

/// An answer that is held back.
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
            reader: Reader::new(config.limits.unauthenticated()),
            config,
            state: State::Connecting,
            out: Vec::new(),
            page: None,
            event: None,
            tls: None,
            login: None,
            hold: Hold::No,
            deadline: None,
            tickets: 0,
            errors: 0,
            is_peer_gone: false,
            has_more: false,
        }
    }

    /// What the session may do.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// TLS, when it is up.
    pub fn tls(&self) -> Option<&OverTls> {
        self.tls.as_deref()
    }

    /// Who logged in.
    pub fn login(&self) -> Option<&Authenticated> {
        self.login.as_deref()
    }

    /// The command is done.
    pub fn done(&mut self, ticket: Ticket) {
        let Some(question) = self.take_question(&ticket) else { return };
        match &question.about {
            About::Plain(command) | About::Read(command, _) => {
                let completion = Completion::done(command);
                self.conclude(question, completion);
            }
            About::Close => self.deselected(&question.tag, "CLOSE"),
            About::Login
            | About::Select { .. }
            | About::Append { .. }
            | About::Appended
            | About::Store(..)
            | About::Copy
            | About::Move => self.break_off(question),
        }
    }

    /// The command is not done.
    pub fn refuse(&mut self, ticket: Ticket, refusal: Refusal) {
        let Some(question) = self.take_question(&ticket) else { return };
        let completion = Completion::no(refusal);
        match &question.about {
            About::Login => {
                completion.print(&question.tag, &mut self.out);
                self.state = State::Ready(question.place);
                self.count_error();
            }
            About::Append { .. } => self.refuse_append(question, completion),
            _ => self.conclude(question, completion),
        }
    }

    /// The credentials of [`Event::Authenticate`] are right.
    pub fn authenticate(&mut self, ticket: Ticket, login: Authenticated) {
        let Some(question) = self.take_question(&ticket) else { return };
        if !matches!(question.about, About::Login) {
            return self.break_off(question);
        }
        self.login = Some(Box::new(login));
        self.deadline = None;
        self.errors = 0;
        // Nothing is held of the next command before this one is answered.
        self.reader = Reader::new(self.config.limits.grammar.clone());
        let capabilities = self.capabilities(&Place::Authenticated);
        Completion::logged_in(&capabilities).print(&question.tag, &mut self.out);
        self.state = State::Ready(Place::Authenticated);
    }

    /// The mailbox of [`Event::Select`].
    pub fn select(&mut self, ticket: Ticket, selection: Selection) {
        let Some(question) = self.take_question(&ticket) else { return };
        let About::Select { is_read_only } = question.about else { return self.break_off(question) };
        let Selection { snapshot, recent, has_unseen } = selection;
        let view = View::new(snapshot, recent);
        status::selected(&mut self.out, &view, has_unseen, is_read_only);
        Completion::selected(is_read_only).print(&question.tag, &mut self.out);
        self.state = State::Ready(Place::Selected(Box::new(Selected { view, is_read_only, latest: None })));
    }

    /// The selected mailbox as it is now, and what was claimed of it as recent. The client is told when it may be; at once
    /// in IDLE.
    pub fn update(&mut self, now: Arc<Snapshot>, recent: Range<u32>) {
        let place = match &mut self.state {
            State::Asked(_, question) => &mut question.place,
            State::Idling(idling) => &mut idling.place,
            State::Ready(place) => place,
            _ => return,
        };
        let Some(selected) = place.selected() else { return };
        selected.view.claim(recent);
        if !Arc::ptr_eq(selected.view.told(), &now) {
            selected.latest = Some(now);
        }
    }

    /// These messages of the page to come have flags that it tells: they are no news later.
    pub fn note(&mut self, entries: &[Entry]) {
        if let State::Asked(_, question) = &mut self.state
            && let Some(selected) = question.place.selected()
        {
            selected.view.note(entries);
        }
    }

    /// Some of the answer of [`Event::Fetch`], [`Event::Search`], [`Event::List`] or [`Event::Status`]: whole responses or
    /// pieces of them. [`Event::More`] asks for more of it.
    pub fn page(&mut self, ticket: Ticket, octets: Bytes) {
        let Some(question) = self.take_question(&ticket) else { return };
        match question.about {
            About::Read(..) | About::Plain(_) => {
                self.page = Some(octets).filter(|octets| !octets.is_empty());
                self.state = State::Paging(Box::new(question));
            }
            _ => self.break_off(question),
        }
    }

    /// The last page, before the answer that ends the command.
    pub fn print(&mut self, octets: &[u8]) {
        if let State::Asked(..) = self.state {
            self.out.extend_from_slice(octets);
        }
    }

    /// Octets that were announced cannot be had: nothing that could be said would be understood.
    pub fn abort(&mut self, ticket: Ticket) {
        if self.take_question(&ticket).is_some() {
            self.state = State::Closing;
        }
    }

    /// The message of [`Event::Append`] may come.
    pub fn accept(&mut self, ticket: Ticket) {
        let Some(question) = self.take_question(&ticket) else { return };
        let About::Append { is_synchronizing } = question.about else { return self.break_off(question) };
        self.accept_append(is_synchronizing);
        self.state = State::Appending(Box::new(Appending { tag: question.tag, place: question.place }));
    }

    /// The message of [`Event::Appended`] is stored.
    pub fn appended(&mut self, ticket: Ticket, validity: UidValidity, uid: Uid) {
        let Some(question) = self.take_question(&ticket) else { return };
        match question.about {
            About::Appended => self.conclude(question, Completion::appended(validity, uid)),
            _ => self.break_off(question),
        }
    }

    /// What [`Event::Store`] came to: the messages as they are now. [`Session::update`] comes before.
    pub fn stored(&mut self, ticket: Ticket, entries: &[Entry]) {
        let Some(mut question) = self.take_question(&ticket) else { return };
        let place = question.place.selected();
        let (About::Store(numbers, operation), Some(selected)) = (&question.about, place) else {
            return self.break_off(question);
        };
        let numbers = *numbers;
        let latest = selected.latest.as_ref();
        if let Some(names) = latest.and_then(|latest| selected.view.take_keywords(latest)) {
            status::flags(&mut self.out, &names, true);
        }
        let echo = selected.take_stored(operation, entries);
        let expunges = question.about.expunges();
        self.tell(Telling {
            tag: question.tag,
            place: question.place,
            echo: echo.into_iter(),
            numbers,
            expunges,
            changes: None,
            completion: Completion::done("STORE"),
        });
    }

    /// What [`Event::Copy`] came to: pairs of UIDs here and there.
    pub fn copied(&mut self, ticket: Ticket, validity: UidValidity, pairs: &[(Uid, Uid)]) {
        let Some(question) = self.take_question(&ticket) else { return };
        let code = (!pairs.is_empty()).then(|| status::copy_uid(validity, pairs));
        let completion = match (&question.about, code) {
            (About::Copy, Some(code)) => Completion::copied(code),
            (About::Copy, None) => Completion::done("COPY"),
            (About::Move, code) => {
                // RFC 6851 §4.3: COPYUID comes before the expunges that belong to it.
                if let Some(code) = code {
                    status::moved(&mut self.out, &code);
                }
                Completion::done("MOVE")
            }
            _ => return self.break_off(question),
        };
        self.conclude(question, completion);
    }

    /// The next answer is held back for so long.
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
        match self.state {
            State::Connecting | State::Asked(..) | State::Paging(_) | State::Telling(_) => 0,
            // RFC 3501 §6.2.1: what came in plaintext behind STARTTLS is dropped.
            State::Closing | State::StartingTls => octets.len(),
            State::Ready(_) | State::Authenticating(_) | State::Appending(_) | State::Idling(_) => {
                let taken = self.reader.input(octets);
                self.has_more = taken < octets.len();
                if taken > 0 && !self.is_unauthenticated() {
                    self.deadline = None;
                }
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
            if let Some(page) = self.page.take() {
                return Step::Send(page);
            }
            if let Some(event) = self.event.take() {
                return Step::Event(event);
            }
            match &self.state {
                State::Connecting => self.greet(),
                State::Closing => return Step::Close,
                State::StartingTls => return Step::StartTls,
                State::Asked(..) => return Step::Wait { until: None },
                State::Paging(_) => self.ask_for_more(),
                State::Telling(_) => self.go_on_telling(),
                State::Ready(_) | State::Authenticating(_) | State::Appending(_) | State::Idling(_) => {
                    if self.tell_while_idle() {
                        continue;
                    }
                    if !self.read()
                        && let Some(step) = self.wait(now)
                    {
                        return step;
                    }
                }
            }
        }
    }

    fn secured(&mut self, tls: OverTls) {
        self.tls = Some(Box::new(tls));
        // RFC 3501 §6.2.1: the client knows nothing any more, and neither do we.
        self.login = None;
        self.reader.clear();
        self.deadline = None;
        if matches!(self.state, State::StartingTls) {
            self.state = State::Ready(Place::NotAuthenticated);
        }
    }

    fn goodbye(&mut self) -> Option<Bytes> {
        let is_idle =
            matches!(self.state, State::Connecting | State::Ready(_) | State::Idling(_) | State::Closing);
        if !is_idle || !self.out.is_empty() || self.event.is_some() || !self.reader.is_empty() {
            return None;
        }
        if !matches!(self.state, State::Closing) {
            self.end(Bye::Stopping);
        }
        Some(Bytes::from(std::mem::take(&mut self.out)))
    }
}

/// Waiting, reading, asking, concluding.
impl Session {
    fn greet(&mut self) {
        let capabilities = self.capabilities(&Place::NotAuthenticated);
        status::greeting(&mut self.out, &capabilities, &self.config.hostname);
        self.state = State::Ready(Place::NotAuthenticated);
    }

    fn is_unauthenticated(&self) -> bool {
        matches!(self.state, State::Ready(Place::NotAuthenticated) | State::Authenticating(_))
    }

    /// Waits for octets; `None` when there is something to say instead.
    fn wait(&mut self, now: Instant) -> Option<Step<Event>> {
        let limits = &self.config.limits;
        if self.is_peer_gone {
            self.state = State::Closing;
            return None;
        }
        let is_between = self.reader.is_empty() && !matches!(self.state, State::Appending(_));
        let timeout = match &self.state {
            _ if self.is_unauthenticated() => limits.login_timeout,
            _ if is_between => limits.autologout,
            _ => limits.command_timeout,
        };
        if self.deadline.is_none() {
            self.deadline = now.checked_add(timeout);
        }
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.end(Bye::TimedOut);
            return None;
        }
        Some(Step::Wait { until: self.deadline })
    }

    /// Takes what the reader has; false when it has nothing.
    fn read(&mut self) -> bool {
        match self.reader.next() {
            Input::None => return false,
            Input::Consent => response::go_ahead(&mut self.out),
            Input::Line(line) => self.take_line(&line),
            Input::Message(octets) => self.take_message(octets),
            Input::MessageEnd => self.end_message(),
            Input::Command(command) => self.take_command(command),
            Input::Bad { tag, error } => self.take_bad(tag.as_ref(), &error),
            Input::Endless => {
                response::endless(&mut self.out);
                self.state = State::Closing;
            }
        }
        true
    }

    /// What is no command.
    fn take_bad(&mut self, tag: Option<&Tag>, error: &ParseError) {
        match std::mem::replace(&mut self.state, State::Closing) {
            State::Authenticating(running) => {
                response::refused(Some(&running.tag), error, &mut self.out);
                self.state = State::Ready(Place::NotAuthenticated);
            }
            State::Idling(idling) => {
                self.event = Some(Event::IdleEnded);
                response::refused(Some(&idling.tag), error, &mut self.out);
                self.state = State::Ready(idling.place);
            }
            state => {
                self.state = state;
                response::refused(tag, error, &mut self.out);
                self.abandon_message();
            }
        }
        self.count_error();
    }

    fn take_command(&mut self, Command { tag, body }: Command) {
        match std::mem::replace(&mut self.state, State::Closing) {
            State::Ready(place) => self.state = self.obey(tag, body, place),
            other => self.state = other,
        }
    }

    /// An error of the client: too many end the session.
    fn count_error(&mut self) {
        self.errors += 1;
        if self.errors >= self.config.limits.errors_max {
            self.end(Bye::TooManyErrors);
        }
    }

    fn end(&mut self, why: Bye) {
        status::bye(&mut self.out, why);
        self.state = State::Closing;
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

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket::issue(self.tickets)
    }

    fn ask(&mut self, tag: Tag, place: Place, about: About, event: impl FnOnce(Ticket) -> Event) -> State {
        // Who works is forgiven: sessions last for weeks.
        if !matches!(place, Place::NotAuthenticated) {
            self.errors = 0;
        }
        let ticket = self.ticket();
        self.event = Some(event(ticket));
        State::Asked(self.tickets, Box::new(Question { tag, place, about }))
    }

    fn ask_for_more(&mut self) {
        let ticket = self.ticket();
        if let State::Paging(question) = std::mem::replace(&mut self.state, State::Closing) {
            self.event = Some(Event::More { ticket });
            self.state = State::Asked(self.tickets, question);
        }
    }

    /// The open question, if this ticket is for it; the session stands still until the caller sets a new state.
    fn take_question(&mut self, ticket: &Ticket) -> Option<Question> {
        match std::mem::replace(&mut self.state, State::Closing) {
            State::Asked(number, question) if number == ticket.number() => {
                // The time for the login goes on over wrong passwords.
                if !matches!(question.place, Place::NotAuthenticated) {
                    self.deadline = None;
                }
                Some(*question)
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// The last word of a command, after what changed meanwhile.
    fn conclude(&mut self, question: Question, completion: Completion) {
        let (expunges, numbers) = (question.about.expunges(), question.about.numbers());
        let Question { tag, mut place, .. } = question;
        if place.selected().is_none_or(|selected| selected.latest.is_none()) {
            completion.print(&tag, &mut self.out);
            self.state = State::Ready(place);
            return;
        }
        let echo = Vec::new().into_iter();
        self.tell(Telling { tag, place, echo, numbers, expunges, changes: None, completion });
    }

    /// The answer does not fit the question: our own fault.
    fn break_off(&mut self, question: Question) {
        self.conclude(question, Completion::no(Refusal::Broken));
    }

    /// A command that needs nobody.
    fn complete(&mut self, tag: &Tag, place: Place, completion: &Completion) -> State {
        completion.print(tag, &mut self.out);
        State::Ready(place)
    }

    /// A command that is wrong here.
    fn bad(&mut self, tag: &Tag, place: Place, misuse: Misuse) -> State {
        Completion::bad(misuse).print(tag, &mut self.out);
        self.state = State::Ready(place);
        self.count_error();
        std::mem::replace(&mut self.state, State::Closing)
    }

    /// A password may be sent.
    fn is_private(&self) -> bool {
        self.tls.is_some() || self.config.allow_plaintext
    }

    fn may_start_tls(&self) -> bool {
        self.config.has_starttls && self.tls.is_none()
    }
}
