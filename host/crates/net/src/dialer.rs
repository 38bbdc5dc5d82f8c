//! Opens connections to other servers and carries conversations on them.

use std::future::Future;
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
pub struct TcpDialer {
    tls: Client,
    stop: Stop,
    patience: Patience,
    connect_timeout: Duration,
}

impl TcpDialer {
    /// `stop`: conversations that have nothing under way end with it. Connecting takes at most 30 s.
    pub fn new(tls: Client, stop: Stop) -> Self {
        Self { tls, stop, patience: Patience::default(), connect_timeout: Duration::from_secs(30) }
    }

    async fn connect(&self, call: &Call) -> Result<TcpStream, DialError> {
        let opened = async {
            let socket = if call.to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            if let Some(from) = call.from {
                socket.bind(SocketAddr::new(from, 0))?;
            }
            let stream = socket.connect(call.to).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(stream)
        };
        match timeout(self.connect_timeout, opened).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(DialError::Connect(error.to_string())),
            Err(_) => Err(DialError::Connect("no answer in time".to_owned())),
        }
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
            let stream = self.connect(call).await?;
            let side = Side::Client {
                tls: self.tls.clone(),
                server_name: call.server_name.clone(),
                trust: if call.needs_valid_certificate { Trust::Verified } else { Trust::Any },
            };
            let connection = Connection::Plain(stream);
            let driven = drive(connection, engine, conversation, &side, &self.stop, self.patience).await;
            driven.map_err(|error| match error {
                DriveError::Handshake(cause) => DialError::Handshake(cause.to_string()),
                other => DialError::Lost(other.to_string()),
            })
        })
    }
}
