//! Listeners: who may come in, and what is known of them before their session begins.
//!
//! Nothing here knows a protocol: what somebody is told for whom there is no room are octets that the caller gave.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use maitred_wire::OverTls;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use crate::connection::Connection;
use crate::driver::{Patience, over_tls};
use crate::gate::{Admission, Gate};
use crate::network::Network;
use crate::proxy::{self, Header};
use crate::stop::Stop;

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// Which.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub cause: io::Error,
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// What comes before a session.
#[derive(Debug, Clone, Default)]
pub struct Entrance {
    /// TLS from the first octet on (RFC 8314).
    pub tls: Option<maitred_tls::Server>,
    /// Peers that must begin with a PROXY header, and are believed.
    pub proxies: Vec<Network>,
    /// What somebody is told for whom there is no room (not with TLS).
    pub turned_away: &'static [u8],
    /// For the header and the handshake; and, when the server stops, for the sessions.
    pub patience: Patience,
}

/// A connection that may begin its session.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub connection: Connection,
    /// Who connected, as a trusted proxy says or as we see.
    pub remote: SocketAddr,
    /// Where to.
    pub local: SocketAddr,
    /// TLS, when it is up already.
    pub tls: Option<OverTls>,
    /// Counted as long as this lives.
    pub admission: Admission,
}

impl Listener {
    /// Binds an address; port 0: the system chooses one. An IPv6 address is for IPv6 alone, so that `[::]` and `0.0.0.0`
    /// go together. Wants to be called within the runtime.
    ///
    /// # Errors
    /// Which address, and why.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let socket = listen(address).map_err(|cause| BindError { address, cause })?;
        let address = socket.local_addr().map_err(|cause| BindError { address, cause })?;
        Ok(Self { socket, address })
    }

    /// Where it listens, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The socket itself, for who serves a protocol that is no engine of ours (HTTP).
    pub fn into_socket(self) -> TcpListener {
        self.socket
    }

    /// Accepts until the server stops, and waits for the sessions to end, but not for ever: one that hangs is left behind,
    /// not cut off, so that what it does to the store is done in whole. `session` is one connection's life.
    pub async fn serve<F, S>(self, entrance: Entrance, gate: Gate, mut stop: Stop, session: F)
    where
        F: Fn(Accepted) -> S + Clone + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let Self { socket, address } = self;
        // Sessions end by themselves when their patience is over; one that hangs has as long again.
        let patience = entrance.patience.stop * 2;
        let entrance = Arc::new(entrance);
        let mut sessions = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                // Ended ones are reaped, so that the set does not grow.
                Some(ended) = sessions.join_next() => {
                    reap(ended, address);
                    continue;
                }
                () = stop.stopped() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (gate, entrance, session) = (gate.clone(), Arc::clone(&entrance), session.clone());
                    let stop = stop.clone();
                    sessions.spawn(async move {
                        if let Some(accepted) = Box::pin(enter(stream, peer, &entrance, &gate, stop)).await {
                            session(accepted).await;
                        }
                    });
                }
                Err(error) if is_the_peers_matter(&error) => {}
                Err(error) => {
                    // Out of descriptors, most often: leave the machine a moment to breathe.
                    tracing::warn!(%error, listener = %address, "cannot accept");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        drop(socket);
        let drained = async {
            while let Some(ended) = sessions.join_next().await {
                reap(ended, address);
            }
        };
        if timeout(patience, drained).await.is_err() {
            tracing::warn!(listener = %address, sessions = sessions.len(), "sessions do not end: left behind");
            sessions.detach_all();
        }
    }
}

fn reap(ended: Result<(), JoinError>, address: SocketAddr) {
    if let Err(error) = ended {
        tracing::error!(%error, listener = %address, "a session broke");
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Otherwise a restart has to wait for connections of the process before.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// accept(2): what went wrong with a connection that was about to come says nothing about the next one.
fn is_the_peers_matter(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | TimedOut
    )
}

/// Everything before the session: room, the PROXY header, TLS. Nothing was begun in here: a stop ends it at once.
async fn enter(
    stream: TcpStream,
    peer: SocketAddr,
    entrance: &Entrance,
    gate: &Gate,
    mut stop: Stop,
) -> Option<Accepted> {
    tokio::select! {
        biased;
        () = stop.stopped() => None,
        entered = step_in(stream, peer, entrance, gate) => entered,
    }
}

async fn step_in(
    mut stream: TcpStream,
    peer: SocketAddr,
    entrance: &Entrance,
    gate: &Gate,
) -> Option<Accepted> {
    // Without it, small replies wait for the acknowledgement of those before.
    stream.set_nodelay(true).ok()?;
    let patience = entrance.patience.handshake;
    let mut ends = (peer, stream.local_addr().ok()?);
    if entrance.proxies.iter().any(|network| network.contains(peer.ip())) {
        match timeout(patience, read_proxy_header(&mut stream)).await {
            Ok(Ok(Some(told))) => ends = told,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, peer.addr = %peer, "no PROXY header");
                return None;
            }
            Err(_) => {
                tracing::warn!(peer.addr = %peer, "no PROXY header in time");
                return None;
            }
        }
    }
    let (remote, local) = ends;
    let Some(admission) = gate.admit(remote.ip()) else {
        if entrance.tls.is_none() {
            // It is turned away whether or not it hears of it.
            let _ = timeout(patience, stream.write_all(entrance.turned_away)).await;
        }
        return None;
    };
    let Some(server) = &entrance.tls else {
        return Some(Accepted { connection: Connection::Plain(stream), remote, local, tls: None, admission });
    };
    match timeout(patience, server.accept(stream)).await {
        Ok(Ok((stream, established))) => {
            let tls = Some(over_tls(established));
            Some(Accepted { connection: Connection::Tls(stream), remote, local, tls, admission })
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, peer.addr = %remote, "no handshake");
            None
        }
        Err(_) => {
            tracing::debug!(peer.addr = %remote, "no handshake in time");
            None
        }
    }
}

/// Reads the header and nothing behind it, which belongs to the session.
async fn read_proxy_header(stream: &mut TcpStream) -> io::Result<Option<(SocketAddr, SocketAddr)>> {
    let mut header = Vec::new();
    loop {
        match proxy::parse(&header) {
            Header::Complete { ends, .. } => return Ok(ends),
            Header::Malformed => return Err(io::Error::new(io::ErrorKind::InvalidData, "malformed")),
            Header::Partial { needed } => {
                let read = header.len();
                header.resize(read + needed, 0);
                stream.read_exact(header.get_mut(read..).unwrap_or_default()).await?;
            }
        }
    }
}

const BACKLOG: i32 = 1024;
const BREATH: Duration = Duration::from_millis(100);
