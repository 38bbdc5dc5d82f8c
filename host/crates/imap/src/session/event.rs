//! What a session asks of whoever holds the mail.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use maitred_mail::{MailboxId, Snapshot, Uid};
use maitred_wire::Ticket;
use maitred_wire::sasl::{Credentials, Mechanism};

use crate::command::{Append, FetchItem, List, MailboxName, Numbers, SearchKey, StatusItem, StoreOperation};
use crate::view::Messages;

/// What someone else must decide or do (with a ticket) or know (without). Unless said otherwise the answer is
/// [`super::Session::done`] or [`super::Session::refuse`]; with a mailbox selected, [`super::Session::update`] comes before it.
#[derive(Debug)]
pub enum Event {
    /// LOGIN, or AUTHENTICATE at its end: [`super::Session::authenticate`].
    Authenticate {
        /// For the answer.
        ticket: Ticket,
        /// By which mechanism; `None`: LOGIN.
        mechanism: Option<Mechanism>,
        /// What the client says it is.
        credentials: Credentials,
    },
    /// NOOP and CHECK: the client wants the news.
    Noop {
        /// For the answer.
        ticket: Ticket,
    },
    /// SELECT and EXAMINE: [`super::Session::select`]. What was selected before is selected no more.
    Select {
        /// For the answer.
        ticket: Ticket,
        /// Which mailbox.
        mailbox: MailboxName,
        /// EXAMINE.
        is_read_only: bool,
    },
    /// Nothing is selected any more: there is nothing to be told of the mailbox.
    Deselected,
    /// CREATE.
    Create {
        /// For the answer.
        ticket: Ticket,
        /// Which name.
        mailbox: MailboxName,
    },
    /// DELETE.
    Delete {
        /// For the answer.
        ticket: Ticket,
        /// Which name.
        mailbox: MailboxName,
    },
    /// RENAME.
    Rename {
        /// For the answer.
        ticket: Ticket,
        /// Which name.
        from: MailboxName,
        /// The new name.
        to: MailboxName,
    },
    /// SUBSCRIBE and UNSUBSCRIBE.
    Subscribe {
        /// For the answer.
        ticket: Ticket,
        /// Which name.
        mailbox: MailboxName,
        /// Which of the two.
        is_subscribed: bool,
    },
    /// LIST and LSUB: [`super::Session::page`] with the responses.
    List {
        /// For the answer.
        ticket: Ticket,
        /// What is asked.
        list: List,
        /// LSUB: the reference and the one pattern are in `list`.
        is_lsub: bool,
    },
    /// STATUS: [`super::Session::page`] with the response.
    Status {
        /// For the answer.
        ticket: Ticket,
        /// Of which mailbox.
        mailbox: MailboxName,
        /// What is asked.
        items: Vec<StatusItem>,
    },
    /// APPEND: [`super::Session::accept`], and the message follows in [`Event::Chunk`]s, then [`Event::Appended`].
    Append {
        /// For the answer.
        ticket: Ticket,
        /// Where to, and how.
        append: Append,
    },
    /// Octets of the message.
    Chunk(Bytes),
    /// The message was not what the client announced: what came of it can go.
    Abandoned,
    /// The message is whole: [`super::Session::appended`].
    Appended {
        /// For the answer.
        ticket: Ticket,
    },
    /// FETCH: [`super::Session::page`] with responses, then [`Event::More`].
    Fetch {
        /// For the answer.
        ticket: Ticket,
        /// Of which messages.
        messages: Messages,
        /// How the command counts.
        numbers: Numbers,
        /// UIDs that are recent in this session, for FLAGS.
        recent: Vec<Range<u32>>,
        /// What is asked.
        items: Vec<FetchItem>,
        /// `\Seen` is set where the items say so: the mailbox is not read-only.
        may_set_seen: bool,
    },
    /// The page before was sent: the next one.
    More {
        /// For the answer.
        ticket: Ticket,
    },
    /// STORE: [`super::Session::stored`].
    Store {
        /// For the answer.
        ticket: Ticket,
        /// In which mailbox.
        mailbox: MailboxId,
        /// Which messages.
        uids: Vec<Uid>,
        /// What becomes of their flags.
        operation: StoreOperation,
    },
    /// SEARCH: [`super::Session::page`] with the response.
    Search {
        /// For the answer.
        ticket: Ticket,
        /// The whole mailbox, as it was told.
        told: Arc<Snapshot>,
        /// UIDs that are recent in this session.
        recent: Vec<Range<u32>>,
        /// What is looked for.
        key: SearchKey,
        /// What is answered.
        numbers: Numbers,
    },
    /// COPY and MOVE: [`super::Session::copied`].
    Copy {
        /// For the answer.
        ticket: Ticket,
        /// From which mailbox.
        from: MailboxId,
        /// Which messages.
        uids: Vec<Uid>,
        /// Where to.
        to: MailboxName,
        /// MOVE.
        is_move: bool,
    },
    /// EXPUNGE and CLOSE: the messages with `\Deleted` go.
    Expunge {
        /// For the answer.
        ticket: Ticket,
        /// From which mailbox.
        mailbox: MailboxId,
        /// UID EXPUNGE: of these only.
        uids: Option<Vec<Uid>>,
    },
    /// IDLE began: [`super::Session::update`] now and whenever the mailbox changes.
    Idle,
    /// IDLE is over: what changes is told with the commands to come.
    IdleEnded,
}
