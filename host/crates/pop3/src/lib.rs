//! POP3 as a value: the server's side of a session, without I/O.
//!
//! RFC 1939 (POP3), RFC 2449 (CAPA, PIPELINING, response codes), RFC 2595 (STLS), RFC 3206 (SYS and AUTH response codes),
//! RFC 5034 (AUTH). Driven by `net`, answered by `flow::read::pop3`. APOP is not offered: it needs passwords in the clear
//! on our disk.
//!
//! Invariants: one command is read at a time, and no further one until the question it raised is answered and its
//! response is sent, so responses are in order however much a client pipelines; nothing is removed but by QUIT in the
//! TRANSACTION state, and a "+OK" to a QUIT that removes messages needs a [`maitred_mail::Durable`]; contents pass
//! through piece by piece; nothing said in plaintext outlives STLS.
#![deny(clippy::indexing_slicing)]

mod command;
mod config;
mod maildrop;
mod response;
mod retrieval;
mod session;

pub use config::{Config, Limits};
pub use maildrop::Maildrop;
pub use response::{Refusal, TURNED_AWAY};
pub use session::{Event, Session};
