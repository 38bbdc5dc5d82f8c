//! The server side of a session: SMTP, submission and LMTP.
//!
//! RFC 5321 (SMTP), RFC 6409 (submission), RFC 2033 (LMTP), RFC 2920 (pipelining), RFC 3207 (STARTTLS), RFC 4954 (AUTH).
//! Driven by `net`, answered by `flow::receive`.
//!
//! Invariants: one command is read at a time, and no further one until the question it raised is answered, so replies
//! are in order however much a client pipelines; no 250 to the end of data without a [`maitred_mail::Durable`], but for
//! messages that policy dropped; a bare CR or LF never ends anything; nothing said in plaintext outlives STARTTLS.

mod config;
mod data;
mod session;
mod state;

pub use config::{Config, Limits, Mode};
pub use session::{Event, Session, Settled};
