//! Why the store did not do something.

use maitred_mail::{AccountId, Address, Class, EnhancedStatus, MailboxId};

/// Ordered by who must act.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such account.
    #[error("no account {0}")]
    NoAccount(Address),
    /// The account is gone.
    #[error("account {} is gone", .0.0)]
    AccountGone(AccountId),
    /// There is no mailbox of that name or number (any more).
    #[error("no such mailbox")]
    NoMailbox,
    /// A mailbox, account, domain or alias of that name exists already.
    #[error("{0} exists already")]
    Exists(String),
    /// The name cannot be one: empty, too long, control octets, or INBOX where that is not allowed.
    #[error("{0:?} is no legal name")]
    BadName(String),
    /// What is named is not there: a domain, an alias, a queue entry.
    #[error("no {0}")]
    Unknown(String),
    /// Something else still needs it: a domain with accounts, a mailbox with children.
    #[error("{0} is still in use")]
    InUse(String),
    /// An alias would lead back to itself.
    #[error("{0} would lead back to itself")]
    Looping(String),
    /// The mailbox has all the keywords it can have.
    #[error("too many keywords in mailbox {}", .0.0)]
    TooManyKeywords(MailboxId),
    /// The account's quota would be passed.
    #[error("over quota")]
    OverQuota(AccountId),
    /// The disk is full, or nearly so.
    #[error("the store is full")]
    Full,
    /// The disk failed, or the store is stopping: nothing was acknowledged.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// What is stored does not match its checksum.
    #[error("damaged: {0}")]
    Damaged(String),
}

impl Error {
    /// What a peer is told (RFC 3463).
    pub fn status(&self) -> EnhancedStatus {
        match self {
            Self::NoAccount(_) | Self::AccountGone(_) | Self::NoMailbox => EnhancedStatus::NO_SUCH_USER,
            Self::OverQuota(_) => EnhancedStatus::OVER_QUOTA,
            Self::Full => EnhancedStatus::SYSTEM_FULL,
            Self::BadName(_)
            | Self::Exists(_)
            | Self::Unknown(_)
            | Self::InUse(_)
            | Self::Looping(_)
            | Self::TooManyKeywords(_) => EnhancedStatus::new(Class::Permanent, 2, 0),
            Self::Unavailable(_) | Self::Damaged(_) => EnhancedStatus::TRY_LATER,
        }
    }
}
