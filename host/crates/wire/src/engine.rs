//! The contract between a protocol engine (one side of one connection as a value, without I/O), whoever decides for it
//! (a [`Handler`], in `flow`) and whoever moves the octets (the driver, in `net`).

use std::future::Future;
use std::time::Instant;

use bytes::Bytes;

/// One side of one connection as a value.
///
/// The driver's loop: `poll` until [`Step::Wait`] or [`Step::Close`], carrying out each step; then read from the peer and
/// offer what came to `input`.
pub trait Engine {
    /// What someone else must decide or know.
    type Event;

    /// Takes as many of these octets as it has room for (bounded by its limits) and answers how many. What it did
    /// not take is offered again after the next `poll`. An empty slice means that the peer will send no more.
    fn input(&mut self, octets: &[u8]) -> usize;

    /// The next step. Call it again until [`Step::Wait`] or [`Step::Close`]; after [`Step::Event`] the handler has
    /// answered (through the engine's own methods) before the next call, or answers later and `poll` says `Wait`.
    fn poll(&mut self, now: Instant) -> Step<Self::Event>;

    /// TLS is up, asked for by [`Step::StartTls`] or from the first octet on. What was buffered in plaintext must
    /// already be gone (RFC 3207 §4.2).
    fn secured(&mut self, tls: OverTls);

    /// The server stops. When nothing that was begun would be lost: the last words to the peer (may be empty), after
    /// which the driver closes. `None` while something is under way (a transaction, say): asked again at the next
    /// [`Step::Wait`], until the driver's patience ends.
    fn goodbye(&mut self) -> Option<Bytes> {
        Some(Bytes::new())
    }
}

/// What an engine wants done next.
#[derive(Debug)]
pub enum Step<E> {
    /// Send these octets, in order. The driver may collect several before it writes.
    Send(Bytes),
    /// Someone must decide or know this.
    Event(E),
    /// Everything sent so far must reach the peer, then a TLS handshake follows.
    StartTls,
    /// Nothing to do until octets arrive, the handler wakes, or `until` has come (then `poll` again).
    Wait {
        /// When the engine wants to be polled though nothing happened.
        until: Option<Instant>,
    },
    /// Send what is collected, then close.
    Close,
}

/// Whoever decides for an engine.
pub trait Handler<E: Engine>: Send {
    /// Handles one event; answers go into the engine.
    fn handle(&mut self, engine: &mut E, event: E::Event) -> impl Future<Output = ()> + Send;

    /// Completes when there is something to tell the engine that no event asked for (new mail while in IDLE, say).
    /// Dropped and called again at will: it must not lose anything by that.
    fn wake(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// `wake` completed: tell the engine.
    fn woken(&mut self, engine: &mut E) -> impl Future<Output = ()> + Send {
        let _ = engine; // a handler that never wakes has nothing to tell
        std::future::ready(())
    }

    /// The connection is gone, for whatever reason. Called once, last.
    fn closed(&mut self, engine: &mut E) -> impl Future<Output = ()> + Send {
        let _ = engine; // most handlers keep nothing beyond the connection
        std::future::ready(())
    }
}

/// The right to answer one event. Not `Clone`: an event is answered once. Engines make them, `answer` methods consume them.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket(u64);

impl Ticket {
    /// Only engines call this, with a number that grows in each session.
    pub fn issue(number: u64) -> Self {
        Self(number)
    }

    /// Which event of the session this is.
    pub fn number(&self) -> u64 {
        self.0
    }
}

/// The connection is encrypted. Made by `net` alone, after the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::manual_non_exhaustive,
    reason = "the private field keeps this crate's other modules out too"
)]
pub struct OverTls {
    /// Such as `TLSv1.3`.
    pub version: String,
    /// Such as `TLS_AES_128_GCM_SHA256`.
    pub cipher: String,
    /// The name the client asked for.
    pub server_name: Option<String>,
    /// As a client: the server's certificate was valid for the name we asked for.
    pub is_verified: bool,
    _made_by_net: (),
}

impl OverTls {
    /// Only `net` calls this, after a completed handshake.
    pub fn after_handshake(
        version: String,
        cipher: String,
        server_name: Option<String>,
        is_verified: bool,
    ) -> Self {
        Self { version, cipher, server_name, is_verified, _made_by_net: () }
    }
}
