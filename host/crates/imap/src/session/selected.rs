//! Commands on a selected mailbox: RFC 3501 §6.4; RFC 3691 (UNSELECT), RFC 4315 (UID EXPUNGE), RFC 6851 (MOVE).

use std::sync::Arc;

use maitred_mail::{Entry, Flags, Keywords, Snapshot, Uid};

use super::state::{About, Place, Selected, State};
use super::{Event, Session};
use crate::command::{Body, FetchItem, Numbers, SearchKey, StoreAction, StoreOperation, Tag};
use crate::response::status::{Completion, Misuse, Refusal};
use crate::set::SequenceSet;
use crate::view::Messages;

impl Session {
    pub(super) fn obey_selected(&mut self, tag: Tag, body: Body, selected: Box<Selected>) -> State {
        match body {
            Body::Noop => self.news(tag, selected, "NOOP"),
            Body::Check => self.news(tag, selected, "CHECK"),
            Body::Close => self.close(tag, selected),
            Body::Unselect => {
                self.deselected(&tag, "UNSELECT");
                std::mem::replace(&mut self.state, State::Closing)
            }
            Body::Expunge => self.expunge(tag, selected, None),
            Body::UidExpunge(set) => {
                let uids = selected.view.messages(Numbers::Uid, &set).uids();
                self.expunge(tag, selected, Some(uids))
            }
            Body::Search { numbers, key } => self.search(tag, selected, numbers, key),
            Body::Fetch { numbers, set, items } => self.fetch(tag, selected, numbers, &set, items),
            Body::Store { numbers, set, operation } => self.store(tag, selected, numbers, &set, operation),
            Body::Copy { numbers, set, mailbox } => {
                self.copy(tag, selected, About::Copy, numbers, &set, mailbox)
            }
            Body::Move { numbers, set, mailbox } => {
                self.copy(tag, selected, About::Move, numbers, &set, mailbox)
            }
            // Every other command was obeyed where it belongs.
            _ => self.bad(&tag, Place::Selected(selected), Misuse::NotNow),
        }
    }

    fn news(&mut self, tag: Tag, selected: Box<Selected>, command: &'static str) -> State {
        self.ask(tag, Place::Selected(selected), About::Plain(command), |ticket| Event::Noop { ticket })
    }

    /// RFC 3501 §6.4.2: without EXPUNGE responses; nothing goes from a mailbox that is read-only.
    fn close(&mut self, tag: Tag, selected: Box<Selected>) -> State {
        if selected.is_read_only {
            self.deselected(&tag, "CLOSE");
            return std::mem::replace(&mut self.state, State::Closing);
        }
        let mailbox = selected.view.told().mailbox;
        self.ask(tag, Place::Selected(selected), About::Close, |ticket| Event::Expunge {
            ticket,
            mailbox,
            uids: None,
        })
    }

    /// No mailbox is selected any more.
    pub(super) fn deselected(&mut self, tag: &Tag, command: &'static str) {
        self.event = Some(Event::Deselected);
        self.state = self.complete(tag, Place::Authenticated, &Completion::done(command));
    }

    fn expunge(&mut self, tag: Tag, selected: Box<Selected>, uids: Option<Vec<Uid>>) -> State {
        if selected.is_read_only {
            return self.complete(&tag, Place::Selected(selected), &Completion::no(Refusal::ReadOnly));
        }
        let mailbox = selected.view.told().mailbox;
        self.ask(tag, Place::Selected(selected), About::Plain("EXPUNGE"), |ticket| Event::Expunge {
            ticket,
            mailbox,
            uids,
        })
    }

    fn search(&mut self, tag: Tag, selected: Box<Selected>, numbers: Numbers, key: SearchKey) -> State {
        let told = Arc::clone(selected.view.told());
        let recent = selected.view.recent_uids().to_vec();
        let about = About::Read("SEARCH", numbers);
        self.ask(tag, Place::Selected(selected), about, |ticket| Event::Search {
            ticket,
            told,
            recent,
            key,
            numbers,
        })
    }

    fn fetch(
        &mut self,
        tag: Tag,
        selected: Box<Selected>,
        numbers: Numbers,
        set: &SequenceSet,
        items: Vec<FetchItem>,
    ) -> State {
        let Some(messages) = messages(&selected, numbers, set) else {
            return self.bad(&tag, Place::Selected(selected), Misuse::NoMessage);
        };
        let recent = selected.view.recent_uids().to_vec();
        let may_set_seen = !selected.is_read_only;
        let about = About::Read("FETCH", numbers);
        self.ask(tag, Place::Selected(selected), about, |ticket| Event::Fetch {
            ticket,
            messages,
            numbers,
            recent,
            items,
            may_set_seen,
        })
    }

    fn store(
        &mut self,
        tag: Tag,
        selected: Box<Selected>,
        numbers: Numbers,
        set: &SequenceSet,
        operation: StoreOperation,
    ) -> State {
        let Some(messages) = messages(&selected, numbers, set) else {
            return self.bad(&tag, Place::Selected(selected), Misuse::NoMessage);
        };
        if selected.is_read_only {
            return self.complete(&tag, Place::Selected(selected), &Completion::no(Refusal::ReadOnly));
        }
        let (mailbox, uids) = (selected.view.told().mailbox, messages.uids());
        let about = About::Store(numbers, operation.clone());
        self.ask(tag, Place::Selected(selected), about, |ticket| Event::Store {
            ticket,
            mailbox,
            uids,
            operation,
        })
    }

    fn copy(
        &mut self,
        tag: Tag,
        selected: Box<Selected>,
        about: About,
        numbers: Numbers,
        set: &SequenceSet,
        to: Box<str>,
    ) -> State {
        let Some(messages) = messages(&selected, numbers, set) else {
            return self.bad(&tag, Place::Selected(selected), Misuse::NoMessage);
        };
        let is_move = matches!(about, About::Move);
        if is_move && selected.is_read_only {
            return self.complete(&tag, Place::Selected(selected), &Completion::no(Refusal::ReadOnly));
        }
        let (from, uids) = (selected.view.told().mailbox, messages.uids());
        self.ask(tag, Place::Selected(selected), about, |ticket| Event::Copy {
            ticket,
            from,
            uids,
            to,
            is_move,
        })
    }
}

/// The messages of a set; `None` when it names a sequence number that there is not (RFC 3501 §9, `seq-number`), but for
/// `1:*` and its like, which clients send whatever is there.
fn messages(selected: &Selected, numbers: Numbers, set: &SequenceSet) -> Option<Messages> {
    let exists = selected.view.told().len();
    let is_beyond =
        numbers == Numbers::Seq && !set.has_last() && set.greatest().is_some_and(|seq| seq > exists);
    (!is_beyond).then(|| selected.view.messages(numbers, set))
}

impl Selected {
    /// The client's own STORE: what of it is to be told in any case. What the client can expect is no news; `.SILENT` is
    /// broken only where somebody else changed the message too (RFC 3501 §6.4.6).
    pub(super) fn take_stored(&mut self, operation: &StoreOperation, entries: &[Entry]) -> Vec<Entry> {
        if !operation.is_silent {
            self.view.note(entries);
            return entries.to_vec();
        }
        let told = self.view.told();
        let bits = keyword_bits(told, operation);
        let is_expected = |entry: &&Entry| {
            told.find(entry.uid)
                .is_some_and(|before| expected(before, operation, bits) == (entry.flags, entry.keywords))
        };
        let known: Vec<Entry> = entries.iter().filter(is_expected).copied().collect();
        self.view.note(&known);
        Vec::new()
    }
}

fn keyword_bits(snapshot: &Snapshot, operation: &StoreOperation) -> Keywords {
    let is_named = |name: &str| operation.flags.keywords.iter().any(|word| word.eq_ignore_ascii_case(name));
    let named = snapshot.keyword_names.iter().enumerate().filter(|(_, name)| is_named(name));
    Keywords(named.fold(0, |bits, (at, _)| {
        bits | u32::try_from(at).ok().and_then(|at| 1_u64.checked_shl(at)).unwrap_or(0)
    }))
}

/// Flags and keywords after the operation.
fn expected(before: &Entry, operation: &StoreOperation, keywords: Keywords) -> (Flags, Keywords) {
    let flags = operation.flags.flags;
    match operation.action {
        StoreAction::Replace => (flags, keywords),
        StoreAction::Add => (before.flags.with(flags), Keywords(before.keywords.0 | keywords.0)),
        StoreAction::Remove => (before.flags.without(flags), Keywords(before.keywords.0 & !keywords.0)),
    }
}
