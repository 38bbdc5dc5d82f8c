//! What a session may do, and how much of it.

use std::time::Duration;

/// What a session may do.
#[derive(Debug, Clone)]
pub struct Config {
    /// Our name in the greeting and the last word.
    pub hostname: String,
    /// STLS is offered while there is no TLS yet.
    pub has_stls: bool,
    /// USER, PASS and AUTH work without TLS too (tests on loopback).
    pub allow_plaintext: bool,
    /// How much.
    pub limits: Limits,
}

impl Config {
    /// A session with STLS, logins over TLS only, and default limits.
    pub fn new(hostname: impl Into<String>) -> Self {
        Self { hostname: hostname.into(), has_stls: true, allow_plaintext: false, limits: Limits::default() }
    }
}

/// How much of everything; beside each stands what the peer is told.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// A command line without its CRLF, 1024: -ERR. RFC 2449 §4 asks for 255; passwords may be longer.
    pub command_octets_max: usize,
    /// A line of an AUTH exchange, 12288 as in SMTP (RFC 4954 §4): -ERR.
    pub auth_octets_max: usize,
    /// A line that does not end after so many octets, 65536: -ERR and the connection is closed.
    pub endless_line_octets: u64,
    /// Protocol errors and failed logins of a session, 10: -ERR and the connection is closed.
    pub errors_max: u32,
    /// Messages of a maildrop that a session shows, the oldest first, 1000000 (16 octets of memory each). The others come
    /// when these are removed.
    pub messages_max: usize,
    /// How much of a content is asked for at a time, 65536: what a session holds of a message.
    pub piece_octets_max: usize,
    /// The same for TOP, 8192: most header sections fit, and little is read in vain.
    pub top_piece_octets_max: usize,
    /// How long we wait for a whole command before the login, 3 minutes: closed without a word. RFC 1939 §3 wants ten,
    /// but who has not logged in has nothing to lose, and strangers' connections must not pile up (as Dovecot does).
    pub login_timeout: Duration,
    /// How long after it, 10 minutes, the least that RFC 1939 §3 allows: closed without a word, nothing removed.
    pub autologout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_octets_max: 1024,
            auth_octets_max: 12_288,
            endless_line_octets: 65_536,
            errors_max: 10,
            messages_max: 1_000_000,
            piece_octets_max: 65_536,
            top_piece_octets_max: 8192,
            login_timeout: Duration::from_mins(3),
            autologout: Duration::from_mins(10),
        }
    }
}
