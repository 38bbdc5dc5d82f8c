//! One command after the other, and the octets of a message.
//!
//! RFC 5321 §4.1.1 and §4.1.4 (order of commands), RFC 3207 (STARTTLS), RFC 1870 (SIZE), RFC 2033 (LMTP).

use std::sync::Arc;

use bytes::Bytes;
use maitred_mail::{ForwardPath, MailParameters, ReversePath};
use maitred_wire::Line;

use super::{Event, Session};
use crate::command::{Command, CommandError};
use crate::reply::Reply;
use crate::server::config::Mode;
use crate::server::data::Fault;
use crate::server::state::{Question, State, Transaction};

impl Session {
    pub(super) fn take_line(&mut self, line: Line) {
        self.deadline = None;
        self.line_octets = 0;
        self.state = match (std::mem::replace(&mut self.state, State::Closing), line) {
            (State::Authenticating(sasl), line) => self.continue_auth(sasl, &line),
            (state, Line::Whole(octets)) => match Command::parse(&octets) {
                Ok(command) => self.obey(state, command),
                Err(error) => self.fail(&Reply::not_understood(error), state),
            },
            (state, Line::TooLong) => self.fail(&Reply::line_too_long(), state),
            (state, Line::Bare) => self.fail(&Reply::bare_line_end(), state),
            (state, Line::None) => state,
        };
    }

    /// One command: the old state goes in, the new one comes out.
    fn obey(&mut self, state: State, command: Command) -> State {
        let out_of_sequence =
            |session: &mut Self, text: &str, state| session.fail(&Reply::out_of_sequence(text), state);
        match (state, command) {
            (_, Command::Quit) => {
                self.say(&Reply::bye(&self.config.hostname));
                State::Closing
            }
            (State::TurnedAway, _) => out_of_sequence(self, "Only QUIT is left", State::TurnedAway),
            (state, Command::Noop) => self.idle(&Reply::ok(), state),
            (state, Command::Help) => self.idle(&Reply::help(), state),
            (state, Command::Vrfy) => self.idle(&Reply::vrfy(), state),
            (state, Command::Expn) => self.idle(&Reply::not_implemented(), state),
            (State::Greeted, Command::Rset) => self.idle(&Reply::ok(), State::Greeted),
            (state, Command::Rset) => {
                self.reset(&state);
                self.idle(&Reply::ok(), State::Ready)
            }
            (state, Command::Ehlo(name)) => self.hello(state, name, true, false),
            (state, Command::Helo(name)) => self.hello(state, name, false, false),
            (state, Command::Lhlo(name)) => self.hello(state, name, true, true),
            (state, Command::StartTls) => self.start_tls(state),
            (
                State::Greeted,
                Command::Auth { .. } | Command::Mail { .. } | Command::Rcpt(_) | Command::Data,
            ) => out_of_sequence(self, "Say hello first", State::Greeted),
            (State::Ready, Command::Auth { mechanism, initial }) => {
                self.start_auth(&mechanism, initial.as_ref())
            }
            (State::Ready, Command::Mail { reverse_path, parameters }) => self.mail(reverse_path, parameters),
            (State::Ready, Command::Rcpt(_) | Command::Data) => {
                out_of_sequence(self, "MAIL comes first", State::Ready)
            }
            (state @ State::Transaction(_), Command::Mail { .. } | Command::Auth { .. }) => {
                out_of_sequence(self, "Not within a transaction", state)
            }
            (State::Transaction(transaction), Command::Rcpt(path)) => self.rcpt(transaction, path),
            (State::Transaction(transaction), Command::Data) => self.data(transaction),
            // These read no commands.
            (
                state @ (State::Connecting
                | State::Data(..)
                | State::Authenticating(_)
                | State::Asked(..)
                | State::StartingTls
                | State::Closing),
                _,
            ) => state,
        }
    }

    fn reset(&mut self, state: &State) {
        if matches!(state, State::Transaction(_)) {
            self.events.push_back(Event::Reset);
        }
    }

    /// RFC 5321 §4.1.1.1 and §4.1.4: hello also resets. RFC 2033 §4.1: LHLO in LMTP, and only there.
    fn hello(&mut self, state: State, name: String, is_extended: bool, is_lmtp: bool) -> State {
        if is_lmtp != (self.config.mode == Mode::Lmtp) {
            return self.fail(&Reply::not_understood(CommandError::Unknown), state);
        }
        self.reset(&state);
        self.ask(Question::Hello { is_extended }, |ticket| Event::Hello { ticket, name, is_extended })
    }

    fn start_tls(&mut self, state: State) -> State {
        if !self.config.has_starttls {
            return self.fail(&Reply::not_implemented(), state);
        }
        if self.tls.is_some() {
            return self.fail(&Reply::out_of_sequence("TLS is up already"), state);
        }
        if self.has_more {
            self.say(&Reply::injected());
            return State::Closing;
        }
        self.reset(&state);
        self.say(&Reply::starttls());
        State::StartingTls
    }

    fn mail(&mut self, reverse_path: ReversePath, parameters: MailParameters) -> State {
        let config = Arc::clone(&self.config);
        // RFC 6409 §4.3 and RFC 4954 §6
        if config.mode == Mode::Submission && self.login.is_none() {
            return self.turn_down(&Reply::authentication_required(), State::Ready);
        }
        // RFC 1870 §6.1
        if parameters.size.is_some_and(|size| size > config.limits.message_octets_max) {
            return self.turn_down(&Reply::too_big(config.limits.message_octets_max), State::Ready);
        }
        self.counts.transactions += 1;
        if self.counts.transactions > config.limits.transactions_max {
            self.say(&Reply::too_many_transactions(&config.hostname));
            return State::Closing;
        }
        let is_smtputf8 = parameters.is_smtputf8;
        self.ask(Question::Mail { is_smtputf8 }, |ticket| Event::Mail { ticket, reverse_path, parameters })
    }

    fn rcpt(&mut self, transaction: Transaction, forward_path: ForwardPath) -> State {
        if transaction.recipients >= self.config.limits.recipients_max {
            // Not the client's fault (RFC 5321 §4.5.3.1.10): it sends to the others in the next transaction.
            return self.turn_down(&Reply::too_many_recipients(), State::Transaction(transaction));
        }
        let is_internationalized =
            matches!(&forward_path, ForwardPath::Address(address) if address.is_internationalized());
        if is_internationalized && !transaction.is_smtputf8 {
            // RFC 6531 §3.5: nobody could pass such a message on.
            let state = State::Transaction(Transaction { has_refused: true, ..transaction });
            return self.turn_down(&Reply::not_understood(CommandError::NeedsSmtpUtf8), state);
        }
        self.ask(Question::Rcpt(transaction), |ticket| Event::Rcpt { ticket, forward_path })
    }

    fn data(&mut self, transaction: Transaction) -> State {
        if transaction.recipients > 0 {
            return self.ask(Question::Data(transaction), |ticket| Event::Data { ticket });
        }
        // RFC 5321 §3.3: 554 after refused recipients, 503 without any; RFC 2033 §4.2: 503.
        if transaction.has_refused && self.config.mode != Mode::Lmtp {
            self.turn_down(&Reply::no_recipients(), State::Transaction(transaction))
        } else {
            self.fail(&Reply::out_of_sequence("RCPT comes first"), State::Transaction(transaction))
        }
    }

    /// Hands on what came; false when there is nothing to do but wait.
    pub(super) fn read_data(&mut self) -> bool {
        let State::Data(transaction, reader) = &mut self.state else { return false };
        let limits = &self.config.limits;
        if reader.has_progressed(limits) {
            self.deadline = None;
        }
        if let Some(chunk) = reader.take_chunk() {
            self.events.push_back(Event::Chunk(Bytes::from(chunk)));
            return true;
        }
        if !reader.is_complete() && !reader.is_hopeless(limits) {
            return false;
        }
        let (transaction, octets) = (std::mem::take(transaction), reader.octets());
        let is_over = !reader.is_complete();
        let Some(fault) = reader.fault() else {
            self.state =
                self.ask(Question::EndOfData(transaction), |ticket| Event::EndOfData { ticket, octets });
            return true;
        };
        let reply = match fault {
            Fault::TooBig => Reply::too_big(limits.message_octets_max),
            Fault::BareLineEnd => Reply::bare_in_data(),
            Fault::LongLine => Reply::text_line_too_long(limits.text_line_octets_max),
        };
        self.deadline = None;
        self.events.push_back(Event::Reset);
        self.say_to_each(&reply, transaction.recipients);
        self.state = if is_over { State::Closing } else { State::Ready };
        true
    }
}
