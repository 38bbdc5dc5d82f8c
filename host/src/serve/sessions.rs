//! One listener: which engine and which handler a connection gets.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use maitred_admin::Desk;
use maitred_flow::read::imap::Imap;
use maitred_flow::read::pop3::Pop3;
use maitred_flow::{Arrival, Receive};
use maitred_net::{Accepted, Entrance, Listener, Network, Patience, Side, Stop, drive};
use maitred_policy::Peer;
use maitred_smtp::server::Mode;
use maitred_wire::{Engine, Handler};
use tokio::task::JoinSet;

use super::Shared;
use crate::config::{self, Protocol};

/// Numbers of sessions, over all listeners.
static SESSIONS: AtomicU64 = AtomicU64::new(1);

/// Starts a listener.
pub(super) fn serve(
    running: &mut JoinSet<()>,
    (shared, desk): (&Arc<Shared>, &Arc<Desk>),
    listener: &config::Listener,
    socket: Listener,
    stop: &Stop,
) {
    let protocol = listener.protocol;
    let entrance = Entrance {
        tls: protocol.has_implicit_tls().then(|| shared.tls.server().clone()),
        proxies: listener.proxy_protocol.clone(),
        turned_away: turned_away(protocol),
        ..Entrance::default()
    };
    let side = Arc::new(Side::Server(Some(shared.tls.server().clone())));
    let (gate, stop) = (shared.gate.clone(), stop.clone());
    let here = Here { shared: Arc::clone(shared), side, stop: stop.clone() };
    match protocol {
        Protocol::Smtp | Protocol::Submission | Protocol::Submissions | Protocol::Lmtp => {
            let config = Arc::new(smtp_config(shared, protocol));
            let relay_from: Arc<[Network]> = listener.relay_from.clone().into();
            let session = move |accepted: Accepted| {
                let here = here.clone();
                let engine = maitred_smtp::server::Session::new(Arc::clone(&config));
                let arrival = Arrival {
                    session: SESSIONS.fetch_add(1, Ordering::Relaxed),
                    peer: Peer { remote: accepted.remote, local: accepted.local },
                    listener: protocol.name(),
                    mode: config.mode,
                    may_relay: relay_from.iter().any(|network| network.contains(accepted.remote.ip())),
                };
                let handler = Receive::new(Arc::clone(&here.shared.house), &arrival);
                here.hold(protocol, accepted, engine, handler)
            };
            running.spawn(socket.serve(entrance, gate, stop, session));
        }
        Protocol::Imap | Protocol::Imaps => {
            let loaded = shared.config.load();
            let mut config = maitred_imap::Config::new(&loaded.hostname);
            (config.allow_plaintext, config.limits) = (loaded.allow_plaintext, loaded.imap.clone());
            let config = Arc::new(config);
            let session = move |accepted: Accepted| {
                let here = here.clone();
                let engine = maitred_imap::Session::new(Arc::clone(&config));
                let number = SESSIONS.fetch_add(1, Ordering::Relaxed);
                let handler = Imap::new(Arc::clone(&here.shared.house), number, accepted.remote);
                here.hold(protocol, accepted, engine, handler)
            };
            running.spawn(socket.serve(entrance, gate, stop, session));
        }
        Protocol::Pop3 | Protocol::Pop3s => {
            let loaded = shared.config.load();
            let mut config = maitred_pop3::Config::new(&loaded.hostname);
            (config.allow_plaintext, config.limits) = (loaded.allow_plaintext, loaded.pop3.clone());
            let config = Arc::new(config);
            let session = move |accepted: Accepted| {
                let here = here.clone();
                let engine = maitred_pop3::Session::new(Arc::clone(&config));
                let number = SESSIONS.fetch_add(1, Ordering::Relaxed);
                let handler = Pop3::new(Arc::clone(&here.shared.house), number, accepted.remote);
                here.hold(protocol, accepted, engine, handler)
            };
            running.spawn(socket.serve(entrance, gate, stop, session));
        }
        Protocol::Http => super::facts::serve(running, (shared, desk), listener, socket, &stop),
    }
}

/// What every session of a listener shares.
#[derive(Clone)]
struct Here {
    shared: Arc<Shared>,
    side: Arc<Side>,
    stop: Stop,
}

impl Here {
    /// Holds one session to its end.
    fn hold<E, H>(
        self,
        protocol: Protocol,
        accepted: Accepted,
        mut engine: E,
        mut handler: H,
    ) -> impl Future<Output = ()> + Send
    where
        E: Engine + Send + 'static,
        E::Event: Send,
        H: Handler<E> + 'static,
    {
        let Accepted { connection, remote, tls, admission, .. } = accepted;
        if let Some(tls) = tls {
            engine.secured(tls);
        }
        async move {
            let patience = Patience::default();
            let ended = drive(connection, &mut engine, &mut handler, &self.side, &self.stop, patience).await;
            if let Err(error) = ended {
                log_end(protocol, remote, &error);
            }
            drop(admission);
        }
    }
}

/// Clients vanish all the time: nobody has to act.
fn log_end(protocol: Protocol, remote: SocketAddr, error: &maitred_net::DriveError) {
    tracing::debug!(protocol = protocol.name(), peer.addr = %remote, %error, "session cut");
}

fn smtp_config(shared: &Shared, protocol: Protocol) -> maitred_smtp::server::Config {
    let loaded = shared.config.load();
    let mode = match protocol {
        Protocol::Submission | Protocol::Submissions => Mode::Submission,
        Protocol::Lmtp => Mode::Lmtp,
        _ => Mode::Smtp,
    };
    let mut config = maitred_smtp::server::Config::new(mode, &loaded.hostname);
    config.allow_plaintext = loaded.allow_plaintext;
    config.limits = loaded.smtp.clone();
    config
}

/// What somebody is told for whom there is no room.
fn turned_away(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Smtp | Protocol::Submission | Protocol::Lmtp => maitred_smtp::reply::TURNED_AWAY,
        Protocol::Imap => maitred_imap::response::TURNED_AWAY,
        Protocol::Pop3 => maitred_pop3::TURNED_AWAY,
        // With TLS nobody would hear it.
        Protocol::Submissions | Protocol::Imaps | Protocol::Pop3s | Protocol::Http => b"",
    }
}
