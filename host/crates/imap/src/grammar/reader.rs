//! Collects commands from what arrives, whatever the pieces: RFC 3501 §2.2.1, RFC 7888.

use bytes::Bytes;
use memchr::memchr2;

use super::cursor::LiteralHead;
use super::{Limits, ParseError, parse, tag_of};
use crate::command::{Append, Body, Command, Tag};

/// What [`Reader::next`] found.
#[derive(Debug, PartialEq)]
pub enum Input {
    /// A command. Behind [`Body::Append`] nothing is read until [`Reader::accept_message`] or
    /// [`Reader::refuse_message`].
    Command(Command),
    /// No command: answer BAD or NO ([`crate::response::refused`]). What belongs to it has been read away.
    Bad {
        /// Its tag, if it has one.
        tag: Option<Tag>,
        /// What is wrong.
        error: ParseError,
    },
    /// The client waits for a continuation before it sends a literal: send [`crate::response::go_ahead`] and read on.
    Consent,
    /// The line asked for by [`Reader::expect_line`], without its CRLF. [`ParseError::LineTooLong`] and
    /// [`ParseError::Octets`] come as [`Input::Bad`] without tag.
    Line(Vec<u8>),
    /// The next octets of the message of APPEND, never empty.
    Message(Bytes),
    /// The message of APPEND is complete and the command ends behind it. When it does not, [`Input::Bad`] with the
    /// tag comes instead: the message must not be stored.
    MessageEnd,
    /// A command that was refused does not end: say BYE and close. Nothing is read any more.
    Endless,
    /// Nothing yet.
    None,
}

/// Cuts a stream into commands. See [`super`] for its invariants.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    state: State,
    /// The command so far, literals among it; of a command that is refused, the end of the current line.
    held: Vec<u8>,
    /// Where the current line begins in `held`.
    line_start: usize,
    /// Octets in `held` that are content of literals.
    literal_octets: usize,
    /// Literals of this command.
    literals: usize,
    /// Octets of this command that were thrown away.
    drained: u64,
    refusal: Option<Refusal>,
    has_return: bool,
    is_bare: bool,
    ready: Input,
}

#[derive(Debug)]
enum State {
    /// In a line of a command.
    Command,
    /// In a line that is none.
    Line,
    /// In a literal that is kept.
    Literal { left: usize },
    /// In a literal that is thrown away.
    Drain { left: u64 },
    /// The message of APPEND follows if it is wanted.
    Undecided { tag: Tag, octets: u64, is_synchronizing: bool },
    /// In the message.
    Message { tag: Tag, left: u64 },
    /// Behind the message.
    Tail { tag: Tag },
    /// See [`Input::Endless`].
    Endless,
}

/// What is said when a command that is not wanted has been read away.
#[derive(Debug)]
enum Refusal {
    Bad {
        tag: Option<Tag>,
        error: ParseError,
    },
    /// The session has answered already.
    Answered,
}

/// How much of the end of a line is kept to see whether a literal follows; a literal's head is shorter.
const LINE_END_OCTETS: usize = 32;
/// How many literals of a command may be its last: the name of APPEND's mailbox and its message.
const LITERALS_BEFORE_MESSAGE_MAX: usize = 2;
/// A buffer greater than this is not kept for the next command.
const SPARE_OCTETS: usize = 1024;

impl Reader {
    /// At the beginning of a connection.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Command,
            held: Vec::new(),
            line_start: 0,
            literal_octets: 0,
            literals: 0,
            drained: 0,
            refusal: None,
            has_return: false,
            is_bare: false,
            ready: Input::None,
        }
    }

    /// Other limits from the next command on (after login, say). Only between commands.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes octets up to and including the end of one command, line or piece of a message; answers how many. Takes
    /// none while something waits for [`Reader::next`], and none while a message is undecided.
    pub fn input(&mut self, octets: &[u8]) -> usize {
        let mut taken = 0;
        while self.ready == Input::None {
            let Some(rest) = octets.get(taken..).filter(|rest| !rest.is_empty()) else { break };
            taken += match &mut self.state {
                State::Command | State::Line | State::Tail { .. } => self.take_line(rest),
                State::Literal { left } => {
                    let piece = rest.get(..*left).unwrap_or(rest);
                    *left -= piece.len();
                    let is_over = *left == 0;
                    self.held.extend_from_slice(piece);
                    if is_over {
                        self.begin_line();
                    }
                    piece.len()
                }
                State::Drain { left } => {
                    let octets = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left -= len(octets);
                    if *left == 0 {
                        self.begin_line();
                    }
                    octets
                }
                State::Message { .. } => self.take_message(rest),
                State::Undecided { .. } | State::Endless => break,
            };
        }
        taken
    }

    /// What has been found. Call it until [`Input::None`], then offer more octets.
    #[expect(
        clippy::should_implement_trait,
        reason = "a reader that has nothing now may have something later"
    )]
    pub fn next(&mut self) -> Input {
        std::mem::replace(&mut self.ready, Input::None)
    }

    /// The next line is no command: an answer in AUTHENTICATE, or DONE. Only between commands.
    pub fn expect_line(&mut self) {
        if matches!(self.state, State::Command) && self.held.is_empty() {
            self.state = State::Line;
        }
    }

    /// The message of APPEND is wanted: send a continuation if the command [`Append::is_synchronizing`], and read on.
    pub fn accept_message(&mut self) {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Undecided { tag, octets: 0, .. } => self.state = State::Tail { tag },
            State::Undecided { tag, octets, .. } => self.state = State::Message { tag, left: octets },
            other => self.state = other,
        }
    }

    /// The message of APPEND, or the rest of it, is not wanted, and the session answers the command: what is under way
    /// is read away. No further [`Input`] of this command comes but [`Input::Endless`].
    pub fn refuse_message(&mut self) {
        if let Input::Message(_) | Input::MessageEnd = self.ready {
            self.ready = Input::None;
        }
        match std::mem::replace(&mut self.state, State::Command) {
            // RFC 3501 §7.5: without a continuation the client sends no literal, and no more of the command.
            State::Undecided { is_synchronizing: true, .. } => self.reset(),
            State::Undecided { octets, .. } | State::Message { left: octets, .. } => {
                self.refusal = Some(Refusal::Answered);
                self.drain(octets);
            }
            State::Tail { .. } => self.refusal = Some(Refusal::Answered),
            other => self.state = other,
        }
    }

    /// Forgets what is held (at STARTTLS, RFC 3501 §6.2.1).
    pub fn clear(&mut self) {
        *self = Self::new(self.limits.clone());
    }

    /// True between commands.
    pub fn is_empty(&self) -> bool {
        matches!(self.state, State::Command | State::Line)
            && self.held.is_empty()
            && self.refusal.is_none()
            && !self.has_return
            && self.ready == Input::None
    }

    /// Octets held of a command that is not complete.
    pub fn octets_held(&self) -> usize {
        self.held.len()
    }

    /// Takes a run without CR and LF, or one of them.
    fn take_line(&mut self, rest: &[u8]) -> usize {
        match rest.first() {
            Some(b'\n') if self.has_return => {
                self.has_return = false;
                self.end_line();
                1
            }
            Some(b'\n') => {
                self.is_bare = true;
                self.count_drained(1);
                1
            }
            Some(b'\r') => {
                self.is_bare |= self.has_return;
                self.has_return = true;
                self.count_drained(1);
                1
            }
            _ => {
                self.is_bare |= std::mem::take(&mut self.has_return);
                let run = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                self.hold(rest.get(..run).unwrap_or_default());
                run
            }
        }
    }

    fn hold(&mut self, run: &[u8]) {
        let octets_max = match self.state {
            State::Line => self.limits.line_octets_max,
            _ => self.limits.command_octets_max,
        };
        let mut run = run;
        let room = octets_max.saturating_sub(self.held.len() - self.literal_octets);
        if self.refusal.is_none() && run.len() > room {
            // The tag may be in this very piece.
            let (fitting, rest) = run.split_at_checked(room).unwrap_or((run, &[]));
            self.held.extend_from_slice(fitting);
            self.refuse(ParseError::LineTooLong);
            run = rest;
        }
        if self.refusal.is_some() {
            self.count_drained(len(run.len()));
            let from = run.len().saturating_sub(LINE_END_OCTETS);
            self.held.extend_from_slice(run.get(from..).unwrap_or_default());
            let excess = self.held.len().saturating_sub(LINE_END_OCTETS);
            self.held.drain(..excess);
        } else {
            self.held.extend_from_slice(run);
        }
    }

    /// The command is not wanted, whatever follows.
    fn refuse(&mut self, error: ParseError) {
        let tag = match &self.state {
            State::Line => None,
            State::Tail { tag } => Some(tag.clone()),
            _ => tag_of(&self.held, &self.limits),
        };
        if matches!(self.state, State::Tail { .. }) {
            self.state = State::Command;
        }
        self.refusal = Some(Refusal::Bad { tag, error });
        let excess = self.held.len().saturating_sub(LINE_END_OCTETS);
        self.held.drain(..excess);
        self.line_start = 0;
        self.literal_octets = 0;
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.is_bare) && self.refusal.is_none() {
            self.refuse(ParseError::Octets);
        }
        if matches!(self.state, State::Line) {
            let line = Input::Line(std::mem::take(&mut self.held));
            return self.finish(line);
        }
        let line = self.held.get(self.line_start..).unwrap_or_default();
        if matches!(self.state, State::Tail { .. }) && self.refusal.is_none() {
            if line.is_empty() {
                return self.finish(Input::MessageEnd);
            }
            let head = LiteralHead::at_end(line);
            self.refuse(ParseError::Syntax("the end of the command behind the message"));
            return self.end_refused(head);
        }
        let head = LiteralHead::at_end(line);
        match (head, &self.refusal) {
            (_, Some(_)) => self.end_refused(head),
            (Some(head), None) => self.begin_literal(head),
            // An empty line between commands: some clients send one behind a literal.
            (None, None) if self.held.is_empty() => self.reset(),
            (None, None) => {
                let input = match parse(&self.held, &self.limits) {
                    Ok(command) => Input::Command(command),
                    Err((tag, error)) => Input::Bad { tag, error },
                };
                self.finish(input);
            }
        }
    }

    /// A line of a command ends that is refused, perhaps with a literal's head.
    fn end_refused(&mut self, head: Option<LiteralHead>) {
        match head {
            Some(LiteralHead { octets, is_synchronizing: false }) => self.drain(octets),
            // RFC 3501 §7.5: the client waits for a continuation that does not come.
            _ => self.finish(Input::None),
        }
    }

    fn begin_literal(&mut self, head: LiteralHead) {
        self.literals += 1;
        // What is wrong already is said before the client sends more.
        if self.literals <= LITERALS_BEFORE_MESSAGE_MAX {
            match parse(&self.held, &self.limits) {
                Ok(Command { tag, body: Body::Append(append) }) => return self.begin_message(tag, append),
                Err((_, ParseError::LiteralMissing)) => {}
                Err((_, error)) => {
                    self.refuse(error);
                    return self.end_refused(Some(head));
                }
                Ok(_) => {
                    self.refuse(ParseError::Syntax("the end of the command"));
                    return self.end_refused(Some(head));
                }
            }
        }
        let room = self.limits.literal_octets_max - self.literal_octets.min(self.limits.literal_octets_max);
        match usize::try_from(head.octets) {
            Ok(octets) if octets <= room => {
                self.held.extend_from_slice(b"\r\n");
                self.literal_octets += octets;
                if head.is_synchronizing {
                    self.ready = Input::Consent;
                }
                self.state = State::Literal { left: octets };
                if octets == 0 {
                    self.begin_line();
                }
            }
            _ => {
                self.refuse(ParseError::LiteralTooBig);
                self.end_refused(Some(head));
            }
        }
    }

    fn begin_message(&mut self, tag: Tag, append: Append) {
        let Append { octets, is_synchronizing, .. } = append;
        if octets > self.limits.message_octets_max {
            self.refuse(ParseError::LiteralTooBig);
            return self.end_refused(Some(LiteralHead { octets, is_synchronizing }));
        }
        let command = Command { tag: tag.clone(), body: Body::Append(append) };
        self.finish(Input::Command(command));
        self.state = State::Undecided { tag, octets, is_synchronizing };
    }

    fn take_message(&mut self, rest: &[u8]) -> usize {
        let State::Message { tag, left } = &mut self.state else { return 0 };
        let octets = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
        let octets = octets.min(self.limits.chunk_octets_max.max(1));
        *left -= len(octets);
        if *left == 0 {
            let tag = tag.clone();
            self.state = State::Tail { tag };
        }
        self.ready = Input::Message(Bytes::copy_from_slice(rest.get(..octets).unwrap_or_default()));
        octets
    }

    /// So many octets are thrown away, then a line follows.
    fn drain(&mut self, octets: u64) {
        self.count_drained(octets);
        if !matches!(self.state, State::Endless) {
            self.state = State::Drain { left: octets };
            if octets == 0 {
                self.begin_line();
            }
        }
    }

    fn count_drained(&mut self, octets: u64) {
        self.drained = self.drained.saturating_add(octets);
        if self.drained > self.limits.drain_octets_max {
            self.reset();
            self.state = State::Endless;
            self.ready = Input::Endless;
        }
    }

    /// Behind a literal the command goes on.
    fn begin_line(&mut self) {
        if self.refusal.is_some() {
            self.held.clear();
        }
        self.line_start = self.held.len();
        self.state = State::Command;
    }

    /// The command is over; a refusal is said instead of `input`.
    fn finish(&mut self, input: Input) {
        self.ready = match self.refusal.take() {
            Some(Refusal::Bad { tag, error }) => Input::Bad { tag, error },
            Some(Refusal::Answered) => Input::None,
            None => input,
        };
        self.reset();
    }

    fn reset(&mut self) {
        self.state = State::Command;
        self.held.clear();
        self.held.shrink_to(SPARE_OCTETS);
        self.line_start = 0;
        self.literal_octets = 0;
        self.literals = 0;
        self.drained = 0;
        self.refusal = None;
        self.has_return = false;
        self.is_bare = false;
    }
}

fn len(octets: usize) -> u64 {
    u64::try_from(octets).unwrap_or(u64::MAX)
}
