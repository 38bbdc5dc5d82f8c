//! What the store answers.

use bytes::Bytes;
use maitred_mail::{AccountId, Address, MailboxId, Timestamp, Uid, UidValidity};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// Its address.
    pub address: Address,
    /// Octets used.
    pub used: u64,
    /// Octets allowed; `None`: no limit.
    pub quota: Option<u64>,
}

/// RFC 6154.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum SpecialUse {
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

/// A mailbox as LIST and STATUS want it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxRecord {
    /// Its number; `None` for a name without mailbox (a parent that was never created, a subscription).
    pub id: Option<MailboxId>,
    /// `INBOX`, or levels separated by `/`, UTF-8.
    pub name: Box<str>,
    /// RFC 6154.
    pub special_use: Option<SpecialUse>,
    /// LSUB.
    pub is_subscribed: bool,
    /// RFC 3501 §2.3.1.1.
    pub uid_validity: UidValidity,
    /// The next UID.
    pub uid_next: Uid,
    /// How many messages.
    pub messages: u32,
    /// How many without `\Seen`.
    pub unseen: u32,
    /// How many no session has been told as recent.
    pub recent: u32,
}

/// A message as FETCH and RETR want it (its flags are in the mailbox's snapshot).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRecord {
    /// Its UID.
    pub uid: Uid,
    /// INTERNALDATE.
    pub internal_date: Timestamp,
    /// RFC822.SIZE.
    pub octets: u64,
    /// Where its content is.
    pub body: BodyRef,
    /// What was computed at delivery; empty where it is large: [`crate::Store::summary`] has it in any case.
    pub summary: Bytes,
    /// Where a large one is: a page of records shall not hold many of them.
    pub(crate) large_summary: Option<Extent>,
}

/// Where a content is kept. Opaque outside of the store; give it to [`crate::Store::body`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyRef {
    /// Segment and offset of the head.
    pub(crate) head: Extent,
    /// The rest.
    pub(crate) tail: Extent,
    /// Octets at the start that are for local readers only.
    pub(crate) local_head: u32,
}

/// Octets in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) octets: u64,
}

/// What a plugin keeps.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TableRecord {
    /// Its configured name.
    pub plugin: String,
    /// Octets, counted as its limit is ([`maitred_policy::Space::octets_max`]).
    pub octets: u64,
    /// Keys.
    pub keys: u64,
}
