//! Who we are, what the connection must be, how long we wait.

use std::fmt;
use std::time::Duration;

/// What a session is to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// Our name in EHLO.
    pub hostname: String,
    /// What the connection must be.
    pub tls: TlsUse,
    /// Who we are there; sent over TLS only.
    pub login: Option<Login>,
    /// How much, and how long.
    pub limits: Limits,
}

/// STARTTLS or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsUse {
    /// Not even when it is offered.
    Never,
    /// When it is offered (RFC 7435).
    IfOffered,
    /// Nothing is handed over without.
    Required,
}

/// A name and a password. `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Who.
    pub username: String,
    /// The secret.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// How much, and how long we wait; RFC 5321 §4.5.3.2 names the times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A line of a reply, 2048 octets (RFC 5321 §4.5.3.1.5 allows 512): a longer one ends the session.
    pub reply_octets_max: usize,
    /// Octets of a message asked for at a time, 65536.
    pub chunk_octets_max: usize,
    /// Recipients of a transaction, 100 (RFC 5321 §4.5.3.1.8: every server takes so many).
    pub recipients_max: usize,
    /// For the greeting, 5 minutes.
    pub greeting_timeout: Duration,
    /// For any reply but the next three, 5 minutes.
    pub command_timeout: Duration,
    /// For the reply to DATA, 2 minutes.
    pub data_timeout: Duration,
    /// For the reply to the end of data, 10 minutes.
    pub end_timeout: Duration,
    /// For the reply to QUIT, 10 seconds: nothing depends on it (RFC 5321 §4.1.1.10), and others may wait for our place.
    pub quit_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reply_octets_max: 2048,
            chunk_octets_max: 65_536,
            recipients_max: 100,
            greeting_timeout: Duration::from_mins(5),
            command_timeout: Duration::from_mins(5),
            data_timeout: Duration::from_mins(2),
            end_timeout: Duration::from_mins(10),
            quit_timeout: Duration::from_secs(10),
        }
    }
}
