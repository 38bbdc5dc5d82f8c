//! APPEND: RFC 3501 §6.3.11; RFC 7888 (a literal that does not wait), RFC 4315 §3 (APPENDUID).
//!
//! The message goes on in chunks as it comes. One that is refused is read away when the client sends it unasked.

use bytes::Bytes;

use super::state::{About, Place, Question, State};
use super::{Event, Session};
use crate::command::{Append, Tag};
use crate::response;
use crate::response::status::Completion;

impl Session {
    pub(super) fn start_append(&mut self, tag: Tag, append: Append, place: Place) -> State {
        let about = About::Append { is_synchronizing: append.is_synchronizing };
        self.ask(tag, place, about, |ticket| Event::Append { ticket, append })
    }

    /// The message may come.
    pub(super) fn accept_append(&mut self, is_synchronizing: bool) {
        self.reader.accept_message();
        if is_synchronizing {
            response::go_ahead(&mut self.out);
        }
    }

    /// It may not, or no more of it.
    pub(super) fn refuse_append(&mut self, question: Question, completion: Completion) {
        self.reader.refuse_message();
        self.conclude(question, completion);
    }

    pub(super) fn take_message(&mut self, octets: Bytes) {
        self.event = Some(Event::Chunk(octets));
    }

    /// The message is whole.
    pub(super) fn end_message(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Closing) {
            State::Appending(appending) => {
                self.ask(appending.tag, appending.place, About::Appended, |ticket| Event::Appended { ticket })
            }
            other => other,
        };
    }

    /// The command is broken behind its message, and BAD was said: what was handed on is of no use.
    pub(super) fn abandon_message(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Closing) {
            State::Appending(appending) => {
                self.event = Some(Event::Abandoned);
                State::Ready(appending.place)
            }
            other => other,
        };
    }
}
