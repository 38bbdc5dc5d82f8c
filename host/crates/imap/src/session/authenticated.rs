//! Commands after the login: RFC 3501 §6.3; RFC 2177 (IDLE), RFC 2342 (NAMESPACE), RFC 5161 (ENABLE).

use super::state::{About, Place, State};
use super::{Event, Session};
use crate::command::{Body, List, ListReturn, ListSelection, Tag};
use crate::response::status::{self as status, Completion, Misuse};

impl Session {
    pub(super) fn obey_authenticated(&mut self, tag: Tag, body: Body, place: Place) -> State {
        match body {
            Body::Select(mailbox) => self.start_select(tag, mailbox, false, place),
            Body::Examine(mailbox) => self.start_select(tag, mailbox, true, place),
            Body::Create(mailbox) => {
                self.ask(tag, place, About::Plain("CREATE"), |ticket| Event::Create { ticket, mailbox })
            }
            Body::Delete(mailbox) => {
                self.ask(tag, place, About::Plain("DELETE"), |ticket| Event::Delete { ticket, mailbox })
            }
            Body::Rename { from, to } => {
                self.ask(tag, place, About::Plain("RENAME"), |ticket| Event::Rename { ticket, from, to })
            }
            Body::Subscribe(mailbox) => self.ask(tag, place, About::Plain("SUBSCRIBE"), |ticket| {
                Event::Subscribe { ticket, mailbox, is_subscribed: true }
            }),
            Body::Unsubscribe(mailbox) => self.ask(tag, place, About::Plain("UNSUBSCRIBE"), |ticket| {
                Event::Subscribe { ticket, mailbox, is_subscribed: false }
            }),
            Body::List(list) => self.list(tag, list, place),
            Body::Lsub { reference, pattern } => {
                let list = List {
                    reference,
                    patterns: vec![pattern],
                    selection: ListSelection { subscribed: true, ..ListSelection::default() },
                    returns: ListReturn::default(),
                    is_extended: false,
                };
                self.ask(tag, place, About::Plain("LSUB"), |ticket| Event::List {
                    ticket,
                    list,
                    is_lsub: true,
                })
            }
            Body::Status { mailbox, items } => self
                .ask(tag, place, About::Plain("STATUS"), |ticket| Event::Status { ticket, mailbox, items }),
            Body::Append(append) => self.start_append(tag, append, place),
            Body::Namespace => {
                status::namespace(&mut self.out);
                self.complete(&tag, place, &Completion::done("NAMESPACE"))
            }
            Body::Enable(_) => {
                status::enabled(&mut self.out);
                self.complete(&tag, place, &Completion::done("ENABLE"))
            }
            Body::Idle => self.start_idle(tag, place),
            body => match place {
                Place::Selected(selected) => self.obey_selected(tag, body, selected),
                place => self.bad(&tag, place, Misuse::NotSelected),
            },
        }
    }

    /// RFC 3501 §6.3.1: whether it succeeds or not, what was selected before is selected no more.
    fn start_select(&mut self, tag: Tag, mailbox: Box<str>, is_read_only: bool, _: Place) -> State {
        self.ask(tag, Place::Authenticated, About::Select { is_read_only }, |ticket| Event::Select {
            ticket,
            mailbox,
            is_read_only,
        })
    }

    fn list(&mut self, tag: Tag, list: List, place: Place) -> State {
        if list.patterns.iter().all(|pattern| pattern.is_empty()) && !list.is_extended {
            // RFC 3501 §6.3.8: an empty pattern asks for the separator.
            status::separator(&mut self.out);
            return self.complete(&tag, place, &Completion::done("LIST"));
        }
        if list.selection.recursive_match {
            // RFC 5258 is not offered as a whole.
            return self.bad(&tag, place, Misuse::RecursiveMatch);
        }
        self.ask(tag, place, About::Plain("LIST"), |ticket| Event::List { ticket, list, is_lsub: false })
    }
}
