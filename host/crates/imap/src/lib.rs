//! IMAP4rev1 as values, without I/O: what clients say, what we answer, what a message looks like to them.
//!
//! RFC 3501, with RFC 2177 (IDLE), 2342 (NAMESPACE), 2971 (ID), 3348 (CHILDREN), 3691 (UNSELECT), 4315 (UIDPLUS),
//! 4959 (SASL-IR), 5161 (ENABLE), 5530 (response codes), 6154 (SPECIAL-USE), 6851 (MOVE) and 7888 (LITERAL+).
//! Driven by `net`; answered by `flow::read`.
#![deny(clippy::indexing_slicing)]

pub mod command;
pub mod fetch;
pub mod grammar;
pub mod name;
pub mod pattern;
pub mod response;
pub mod search;
pub mod session;
pub mod set;
pub mod view;

pub use command::{Body, Command, Tag};
pub use grammar::{Input, ParseError, Reader};
pub use response::Refusal;
pub use session::{Config, Event, Limits, Selection, Session};
pub use set::SequenceSet;
