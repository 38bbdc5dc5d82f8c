//! What is asked of the store, in the words of mail. The store allocates UIDs and mod-sequences itself.

use std::sync::Arc;

use bytes::Bytes;
use maitred_mail::directory::AliasKey;
use maitred_mail::{
    AccountId, Address, Domain, Durable, Entry, Flags, MailboxId, ModSeq, Timestamp, Uid, UidValidity,
};
use maitred_policy::table::Cell;
use maitred_queue::QueueId;

use crate::record::{BodyRef, SpecialUse};
use crate::spool::Draft;

/// Several intents, done together or not at all, and durable together.
#[derive(Debug, Default)]
pub struct Batch {
    /// Message contents that intents refer to by their place here. Each is stored once, however many refer to it.
    pub bodies: Vec<NewBody>,
    /// What shall happen, in order.
    pub intents: Vec<Intent>,
    /// When it must be durable.
    pub urgency: Urgency,
}

/// When a commit must be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Urgency {
    /// Before it is answered: everything that is acknowledged to a peer.
    #[default]
    Now,
    /// With the next group, at most 100 ms later: flag changes, which no peer syncs either. The log keeps the order,
    /// so a lost tail is lost whole.
    Soon,
}

/// A message content to be stored.
#[derive(Debug)]
pub struct NewBody {
    /// The header section as it shall be stored, with the empty line that ends it.
    pub head: Bytes,
    /// The body that follows.
    pub tail: Draft,
    /// What FETCH needs, computed once (opaque here; `imap::summary` knows it).
    pub summary: Bytes,
    /// Octets at the start of `head` that are for local readers only (Return-Path): queue entries begin after them.
    pub local_head: u32,
}

/// One thing to do.
#[derive(Debug, Clone)]
pub enum Intent {
    /// A new message in a mailbox: delivery or APPEND.
    Deliver {
        /// Whose.
        account: AccountId,
        /// Where; created (with its parents) when it is not there.
        mailbox: Box<str>,
        /// Which of the batch's bodies.
        body: usize,
        /// System flags.
        flags: Flags,
        /// Keyword names.
        keywords: Vec<Box<str>>,
        /// INTERNALDATE.
        internal_date: Timestamp,
    },
    /// The same, but into an existing mailbox by number (APPEND): [`crate::Error::NoMailbox`] when it is gone.
    Append {
        /// Where.
        mailbox: MailboxId,
        /// Which of the batch's bodies.
        body: usize,
        /// System flags.
        flags: Flags,
        /// Keyword names.
        keywords: Vec<Box<str>>,
        /// INTERNALDATE.
        internal_date: Timestamp,
    },
    /// Flags of messages (those not there are passed over).
    Flags(FlagChange),
    /// Copies, in UID order of the source, atomically.
    Copy {
        /// From where.
        from: MailboxId,
        /// Which.
        uids: Vec<Uid>,
        /// Where to.
        to: MailboxId,
    },
    /// Copies and expunges (RFC 6851).
    Move {
        /// From where.
        from: MailboxId,
        /// Which.
        uids: Vec<Uid>,
        /// Where to.
        to: MailboxId,
    },
    /// Takes messages out.
    Expunge {
        /// From where.
        mailbox: MailboxId,
        /// Which; `None`: all.
        uids: Option<Vec<Uid>>,
        /// Only those with `\Deleted`.
        only_deleted: bool,
    },
    /// CREATE, with missing parents.
    CreateMailbox {
        /// Whose.
        account: AccountId,
        /// Levels separated by `/`.
        name: Box<str>,
        /// RFC 6154.
        special_use: Option<SpecialUse>,
    },
    /// DELETE: its messages go; with children it stays as `\Noselect` name.
    DeleteMailbox {
        /// Whose.
        account: AccountId,
        /// Which.
        name: Box<str>,
    },
    /// RENAME, children too; of INBOX: its messages move (RFC 3501 §6.3.5).
    RenameMailbox {
        /// Whose.
        account: AccountId,
        /// Which.
        from: Box<str>,
        /// New name.
        to: Box<str>,
    },
    /// SUBSCRIBE and UNSUBSCRIBE: a name can be subscribed without a mailbox.
    Subscribe {
        /// Whose.
        account: AccountId,
        /// Which.
        name: Box<str>,
        /// On or off.
        is_subscribed: bool,
    },
    /// A message for recipients elsewhere.
    Enqueue {
        /// Which of the batch's bodies; `Err` for a content that is already stored (forwarding by delivery, DSN retry).
        body: Result<usize, BodyRef>,
        /// The entry.
        entry: maitred_queue::Entry,
    },
    /// An entry as it stands after an attempt, or after the operator's word.
    UpdateQueue {
        /// Which.
        id: QueueId,
        /// How it stands now.
        entry: maitred_queue::Entry,
    },
    /// An entry is settled.
    RemoveQueue {
        /// Which.
        id: QueueId,
    },
    /// A local domain.
    AddDomain(Domain),
    /// A local domain less; refused while it has accounts or aliases.
    RemoveDomain(Domain),
    /// An account with INBOX and the special-use mailboxes (Drafts, Sent, Junk, Trash, Archive).
    AddAccount {
        /// Its address; the domain must be local.
        address: Address,
        /// PHC string ([`crate::Store::hash_password`]).
        password_hash: String,
        /// Octets; `None`: no limit.
        quota: Option<u64>,
    },
    /// An account and all its mail.
    RemoveAccount(Address),
    /// A new password hash.
    SetPassword {
        /// Whose.
        address: Address,
        /// PHC string.
        password_hash: String,
    },
    /// A new quota.
    SetQuota {
        /// Whose.
        address: Address,
        /// Octets; `None`: no limit.
        quota: Option<u64>,
    },
    /// An alias with its targets (replaces one that is there).
    SetAlias {
        /// Address or catch-all.
        key: AliasKey,
        /// Where it leads.
        targets: Vec<Address>,
    },
    /// An alias less.
    RemoveAlias(AliasKey),
    /// Cells of a plugin's table as they are now.
    Table(TableCells),
}

/// Cells as they are now, and those that are gone. Made by [`crate::Tables`] alone, which knows what else is on its way.
#[derive(Debug, Clone)]
pub struct TableCells {
    pub(crate) plugin: Arc<str>,
    pub(crate) cells: Vec<(String, Option<Cell>)>,
}

/// A flag change of several messages.
#[derive(Debug, Clone)]
pub struct FlagChange {
    /// In which mailbox.
    pub mailbox: MailboxId,
    /// Which messages.
    pub uids: Vec<Uid>,
    /// How.
    pub op: FlagOp,
    /// System flags.
    pub flags: Flags,
    /// Keyword names (new ones get a bit).
    pub keywords: Vec<Box<str>>,
    /// Messages changed since are left alone and reported (RFC 7162 UNCHANGEDSINCE).
    pub unchanged_since: Option<ModSeq>,
}

/// What [`FlagChange`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagOp {
    /// FLAGS
    Set,
    /// +FLAGS
    Add,
    /// -FLAGS
    Remove,
}

/// What was done. Only a durable commit has one with `durable`.
#[derive(Debug)]
pub struct Receipt {
    /// One for each intent, in order.
    pub changes: Vec<Changed>,
    /// The proof; `None` for [`Urgency::Soon`].
    pub durable: Option<Durable>,
}

/// What one intent came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Deliver, Append.
    Delivered {
        /// Where.
        mailbox: MailboxId,
        /// Its validity.
        uid_validity: UidValidity,
        /// As what.
        uid: Uid,
    },
    /// Flags: the entries as they are now, and those that `unchanged_since` kept.
    Flags {
        /// Changed ones (or unchanged because they were so already), as they are now.
        entries: Arc<Vec<Entry>>,
        /// Those left alone.
        modified: Vec<Uid>,
    },
    /// Copy, Move: source and destination UIDs, pair by pair (COPYUID, RFC 4315).
    Copied {
        /// Of the destination.
        uid_validity: UidValidity,
        /// Pairs.
        uids: Vec<(Uid, Uid)>,
    },
    /// Expunge: what went.
    Expunged(Vec<Uid>),
    /// CreateMailbox.
    Mailbox(MailboxId),
    /// AddAccount.
    Account(AccountId),
    /// Enqueue.
    Queued(QueueId),
    /// Anything else.
    Done,
}
