//! What the operator lets a plugin use. An import that needs more stops the load.

use std::sync::Arc;

use maitred_policy::Capability;

/// Capabilities, parsed from the words of the configuration: `store`, `dns`, `directory`, `submit`, `authentication`, `http:ORIGIN`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    words: Vec<String>,
    capabilities: Vec<Capability>,
    origins: Arc<[String]>,
}

impl Grants {
    /// # Errors
    /// One line that says which word is none, and which there are.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut capabilities = Vec::new();
        let mut origins = Vec::new();
        for word in words {
            let capability = match word.split_once(':') {
                Some(("http", origin)) => {
                    origins.push(checked_origin(origin)?);
                    Capability::Http
                }
                _ => Capability::ALL
                    .into_iter()
                    .find(|known| *known != Capability::Http && known.name() == word)
                    .ok_or_else(|| {
                        format!(
                            "no capability {word:?}; there are store, dns, directory, submit, authentication and http:https://HOST"
                        )
                    })?,
            };
            if !capabilities.contains(&capability) {
                capabilities.push(capability);
            }
        }
        Ok(Self { words: words.to_vec(), capabilities, origins: origins.into() })
    }

    /// Whether it was granted.
    pub fn has(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }

    /// As they were written.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whom requests may be sent to.
    pub fn origins(&self) -> Arc<[String]> {
        Arc::clone(&self.origins)
    }
}

/// The capability that an import of the contract needs: `Ok(None)` needs none.
///
/// # Errors
/// An import that nothing grants.
pub(crate) fn needed(import: &str) -> Result<Option<Capability>, ()> {
    const FREE: [&str; 10] = [
        "types",
        "decisions",
        "host-session",
        "host-message",
        "log",
        "config",
        "clock",
        "random",
        "metrics",
        "answers",
    ];
    // Standard streams that go nowhere, an empty environment, clocks and random octets: what language runtimes link.
    const WASI: [&str; 4] = ["wasi:cli", "wasi:io", "wasi:clocks", "wasi:random"];
    let unversioned = import.split('@').next().unwrap_or_default();
    match unversioned.split_once('/') {
        Some(("maitred:plugin", interface)) if FREE.contains(&interface) => Ok(None),
        Some(("maitred:plugin", interface)) => {
            let found = Capability::ALL.into_iter().find(|known| known.name() == interface);
            found.map(Some).ok_or(())
        }
        Some((package, _)) if WASI.contains(&package) => Ok(None),
        _ => Err(()),
    }
}

/// Scheme, host and port only: `https://api.example.org`, `http://127.0.0.1:8080`.
fn checked_origin(origin: &str) -> Result<String, String> {
    let wrong = || format!("{origin:?} is no origin; expected https://HOST, or http://HOST:PORT");
    let (scheme, authority) = origin.split_once("://").ok_or_else(wrong)?;
    let is_legal = matches!(scheme, "http" | "https")
        && !authority.is_empty()
        && authority.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    if is_legal { Ok(origin.to_ascii_lowercase()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_outside_needs_a_grant() {
        for import in [
            "wasi:sockets/tcp@0.2.6",
            "wasi:sockets/ip-name-lookup@0.2.6",
            "wasi:filesystem/preopens@0.2.6",
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:clocksx/a@0.2.6",
            "maitred:plugin/c0nfig@0.1.0",
            "own:package/thing",
            "thing",
        ] {
            assert_eq!(needed(import), Err(()), "{import}");
        }
        for import in ["maitred:plugin/host-message@0.1.0", "wasi:cli/stderr@0.2.9", "wasi:io/streams@0.2.12"]
        {
            assert_eq!(needed(import), Ok(None), "{import}");
        }
        assert_eq!(needed("maitred:plugin/store@0.1.0"), Ok(Some(Capability::Store)));
        assert_eq!(needed("maitred:plugin/http@0.1.0"), Ok(Some(Capability::Http)));
        assert_eq!(needed("maitred:plugin/authentication@0.1.0"), Ok(Some(Capability::Authentication)));
    }

    #[test]
    fn grants_are_words_of_a_short_list() {
        let words = ["store", "http:https://API.example.org", "http:http://127.0.0.1:80"].map(str::to_owned);
        let grants = Grants::parse(&words).unwrap();
        assert!(
            grants.has(Capability::Store) && grants.has(Capability::Http) && !grants.has(Capability::Dns)
        );
        assert_eq!(*grants.origins(), ["https://api.example.org", "http://127.0.0.1:80"]);
        for wrong in
            ["files", "http", "http:", "http:ftp://x", "http:https://x/path", "http:https://u@x", "Store"]
        {
            assert!(Grants::parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
