//! A certificate of our own, so that there is TLS before anybody has thought of certificates.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::sign::CertifiedKey;

use crate::certificate::load_pair;
use crate::{Error, provider};

/// How long a new one is valid.
const VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// One that ends sooner than this is replaced.
const RENEWAL: Duration = Duration::from_secs(30 * 24 * 3600);
/// Clocks of clients may be behind by this.
const BACKDATING: Duration = Duration::from_secs(24 * 3600);

/// The certificate in `directory`, while it is valid for `hostname`; else a new one, which is put there.
pub(crate) fn load_or_make(hostname: &str, directory: &Path) -> Result<CertifiedKey, Error> {
    let (certificate, key) = (directory.join("self-signed.pem"), directory.join("self-signed.key"));
    match load_pair(&certificate, &key) {
        Ok(pair) if is_valid(&pair, hostname) => return Ok(pair),
        Ok(_) => tracing::info!(
            hostname,
            "self-signed certificate is for another name or expires: making a new one"
        ),
        Err(Error::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(%error, "self-signed certificate does not load: making a new one"),
    }
    let (chain, private) = make(hostname)?;
    let failed = |source| Error::File { path: directory.into(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    // The key first: a stop in between leaves a pair that does not match, and the next start makes a new one.
    write(&key, private.as_bytes(), 0o600)?;
    write(&certificate, chain.as_bytes(), 0o644)?;
    load_pair(&certificate, &key)
}

/// Valid for the host name from now until [`RENEWAL`] ends, when trusted itself.
fn is_valid(pair: &CertifiedKey, hostname: &str) -> bool {
    let (Some(own), Ok(name)) = (pair.cert.first(), ServerName::try_from(hostname.to_owned())) else {
        return false;
    };
    let mut roots = RootCertStore::empty();
    if roots.add(own.clone()).is_err() {
        return false;
    }
    let later = UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs()) + RENEWAL);
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .is_ok_and(|verifier| verifier.verify_server_cert(own, &[], &name, &[], later).is_ok())
}

fn make(hostname: &str) -> Result<(String, String), Error> {
    let failed =
        |error: rcgen::Error| Error::Generate { hostname: hostname.into(), reason: error.to_string() };
    let mut names = vec![hostname.to_owned()];
    for name in ["localhost", "127.0.0.1", "::1"] {
        if name != hostname {
            names.push(name.to_owned());
        }
    }
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, hostname);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    params.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(BACKDATING);
    params.not_after = date_time_ymd(1970, 1, 1) + now.saturating_add(VALIDITY);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Writes beside, then renames, so that nobody reads half a file.
fn write(path: &Path, octets: &[u8], mode: u32) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.into(), source };
    let beside = path.with_extension("new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside).map_err(failed)?;
    file.write_all(octets).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_kept_until_the_host_name_changes() {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("tls");
        let first = load_or_make("mx.example.test", &inside).unwrap();
        let again = load_or_make("mx.example.test", &inside).unwrap();
        assert_eq!(first.cert, again.cert);
        assert!(is_valid(&first, "localhost") && is_valid(&first, "127.0.0.1") && is_valid(&first, "::1"));
        let other = load_or_make("mx.other.test", &inside).unwrap();
        assert_ne!(first.cert, other.cert);
    }

    #[test]
    fn its_key_is_for_the_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("tls");
        load_or_make("localhost", &inside).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&inside.join("self-signed.key")), 0o600);
        assert_eq!(mode(&inside), 0o700);
    }

    #[test]
    fn a_damaged_pair_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        load_or_make("localhost", directory.path()).unwrap();
        std::fs::write(directory.path().join("self-signed.key"), "nonsense").unwrap();
        load_or_make("localhost", directory.path()).unwrap();
    }
}
