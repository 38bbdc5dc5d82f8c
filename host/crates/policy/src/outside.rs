//! What a plugin asks of the world outside, and what it is answered: values, so that they can be recorded, played back and made up.
//!
//! [`Outside`] is the seam: the server's real one, one whose effects are void (shadows), one made of a recording, one made of a
//! fixture.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use maitred_mail::Timestamp;
use serde::{Deserialize, Serialize};

use crate::authentication::{MethodResult, Subject};
use crate::table::{Space, TableAnswer, TableError, TableOp};

/// A question to the world outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// The plugin's table.
    Table(TableOp),
    /// A and AAAA records of a name.
    Ip(String),
    /// TXT records of a name.
    Txt(String),
    /// MX records of a domain.
    Mx(String),
    /// PTR records of an address.
    Ptr(String),
    /// An address or domain in several lists (RFC 5782).
    Lists {
        /// What is looked for.
        query: String,
        /// Where.
        zones: Vec<String>,
    },
    /// Whether a domain is ours.
    IsLocal(String),
    /// Where an address leads.
    Resolve(String),
    /// A request to a named server.
    Http(HttpRequest),
    /// A new message.
    Submit(NewMessage),
    /// Whether what the call is about comes from where it says.
    Authentication,
}

/// Whom a question concerns, as grants and audits name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// The plugin's table.
    Store,
    /// The DNS.
    Dns,
    /// Domains and addresses of ours.
    Directory,
    /// Requests to named servers.
    Http,
    /// New messages.
    Submit,
    /// Whether mail comes from where it says.
    Authentication,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// [`Ask::Table`]
    Table(Result<TableAnswer, TableError>),
    /// [`Ask::Ip`], [`Ask::Txt`], [`Ask::Ptr`]
    Texts(Result<Vec<String>, Unanswered>),
    /// [`Ask::Mx`]: preference and host, lowest preference first.
    Mx(Result<Vec<(u16, String)>, Unanswered>),
    /// [`Ask::Lists`], one for each list.
    Lists(Vec<Result<Vec<String>, Unanswered>>),
    /// [`Ask::IsLocal`]
    IsLocal(bool),
    /// [`Ask::Resolve`]
    Resolved(Leads),
    /// [`Ask::Http`]
    Http(Result<HttpResponse, HttpError>),
    /// [`Ask::Submit`]: the message's name.
    Submitted(Result<String, SubmitError>),
    /// [`Ask::Authentication`]
    Authentication(Vec<MethodResult>),
}

/// Why the DNS has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unanswered {
    /// NXDOMAIN.
    NoSuchName,
    /// No such record.
    NoRecord,
    /// Not now.
    Temporary(String),
    /// Not a name.
    Invalid,
}

/// Where an address leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leads {
    /// To accounts here and addresses elsewhere.
    To {
        /// Addresses of accounts.
        accounts: Vec<String>,
        /// Addresses of other domains.
        remote: Vec<String>,
    },
    /// Nobody has that name.
    Unknown,
    /// Not ours.
    Remote,
}

/// A request (RFC 9110).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// `GET`, `POST` …
    pub method: String,
    /// Absolute.
    pub url: String,
    /// Name, value.
    pub headers: Vec<(String, String)>,
    /// Content.
    pub body: Vec<u8>,
    /// Milliseconds; 0: as long as the call has.
    pub timeout_ms: u32,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpResponse {
    /// 200, 404 …
    pub status: u16,
    /// Name, value.
    pub headers: Vec<(String, String)>,
    /// Content.
    pub body: Vec<u8>,
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum HttpError {
    /// Not an origin that was granted.
    #[error("not granted")]
    Denied,
    /// Not a request.
    #[error("not a request: {0}")]
    Invalid(String),
    /// Not in time.
    #[error("not in time")]
    Timeout,
    /// Too large an answer.
    #[error("too large")]
    TooLarge,
    /// No connection, no TLS, no HTTP.
    #[error("failed: {0}")]
    Failed(String),
}

/// A message that a plugin hands over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewMessage {
    /// MAIL FROM; `""` is `<>`.
    pub sender: String,
    /// RCPT TO.
    pub recipients: Vec<String>,
    /// Header section, empty line, body.
    pub raw: Vec<u8>,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum SubmitError {
    /// Too many; milliseconds until one more may come.
    #[error("too many, wait {0} ms")]
    Rate(u32),
    /// Not a message, not an address, nobody to deliver to.
    #[error("not taken: {0}")]
    Invalid(String),
    /// Not now.
    #[error("not available: {0}")]
    Unavailable(String),
}

/// For whom, and when.
#[derive(Clone)]
pub struct Asker {
    /// The plugin's table, by its configured name.
    pub space: Space,
    /// Origins that it may send requests to: `https://api.example.org`.
    pub origins: Arc<[String]>,
    /// The call's time.
    pub now: Timestamp,
    /// What the call is about, for [`Ask::Authentication`]; `None` where nothing of it can be verified.
    pub subject: Option<Arc<Subject>>,
    /// How long it can wait.
    pub patience: Duration,
}

/// The world outside of a plugin.
#[async_trait]
pub trait Outside: Send + Sync {
    /// Answers a question; the reply is of the question's kind.
    async fn ask(&self, asker: &Asker, ask: Ask) -> Reply;
}

impl Ask {
    /// Whom it concerns.
    pub fn capability(&self) -> Capability {
        match self {
            Self::Table(_) => Capability::Store,
            Self::Ip(_) | Self::Txt(_) | Self::Mx(_) | Self::Ptr(_) | Self::Lists { .. } => Capability::Dns,
            Self::IsLocal(_) | Self::Resolve(_) => Capability::Directory,
            Self::Http(_) => Capability::Http,
            Self::Submit(_) => Capability::Submit,
            Self::Authentication => Capability::Authentication,
        }
    }

    /// Changes something, or may.
    pub fn has_effect(&self) -> bool {
        match self {
            Self::Table(op) => matches!(op, TableOp::Change(..)),
            Self::Http(request) => !matches!(request.method.as_str(), "GET" | "HEAD"),
            Self::Submit(_) => true,
            Self::Ip(_)
            | Self::Txt(_)
            | Self::Mx(_)
            | Self::Ptr(_)
            | Self::Lists { .. }
            | Self::IsLocal(_)
            | Self::Resolve(_)
            | Self::Authentication => false,
        }
    }

    /// "Not now", of this question's kind.
    pub fn unavailable(&self, why: &str) -> Reply {
        let temporary = || Unanswered::Temporary(why.to_owned());
        match self {
            Self::Table(_) => Reply::Table(Err(TableError::Unavailable(why.to_owned()))),
            Self::Ip(_) | Self::Txt(_) | Self::Ptr(_) => Reply::Texts(Err(temporary())),
            Self::Mx(_) => Reply::Mx(Err(temporary())),
            Self::Lists { zones, .. } => Reply::Lists(zones.iter().map(|_| Err(temporary())).collect()),
            Self::IsLocal(_) => Reply::IsLocal(false),
            Self::Resolve(_) => Reply::Resolved(Leads::Unknown),
            Self::Http(_) => Reply::Http(Err(HttpError::Failed(why.to_owned()))),
            Self::Submit(_) => Reply::Submitted(Err(SubmitError::Unavailable(why.to_owned()))),
            Self::Authentication => Reply::Authentication(Vec::new()),
        }
    }
}

impl Capability {
    /// As grants name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Dns => "dns",
            Self::Directory => "directory",
            Self::Http => "http",
            Self::Submit => "submit",
            Self::Authentication => "authentication",
        }
    }

    /// As an operator writes it among the grants.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http:https://HOST",
            other => other.name(),
        }
    }

    /// Each of them.
    pub const ALL: [Self; 6] =
        [Self::Store, Self::Dns, Self::Directory, Self::Http, Self::Submit, Self::Authentication];
}
