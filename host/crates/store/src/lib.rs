//! The store: accounts, mailboxes, messages and the queue.
//!
//! An append-only, checksummed segment log is the truth; one group commit (one write, one fdatasync) makes the work of
//! many sessions durable; the index (sled) is applied after the log and can be rebuilt from it. See `docs/store.md`.

pub mod error;
pub mod intent;
pub mod record;

pub use error::Error;
pub use intent::{Batch, Changed, FlagChange, FlagOp, Intent, NewBody, Receipt, Urgency};
pub use record::{Account, BodyRef, MailboxRecord, MessageRecord, SpecialUse};
