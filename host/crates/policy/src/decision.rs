//! What a hook answers. A decision is a value: nothing changes before the call returned, so a plugin that traps has
//! changed nothing.

use bytes::Bytes;
use maitred_mail::{Address, EnhancedStatus, Recipient, ReversePath};

/// Why mail is refused, in the peer's words. The three-digit code follows from the status's class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// RFC 3463; class 4 or 5.
    pub status: EnhancedStatus,
    /// One line for people; printable, bounded.
    pub text: String,
}

/// What shall happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No opinion: the next plugin is asked.
    Next,
    /// Fine at this stage; later plugins of this stage are skipped.
    Accept,
    /// 5xx.
    Reject(Refusal),
    /// 4xx.
    Tempfail(Refusal),
    /// 250, but kept aside: delivered to the recipients' Junk. The text is the reason.
    Quarantine(String),
    /// 250, and dropped. The text is the reason.
    Discard(String),
    /// The reply, then the connection is closed.
    Disconnect(Refusal),
}

impl Verdict {
    /// As `wit/hooks.wit` and the logs name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Accept => "accept",
            Self::Reject(_) => "reject",
            Self::Tempfail(_) => "tempfail",
            Self::Quarantine(_) => "quarantine",
            Self::Discard(_) => "discard",
            Self::Disconnect(_) => "disconnect",
        }
    }
}

/// Where a header field goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderPosition {
    /// Above all others.
    First,
    /// Below all others.
    Last,
    /// Above the nth, counted from 0.
    At(u32),
}

/// A change that a plugin asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Adds a header field. The value has no line end that folding does not allow (the host checks).
    AddHeader {
        /// Field name.
        name: String,
        /// Unfolded value.
        value: Bytes,
        /// Where.
        position: HeaderPosition,
    },
    /// Changes the nth field of that name (from 0, top to bottom).
    ChangeHeader {
        /// Field name, any case.
        name: String,
        /// Which of them.
        nth: u32,
        /// New unfolded value.
        value: Bytes,
    },
    /// Removes the nth field of that name.
    RemoveHeader {
        /// Field name, any case.
        name: String,
        /// Which of them.
        nth: u32,
    },
    /// Removes every field of that name.
    RemoveAllHeaders(String),
    /// A new body.
    ReplaceBody(Bytes),
    /// A new reverse-path.
    SetSender(ReversePath),
    /// One more recipient.
    AddRecipient(Recipient),
    /// One recipient less.
    RemoveRecipient(Address),
    /// Others instead of one.
    ChangeRecipient {
        /// Who goes.
        old: Address,
        /// Who comes.
        new: Vec<Recipient>,
    },
    /// A weighted finding.
    Symbol {
        /// Its name.
        name: String,
        /// Its weight.
        score: f32,
        /// Why.
        detail: String,
    },
    /// Visible to later plugins and in logs: name, value.
    Tag(String, String),
    /// Deliver into this mailbox instead of INBOX.
    Place {
        /// `/` separates levels.
        mailbox: String,
        /// Flags and keywords in IMAP's spelling.
        flags: Vec<String>,
    },
    /// A flag or keyword in IMAP's spelling for the delivered message.
    AddFlag(String),
    /// Wait so many milliseconds before the reply; the host caps it.
    Delay(u32),
}

impl Edit {
    /// On one line, the same for the same edit.
    pub fn summary(&self) -> String {
        let text = |octets: &Bytes| String::from_utf8_lossy(octets).replace("\r\n", "");
        match self {
            Self::AddHeader { name, value, position } => {
                format!("add {name}: {} at {position:?}", text(value))
            }
            Self::ChangeHeader { name, nth, value } => format!("change {name}[{nth}]: {}", text(value)),
            Self::RemoveHeader { name, nth } => format!("remove {name}[{nth}]"),
            Self::RemoveAllHeaders(name) => format!("remove all {name}"),
            Self::ReplaceBody(body) => format!("body of {} octets", body.len()),
            Self::SetSender(path) => format!("sender {path}"),
            Self::AddRecipient(to) => format!("add {}", to.address),
            Self::RemoveRecipient(address) => format!("remove {address}"),
            Self::ChangeRecipient { old, new } => {
                let new: Vec<String> = new.iter().map(|to| to.address.to_string()).collect();
                format!("{old} becomes {}", new.join(", "))
            }
            Self::Symbol { name, score, detail } => format!("symbol {name} {score} {detail}"),
            Self::Tag(name, value) => format!("tag {name}={value}"),
            Self::Place { mailbox, flags } => format!("place {mailbox:?} ({})", flags.join(" ")),
            Self::AddFlag(flag) => format!("flag {flag}"),
            Self::Delay(milliseconds) => format!("delay {milliseconds} ms"),
        }
    }
}

/// What one plugin answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What shall happen.
    pub verdict: Verdict,
    /// What shall change.
    pub edits: Vec<Edit>,
}

impl Decision {
    /// No opinion, no change.
    pub fn next() -> Self {
        Self { verdict: Verdict::Next, edits: Vec::new() }
    }
}
