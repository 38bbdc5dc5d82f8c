//! What routing, delivery and login hooks answer.

use crate::Refusal;

/// Who a recipient is.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// No opinion: the next plugin is asked, then aliases and accounts.
    Next,
    /// These addresses instead, each looked up as if it had been given.
    Rewrite(Vec<String>),
    /// 5xx.
    Reject(Refusal),
    /// 4xx.
    Tempfail(Refusal),
    /// Taken and dropped, with the reason.
    Discard(String),
}

/// Where mail for a domain goes.
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    /// No opinion: the next plugin is asked, then static routes and the DNS.
    Next,
    /// These, in order.
    Hops(Vec<NextHop>),
    /// Not before this time (Unix, milliseconds).
    Hold(u64),
    /// Given up: the sender is told.
    Bounce(Refusal),
}

/// Another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// Its name, or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What the connection must be.
    pub tls: TlsPolicy,
    /// Which of our addresses to call from.
    pub source_ip: Option<String>,
}

/// What a connection to another server must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsPolicy {
    /// Plaintext.
    None,
    /// TLS where it is offered (RFC 7435).
    Opportunistic,
    /// TLS, or nothing.
    Required,
}

/// What a delivery hook answers.
#[derive(Debug, Clone, PartialEq)]
pub enum DeliveryDecision {
    /// No opinion: the next plugin is asked, then it goes to INBOX.
    Next,
    /// Like this.
    Deliver(Delivery),
    /// This recipient does not take it.
    Reject(Refusal),
    /// Nobody gets it now: 4xx.
    Tempfail(Refusal),
    /// Nothing is kept; the reason.
    Discard(String),
}

/// Where a message goes for one local recipient.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivery {
    /// A copy in each; none: no copy is kept.
    pub placements: Vec<Placement>,
    /// A copy to each of these addresses.
    pub forward: Vec<String>,
    /// Reverse-path of what is forwarded; `None`: as it is.
    pub forward_as: Option<String>,
}

/// A mailbox and flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// `INBOX`, `Junk`, `Lists/rust`.
    pub mailbox: String,
    /// IMAP spelling.
    pub flags: Vec<String>,
}

impl DeliveryDecision {
    /// One copy, in this mailbox.
    pub fn to(mailbox: impl Into<String>) -> Self {
        let placement = Placement { mailbox: mailbox.into(), flags: Vec::new() };
        Self::Deliver(Delivery { placements: vec![placement], ..Delivery::default() })
    }
}

/// What becomes of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginDecision {
    /// No opinion.
    Next,
    /// Refused, as if the password were wrong; the reason is logged.
    Deny(String),
}

/// A login by any protocol, after the password was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// By which protocol.
    pub protocol: Protocol,
    /// The account, or what the client claimed.
    pub account: String,
    /// SASL mechanism, or `LOGIN`, `USER`.
    pub mechanism: String,
    /// The client.
    pub remote_ip: String,
    /// Whether TLS is there.
    pub has_tls: bool,
    /// Whether the password was right.
    pub has_succeeded: bool,
}

/// By which protocol a login comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// SMTP submission.
    Smtp,
    /// POP3.
    Pop3,
    /// IMAP.
    Imap,
}

/// What became of a message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What happened.
    pub kind: OutcomeKind,
    /// The message's name.
    pub id: String,
    /// MAIL FROM.
    pub sender: String,
    /// RCPT TO.
    pub recipient: String,
    /// The other server.
    pub remote: Option<String>,
    /// class, subject, detail (RFC 3463).
    pub status: (u8, u16, u16),
    /// What was said.
    pub text: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When (Unix, milliseconds).
    pub at_ms: u64,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeKind {
    /// Stored here.
    Stored,
    /// Another server has taken it.
    Delivered,
    /// Tried again later.
    Deferred,
    /// Given up, because it was refused.
    Bounced,
    /// Given up, because it took too long.
    Expired,
}

/// Something happened to messages of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxEvent {
    /// Whose.
    pub account: String,
    /// Which.
    pub mailbox: String,
    /// UIDs.
    pub uids: Vec<u32>,
    /// Their UIDVALIDITY.
    pub uid_validity: u32,
    /// What happened.
    pub change: MailboxChange,
}

/// What happened to messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxChange {
    /// New ones.
    Appended,
    /// Flags as they are now.
    FlagsChanged(Vec<String>),
    /// They are gone.
    Expunged,
}
