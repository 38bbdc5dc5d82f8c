//! The server's side of a handshake.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use crate::certificate::Current;
use crate::{Error, Established, Stream, provider};

/// Accepts handshakes with the certificate of the moment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Server(Arc<ServerConfig>);

impl Server {
    pub(crate) fn new(current: Arc<Current>) -> Result<Self, Error> {
        let provider = provider();
        let broken = |error: rustls::Error| Error::Broken(error.to_string());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(broken)?
            .with_no_client_auth()
            .with_cert_resolver(current);
        // Tickets that we can read ourselves: resumption without a table (RFC 8446 §2.2).
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(broken)?;
        Ok(Self(Arc::new(config)))
    }

    /// Waits for the client's hello and finishes the handshake. The caller bounds the time.
    ///
    /// # Errors
    /// [`Error::Handshake`].
    pub async fn accept<S>(&self, io: S) -> Result<(Stream<S>, Established), Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = TlsAcceptor::from(Arc::clone(&self.0)).accept(io).await.map_err(Error::Handshake)?;
        let (_, connection) = stream.get_ref();
        let name = connection.server_name().map(str::to_owned);
        let established = Established::of(connection, name, false);
        Ok((Stream::new(stream.into()), established))
    }
}
