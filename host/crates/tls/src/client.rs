//! The client's side of a handshake.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::{Error, Established, Stream, provider};

/// What a server must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// Any certificate: encryption without knowing with whom (RFC 7435). Whether it would have been good is
    /// still found out ([`Established::is_verified`]).
    #[default]
    Any,
    /// A valid one for the name, from an authority of the Mozilla list.
    Verified,
}

/// Opens handshakes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    any: Arc<ClientConfig>,
    verified: Arc<ClientConfig>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl Client {
    pub(crate) fn new() -> Result<Self, Error> {
        Self::with_roots(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    fn with_roots(roots: RootCertStore) -> Result<Self, Error> {
        let provider = provider();
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| Error::Broken(error.to_string()))?;
        let builder = || {
            ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(|error| Error::Broken(error.to_string()))
        };
        let verified = builder()?.with_webpki_verifier(Arc::clone(&verifier)).with_no_client_auth();
        let mut any = builder()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(Arc::clone(&provider))))
            .with_no_client_auth();
        // A resumed session shows its first certificate again, however old: ask for it anew each time.
        any.resumption = Resumption::disabled();
        Ok(Self { any: Arc::new(any), verified: Arc::new(verified), verifier })
    }

    /// Shakes hands with the server called `name` (a host name or an IP address). The caller bounds the time.
    ///
    /// # Errors
    /// [`Error::Name`] and [`Error::Handshake`], the latter also for a certificate that `trust` does not accept.
    pub async fn connect<S>(&self, io: S, name: &str, trust: Trust) -> Result<(Stream<S>, Established), Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let server_name = ServerName::try_from(name.trim_end_matches('.').to_owned())
            .map_err(|_| Error::Name(name.to_owned()))?;
        let config = match trust {
            Trust::Any => &self.any,
            Trust::Verified => &self.verified,
        };
        let stream = TlsConnector::from(Arc::clone(config))
            .connect(server_name.clone(), io)
            .await
            .map_err(Error::Handshake)?;
        let (_, connection) = stream.get_ref();
        let is_verified =
            trust == Trust::Verified || self.is_valid(connection.peer_certificates(), &server_name);
        let established = Established::of(connection, None, is_verified);
        Ok((Stream::new(stream.into()), established))
    }

    fn is_valid(&self, chain: Option<&[CertificateDer<'_>]>, name: &ServerName<'_>) -> bool {
        let Some((own, intermediates)) = chain.and_then(<[_]>::split_first) else { return false };
        self.verifier.verify_server_cert(own, intermediates, name, &[], UnixTime::now()).is_ok()
    }
}

/// Takes any certificate, but the server must still prove that it holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::{Config, Tls};

    /// Trusts what `tls` shows.
    fn trusting(directory: &Path) -> Client {
        let pair = crate::self_signed::load_or_make("mx.a.test", &directory.join("tls")).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(pair.cert[0].clone()).unwrap();
        Client::with_roots(roots).unwrap()
    }

    async fn shake(
        tls: &Tls,
        client: &Client,
        name: &str,
        trust: Trust,
    ) -> Result<(Established, Established), Error> {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let (opened, accepted) = tokio::join!(client.connect(near, name, trust), tls.server().accept(far));
        let ((mut near, seen), (mut far, shown)) = (opened?, accepted?);
        near.write_all(b"ping").await.unwrap();
        near.flush().await.unwrap();
        let mut read = [0; 4];
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"ping");
        Ok((seen, shown))
    }

    #[tokio::test]
    async fn any_certificate_will_do_but_is_reported_as_unverified() {
        let directory = tempfile::tempdir().unwrap();
        let tls = Tls::open(&Config::default(), "mx.a.test", directory.path()).unwrap();
        let (seen, shown) = shake(&tls, tls.client(), "mx.b.test", Trust::Any).await.unwrap();
        assert!(!seen.is_verified);
        assert_eq!((seen.version.as_str(), shown.server_name.as_deref()), ("TLSv1.3", Some("mx.b.test")));
        assert!(seen.cipher.starts_with("TLS_"), "{}", seen.cipher);
    }

    #[tokio::test]
    async fn a_good_certificate_is_reported_as_verified() {
        let directory = tempfile::tempdir().unwrap();
        let tls = Tls::open(&Config::default(), "mx.a.test", directory.path()).unwrap();
        let client = trusting(directory.path());
        assert!(shake(&tls, &client, "mx.a.test.", Trust::Any).await.unwrap().0.is_verified);
        assert!(!shake(&tls, &client, "mx.b.test", Trust::Any).await.unwrap().0.is_verified);
        assert!(shake(&tls, &client, "mx.a.test", Trust::Verified).await.unwrap().0.is_verified);
    }

    #[tokio::test]
    async fn verified_refuses_an_unknown_authority_and_another_name() {
        let directory = tempfile::tempdir().unwrap();
        let tls = Tls::open(&Config::default(), "mx.a.test", directory.path()).unwrap();
        let refused = shake(&tls, tls.client(), "mx.a.test", Trust::Verified).await;
        assert!(matches!(refused, Err(Error::Handshake(_))));
        let refused = shake(&tls, &trusting(directory.path()), "mx.b.test", Trust::Verified).await;
        assert!(matches!(refused, Err(Error::Handshake(_))));
    }

    #[tokio::test]
    async fn reload_changes_new_handshakes_and_a_bad_file_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let tls = Tls::open(&Config::default(), "mx.a.test", directory.path()).unwrap();
        let client = trusting(directory.path());
        let broken = directory.path().join("broken.pem");
        std::fs::write(&broken, "nothing").unwrap();
        let bad = Config { certificate: Some(broken.clone()), key: Some(broken), acme: None };
        assert!(matches!(tls.reload(&bad, "mx.a.test", directory.path()), Err(Error::Pem { .. })));
        assert!(shake(&tls, &client, "mx.a.test", Trust::Verified).await.is_ok());

        let made = directory.path().join("other");
        crate::self_signed::load_or_make("mx.a.test", &made).unwrap();
        let good = Config {
            certificate: Some(made.join("self-signed.pem")),
            key: Some(made.join("self-signed.key")),
            acme: None,
        };
        tls.reload(&good, "mx.a.test", directory.path()).unwrap();
        assert!(shake(&tls, &client, "mx.a.test", Trust::Verified).await.is_err());
        let mixed = Config { key: Some(directory.path().join("tls/self-signed.key")), ..good };
        assert!(matches!(Tls::check(&mixed), Err(Error::Mismatch { .. })));
    }
}
