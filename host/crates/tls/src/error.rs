//! Why there is no certificate, or no handshake.

use std::path::PathBuf;

/// Ordered by who must act: the peer, then the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The handshake failed, or the connection with it.
    #[error("TLS handshake: {0}")]
    Handshake(#[source] std::io::Error),
    /// The host we connect to has no name that TLS can ask for.
    #[error("{0:?} is no host name for TLS")]
    Name(String),
    /// A certificate without a key, or a key without a certificate.
    #[error("tls: `{present}` is set without `{missing}`")]
    Incomplete {
        /// The key that is there.
        present: &'static str,
        /// The key that is not.
        missing: &'static str,
    },
    /// `acme` is not built yet.
    #[error(
        "tls: `acme` is not supported yet; set `certificate` and `key`, or nothing for a self-signed one"
    )]
    AcmeUnsupported,
    /// Both files and `acme`.
    #[error("tls: `acme` and `certificate` exclude each other")]
    Both,
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds no certificate or no private key in PEM.
    #[error("{}: no {wanted} in PEM: {reason}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// `certificate` or `private key`.
        wanted: &'static str,
        /// What the reader said.
        reason: String,
    },
    /// The key does not belong to the certificate, or is of a kind that cannot be used.
    #[error("{}: not usable with its key: {reason}", path.display())]
    Mismatch {
        /// The certificate.
        path: PathBuf,
        /// What the library said.
        reason: String,
    },
    /// A self-signed certificate could not be made.
    #[error("cannot make a self-signed certificate for {hostname}: {reason}")]
    Generate {
        /// For this name.
        hostname: String,
        /// What the library said.
        reason: String,
    },
    /// The TLS library refuses our own settings.
    #[error("TLS settings: {0}")]
    Broken(String),
}
