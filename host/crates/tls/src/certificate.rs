//! The server's certificate: loaded from files or made here, and replaced while connections are open.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::Source;
use crate::{Client, Config, Error, Server, provider, self_signed};

/// The server's certificate and both sides' settings, shared by all who speak TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    current: Arc<Current>,
    server: Server,
    client: Client,
}

impl Tls {
    /// Loads the configured certificate, or the self-signed one of `data_dir/tls` (made when there is none that is
    /// valid for `hostname`).
    ///
    /// # Errors
    /// What is wrong with the configuration or a file.
    pub fn open(config: &Config, hostname: &str, data_dir: &Path) -> Result<Self, Error> {
        let current = Arc::new(Current(ArcSwap::from_pointee(load(config, hostname, data_dir)?)));
        let server = Server::new(Arc::clone(&current))?;
        Ok(Self { current, server, client: Client::new()? })
    }

    /// Does the same again: new handshakes use what is found now, open connections stay as they are. On an error
    /// nothing has changed.
    ///
    /// # Errors
    /// As [`Tls::open`].
    pub fn reload(&self, config: &Config, hostname: &str, data_dir: &Path) -> Result<(), Error> {
        self.current.0.store(Arc::new(load(config, hostname, data_dir)?));
        tracing::info!("certificate loaded");
        Ok(())
    }

    /// Checks configuration and files without changing anything: `maitred check`.
    ///
    /// # Errors
    /// As [`Tls::open`].
    pub fn check(config: &Config) -> Result<(), Error> {
        match config.source()? {
            Source::SelfSigned => Ok(()),
            Source::Files { certificate, key } => load_pair(certificate, key).map(|_| ()),
        }
    }

    /// For those who accept connections.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// For those who open connections.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

fn load(config: &Config, hostname: &str, data_dir: &Path) -> Result<CertifiedKey, Error> {
    match config.source()? {
        Source::Files { certificate, key } => load_pair(certificate, key),
        Source::SelfSigned => self_signed::load_or_make(hostname, &data_dir.join("tls")),
    }
}

/// Reads a certificate chain and its key, and checks that they belong together.
pub(crate) fn load_pair(certificate: &Path, key: &Path) -> Result<CertifiedKey, Error> {
    let chain = read(certificate)?;
    let refused = |reason: String| Error::Pem { path: certificate.into(), wanted: "certificate", reason };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|error| refused(error.to_string()))?;
    if chain.is_empty() {
        return Err(refused("no such section".into()));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| Error::Pem {
        path: key.into(),
        wanted: "private key",
        reason: error.to_string(),
    })?;
    CertifiedKey::from_der(chain, private, &provider())
        .map_err(|error| Error::Mismatch { path: certificate.into(), reason: error.to_string() })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File { path: path.into(), source })
}

/// What a handshake is answered with now.
#[derive(Debug)]
pub(crate) struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}
