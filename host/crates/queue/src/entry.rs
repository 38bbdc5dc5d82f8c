//! What the queue keeps of a message that is not delivered yet.

use maitred_mail::{EnhancedStatus, MailParameters, MessageId, Recipient, ReversePath, Timestamp};

/// A queue entry's number: never reused; printed as [`MessageId`] is.
pub type QueueId = MessageId;

/// One message on its way to recipients elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Entry {
    /// Who is told of failures.
    pub reverse_path: ReversePath,
    /// The parameters that MAIL came with.
    pub parameters: MailParameters,
    /// Every recipient that has not been settled when the entry was last written, and those settled by failure
    /// whose DSN is not yet sent.
    pub recipients: Vec<QueuedRecipient>,
    /// When it was accepted.
    pub accepted: Timestamp,
    /// Attempts made so far: those of the recipient that was tried most often.
    pub attempts: u32,
    /// Not before this moment; [`State::Deferred`] may say later for single recipients.
    pub due: Timestamp,
    /// Kept back by the operator until released.
    pub is_held: bool,
    /// A delay warning has been sent.
    pub is_warned: bool,
}

/// One recipient of an entry.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct QueuedRecipient {
    /// Where it goes, and what it was called first.
    pub recipient: Recipient,
    /// How it stands.
    pub state: State,
}

/// How one recipient stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum State {
    /// Not tried yet.
    Fresh,
    /// Tried without success that lasts: kept.
    Deferred {
        /// Why, RFC 3463.
        status: EnhancedStatus,
        /// The host that said so, if one did.
        remote: Option<String>,
        /// Its reply, or our own words.
        text: String,
        /// Attempts made for this recipient.
        attempts: u32,
        /// When this recipient is tried again.
        due: Timestamp,
    },
}
