//! The client side of a session: greeting to QUIT, with any number of transactions between.
//!
//! RFC 5321 (SMTP), RFC 1870 (SIZE), RFC 2920 (pipelining), RFC 3207 (STARTTLS), RFC 4954 (AUTH), RFC 6152 (8BITMIME),
//! RFC 6531 (SMTPUTF8). Driven by `net`, answered by `flow::relay`.
//!
//! Invariants: no bare CR or LF is ever sent, and no line of a message is taken for its end; nothing that a server said in
//! plaintext outlives STARTTLS; each recipient of a letter gets exactly one [`Fate`], unless the connection breaks.

mod config;
mod content;
mod session;
mod state;

pub use config::{Config, Limits, Login, TlsUse};
pub use session::{Event, Failure, Fate, Letter, Session};
