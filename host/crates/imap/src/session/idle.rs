//! IDLE: RFC 2177. Changes are told as they come, until DONE.

use super::state::{Idling, Place, State};
use super::{Event, Session};
use crate::command::{Numbers, Tag};
use crate::response::status::{self as status, Completion, Misuse};
use crate::view::Expunges;

impl Session {
    pub(super) fn start_idle(&mut self, tag: Tag, place: Place) -> State {
        status::idling(&mut self.out);
        self.reader.expect_line();
        self.event = Some(Event::Idle);
        State::Idling(Box::new(Idling { tag, place, changes: None }))
    }

    /// Tells some of what changed; false when there is nothing to tell. (RFC 3501 §7.4.1 allows expunges here: IDLE is a
    /// command in progress.)
    pub(super) fn tell_while_idle(&mut self) -> bool {
        let State::Idling(idling) = &mut self.state else { return false };
        let Some(selected) = idling.place.selected() else { return false };
        if idling.changes.is_none() {
            idling.changes = selected.sync(Expunges::Told);
        }
        let Some(changes) = &mut idling.changes else { return false };
        let page_octets = self.config.limits.page_octets;
        let is_over = status::changes(&mut self.out, changes, &selected.view, Numbers::Seq, page_octets);
        if is_over {
            idling.changes = None;
        }
        true
    }

    /// What ends it; anything but DONE is an error, and ends it too (RFC 2177 §3 allows nothing else).
    pub(super) fn end_idle(&mut self, idling: Idling, line: &[u8]) -> State {
        self.event = Some(Event::IdleEnded);
        if line.eq_ignore_ascii_case(b"DONE") {
            return self.complete(&idling.tag, idling.place, &Completion::done("IDLE"));
        }
        self.bad(&idling.tag, idling.place, Misuse::NotDone)
    }

    /// A line that is no command.
    pub(super) fn take_line(&mut self, line: &[u8]) {
        self.state = match std::mem::replace(&mut self.state, State::Closing) {
            State::Authenticating(running) => self.continue_authenticate(*running, line),
            State::Idling(idling) => self.end_idle(*idling, line),
            other => other,
        };
    }
}
