//! One driver for every engine: it moves octets, shakes hands, waits, and knows no protocol.
//!
//! The loop is the one that `maitred_wire::Engine` describes. Invariants: a handler's future is never dropped half-way, but
//! for `wake`; what the engine sent is written before anything is waited for; nothing is read while the engine has no room;
//! `closed` is called exactly once, last. An idle connection holds no buffer: octets are read into the thread's when they
//! are there, and only what the engine does not take at once is kept.
//!
//! A peer that is lost is one that says no more: the engine hears the end, so that it can tell its handler what it knows
//! (a reply that came before the reset, say), and what it still sends goes nowhere.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes, BytesMut};
use maitred_tls::{Established, Trust};
use maitred_wire::{Engine, Handler, OverTls, Step};
use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::{sleep, sleep_until, timeout};

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
    /// The engine wants TLS where there is none to be had, or it or its handler panicked.
    #[error("broken: {0}")]
    Broken(&'static str),
}

/// How long the driver waits for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a host to answer a call: 30 seconds.
    pub connect: Duration,
    /// For a peer to take up to 64 KiB: 3 minutes (RFC 5321 §4.5.3.2.5, which is about the other direction).
    pub write: Duration,
    /// For a handshake: 30 seconds.
    pub handshake: Duration,
    /// For what was begun when the server stops: 10 seconds.
    pub stop: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            write: Duration::from_mins(3),
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
        lost: None,
        end: None,
        stop: stop.clone(),
        patience,
    };
    let ended = {
        let mut run = pin!(driver.run(engine, handler, side));
        poll_fn(|context| poll_unless_it_panics(run.as_mut(), context)).await
    };
    // Before the peer hears of the end: what it had locked is free when it comes back.
    handler.closed(engine).await;
    if ended.is_ok() {
        Box::pin(driver.leave(side)).await;
    }
    ended
}

/// A panic ends one session: its handler must still hear that it is over, for it may hold locks that others wait for.
fn poll_unless_it_panics(
    run: Pin<&mut impl Future<Output = Result<(), DriveError>>>,
    context: &mut Context<'_>,
) -> Poll<Result<(), DriveError>> {
    catch_unwind(AssertUnwindSafe(|| run.poll(context)))
        .unwrap_or(Poll::Ready(Err(DriveError::Broken("a session panicked"))))
}

struct Driver {
    /// `None` only while a handshake runs, and after one that failed.
    connection: Option<Connection>,
    out: BytesMut,
    /// What came and the engine had no room for.
    held: Bytes,
    /// The engine knows that nothing more comes.
    is_at_end: bool,
    /// Why nothing can be sent any more.
    lost: Option<io::Error>,
    /// When the last patience ends: the server stops, or the peer said its last.
    end: Option<Instant>,
    stop: Stop,
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
    ) -> Result<(), DriveError> {
        loop {
            match engine.poll(Instant::now()) {
                Step::Send(octets) => self.send(octets).await?,
                Step::Event(event) => self.attend(handler.handle(engine, event)).await?,
                Step::StartTls => {
                    self.flush().await?;
                    let established = Box::pin(self.start_tls(side)).await?;
                    engine.secured(over_tls(established));
                }
                Step::Close => {
                    self.flush().await?;
                    return self.verdict();
                }
                Step::Wait { until } => {
                    if self.offer(engine) {
                        continue;
                    }
                    self.flush().await?;
                    if self.stop.is_stopping()
                        && let Some(last) = engine.goodbye()
                    {
                        self.send(last).await?;
                        self.flush().await?;
                        return self.verdict();
                    }
                    let end = self.last_patience();
                    if end.is_some_and(|end| Instant::now() >= end) {
                        return self.verdict();
                    }
                    let until = until.into_iter().chain(end).min();
                    if let Awake::Handler = self.wait(engine, handler, until).await {
                        self.attend(handler.woken(engine)).await?;
                    }
                }
            }
        }
    }

    /// Lets the handler do its work, to the end. Boxed: what it needs is not held by every idle connection.
    async fn attend(&mut self, work: impl Future<Output = ()> + Send) -> Result<(), DriveError> {
        let mut work = Box::pin(work);
        if poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await.is_ready() {
            return Ok(());
        }
        // It takes its time: the peer shall not wait for what was said before.
        let flushed = self.flush().await;
        work.await;
        flushed
    }

    /// How it ended, when it ended in order.
    fn verdict(&mut self) -> Result<(), DriveError> {
        self.lost.take().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Until when there is still something to wait for; `None` while nothing speaks against waiting for ever.
    fn last_patience(&mut self) -> Option<Instant> {
        let patience = match (&self.lost, self.is_at_end) {
            // Nobody hears us, and the engine knows.
            (Some(_), true) => Duration::ZERO,
            // What the peer said before it went is still to be read.
            (Some(_), false) => CLOSE_PATIENCE,
            (None, _) if self.stop.is_stopping() => self.patience.stop,
            // It has closed its side only, and may still be owed an answer.
            (None, true) => self.patience.write,
            (None, false) => return None,
        };
        let now = Instant::now();
        let end = self.end.map_or(now + patience, |end| end.min(now + patience));
        self.end = Some(end);
        self.end
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
    ) -> Awake {
        let is_stopping = self.stop.is_stopping();
        // While something is held, the engine has no room for more.
        let can_read = self.held.is_empty() && !self.is_at_end;
        let at = until.map(Into::into);
        let mut stop = self.stop.clone();
        tokio::select! {
            // The likeliest first, so that nothing is registered with the timer when there are octets. What starves behind
            // a peer that never stops talking is looked at before each wait anyway, or is that peer's own.
            biased;
            () = poll_fn(|context| self.poll_read(engine, context)), if can_read => Awake::Octets,
            () = handler.wake() => Awake::Handler,
            () = stop.stopped(), if !is_stopping => Awake::Stop,
            () = sleep_until(at.unwrap_or_else(tokio::time::Instant::now)), if at.is_some() => Awake::Time,
        }
    }

    /// Reads into the thread's buffer and gives it to the engine at once.
    fn poll_read<E: Engine>(&mut self, engine: &mut E, context: &mut Context<'_>) -> Poll<()> {
        READ.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            let outcome = match self.connection.as_mut() {
                Some(connection) => ready!(Pin::new(connection).poll_read(context, &mut read)),
                None => Err(io::ErrorKind::NotConnected.into()),
            };
            if let Err(error) = outcome {
                self.lose(error);
            }
            let octets = read.filled();
            let taken = engine.input(octets);
            self.is_at_end = octets.is_empty();
            if let Some(rest) = octets.get(taken..).filter(|rest| !rest.is_empty()) {
                self.held = Bytes::copy_from_slice(rest);
            }
            Poll::Ready(())
        })
    }

    /// From now on nothing is sent.
    fn lose(&mut self, error: io::Error) {
        self.out = BytesMut::new();
        self.lost.get_or_insert(error);
    }

    async fn send(&mut self, octets: Bytes) -> Result<(), DriveError> {
        if self.lost.is_some() {
            return Ok(());
        }
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
        if self.lost.is_some() {
            return Ok(());
        }
        let mut rest = octets;
        let written = match poll_fn(|context| Poll::Ready(self.poll_written(&mut rest, context))).await {
            Poll::Ready(written) => written,
            // Boxed, for it is rare: most of what we say fits into the socket.
            Poll::Pending => Box::pin(self.write_slowly(rest)).await?,
        };
        if let Err(error) = written {
            self.lose(error);
        }
        Ok(())
    }

    async fn write_slowly(&mut self, mut rest: &[u8]) -> Result<io::Result<()>, DriveError> {
        let (patience, mut stop) = (self.patience, self.stop.clone());
        tokio::select! {
            biased;
            written = poll_fn(|context| self.poll_written(&mut rest, context)) => Ok(written),
            () = too_late(patience.write, patience.stop, &mut stop) => Err(DriveError::Slow),
        }
    }

    /// Ready when all is written and flushed.
    fn poll_written(&mut self, rest: &mut &[u8], context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(connection) = self.connection.as_mut() else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        while !rest.is_empty() {
            let octets = ready!(Pin::new(&mut *connection).poll_write(context, rest))?;
            if octets == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *rest = rest.get(octets..).unwrap_or_default();
        }
        Pin::new(connection).poll_flush(context)
    }

    async fn start_tls(&mut self, side: &Side) -> Result<Established, DriveError> {
        // RFC 3207 §4.2: what came in plaintext behind the command is dropped.
        self.held = Bytes::new();
        if let Some(error) = self.lost.take() {
            return Err(error.into());
        }
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
        let (stream, established) = tokio::select! {
            biased;
            shaken = shake => shaken?,
            () = too_late(self.patience.handshake, self.patience.stop, &mut self.stop) => {
                return Err(DriveError::Slow);
            }
        };
        self.connection = Some(Connection::Tls(stream));
        Ok(established)
    }

    /// Says that we close, and makes sure that our last words are not lost by that.
    async fn leave(&mut self, side: &Side) {
        let Some(mut connection) = self.connection.take() else { return };
        // It is over whether or not the peer hears of it.
        let has_shut = timeout(CLOSE_PATIENCE, connection.shutdown()).await.is_ok_and(|shut| shut.is_ok());
        let is_client = matches!(side, Side::Client { .. });
        if !has_shut || self.is_at_end || is_client || self.stop.is_stopping() {
            return;
        }
        // A socket closed with unread octets resets the connection, which can destroy what we said and the peer has not read.
        let mut octets_left = LINGER_OCTETS;
        let drained = poll_fn(|context| {
            READ.with_borrow_mut(|buffer| {
                loop {
                    let mut read = ReadBuf::new(buffer);
                    let outcome = ready!(Pin::new(&mut connection).poll_read(context, &mut read));
                    octets_left = octets_left.saturating_sub(read.filled().len());
                    if outcome.is_err() || read.filled().is_empty() || octets_left == 0 {
                        return Poll::Ready(());
                    }
                }
            })
        });
        // Longer than that nobody needs to read a line.
        let _ = timeout(LINGER, drained).await;
    }
}

/// Completes when a peer had its time, or when the server stops and it had its time since then.
async fn too_late(patience: Duration, at_stop: Duration, stop: &mut Stop) {
    let stopped = async {
        stop.stopped().await;
        sleep(at_stop).await;
    };
    tokio::select! {
        () = sleep(patience) => {}
        () = stopped => {}
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
/// How long a peer may take to hear that we close, or its last words to reach us.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
/// How long, and how much, we read away of what a peer still sends after that.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_OCTETS: usize = 1 << 20;

thread_local! {
    /// Where every connection of a thread reads into; never held across an await.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_OCTETS].into_boxed_slice());
}
