//! Listeners: who may come in, and what is known of them before their session begins.
//!
//! Nothing here knows a protocol: what somebody is told for whom there is no room are octets that the caller gave.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use maitred_wire::OverTls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::connection::Connection;
use crate::driver::over_tls;
use crate::gate::{Admission, Gate};
use crate::network::Network;
use crate::proxy::{self, Header};
use crate::stop::Stop;

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}")]
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
    /// Binds an address; port 0: the system chooses one.
    ///
    /// # Errors
    /// Which address, and why.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let refused = |cause| BindError { address, cause };
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.map_err(refused)?;
        socket.set_reuseaddr(true).map_err(refused)?;
        socket.bind(address).map_err(refused)?;
        let socket = socket.listen(BACKLOG).map_err(refused)?;
        let address = socket.local_addr().map_err(refused)?;
        Ok(Self { socket, address })
    }

    /// Where it listens, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until the server stops, and waits for the sessions to end. `session` is one connection's life.
    pub async fn serve<F, S>(self, entrance: Entrance, gate: Gate, mut stop: Stop, session: F)
    where
        F: Fn(Accepted) -> S + Clone + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let entrance = Arc::new(entrance);
        let mut sessions = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                // Ended ones are reaped, so that the set does not grow.
                Some(_) = sessions.join_next() => continue,
                () = stop.stopped() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (gate, entrance, session) = (gate.clone(), Arc::clone(&entrance), session.clone());
                    sessions.spawn(async move {
                        if let Some(accepted) = Box::pin(enter(stream, peer, &entrance, &gate)).await {
                            session(accepted).await;
                        }
                    });
                }
                Err(error) => {
                    // Out of descriptors, most often: leave the machine a moment to breathe.
                    tracing::warn!(%error, listener = %self.address, "cannot accept");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        drop(self.socket);
        while sessions.join_next().await.is_some() {}
    }
}

/// Everything before the session: room, the PROXY header, TLS.
async fn enter(
    mut stream: TcpStream,
    peer: SocketAddr,
    entrance: &Entrance,
    gate: &Gate,
) -> Option<Accepted> {
    // Without it, small replies wait for the acknowledgement of those before.
    stream.set_nodelay(true).ok()?;
    let mut ends = (peer, stream.local_addr().ok()?);
    if entrance.proxies.iter().any(|network| network.contains(peer.ip())) {
        match timeout(ENTER_PATIENCE, read_proxy_header(&mut stream)).await {
            Ok(Ok(Some(told))) => ends = told,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, peer.addr = %peer, "no PROXY header");
                return None;
            }
            Err(_) => return None,
        }
    }
    let (remote, local) = ends;
    let Some(admission) = gate.admit(remote.ip()) else {
        tracing::warn!(peer.addr = %remote, "too many connections");
        if entrance.tls.is_none() {
            // It is turned away whether or not it hears of it.
            let _ = timeout(ENTER_PATIENCE, stream.write_all(entrance.turned_away)).await;
        }
        return None;
    };
    let Some(server) = &entrance.tls else {
        return Some(Accepted { connection: Connection::Plain(stream), remote, local, tls: None, admission });
    };
    match timeout(ENTER_PATIENCE, server.accept(stream)).await {
        Ok(Ok((stream, established))) => {
            let tls = Some(over_tls(established));
            Some(Accepted { connection: Connection::Tls(stream), remote, local, tls, admission })
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, peer.addr = %remote, "no handshake");
            None
        }
        Err(_) => None,
    }
}

/// Reads the header and nothing behind it.
async fn read_proxy_header(stream: &mut TcpStream) -> io::Result<Option<(SocketAddr, SocketAddr)>> {
    let mut header = Vec::new();
    loop {
        match proxy::parse(&header) {
            Header::Complete { ends, .. } => return Ok(ends),
            Header::Malformed => return Err(io::Error::new(io::ErrorKind::InvalidData, "malformed")),
            // One octet at a time: what follows the header belongs to the session. It is short, and read once.
            Header::Partial => header.push(stream.read_u8().await?),
        }
    }
}

const BACKLOG: u32 = 1024;
/// How long a PROXY header or a handshake may take.
const ENTER_PATIENCE: Duration = Duration::from_secs(30);
const BREATH: Duration = Duration::from_millis(100);
