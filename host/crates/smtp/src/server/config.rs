//! What a session may do, and how much of it.

use std::time::Duration;

/// Which protocol a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// RFC 2033: from a server beside us; a reply for each recipient.
    Lmtp,
    /// RFC 5321: from anywhere, to us.
    Smtp,
    /// RFC 6409: from our users, to anywhere, after AUTH.
    Submission,
}

impl Mode {
    /// What the greeting calls it.
    pub(super) fn greeting(self) -> &'static str {
        match self {
            Self::Lmtp => "LMTP",
            Self::Smtp | Self::Submission => "ESMTP",
        }
    }
}

/// What a session may do.
#[derive(Debug, Clone)]
pub struct Config {
    /// The protocol.
    pub mode: Mode,
    /// Our name in the greeting and in the replies to EHLO and QUIT.
    pub hostname: String,
    /// STARTTLS is offered while there is no TLS yet.
    pub has_starttls: bool,
    /// AUTH is offered, over TLS.
    pub has_auth: bool,
    /// AUTH is offered without TLS too (tests on loopback).
    pub allow_plaintext: bool,
    /// How much.
    pub limits: Limits,
}

impl Config {
    /// A session of this kind with STARTTLS, default limits, and AUTH for submission only.
    pub fn new(mode: Mode, hostname: impl Into<String>) -> Self {
        Self {
            mode,
            hostname: hostname.into(),
            has_starttls: true,
            has_auth: mode == Mode::Submission,
            allow_plaintext: false,
            limits: Limits::default(),
        }
    }
}

/// How much of everything; beside each stands what the peer is told.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// A command line without its CRLF, 2048: 500 5.5.2. RFC 5321 §4.5.3.1.4 asks for 512 and more for each extension.
    pub command_octets_max: usize,
    /// A line of an AUTH exchange, 12288 (RFC 4954 §4): 501 5.5.2.
    pub auth_octets_max: usize,
    /// A command line that does not end after so many octets, 65536: 421 and the connection is closed.
    pub endless_line_octets: u64,
    /// A line of a message with its CRLF, 65536: 550 5.6.0. RFC 5321 §4.5.3.1.6 says 1000; more is common and harmless.
    pub text_line_octets_max: usize,
    /// How much of a message is handed on at a time, 65536 (never more than a text line may have).
    pub chunk_octets_max: usize,
    /// A message, 50 MiB: 552 5.3.4.
    pub message_octets_max: u64,
    /// What is read away of a message that is refused already, 64 MiB; then the connection is closed.
    pub drain_octets_max: u64,
    /// Recipients of a transaction, 1000: 452 4.5.3.
    pub recipients_max: usize,
    /// Refused MAIL, RCPT and DATA commands of a session, 200: 421 4.7.0.
    pub refusals_max: u32,
    /// Protocol errors and failed logins of a session, 10: 421 4.7.0.
    pub errors_max: u32,
    /// NOOP, RSET, VRFY and the like without a message between them, 200: each further one is an error.
    pub idle_commands_max: u32,
    /// Transactions of a session, 10000: 421 4.7.0.
    pub transactions_max: u32,
    /// How long we wait for a whole command, 5 minutes (RFC 5321 §4.5.3.2.7): 421 4.4.2. Not renewed by single octets.
    pub command_timeout: Duration,
    /// How long we wait for [`Limits::data_octets_min`] octets of a message, 5 minutes: 421 4.4.2.
    pub data_timeout: Duration,
    /// What has to arrive of a message in each `data_timeout`, 4096 octets.
    pub data_octets_min: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_octets_max: 2048,
            auth_octets_max: 12_288,
            endless_line_octets: 65_536,
            text_line_octets_max: 65_536,
            chunk_octets_max: 65_536,
            message_octets_max: 50 << 20,
            drain_octets_max: 64 << 20,
            recipients_max: 1000,
            refusals_max: 200,
            errors_max: 10,
            idle_commands_max: 200,
            transactions_max: 10_000,
            command_timeout: Duration::from_mins(5),
            data_timeout: Duration::from_mins(5),
            data_octets_min: 4096,
        }
    }
}
