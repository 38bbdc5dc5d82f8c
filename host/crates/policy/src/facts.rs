//! What a hook is told: plain values, one crossing each. The words of `wit/types.wit`.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use maitred_mail::mime::Structure;
use maitred_mail::{
    Address, Body, Domain, EnhancedStatus, Envelope, MessageId, Recipient, ReversePath, Timestamp,
};

use crate::answer::Hop;
use crate::authentication::{Findings, Original};

/// The points at which a plugin can be asked, in the order of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// A client connected.
    Connect,
    /// HELO, EHLO or LHLO.
    Helo,
    /// After credentials were checked.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT, for a recipient we would take.
    Rcpt,
    /// The header section is in, the body is not.
    Headers,
    /// The whole message, before the reply to the end of data.
    Message,
    /// The session ended. No answer.
    Disconnect,
    /// RCPT, before aliases and accounts are looked at.
    Resolve,
    /// An attempt to pass mail on begins.
    Route,
    /// Before a message is stored for one local recipient.
    Deliver,
    /// What became of mail. No answer.
    Outcome,
    /// A login by any protocol.
    Login,
    /// What happened in mailboxes. No answer.
    Mailbox,
    /// From time to time. No answer.
    Tick,
}

impl Hook {
    /// Each of them.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::Helo,
        Self::Auth,
        Self::Mail,
        Self::Rcpt,
        Self::Headers,
        Self::Message,
        Self::Disconnect,
        Self::Resolve,
        Self::Route,
        Self::Deliver,
        Self::Outcome,
        Self::Login,
        Self::Mailbox,
        Self::Tick,
    ];

    /// As configuration, logs and metrics spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Helo => "helo",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Headers => "headers",
            Self::Message => "message",
            Self::Disconnect => "disconnect",
            Self::Resolve => "resolve",
            Self::Route => "route",
            Self::Deliver => "deliver",
            Self::Outcome => "outcome",
            Self::Login => "login",
            Self::Mailbox => "mailbox",
            Self::Tick => "tick",
        }
    }

    /// It is only told: nobody waits for what it says.
    pub fn is_event(self) -> bool {
        matches!(self, Self::Disconnect | Self::Outcome | Self::Mailbox | Self::Tick)
    }
}

/// Where a session came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From another server (or by LMTP).
    Inbound,
    /// From a user's client.
    Submission,
    /// Made by maitred itself.
    Internal,
}

/// TLS of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// Such as `TLSv1.3`.
    pub version: String,
    /// Such as `TLS_AES_128_GCM_SHA256`.
    pub cipher: String,
    /// The name the client asked for.
    pub server_name: Option<String>,
}

/// Both ends of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The client.
    pub remote: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
}

/// Who logged in, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginFacts {
    /// SASL mechanism.
    pub mechanism: String,
    /// The account's address, or what the client claimed when it failed.
    pub identity: String,
    /// Whether the credentials were right.
    pub has_succeeded: bool,
}

/// Everything known of the session so far.
#[derive(Debug, Clone)]
pub struct SessionFacts {
    /// The session's name in logs and traces.
    pub id: String,
    /// The listener's protocol: `smtp`, `submission`, `submissions`, `lmtp`.
    pub listener: String,
    /// Where it came in.
    pub direction: Direction,
    /// Both ends.
    pub peer: Peer,
    /// What the client said in HELO or EHLO.
    pub helo: Option<String>,
    /// TLS, if any.
    pub tls: Option<TlsFacts>,
    /// The login, if any.
    pub login: Option<LoginFacts>,
    /// True when this client may send to domains that are not ours.
    pub may_relay: bool,
    /// MAIL to the end of data, if it goes on.
    pub transaction: Option<TransactionFacts>,
    /// When it began.
    pub started: Timestamp,
    /// What a plugin noted for the length of this session.
    pub notes: Notes,
    /// What was found about where its mail comes from.
    pub findings: Findings,
}

/// MAIL to the end of data.
#[derive(Debug, Clone)]
pub struct TransactionFacts {
    /// The message's name in logs and traces.
    pub id: MessageId,
    /// MAIL FROM.
    pub reverse_path: ReversePath,
    /// What the client said in SIZE (RFC 1870), octets.
    pub size: Option<u64>,
    /// RCPT TO, as far as they were taken.
    pub recipients: Arc<Vec<Recipient>>,
}

impl SessionFacts {
    /// For what this server does by itself: there is no client.
    pub fn internal(now: Timestamp) -> Self {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Self {
            id: String::new(),
            listener: "internal".to_owned(),
            direction: Direction::Internal,
            peer: Peer { remote: nowhere, local: nowhere },
            helo: None,
            tls: None,
            login: None,
            may_relay: true,
            transaction: None,
            started: now,
            notes: Notes::default(),
            findings: Findings::default(),
        }
    }
}

/// Scratch space of plugins for one session: (plugin, key) → octets. Bounded by the plugin host.
pub type Notes = Arc<std::sync::Mutex<std::collections::BTreeMap<(String, String), Vec<u8>>>>;

/// A message as plugins see it: read lazily, never changed; changes are edits in the decision.
#[derive(Clone)]
pub struct MessageFacts {
    /// Also in logs.
    pub id: MessageId,
    /// The envelope as it is now.
    pub envelope: Arc<Envelope>,
    /// The header section with its line ends, without the empty line, as it is now (a later plugin sees what an earlier one changed).
    pub head: Bytes,
    /// What follows the empty line. Empty and unread at [`Hook::Headers`].
    pub body: Arc<dyn Body>,
    /// What head, empty line and body are made of, where that was found while they came; nobody takes them apart again then.
    pub structure: Option<Arc<Structure>>,
    /// As it came, where plugins may have made something else of it.
    pub original: Option<Original>,
    /// Findings of plugins that ran earlier: name, score.
    pub symbols: Vec<(String, f32)>,
    /// Tags of plugins that ran earlier: name, value.
    pub tags: Vec<(String, String)>,
}

/// What became of a message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeFacts {
    /// What happened.
    pub kind: OutcomeKind,
    /// The message's name.
    pub id: MessageId,
    /// MAIL FROM.
    pub reverse_path: ReversePath,
    /// RCPT TO.
    pub recipient: Address,
    /// The other server; `None`: this one.
    pub remote: Option<String>,
    /// RFC 3463.
    pub status: EnhancedStatus,
    /// What was said.
    pub text: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When.
    pub at: Timestamp,
}

/// What happened to a message.
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

/// By which protocol somebody logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginProtocol {
    /// SMTP.
    Smtp,
    /// POP3.
    Pop3,
    /// IMAP.
    Imap,
}

/// A login by any protocol, after the password was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginAttempt {
    /// By which protocol.
    pub protocol: LoginProtocol,
    /// Who, and how.
    pub login: LoginFacts,
    /// The client.
    pub remote: std::net::IpAddr,
    /// Whether TLS is there.
    pub has_tls: bool,
}

/// Something happened to messages of one mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxFacts {
    /// Whose.
    pub account: Address,
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
    /// Flags and keywords as they are now.
    FlagsChanged(Vec<String>),
    /// They are gone.
    Expunged,
}

/// One question to a plugin.
#[derive(Clone, Copy)]
pub enum HookCall<'a> {
    /// [`Hook::Connect`]
    Connect,
    /// [`Hook::Helo`] with the client's name.
    Helo(&'a str),
    /// [`Hook::Auth`]
    Auth(&'a LoginFacts),
    /// [`Hook::Mail`]
    Mail(&'a ReversePath),
    /// [`Hook::Rcpt`]
    Rcpt(&'a ReversePath, &'a Recipient),
    /// [`Hook::Headers`]
    Headers(&'a MessageFacts),
    /// [`Hook::Message`]
    Message(&'a MessageFacts),
    /// [`Hook::Disconnect`]
    Disconnect,
    /// [`Hook::Resolve`]
    Resolve(&'a ReversePath, &'a Address),
    /// [`Hook::Route`] with what static routes or the DNS say.
    Route(&'a MessageFacts, &'a Domain, &'a [Hop]),
    /// [`Hook::Deliver`] with the address of the account that the recipient leads to.
    Deliver(&'a MessageFacts, &'a Recipient, &'a Address),
    /// [`Hook::Outcome`]
    Outcomes(&'a [OutcomeFacts]),
    /// [`Hook::Login`]
    Login(&'a LoginAttempt),
    /// [`Hook::Mailbox`]
    Mailbox(&'a [MailboxFacts]),
    /// [`Hook::Tick`]
    Tick,
}

impl HookCall<'_> {
    /// Which hook this is.
    pub fn hook(&self) -> Hook {
        match self {
            Self::Connect => Hook::Connect,
            Self::Helo(_) => Hook::Helo,
            Self::Auth(_) => Hook::Auth,
            Self::Mail(_) => Hook::Mail,
            Self::Rcpt(..) => Hook::Rcpt,
            Self::Headers(_) => Hook::Headers,
            Self::Message(_) => Hook::Message,
            Self::Disconnect => Hook::Disconnect,
            Self::Resolve(..) => Hook::Resolve,
            Self::Route(..) => Hook::Route,
            Self::Deliver(..) => Hook::Deliver,
            Self::Outcomes(_) => Hook::Outcome,
            Self::Login(_) => Hook::Login,
            Self::Mailbox(_) => Hook::Mailbox,
            Self::Tick => Hook::Tick,
        }
    }

    /// The same, to be asked again later.
    pub fn to_question(self) -> Question {
        match self {
            Self::Connect => Question::Connect,
            Self::Helo(name) => Question::Helo(name.to_owned()),
            Self::Auth(login) => Question::Auth(login.clone()),
            Self::Mail(path) => Question::Mail(path.clone()),
            Self::Rcpt(path, to) => Question::Rcpt(path.clone(), to.clone()),
            Self::Headers(facts) => Question::Headers(facts.clone()),
            Self::Message(facts) => Question::Message(facts.clone()),
            Self::Disconnect => Question::Disconnect,
            Self::Resolve(path, to) => Question::Resolve(path.clone(), to.clone()),
            Self::Route(facts, domain, hops) => Question::Route(facts.clone(), domain.clone(), hops.to_vec()),
            Self::Deliver(facts, to, account) => {
                Question::Deliver(facts.clone(), to.clone(), account.clone())
            }
            Self::Outcomes(outcomes) => Question::Outcomes(outcomes.to_vec()),
            Self::Login(attempt) => Question::Login(attempt.clone()),
            Self::Mailbox(events) => Question::Mailbox(events.to_vec()),
            Self::Tick => Question::Tick,
        }
    }
}

/// A [`HookCall`] that owns what it asks about: for shadows, recordings and fixtures.
#[derive(Clone)]
#[expect(missing_docs, reason = "each is the call of the same name")]
pub enum Question {
    Connect,
    Helo(String),
    Auth(LoginFacts),
    Mail(ReversePath),
    Rcpt(ReversePath, Recipient),
    Headers(MessageFacts),
    Message(MessageFacts),
    Disconnect,
    Resolve(ReversePath, Address),
    Route(MessageFacts, Domain, Vec<Hop>),
    Deliver(MessageFacts, Recipient, Address),
    Outcomes(Vec<OutcomeFacts>),
    Login(LoginAttempt),
    Mailbox(Vec<MailboxFacts>),
    Tick,
}

impl Question {
    /// The call.
    pub fn as_call(&self) -> HookCall<'_> {
        match self {
            Self::Connect => HookCall::Connect,
            Self::Helo(name) => HookCall::Helo(name),
            Self::Auth(login) => HookCall::Auth(login),
            Self::Mail(path) => HookCall::Mail(path),
            Self::Rcpt(path, to) => HookCall::Rcpt(path, to),
            Self::Headers(facts) => HookCall::Headers(facts),
            Self::Message(facts) => HookCall::Message(facts),
            Self::Disconnect => HookCall::Disconnect,
            Self::Resolve(path, to) => HookCall::Resolve(path, to),
            Self::Route(facts, domain, hops) => HookCall::Route(facts, domain, hops),
            Self::Deliver(facts, to, account) => HookCall::Deliver(facts, to, account),
            Self::Outcomes(outcomes) => HookCall::Outcomes(outcomes),
            Self::Login(attempt) => HookCall::Login(attempt),
            Self::Mailbox(events) => HookCall::Mailbox(events),
            Self::Tick => HookCall::Tick,
        }
    }
}

/// The address as a plugin sees it: `""` is `<>`.
pub fn plain(path: &ReversePath) -> String {
    path.address().map(Address::to_string).unwrap_or_default()
}
