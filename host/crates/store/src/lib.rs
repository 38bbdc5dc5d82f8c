//! The store: accounts, mailboxes, messages, the queue, plugins' tables.
//!
//! An append-only, checksummed segment log is the truth; one group commit (one write, one fdatasync) makes the work of
//! many sessions durable; the index (sled) is applied after the log and can be rebuilt from it. See `docs/store.md`.
//!
//! ```text
//! commit ─▶ committer: plan ─▶ log (write, fdatasync) ─▶ view (readers see it) ─▶ answer
//!                                                          └─▶ applier ─▶ index, checkpointed now and then
//! ```

mod apply;
mod body;
mod changes;
mod check;
mod codec;
mod coming;
mod commit;
mod config;
mod credentials;
pub mod error;
mod index;
pub mod intent;
mod keys;
mod log;
mod open;
mod plan;
pub mod record;
mod room;
mod shared;
mod spool;
mod store;
mod tables;
mod view;

pub use check::{Checked, Damage};
pub use coming::Coming;
pub use config::Config;
pub use error::Error;
pub use intent::{Batch, Changed, FlagChange, FlagOp, Intent, NewBody, Receipt, TableCells, Urgency};
pub use open::Opened;
pub use record::{Account, BodyRef, MailboxRecord, MessageRecord, SpecialUse, TableRecord};
pub use shared::Stats;
pub use spool::Draft;
pub use store::{Faults, Store, Watch};
pub use tables::Tables;
