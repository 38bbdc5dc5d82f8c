//! The words of mail: what every room of maitred speaks, with no I/O.
//!
//! A value that exists here is legal: wire text becomes one of these types once, at the edge.
#![deny(clippy::indexing_slicing)]

pub mod address;
pub mod body;
pub mod directory;
pub mod dns;
pub mod envelope;
pub mod header;
pub mod mailbox;
pub mod mime;
pub mod proof;
pub mod status;
pub mod time;
pub mod transfer;

pub use address::{Address, AddressError, Domain, ForwardPath, LocalPart, ReversePath};
pub use body::{Body, BodyError};
pub use directory::{AccountId, Directory, Resolved};
pub use envelope::{BodyType, Envelope, MailParameters, MessageId, Recipient};
pub use mailbox::{Entry, Flags, Keywords, MailboxId, ModSeq, Seq, Snapshot, Uid, UidValidity};
pub use proof::{Authenticated, Durable};
pub use status::{Class, EnhancedStatus};
pub use time::Timestamp;
