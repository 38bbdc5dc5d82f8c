//! From octets to commands: RFC 3501 §9, with the literals of RFC 7888.
//!
//! [`Reader`] collects a command with its literals and parses it when it is complete; a message that is appended passes
//! through. Invariants: at most [`Limits::command_octets_max`] and [`Limits::literal_octets_max`] are held; nothing of the
//! next command is taken before this one is handed out; only CRLF ends a line. Driven by the session.

mod commands;
mod cursor;
mod fetch;
mod reader;
mod search;
#[cfg(test)]
mod tests;

use crate::command::{Command, Tag};

pub use reader::{Input, Reader};

/// How much of everything; beside each stands what the client is told.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// All lines of a command together, 65536 (Dovecot's `imap_max_line_length`): BAD.
    pub command_octets_max: usize,
    /// All literals of a command together, but for the message of APPEND, 65536: NO \[TOOBIG\].
    pub literal_octets_max: usize,
    /// A line that is no command (AUTHENTICATE, IDLE), 12288: BAD.
    pub line_octets_max: usize,
    /// A message of APPEND, 50 MiB: NO \[TOOBIG\].
    pub message_octets_max: u64,
    /// How much of a message is handed on at a time, 65536.
    pub chunk_octets_max: usize,
    /// What is read away of a command that is refused already, 64 MiB: BYE, and the connection is closed.
    pub drain_octets_max: u64,
    /// Parentheses, NOT and OR of SEARCH inside one another, 50: BAD.
    pub nesting_max: usize,
    /// Search keys, fetch items, header fields, flags, patterns and the like of a command together, 5000: BAD.
    pub elements_max: usize,
    /// BODY, HEADER and TEXT keys of one SEARCH, 200, since each costs a look at every octet: BAD.
    pub texts_max: usize,
    /// Numbers and ranges in a set, 32768, which is as many as fit into a line: BAD.
    pub set_elements_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_octets_max: 65_536,
            literal_octets_max: 65_536,
            line_octets_max: 12_288,
            message_octets_max: 50 << 20,
            chunk_octets_max: 65_536,
            drain_octets_max: 64 << 20,
            nesting_max: 50,
            elements_max: 5_000,
            texts_max: 200,
            set_elements_max: 32_768,
        }
    }
}

/// Why octets are no command. The response to each is in [`crate::response`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The line does not begin with a tag.
    #[error("no tag")]
    Tag,
    /// No such command.
    #[error("unknown command")]
    Unknown,
    /// NUL, or CR or LF that end no line.
    #[error("illegal octets in command")]
    Octets,
    /// Something else was expected.
    #[error("expected {0}")]
    Syntax(&'static str),
    /// A system flag that there is not, or a keyword that is no atom.
    #[error("bad flag")]
    Flag,
    /// SEARCH in a charset other than US-ASCII and UTF-8, or with text that is not in its charset.
    #[error("bad charset")]
    Charset,
    /// A mailbox name that is no modified UTF-7, or has control characters.
    #[error("bad mailbox name")]
    Name,
    /// Too many of what is named, or too deep.
    #[error("too many {0}")]
    Limit(&'static str),
    /// A line longer than the limit.
    #[error("line too long")]
    LineTooLong,
    /// A literal, or all literals of a command, longer than the limit.
    #[error("literal too big")]
    LiteralTooBig,
    /// The command ends where the content of a literal should follow.
    #[error("literal without content")]
    LiteralMissing,
}

/// Parses one command: its lines without the last CRLF, each literal as `{octets}` CRLF content. APPEND ends with the
/// `{octets}` of its message.
///
/// # Errors
/// What is wrong with it, and the tag to say so if there is one.
pub fn parse(octets: &[u8], limits: &Limits) -> Result<Command, (Option<Tag>, ParseError)> {
    let mut cursor = cursor::Cursor::new(octets, limits);
    let tag = cursor.tag().map_err(|error| (None, error))?;
    if memchr::memchr(0, octets).is_some() {
        return Err((Some(tag), ParseError::Octets));
    }
    match commands::body(&mut cursor) {
        Ok(body) => Ok(Command { tag, body }),
        Err(error) => Err((Some(tag), error)),
    }
}

/// The tag at the beginning of a command that nobody parses further.
fn tag_of(octets: &[u8], limits: &Limits) -> Option<Tag> {
    cursor::Cursor::new(octets, limits).tag().ok()
}
