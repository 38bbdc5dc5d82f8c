//! An encrypted connection, and what is known about it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::CommonState;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

/// What a handshake came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The cipher suite as IANA writes it, such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// As a server: the name that the client asked for (RFC 6066 §3).
    pub server_name: Option<String>,
    /// As a client: the certificate was valid for the name, from an authority we know.
    pub is_verified: bool,
}

impl Established {
    pub(crate) fn of(connection: &CommonState, server_name: Option<String>, is_verified: bool) -> Self {
        let version = connection.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
        let suite =
            connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("TLS_");
        Self {
            // The library writes TLSv1_3 and TLS13_AES_…; logs and Received fields want the registered names.
            version: version.replace('_', "."),
            cipher: suite.replacen("TLS13_", "TLS_", 1),
            server_name,
            is_verified,
        }
    }
}

/// An encrypted connection over `S`. Its state is on the heap: the value itself is one pointer.
#[derive(Debug)]
pub struct Stream<S>(Box<TlsStream<S>>);

impl<S> Stream<S> {
    pub(crate) fn new(inner: TlsStream<S>) -> Self {
        Self(Box::new(inner))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(context, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(context)
    }
}
