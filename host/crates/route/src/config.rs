//! The routes' part of `[outbound]` in the configuration.

use std::fmt;
use std::net::IpAddr;

use maitred_mail::Domain;

/// How mail leaves.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The port of remote MX hosts: 25.
    pub port: u16,
    /// Addresses of ours to send from, one of each family is used; none: the system chooses.
    pub source_addresses: Vec<IpAddr>,
    /// True only where next hops live on this machine (tests): else a hop on loopback is taken for ourselves.
    pub allow_loopback_mx: bool,
    /// For everything without a rule of its own: opportunistic.
    pub tls: TlsPolicy,
    /// Static routes, looked at before the DNS.
    #[serde(rename = "route")]
    pub routes: Vec<StaticRoute>,
    /// How many hosts of one domain are tried in one attempt: 10.
    pub hops_max: usize,
    /// How many addresses of one host are tried in one attempt: 6.
    pub addresses_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 25,
            source_addresses: Vec::new(),
            allow_loopback_mx: false,
            tls: TlsPolicy::Opportunistic,
            routes: Vec::new(),
            hops_max: 10,
            addresses_max: 6,
        }
    }
}

/// What a connection must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsPolicy {
    /// Plaintext, though TLS be offered.
    None,
    /// TLS where it is offered, with any certificate; else plaintext (RFC 7435).
    #[default]
    Opportunistic,
    /// TLS or nothing. To a static route also a valid certificate for the relay's name.
    Require,
}

/// `[[outbound.route]]`: mail for a domain goes to this relay, whatever the DNS says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticRoute {
    /// For which recipients' domain.
    pub domain: Domain,
    /// Where to.
    pub relay: Relay,
    /// `None`: as for everything ([`Config::tls`]).
    #[serde(default)]
    pub tls: Option<TlsPolicy>,
    /// Who we are there.
    #[serde(default)]
    pub credentials: Option<Credentials>,
}

/// A relay: a host name or an address (in brackets or not), `:port`, 25 if none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Relay {
    /// A name, or an address literal.
    pub host: Domain,
    /// Its port.
    pub port: u16,
}

impl Relay {
    /// Reads `smtp.example.net:587`, `192.0.2.1`, `[2001:db8::1]:2525`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Some(Self { host: literal(ip)?, port: 25 });
        }
        let (host, port) = match text.rsplit_once(':') {
            // The colons between brackets are the address's own.
            Some((host, port)) if !host.is_empty() && !text.ends_with(']') => {
                (host, port.parse().ok().filter(|port| *port != 0)?)
            }
            _ => (text, 25),
        };
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        match bare.parse::<IpAddr>() {
            Ok(ip) => Some(Self { host: literal(ip)?, port }),
            Err(_) => Domain::parse(host).ok().map(|host| Self { host, port }),
        }
    }
}

fn literal(ip: IpAddr) -> Option<Domain> {
    match ip {
        IpAddr::V4(v4) => Domain::parse(&format!("[{v4}]")).ok(),
        IpAddr::V6(v6) => Domain::parse(&format!("[IPv6:{v6}]")).ok(),
    }
}

impl fmt::Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.as_literal() {
            Some(IpAddr::V6(v6)) => write!(f, "[{v6}]:{}", self.port),
            Some(IpAddr::V4(v4)) => write!(f, "{v4}:{}", self.port),
            None => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl serde::Serialize for Relay {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Relay {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("expected a host or address, with :port or without"))
    }
}

/// A name and a password for a relay. `Debug` shows no password, and it is never written out.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Who.
    pub username: String,
    /// The secret, as it stood in `password_file`.
    #[serde(skip_serializing)]
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Port 0.
    #[error("outbound.port: must not be 0")]
    Port,
    /// Nothing could be tried.
    #[error("outbound: hops_max and addresses_max must be at least 1")]
    Tries,
    /// Two routes for one domain.
    #[error("outbound.route: domain {0} has two routes")]
    Twice(Domain),
    /// A password must not go where anybody may listen or pretend.
    #[error("outbound.route: domain {0} has a username, which needs tls = \"require\"")]
    Exposed(Domain),
}

impl Config {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// What cannot be.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.port == 0 {
            return Err(ConfigError::Port);
        }
        if self.hops_max == 0 || self.addresses_max == 0 {
            return Err(ConfigError::Tries);
        }
        for (number, route) in self.routes.iter().enumerate() {
            if self.routes.iter().take(number).any(|other| other.domain == route.domain) {
                return Err(ConfigError::Twice(route.domain.clone()));
            }
            let tls = route.tls.unwrap_or(self.tls);
            if route.credentials.is_some() && tls != TlsPolicy::Require {
                return Err(ConfigError::Exposed(route.domain.clone()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_a_host_or_an_address_with_a_port_or_without() {
        for (text, printed) in [
            ("smtp.example.net:587", "smtp.example.net:587"),
            ("smtp.example.net", "smtp.example.net:25"),
            ("192.0.2.1", "192.0.2.1:25"),
            ("192.0.2.1:2525", "192.0.2.1:2525"),
            ("[192.0.2.1]:2525", "192.0.2.1:2525"),
            ("2001:db8::1", "[2001:db8::1]:25"),
            ("[2001:db8::1]", "[2001:db8::1]:25"),
            ("[192.0.2.1]", "192.0.2.1:25"),
            ("[2001:db8::1]:2525", "[2001:db8::1]:2525"),
        ] {
            let relay = Relay::parse(text).unwrap();
            assert_eq!(relay.to_string(), printed);
            assert_eq!(Relay::parse(printed), Some(relay));
        }
        for bad in ["", ":25", "a b", "host:0", "host:65536", "host:x", "[::1", "-x.test"] {
            assert_eq!(Relay::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_password_goes_over_required_tls_only_and_is_never_shown() {
        let credentials = Credentials { username: "u".into(), password: "secret".into() };
        assert!(!format!("{credentials:?}").contains("secret"));
        let route = StaticRoute {
            domain: Domain::parse("b.test").unwrap(),
            relay: Relay::parse("r.test").unwrap(),
            tls: None,
            credentials: Some(credentials),
        };
        let mut config = Config { routes: vec![route], ..Config::default() };
        assert!(matches!(config.check(), Err(ConfigError::Exposed(_))));
        config.tls = TlsPolicy::Require;
        assert_eq!(config.check(), Ok(()));
        config.routes.push(config.routes[0].clone());
        assert!(matches!(config.check(), Err(ConfigError::Twice(_))));
    }
}
