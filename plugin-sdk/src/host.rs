//! What the host offers: the session, the message, log, configuration, clock. Traits, so that tests can stand in for it.

use crate::Recipient;

/// Where a session came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From another server.
    Inbound,
    /// From a user.
    Submission,
    /// Made by maitred itself.
    Internal,
}

/// Everything known of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Also in logs.
    pub id: String,
    /// `smtp`, `submission`, `submissions`, `lmtp`.
    pub listener: String,
    /// Where it came in.
    pub direction: Direction,
    /// The client's address.
    pub remote_ip: String,
    /// The client's port.
    pub remote_port: u16,
    /// What it said in HELO or EHLO.
    pub helo: Option<String>,
    /// TLS version, if any.
    pub tls_version: Option<String>,
    /// The account that logged in, if one did.
    pub account: Option<String>,
    /// Whether it may send to domains that are not ours.
    pub may_relay: bool,
    /// MAIL to the end of data, if one goes on.
    pub transaction: Option<Transaction>,
    /// Unix time in milliseconds.
    pub started_ms: u64,
}

impl SessionInfo {
    /// Whether the client is somebody from outside that nobody vouches for: by SMTP from another server, not logged in,
    /// not from a network that may relay. The peer of LMTP is a server of ours, which has looked already.
    pub fn is_stranger(&self) -> bool {
        self.direction == Direction::Inbound
            && self.listener != "lmtp"
            && self.account.is_none()
            && !self.may_relay
    }
}

/// MAIL to the end of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The message's name.
    pub id: String,
    /// MAIL FROM; `""` is `<>`.
    pub sender: String,
    /// RCPT TO, as far as they were taken.
    pub recipients: Vec<Recipient>,
    /// What the client said in SIZE (RFC 1870), octets.
    pub size: Option<u64>,
}

/// What travels outside of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// MAIL FROM; `""` is `<>`.
    pub sender: String,
    /// RCPT TO.
    pub recipients: Vec<Recipient>,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// The part around it, as its index in the list.
    pub parent: Option<u32>,
    /// `type/subtype`, lower-case.
    pub content_type: String,
    /// As written.
    pub charset: Option<String>,
    /// `inline`, `attachment` …, lower-case.
    pub disposition: Option<String>,
    /// What the file in it is called, decoded.
    pub file_name: Option<String>,
    /// As written.
    pub content_id: Option<String>,
    /// Octets as sent, with the transfer encoding.
    pub size: u64,
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// SASL mechanism.
    pub mechanism: String,
    /// The account, or what the client claimed.
    pub identity: String,
    /// Whether the credentials were right.
    pub has_succeeded: bool,
}

/// The SMTP session.
pub trait Session {
    /// Everything known by now.
    fn info(&self) -> SessionInfo;
    /// What this plugin noted in this session.
    fn note(&self, key: &str) -> Option<Vec<u8>>;
    /// Notes something for the length of this session; 64 KiB in all.
    fn set_note(&self, key: &str, value: &[u8]);
}

/// The message, read lazily.
pub trait Message {
    /// Also in logs.
    fn id(&self) -> String;
    /// As it is now.
    fn envelope(&self) -> Envelope;
    /// Octets.
    fn size(&self) -> u64;
    /// The first field of that name, unfolded and decoded.
    fn header(&self, name: &str) -> Option<String>;
    /// All of that name.
    fn header_all(&self, name: &str) -> Vec<String>;
    /// All fields: name, raw unfolded value.
    fn headers(&self) -> Vec<(String, Vec<u8>)>;
    /// The first field of each of up to 256 names, by one crossing.
    fn header_many(&self, names: &[&str]) -> Vec<Option<String>>;
    /// Octets of the body from an offset; fewer at the end, or above 1 MiB; empty at the end.
    fn read_body(&self, offset: u64, octets_max: u32) -> Vec<u8>;
    /// The same of the whole message: header section, empty line, body.
    fn read_raw(&self, offset: u64, octets_max: u32) -> Vec<u8>;
    /// What it is made of, in its order; the first is the whole. Empty at `on_headers`.
    fn parts(&self) -> Vec<Part>;
    /// The text of a text part, cut at so many octets (and at 1 MiB).
    fn part_text(&self, index: u32, octets_max: u32) -> Option<String>;
    /// Octets of a part, transfer encoding undone, as [`Message::read_body`].
    fn part_read(&self, index: u32, offset: u64, octets_max: u32) -> Vec<u8>;
    /// Findings of earlier plugins: name, score.
    fn symbols(&self) -> Vec<(String, f32)>;
    /// A tag of an earlier plugin.
    fn tag(&self, name: &str) -> Option<String>;
}

/// How urgent a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For finding faults.
    Debug,
    /// Worth a line.
    Info,
    /// Odd.
    Warn,
    /// Someone must act.
    Error,
}

/// Writes a line to the server's log (to standard error outside of Wasm).
pub fn log(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    crate::guest::log(level, message);
    #[cfg(not(target_family = "wasm"))]
    eprintln!("{level:?}: {message}");
}

/// The configuration, JSON (`{}` outside of Wasm).
pub fn config() -> String {
    #[cfg(target_family = "wasm")]
    return crate::guest::config();
    #[cfg(not(target_family = "wasm"))]
    "{}".to_owned()
}

/// Unix time in milliseconds by the host's clock (outside of Wasm: as [`crate::testing::set_now_ms`] said).
pub fn now_ms() -> u64 {
    #[cfg(target_family = "wasm")]
    return crate::guest::now_ms();
    #[cfg(not(target_family = "wasm"))]
    crate::testing::now_ms()
}
