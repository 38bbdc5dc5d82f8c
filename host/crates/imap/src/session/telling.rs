//! The end of a command in a selected mailbox: what changed is told page by page, then the command is completed.
//!
//! RFC 3501 §5.2, §7.4.1.

use super::Session;
use super::state::{State, Telling};
use crate::response::status;

impl Session {
    pub(super) fn tell(&mut self, telling: Telling) {
        self.state = State::Telling(Box::new(telling));
        self.go_on_telling();
    }

    /// One page, or the rest and the completion.
    pub(super) fn go_on_telling(&mut self) {
        let page_octets = self.config.limits.page_octets;
        let State::Telling(telling) = &mut self.state else { return };
        if let Some(selected) = telling.place.selected() {
            let names = std::sync::Arc::clone(&selected.view.told().keyword_names);
            for entry in telling.echo.by_ref() {
                if let Some(seq) = selected.view.told().seq(entry.uid) {
                    let is_recent = selected.view.is_recent(entry.uid);
                    status::flags_of(&mut self.out, seq, &entry, &names, is_recent, telling.numbers);
                }
                if self.out.len() >= page_octets {
                    return;
                }
            }
            if telling.changes.is_none() {
                telling.changes = selected.sync(telling.expunges);
            }
            if let Some(changes) = &mut telling.changes
                && !status::changes(&mut self.out, changes, &selected.view, telling.numbers, page_octets)
            {
                return;
            }
        }
        if let State::Telling(telling) = std::mem::replace(&mut self.state, State::Closing) {
            let Telling { tag, place, completion, .. } = *telling;
            completion.print(&tag, &mut self.out);
            self.state = State::Ready(place);
        }
    }
}
