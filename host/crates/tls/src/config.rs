//! `[tls]` in the configuration.

use std::path::PathBuf;

use crate::Error;

/// Where the server's certificate comes from. Default: self-signed, kept in the data directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// PEM file: the certificate, then its chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// PEM file: the private key of `certificate` (PKCS #8, PKCS #1 or SEC 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Automatic certificates (RFC 8555). Refused for now, so that nobody waits for one in vain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme: Option<Acme>,
}

/// `acme = { contact, directory }`.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Acme {
    /// Who is told of trouble.
    pub contact: String,
    /// The directory URL of the authority.
    pub directory: String,
}

/// What a checked configuration comes to.
pub(crate) enum Source<'a> {
    Files { certificate: &'a PathBuf, key: &'a PathBuf },
    SelfSigned,
}

impl Config {
    /// Checks that the keys go together; reads no file.
    ///
    /// # Errors
    /// [`Error::AcmeUnsupported`], [`Error::Both`] and [`Error::Incomplete`].
    pub fn check(&self) -> Result<(), Error> {
        self.source().map(|_| ())
    }

    pub(crate) fn source(&self) -> Result<Source<'_>, Error> {
        match (&self.certificate, &self.key, &self.acme) {
            (None, None, None) => Ok(Source::SelfSigned),
            (Some(certificate), Some(key), None) => Ok(Source::Files { certificate, key }),
            (Some(_), None, None) => Err(Error::Incomplete { present: "certificate", missing: "key" }),
            (None, Some(_), None) => Err(Error::Incomplete { present: "key", missing: "certificate" }),
            (None, None, Some(_)) => Err(Error::AcmeUnsupported),
            (_, _, Some(_)) => Err(Error::Both),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_pair_and_acme_are_refused() {
        let certificate = Some(PathBuf::from("c.pem"));
        let half = Config { certificate: certificate.clone(), ..Config::default() };
        assert!(matches!(half.check(), Err(Error::Incomplete { missing: "key", .. })));
        let half = Config { key: certificate.clone(), ..Config::default() };
        assert!(matches!(half.check(), Err(Error::Incomplete { missing: "certificate", .. })));
        let acme = Config { acme: Some(Acme::default()), ..Config::default() };
        assert!(matches!(acme.check(), Err(Error::AcmeUnsupported)));
        assert!(matches!(Config { certificate, ..acme }.check(), Err(Error::Both)));
    }
}
