//! Where a session stands. Each variant holds exactly what is legal then; what is rare is boxed, so that an idle session is
//! small.

use std::sync::Arc;
use std::vec;

use maitred_mail::{Entry, Snapshot};
use maitred_wire::sasl::Sasl;

use crate::command::{Numbers, StoreOperation, Tag};
use crate::response::status::Completion;
use crate::view::{Changes, Expunges, View};

/// Where a session stands.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing was said.
    Connecting,
    /// The next command is awaited.
    Ready(Place),
    /// Between the lines of AUTHENTICATE.
    Authenticating(Box<Authenticating>),
    /// The message of APPEND is awaited.
    Appending(Box<Appending>),
    /// IDLE was said and DONE was not.
    Idling(Box<Idling>),
    /// A question is open.
    Asked(u64, Box<Question>),
    /// A page of the answer is on its way; then the question goes on.
    Paging(Box<Question>),
    /// What changed in the mailbox is told, then the command is over.
    Telling(Box<Telling>),
    /// OK was said to STARTTLS.
    StartingTls,
    /// The last word is said.
    Closing,
}

/// RFC 3501 §3: what may be said. Its logout state is [`State::Closing`].
#[derive(Debug)]
pub(super) enum Place {
    NotAuthenticated,
    Authenticated,
    Selected(Box<Selected>),
}

impl Place {
    pub(super) fn selected(&mut self) -> Option<&mut Selected> {
        match self {
            Self::Selected(selected) => Some(selected),
            Self::NotAuthenticated | Self::Authenticated => None,
        }
    }
}

/// A selected mailbox.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) view: View,
    pub(super) is_read_only: bool,
    /// The mailbox as it is, when it may have changed since the view was told.
    pub(super) latest: Option<Arc<Snapshot>>,
}

impl Selected {
    /// What the client has to be told now.
    pub(super) fn sync(&mut self, expunges: Expunges) -> Option<Changes> {
        self.latest.take().map(|latest| self.view.sync(latest, expunges))
    }
}

/// AUTHENTICATE.
#[derive(Debug)]
pub(super) struct Authenticating {
    pub(super) tag: Tag,
    pub(super) sasl: Sasl,
}

/// APPEND whose message streams in.
#[derive(Debug)]
pub(super) struct Appending {
    pub(super) tag: Tag,
    pub(super) place: Place,
}

/// IDLE (RFC 2177).
#[derive(Debug)]
pub(super) struct Idling {
    pub(super) tag: Tag,
    pub(super) place: Place,
    /// What is being told.
    pub(super) changes: Option<Changes>,
}

/// The end of a command.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) tag: Tag,
    pub(super) place: Place,
    /// Messages whose flags are told in any case.
    pub(super) echo: vec::IntoIter<Entry>,
    /// How the command counts.
    pub(super) numbers: Numbers,
    pub(super) expunges: Expunges,
    /// What changed; known when the echo is said.
    pub(super) changes: Option<Changes>,
    pub(super) completion: Completion,
}

/// What an open question is about.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) tag: Tag,
    pub(super) place: Place,
    pub(super) about: About,
}

/// Which command asks.
#[derive(Debug)]
pub(super) enum About {
    Login,
    /// Done or not, and nothing more to it; by its name.
    Plain(&'static str),
    Select {
        is_read_only: bool,
    },
    /// May the message come?
    Append {
        is_synchronizing: bool,
    },
    /// The message came.
    Appended,
    /// FETCH and SEARCH: done or not, after pages.
    Read(&'static str, Numbers),
    Store(Numbers, StoreOperation),
    Copy,
    Move,
    Close,
}

impl About {
    /// RFC 3501 §7.4.1: FETCH, STORE and SEARCH hold expunges back, their UID forms need not.
    pub(super) fn expunges(&self) -> Expunges {
        match self {
            Self::Read(_, Numbers::Seq) | Self::Store(Numbers::Seq, _) => Expunges::Held,
            _ => Expunges::Told,
        }
    }

    /// How the command counts.
    pub(super) fn numbers(&self) -> Numbers {
        match self {
            Self::Read(_, numbers) | Self::Store(numbers, _) => *numbers,
            _ => Numbers::Seq,
        }
    }
}
