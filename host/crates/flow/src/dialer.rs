//! The seam to whoever opens connections to other servers: `net`, or a fake in tests.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use maitred_smtp::client::Session;

use crate::relay::Conversation;

/// Whom to call, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Where to.
    pub to: SocketAddr,
    /// From which address of ours; `None`: the system chooses.
    pub from: Option<IpAddr>,
    /// The server's name, for SNI and its certificate.
    pub server_name: String,
    /// Its certificate must be valid for that name; else any will do (RFC 7435).
    pub needs_valid_certificate: bool,
}

/// Why a conversation ended before the engine ended it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Nobody answered.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// TLS did not come about.
    #[error("TLS handshake failed: {0}")]
    Handshake(String),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(String),
}

/// Opens a connection and carries a conversation on it until its engine closes.
pub trait Dialer: Send + Sync {
    /// Bounded in time by its own limits and the engine's.
    fn converse<'a>(
        &'a self,
        call: &'a Call,
        engine: &'a mut Session,
        conversation: &'a mut Conversation,
    ) -> Pin<Box<dyn Future<Output = Result<(), DialError>> + Send + 'a>>;
}
