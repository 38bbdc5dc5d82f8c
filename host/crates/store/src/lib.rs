//! The store: accounts, mailboxes, messages and the queue.
//!
//! An append-only, checksummed segment log is the truth; one group commit (one write, one fdatasync) makes the work of
//! many sessions durable; the index (sled) is applied after the log and can be rebuilt from it. See `docs/store.md`.

mod credentials;
pub mod error;
pub mod intent;
mod model;
pub mod record;
pub mod spool;
mod store;

pub use error::Error;
pub use intent::{Batch, Changed, FlagChange, FlagOp, Intent, NewBody, Receipt, Urgency};
pub use record::{Account, BodyRef, MailboxRecord, MessageRecord, SpecialUse};
pub use spool::Draft;
pub use store::{Faults, Store, Watch};
