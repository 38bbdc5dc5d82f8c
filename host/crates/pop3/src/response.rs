//! Responses: every status indicator, response code and text of ours is written here.
//!
//! RFC 1939 §3; RFC 2449 §6 (capabilities) and §8 (response codes); RFC 3206 (SYS, AUTH).
//! Invariant: a line has at most 512 octets with its CRLF (RFC 1939 §3), whatever the hostname is.

use maitred_wire::sasl::Mechanism;

use crate::command::CommandError;

/// What a client is told for whom there is no room, before any session.
pub const TURNED_AWAY: &[u8] = b"-ERR [SYS/TEMP] Too many connections, try again later\r\n";

/// Why something is refused, as flow says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Another session holds the maildrop (RFC 2449 §8.1.1).
    InUse,
    /// Wrong name or password; which of them is not said.
    WrongLogin,
    /// Too many wrong logins; the password may be right, so that no client shall ask its user for another one.
    TooManyLogins,
    /// The message is gone.
    NoMessage,
    /// We cannot now.
    Temporary,
    /// We cannot until someone mends it.
    Permanent,
}

/// A response, or the first line of one.
#[derive(Debug)]
pub(crate) enum Response<'a> {
    Greeting {
        hostname: &'a str,
    },
    /// The name is taken down; whether there is such a mailbox is not said.
    GoOn,
    LoggedIn {
        messages: usize,
        octets: u64,
    },
    Challenge {
        base64: &'a str,
    },
    StartTls,
    Stat {
        messages: usize,
        octets: u64,
    },
    /// Lines follow.
    Listing {
        messages: usize,
        octets: u64,
    },
    Listed {
        number: u32,
        octets: u64,
    },
    /// Lines follow.
    UniqueIds,
    UniqueId {
        number: u32,
        unique_id: &'a str,
    },
    /// A message follows.
    Content {
        octets: u64,
    },
    /// The top of a message follows.
    Top,
    Marked {
        number: u32,
    },
    Reset {
        messages: usize,
        octets: u64,
    },
    Ok,
    Bye {
        hostname: &'a str,
    },

    Refused(Refusal),
    /// QUIT could not remove what was marked.
    NotRemoved(Refusal),
    NotUnderstood(CommandError),
    LineTooLong,
    BareLineEnd,
    TooManyErrors,
    LogInFirst,
    LoggedInAlready,
    UserFirst,
    EncryptionRequired,
    UnknownMechanism,
    AuthenticationCancelled,
    AuthenticationMalformed,
    TlsUpAlready,
    NoTls,
    /// Octets came behind STLS, in plaintext.
    Injected,
    Stopping,
    /// Our own fault.
    Broken,
}

impl Response<'_> {
    /// Appends the line with its CRLF.
    pub(crate) fn print(&self, out: &mut Vec<u8>) {
        let line = self.line();
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    fn line(&self) -> String {
        match self {
            Self::Greeting { hostname } => format!("+OK {} POP3 ready", short(hostname)),
            Self::GoOn => "+OK Now the password".to_owned(),
            Self::LoggedIn { messages, octets } => format!("+OK {messages} messages ({octets} octets)"),
            Self::Challenge { base64 } => format!("+ {base64}"),
            Self::StartTls => "+OK Begin TLS negotiation".to_owned(),
            Self::Stat { messages, octets } => format!("+OK {messages} {octets}"),
            Self::Listing { messages, octets } | Self::Reset { messages, octets } => {
                format!("+OK {messages} messages ({octets} octets)")
            }
            Self::Listed { number, octets } => format!("+OK {number} {octets}"),
            Self::UniqueIds => "+OK Unique-ids follow".to_owned(),
            Self::UniqueId { number, unique_id } => format!("+OK {number} {unique_id}"),
            Self::Content { octets } => format!("+OK {octets} octets"),
            Self::Top => "+OK Top of the message follows".to_owned(),
            Self::Marked { number } => format!("+OK Message {number} deleted"),
            Self::Ok => "+OK".to_owned(),
            Self::Bye { hostname } => format!("+OK {} POP3 signing off", short(hostname)),
            Self::Refused(refusal) => refusal.line().to_owned(),
            Self::NotRemoved(refusal) => {
                let code = if *refusal == Refusal::Permanent { "SYS/PERM" } else { "SYS/TEMP" };
                format!("-ERR [{code}] Deleted messages were not removed")
            }
            Self::NotUnderstood(CommandError::Usage(usage)) => format!("-ERR Expected: {usage}"),
            _ => self.error().to_owned(),
        }
    }

    /// Those that are always the same.
    fn error(&self) -> &'static str {
        match self {
            Self::NotUnderstood(CommandError::NotText) => "-ERR Neither ASCII nor UTF-8",
            Self::NotUnderstood(_) => "-ERR Unknown command",
            Self::LineTooLong => "-ERR Line too long",
            Self::BareLineEnd => "-ERR Lines end with CR and LF",
            Self::TooManyErrors => "-ERR Too many errors, good bye",
            Self::LogInFirst => "-ERR Log in first",
            Self::LoggedInAlready => "-ERR Logged in already",
            Self::UserFirst => "-ERR Say USER first",
            Self::EncryptionRequired => "-ERR Encryption required: say STLS first, or connect with TLS",
            Self::UnknownMechanism => "-ERR Unknown mechanism",
            Self::AuthenticationCancelled => "-ERR Authentication cancelled",
            Self::AuthenticationMalformed => "-ERR Malformed authentication exchange",
            Self::TlsUpAlready => "-ERR TLS is up already",
            Self::NoTls => "-ERR TLS is not offered here",
            Self::Injected => "-ERR Octets behind STLS, good bye",
            Self::Stopping => "-ERR [SYS/TEMP] The server stops, come back later",
            _ => "-ERR [SYS/TEMP] Local error in processing",
        }
    }
}

impl Refusal {
    fn line(self) -> &'static str {
        match self {
            Self::InUse => "-ERR [IN-USE] Another session holds this maildrop",
            Self::WrongLogin => "-ERR [AUTH] Wrong name or password",
            Self::TooManyLogins => "-ERR [SYS/TEMP] Too many failed logins, try again later",
            Self::NoMessage => "-ERR No such message",
            Self::Temporary => "-ERR [SYS/TEMP] Not available now, try again later",
            Self::Permanent => "-ERR [SYS/PERM] Not available",
        }
    }
}

/// What CAPA shows depends on these.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer {
    /// STLS.
    pub(crate) may_start_tls: bool,
    /// USER and SASL.
    pub(crate) may_log_in: bool,
}

/// RFC 2449 §5: what we can, as a whole multi-line response. The same in both states (RFC 2449 §6 allows no difference
/// for most), but for what needs TLS.
pub(crate) fn print_capabilities(offer: Offer, out: &mut Vec<u8>) {
    let mut lines = vec!["+OK Capabilities follow".to_owned(), "TOP".to_owned(), "UIDL".to_owned()];
    if offer.may_log_in {
        lines.push("USER".to_owned());
        lines.push(format!("SASL {}", Mechanism::ALL.map(|(_, name)| name).join(" ")));
    }
    if offer.may_start_tls {
        lines.push("STLS".to_owned());
    }
    let others =
        ["RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER", "IMPLEMENTATION maitred", "."];
    lines.extend(others.map(str::to_owned));
    for line in lines {
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// One line of LIST.
pub(crate) fn print_listed(number: u32, octets: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{number} {octets}\r\n").as_bytes());
}

/// One line of UIDL.
pub(crate) fn print_unique_id(number: u32, unique_id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{number} {unique_id}\r\n").as_bytes());
}

/// What ends a multi-line response that has no dots to stuff.
pub(crate) const END_OF_LINES: &[u8] = b".\r\n";

/// A hostname that fits into a line.
fn short(hostname: &str) -> String {
    hostname.chars().filter(char::is_ascii_graphic).take(255).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_line_fits() {
        let mut out = Vec::new();
        Response::Greeting { hostname: &"h\r\né".repeat(1000) }.print(&mut out);
        assert!(out.len() <= 512 && out.is_ascii());
        assert_eq!(out.iter().filter(|octet| **octet == b'\n').count(), 1);
    }
}
