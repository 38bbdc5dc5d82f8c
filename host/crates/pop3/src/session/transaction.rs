//! The TRANSACTION state and the step to UPDATE: RFC 1939 §5, §6 and §7.

use maitred_mail::Seq;

use super::{Event, Question, Session, State};
use crate::command::Command;
use crate::maildrop::Maildrop;
use crate::response::{END_OF_LINES, Refusal, Response, print_listed, print_unique_id};
use crate::retrieval::{Progress, Retrieval};

/// A long response, printed piece by piece.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listing {
    kind: Kind,
    /// Which message comes next.
    next: Seq,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    List,
    Uidl,
}

impl Session {
    pub(super) fn transact(&mut self, mut maildrop: Maildrop, command: Command) -> State {
        let (messages, octets) = (maildrop.count(), maildrop.octets());
        match command {
            Command::Stat => self.say(&Response::Stat { messages, octets }),
            Command::List(None) => {
                self.say(&Response::Listing { messages, octets });
                return State::Listing(maildrop, Listing { kind: Kind::List, next: Seq(1) });
            }
            Command::Uidl(None) => {
                self.say(&Response::UniqueIds);
                return State::Listing(maildrop, Listing { kind: Kind::Uidl, next: Seq(1) });
            }
            Command::List(Some(number)) => match maildrop.find(number) {
                Some((_, octets)) => self.say(&Response::Listed { number: number.0, octets }),
                None => self.say_no_message(),
            },
            Command::Uidl(Some(number)) => match maildrop.find(number) {
                Some((uid, _)) => {
                    let unique_id = &maildrop.unique_id(uid);
                    self.say(&Response::UniqueId { number: number.0, unique_id });
                }
                None => self.say_no_message(),
            },
            Command::Retr(number) => match maildrop.find(number) {
                Some((uid, octets)) => return self.ask_content(maildrop, Retrieval::whole(uid, octets)),
                None => self.say_no_message(),
            },
            Command::Top(number, lines) => match maildrop.find(number) {
                Some((uid, octets)) => return self.ask_content(maildrop, Retrieval::top(uid, octets, lines)),
                None => self.say_no_message(),
            },
            Command::Dele(number) if maildrop.mark(number) => {
                self.say(&Response::Marked { number: number.0 });
            }
            Command::Dele(_) => self.say_no_message(),
            Command::Noop => self.say(&Response::Ok),
            Command::Rset => {
                maildrop.unmark_all();
                let (messages, octets) = (maildrop.count(), maildrop.octets());
                self.say(&Response::Reset { messages, octets });
            }
            Command::Quit => {
                let uids = maildrop.marked();
                let question = Question::Update { has_marked: !uids.is_empty() };
                return self.ask(question, |ticket| Event::Update { ticket, uids });
            }
            Command::Capa | Command::Auth { .. } | Command::Pass(_) | Command::Stls | Command::User(_) => {
                return self.fail(&Response::LoggedInAlready, State::Transaction(maildrop));
            }
        }
        State::Transaction(maildrop)
    }

    /// RETR, TOP and the like of what is not there are answered as often as they come: a client may not know better.
    fn say_no_message(&mut self) {
        self.say(&Response::Refused(Refusal::NoMessage));
    }

    /// Prints some lines of LIST or UIDL.
    pub(super) fn print_lines(&mut self, maildrop: Maildrop, mut listing: Listing) -> State {
        while let Some((number, uid, octets)) = maildrop.next(listing.next) {
            if self.out.len() >= LISTING_OCTETS {
                return State::Listing(maildrop, listing);
            }
            match listing.kind {
                Kind::List => print_listed(number.0, octets, &mut self.out),
                Kind::Uidl => print_unique_id(number.0, &maildrop.unique_id(uid), &mut self.out),
            }
            listing.next = Seq(number.0.saturating_add(1));
        }
        self.out.extend_from_slice(END_OF_LINES);
        State::Transaction(maildrop)
    }

    /// Asks for the next piece of a message.
    pub(super) fn ask_content(&mut self, maildrop: Maildrop, retrieval: Retrieval) -> State {
        let limits = &self.config.limits;
        let wanted = if retrieval.is_whole() { limits.piece_octets_max } else { limits.top_piece_octets_max };
        let octets_max = wanted.max(PIECE_OCTETS_MIN);
        let (uid, offset) = (retrieval.uid(), retrieval.offset());
        self.ask(Question::Content(maildrop, retrieval), |ticket| Event::Content {
            ticket,
            uid,
            offset,
            octets_max,
        })
    }

    /// A piece of a message came: print it.
    pub(super) fn print_content(
        &mut self,
        maildrop: Maildrop,
        mut retrieval: Retrieval,
        piece: &[u8],
    ) -> State {
        let is_first = retrieval.offset() == 0;
        let before = self.out.len();
        if is_first && retrieval.is_whole() {
            self.say(&Response::Content { octets: retrieval.octets() });
        } else if is_first {
            self.say(&Response::Top);
        }
        match retrieval.print(piece, &mut self.out) {
            Progress::More => State::Retrieving(maildrop, retrieval),
            Progress::Complete => {
                if retrieval.is_whole() {
                    self.events.push_back(Event::Retrieved(retrieval.uid()));
                }
                State::Transaction(maildrop)
            }
            Progress::Short if is_first => {
                self.out.truncate(before);
                self.say(&Response::Refused(Refusal::Temporary));
                State::Transaction(maildrop)
            }
            // The end mark would say that this is all of the message: only a cut connection tells the truth.
            Progress::Short => State::Closing,
        }
    }
}

/// A piece of none would never come to an end.
const PIECE_OCTETS_MIN: usize = 16;
/// How much of a listing is printed at a time.
const LISTING_OCTETS: usize = 16_384;
