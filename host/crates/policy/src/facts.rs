//! What a hook is told: plain values, one crossing each. The words of `wit/types.wit`.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use maitred_mail::{Address, Body, Envelope, MessageId, Recipient, ReversePath, Timestamp};

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
    /// When it began.
    pub started: Timestamp,
    /// What a plugin noted for the length of this session.
    pub notes: Notes,
}

/// Scratch space of plugins for one session: (plugin, key) → octets. Bounded by the plugin host.
pub type Notes = Arc<std::sync::Mutex<std::collections::BTreeMap<(String, String), Vec<u8>>>>;

/// A message as plugins see it: read lazily, never changed; changes are edits in the decision.
#[derive(Clone)]
pub struct MessageFacts {
    /// Also in logs.
    pub id: MessageId,
    /// The envelope as it is now.
    pub envelope: Envelope,
    /// The header section with its line ends, without the empty line, as it is now (a later plugin sees what an earlier one changed).
    pub head: Bytes,
    /// What follows the empty line. Empty and unread at [`Hook::Headers`].
    pub body: Arc<dyn Body>,
    /// Findings of plugins that ran earlier: name, score.
    pub symbols: Vec<(String, f32)>,
    /// Tags of plugins that ran earlier: name, value.
    pub tags: Vec<(String, String)>,
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
        }
    }
}

/// The address as a plugin sees it: `""` is `<>`.
pub fn plain(path: &ReversePath) -> String {
    path.address().map(Address::to_string).unwrap_or_default()
}
