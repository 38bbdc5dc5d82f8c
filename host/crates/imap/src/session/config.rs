//! What a session may do, and how much of it.

use std::time::Duration;

use crate::grammar;

/// What a session may do.
#[derive(Debug, Clone)]
pub struct Config {
    /// Our name in the greeting.
    pub hostname: String,
    /// STARTTLS is offered while there is no TLS yet.
    pub has_starttls: bool,
    /// Passwords are taken without TLS too (tests on loopback).
    pub allow_plaintext: bool,
    /// How much.
    pub limits: Limits,
}

impl Config {
    /// A session with STARTTLS and default limits.
    pub fn new(hostname: impl Into<String>) -> Self {
        Self {
            hostname: hostname.into(),
            has_starttls: true,
            allow_plaintext: false,
            limits: Limits::default(),
        }
    }
}

/// How much of everything; beside each stands what the peer is told.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Of a command.
    pub grammar: grammar::Limits,
    /// A command before the login, and each line of AUTHENTICATE, 12288 octets: BAD.
    pub unauthenticated_octets_max: usize,
    /// How much of an answer is made at a time, 65536 octets: not seen by the peer.
    pub page_octets: usize,
    /// Commands that are not understood, and failed logins, without one between them that makes sense after the login,
    /// 20: BYE.
    pub errors_max: u32,
    /// How long the client may take to log in, 3 minutes: BYE.
    pub login_timeout: Duration,
    /// How long the client may say nothing after that, 30 minutes, IDLE included (RFC 3501 §5.4: not less): BYE.
    pub autologout: Duration,
    /// How long the client may say nothing in the middle of a command, 5 minutes: BYE.
    pub command_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            grammar: grammar::Limits::default(),
            unauthenticated_octets_max: 12_288,
            page_octets: 65_536,
            errors_max: 20,
            login_timeout: Duration::from_mins(3),
            autologout: Duration::from_mins(30),
            command_timeout: Duration::from_mins(5),
        }
    }
}

impl Limits {
    /// Of commands before the login.
    pub(super) fn unauthenticated(&self) -> grammar::Limits {
        let octets_max = self.unauthenticated_octets_max;
        grammar::Limits {
            command_octets_max: self.grammar.command_octets_max.min(octets_max),
            literal_octets_max: self.grammar.literal_octets_max.min(octets_max),
            line_octets_max: self.grammar.line_octets_max.min(octets_max),
            ..self.grammar.clone()
        }
    }
}
