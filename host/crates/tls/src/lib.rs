//! TLS 1.2 and 1.3: the server's certificate, and handshakes on either side. The sole owner of rustls.
//!
//! RFC 8446, RFC 5246; RFC 3207 and RFC 8314 (mail over TLS); RFC 7435 (opportunistic security).
//! Invariants: a certificate that does not load changes nothing; the cryptography is aws-lc-rs, named here and nowhere
//! taken from a process-wide default; private keys are written for their owner only.

mod certificate;
mod client;
mod config;
mod error;
mod self_signed;
mod server;
mod stream;

pub use certificate::Tls;
pub use client::{Client, Trust};
pub use config::{Acme, Config};
pub use error::Error;
pub use server::Server;
pub use stream::{Established, Stream};

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The cryptography that every configuration of ours uses.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
