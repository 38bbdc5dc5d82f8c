//! One driver for every engine: it moves octets, shakes hands, waits, and knows no protocol.
//!
//! The loop is the one that `maitred_wire::Engine` describes. Invariants: a handler's future is never dropped half-way, but
//! for `wake`; what the engine sent is written before anything is waited for; nothing is read while the engine has no room;
//! `closed` is called exactly once, last. An idle connection holds no buffer: octets are read into the thread's when they
//! are there, and only what the engine does not take at once is kept.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes, BytesMut};
use maitred_tls::{Established, Trust};
use maitred_wire::{Engine, Handler, OverTls, Step};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::{sleep_until, timeout};

use crate::connection::Connection;
use crate::stop::Stop;

/// Why a conversation ended before its engine closed it.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The connection failed.
    #[error("connection: {0}")]
    Io(#[from] io::Error),
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Handshake(#[from] maitred_tls::Error),
    /// The peer does not take what is sent to it, or does not finish a handshake.
    #[error("the peer was too slow")]
    Slow,
    /// The engine wants TLS where there is none to be had.
    #[error("broken: {0}")]
    Broken(&'static str),
}

/// How long the driver waits for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a peer to take up to 64 KiB: 5 minutes.
    pub write: Duration,
    /// For a handshake: 30 seconds.
    pub handshake: Duration,
    /// For what was begun when the server stops: 10 seconds.
    pub stop: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            write: Duration::from_mins(5),
            handshake: Duration::from_secs(30),
            stop: Duration::from_secs(10),
        }
    }
}

/// Which side of a handshake we are.
#[derive(Debug, Clone)]
pub enum Side {
    /// The server, with its certificate; `None`: an engine that asks for TLS is broken.
    Server(Option<maitred_tls::Server>),
    /// The client.
    Client {
        /// Shakes hands.
        tls: maitred_tls::Client,
        /// For SNI and verification.
        server_name: String,
        /// What the server must show.
        trust: Trust,
    },
}

/// Drives an engine until it closes, the peer is lost, or the server's patience at its stop ends.
///
/// # Errors
/// What ended the conversation before its engine did.
pub async fn drive<E: Engine, H: Handler<E>>(
    connection: Connection,
    engine: &mut E,
    handler: &mut H,
    side: &Side,
    stop: &Stop,
    patience: Patience,
) -> Result<(), DriveError> {
    let mut driver = Driver {
        connection: Some(connection),
        out: BytesMut::new(),
        held: Bytes::new(),
        is_at_end: false,
        patience,
    };
    let ended = driver.run(engine, handler, side, stop.clone()).await;
    handler.closed(engine).await;
    ended
}

struct Driver {
    /// `None` only while a handshake runs, and after one that failed.
    connection: Option<Connection>,
    out: BytesMut,
    /// What came and the engine had no room for.
    held: Bytes,
    is_at_end: bool,
    patience: Patience,
}

/// What a wait ended with.
enum Awake {
    Octets,
    Handler,
    Time,
    Stop,
}

impl Driver {
    async fn run<E: Engine, H: Handler<E>>(
        &mut self,
        engine: &mut E,
        handler: &mut H,
        side: &Side,
        mut stop: Stop,
    ) -> Result<(), DriveError> {
        let mut end = None;
        loop {
            match engine.poll(Instant::now()) {
                Step::Send(octets) => self.send(octets).await?,
                // Boxed: what an event needs is not held by every idle connection.
                Step::Event(event) => Box::pin(handler.handle(engine, event)).await,
                Step::StartTls => {
                    self.flush().await?;
                    let established = Box::pin(self.start_tls(side)).await?;
                    engine.secured(over_tls(established));
                }
                Step::Close => {
                    self.flush().await?;
                    return self.close().await;
                }
                Step::Wait { until } => {
                    if self.offer(engine) {
                        continue;
                    }
                    self.flush().await?;
                    if stop.is_stopping() {
                        let deadline = *end.get_or_insert_with(|| Instant::now() + self.patience.stop);
                        if let Some(last) = engine.goodbye() {
                            self.send(last).await?;
                            self.flush().await?;
                            return self.close().await;
                        }
                        if Instant::now() >= deadline {
                            return self.close().await;
                        }
                    }
                    let until = until.into_iter().chain(end).min();
                    match self.wait(engine, handler, until, &mut stop).await? {
                        Awake::Handler => Box::pin(handler.woken(engine)).await,
                        Awake::Octets | Awake::Time | Awake::Stop => {}
                    }
                }
            }
        }
    }

    /// Gives the engine what is held; true when it took some.
    fn offer<E: Engine>(&mut self, engine: &mut E) -> bool {
        if self.held.is_empty() {
            return false;
        }
        let taken = engine.input(&self.held);
        self.held.advance(taken.min(self.held.len()));
        if self.held.is_empty() {
            self.held = Bytes::new();
        }
        taken > 0
    }

    async fn wait<E: Engine, H: Handler<E>>(
        &mut self,
        engine: &mut E,
        handler: &mut H,
        until: Option<Instant>,
        stop: &mut Stop,
    ) -> Result<Awake, DriveError> {
        let is_stopping = stop.is_stopping();
        // While something is held, the engine has no room for more.
        let can_read = self.held.is_empty() && !self.is_at_end;
        let at = until.map(Into::into);
        tokio::select! {
            read = poll_fn(|context| self.poll_read(engine, context)), if can_read => read.map(|()| Awake::Octets),
            () = handler.wake() => Ok(Awake::Handler),
            () = sleep_until(at.unwrap_or_else(tokio::time::Instant::now)), if at.is_some() => Ok(Awake::Time),
            () = stop.stopped(), if !is_stopping => Ok(Awake::Stop),
        }
    }

    /// Reads into the thread's buffer and gives it to the engine at once.
    fn poll_read<E: Engine>(
        &mut self,
        engine: &mut E,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), DriveError>> {
        let Some(connection) = self.connection.as_mut() else {
            return Poll::Ready(Err(DriveError::Broken("no connection to read from")));
        };
        READ.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            ready!(Pin::new(connection).poll_read(context, &mut read))?;
            let octets = read.filled();
            let taken = engine.input(octets);
            self.is_at_end = octets.is_empty();
            if let Some(rest) = octets.get(taken..).filter(|rest| !rest.is_empty()) {
                self.held = Bytes::copy_from_slice(rest);
            }
            Poll::Ready(Ok(()))
        })
    }

    async fn send(&mut self, octets: Bytes) -> Result<(), DriveError> {
        if octets.len() < LARGE && self.out.len() + octets.len() <= OUT_MAX {
            self.out.extend_from_slice(&octets);
            return Ok(());
        }
        self.flush().await?;
        for piece in octets.chunks(OUT_MAX) {
            self.write(piece).await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), DriveError> {
        if !self.out.is_empty() {
            let out = std::mem::take(&mut self.out);
            self.write(&out).await?;
        }
        Ok(())
    }

    async fn write(&mut self, octets: &[u8]) -> Result<(), DriveError> {
        let Some(connection) = self.connection.as_mut() else {
            return Err(DriveError::Broken("no connection to write to"));
        };
        let work = async {
            connection.write_all(octets).await?;
            connection.flush().await
        };
        timeout(self.patience.write, work).await.map_err(|_| DriveError::Slow)?.map_err(Into::into)
    }

    async fn start_tls(&mut self, side: &Side) -> Result<Established, DriveError> {
        // RFC 3207 §4.2: what came in plaintext behind the command is dropped.
        self.held = Bytes::new();
        let Some(Connection::Plain(stream)) = self.connection.take() else {
            return Err(DriveError::Broken("TLS over TLS"));
        };
        let shake = async {
            match side {
                Side::Server(Some(tls)) => Ok(tls.accept(stream).await?),
                Side::Server(None) => Err(DriveError::Broken("no certificate")),
                Side::Client { tls, server_name, trust } => {
                    Ok(tls.connect(stream, server_name, *trust).await?)
                }
            }
        };
        let shaken = timeout(self.patience.handshake, shake).await.map_err(|_| DriveError::Slow)?;
        let (stream, established) = shaken?;
        self.connection = Some(Connection::Tls(stream));
        Ok(established)
    }

    async fn close(&mut self) -> Result<(), DriveError> {
        if let Some(mut connection) = self.connection.take() {
            // It is over whether or not the peer hears of it.
            let _ = timeout(CLOSE_PATIENCE, connection.shutdown()).await;
        }
        Ok(())
    }
}

/// What a handshake came to, as engines know it.
pub(crate) fn over_tls(established: Established) -> OverTls {
    let Established { version, cipher, server_name, is_verified } = established;
    OverTls::after_handshake(version, cipher, server_name, is_verified)
}

/// How much is read at a time, written at a time, and too much to be collected.
const READ_OCTETS: usize = 64 << 10;
const OUT_MAX: usize = 64 << 10;
const LARGE: usize = 16 << 10;
/// How long a peer may take to hear that we close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

thread_local! {
    /// Where every connection of a thread reads into; never held across an await.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_OCTETS].into_boxed_slice());
}
