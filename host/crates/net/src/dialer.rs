//! Opens connections to other servers and carries conversations on them.
//!
//! RFC 5321 §4.5.4.1 (a host that does not answer is not waited for), RFC 7435 (any certificate is better than none). Called
//! by `flow::relay`, which chooses hosts and addresses, and what to do after a failure.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use maitred_flow::{Call, Conversation, DialError, Dialer};
use maitred_smtp::client::Session;
use maitred_tls::{Client, Trust};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::connection::Connection;
use crate::driver::{DriveError, Patience, Side, drive};
use crate::stop::Stop;

/// Dials over TCP.
#[derive(Debug, Clone)]
pub struct TcpDialer {
    tls: Client,
    stop: Stop,
    patience: Patience,
}

impl TcpDialer {
    /// `stop`: conversations that have nothing under way end with it.
    pub fn new(tls: Client, stop: Stop) -> Self {
        Self { tls, stop, patience: Patience::default() }
    }

    /// The same with another patience.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }
}

impl Dialer for TcpDialer {
    fn converse<'a>(
        &'a self,
        call: &'a Call,
        engine: &'a mut Session,
        conversation: &'a mut Conversation,
    ) -> Pin<Box<dyn Future<Output = Result<(), DialError>> + Send + 'a>> {
        Box::pin(async move {
            let stream = connect(call, self.patience.connect)
                .await
                .map_err(|error| DialError::Connect(format!("{}: {error}", call.to)))?;
            let side = Side::Client {
                tls: self.tls.clone(),
                server_name: call.server_name.clone(),
                trust: if call.needs_valid_certificate { Trust::Verified } else { Trust::Any },
            };
            let connection = Connection::Plain(stream);
            let driven = drive(connection, engine, conversation, &side, &self.stop, self.patience).await;
            driven.map_err(as_dial_error)
        })
    }
}

async fn connect(call: &Call, patience: Duration) -> io::Result<TcpStream> {
    let socket = if call.to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Before the bind too: a port of ours that waits for its end may be used again, the peer's differs.
    socket.set_reuseaddr(true)?;
    if let Some(from) = call.from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = timeout(patience, socket.connect(call.to)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    // Without it, small commands wait for the acknowledgement of those before.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A handshake that was too slow is told as a lost connection: nobody says that the host cannot do it.
fn as_dial_error(error: DriveError) -> DialError {
    match error {
        DriveError::Handshake(error) => DialError::Handshake(error.to_string()),
        other => DialError::Lost(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn call(to: SocketAddr, from: Option<&str>) -> Call {
        Call {
            to,
            from: from.map(|from| from.parse().unwrap()),
            server_name: "mx.b.test".into(),
            needs_valid_certificate: false,
        }
    }

    #[tokio::test]
    async fn a_call_comes_from_the_address_it_should() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let call = call(listener.local_addr().unwrap(), Some("127.0.0.2"));
        let stream = connect(&call, Duration::from_secs(5)).await.unwrap();
        let (_, seen) = listener.accept().await.unwrap();
        assert_eq!(seen.ip().to_string(), "127.0.0.2");
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn nobody_there_and_a_wrong_family_are_errors_of_connecting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let refused = connect(&call(address, None), Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(connect(&call(address, Some("::1")), Duration::from_secs(5)).await.is_err());
    }

    #[tokio::test]
    async fn who_does_not_answer_is_not_waited_for() {
        // A full backlog: Linux then ignores who knocks.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let call = call(listener.local_addr().unwrap(), None);
        let mut held = Vec::new();
        let error = loop {
            match connect(&call, Duration::from_millis(50)).await {
                Ok(stream) => held.push(stream),
                Err(error) => break error,
            }
            assert!(held.len() < 100);
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn only_a_failed_handshake_is_told_as_one() {
        let failed = maitred_tls::Error::Handshake(io::Error::other("bad"));
        assert!(matches!(as_dial_error(failed.into()), DialError::Handshake(_)));
        assert!(matches!(as_dial_error(DriveError::Slow), DialError::Lost(_)));
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert!(matches!(as_dial_error(reset.into()), DialError::Lost(_)));
    }
}
