//! `[outbound]` and `[dns]`: how mail leaves.

use std::fs;
use std::path::PathBuf;

use maitred_mail::Domain;
use maitred_route::{Credentials, Relay, StaticRoute, TlsPolicy};
use toml::de::DeValue;

use super::kind::{DOMAIN, FLAG, IP, NAME_SERVER, RELAY, TEXT, TIME, count, count_or_none};
use super::{Config, ConfigError, Keys};

/// One `[[outbound.route]]` as it is written.
#[derive(Debug, Clone, Default)]
pub(super) struct RouteKeys {
    domain: Option<Domain>,
    relay: Option<Relay>,
    tls: Option<TlsPolicy>,
    username: Option<String>,
    pub(super) password_file: Option<PathBuf>,
}

const TLS: [(&str, TlsPolicy); 3] =
    [("opportunistic", TlsPolicy::Opportunistic), ("require", TlsPolicy::Require), ("none", TlsPolicy::None)];
const TLS_OF_ROUTE: [(&str, Option<TlsPolicy>); 3] = [
    ("opportunistic", Some(TlsPolicy::Opportunistic)),
    ("require", Some(TlsPolicy::Require)),
    ("none", Some(TlsPolicy::None)),
];

pub(super) fn dns(keys: &mut Keys<'_>, dns: &mut maitred_dns::Config) -> Result<(), ConfigError> {
    keys.table("dns", |keys| {
        keys.list("servers", &NAME_SERVER, &mut dns.servers)?;
        keys.not_yet("dnssec", |value| value.as_bool() == Some(false), "DNSSEC validation is")?;
        keys.at("timeout", &TIME, &mut dns.timeout)?;
        keys.at("attempts", &count_or_none(), &mut dns.attempts)?;
        keys.at("cache_entries", &count_or_none(), &mut dns.cache_entries)?;
        Ok(())
    })
}

pub(super) fn keys(keys: &mut Keys<'_>, config: &mut Config) -> Result<(), ConfigError> {
    let Config { route, queue, routes, .. } = config;
    keys.table("outbound", |keys| {
        keys.at("port", &count(), &mut route.port)?;
        keys.list("source_addresses", &IP, &mut route.source_addresses)?;
        keys.at("allow_loopback_mx", &FLAG, &mut route.allow_loopback_mx)?;
        keys.list("retry", &TIME, &mut queue.retry)?;
        keys.at("expire", &TIME, &mut queue.expire)?;
        keys.at("delay_warning", &TIME, &mut queue.delay_warning)?;
        keys.at("max_connections_per_domain", &count(), &mut queue.max_connections_per_domain)?;
        keys.at("settle_retry", &TIME, &mut queue.settle_retry)?;
        keys.word("tls", &TLS, &mut route.tls)?;
        keys.at("hops_max", &count(), &mut route.hops_max)?;
        keys.at("addresses_max", &count(), &mut route.addresses_max)?;
        keys.tables("route", routes, RouteKeys::default, route_keys)
    })?;
    if !keys.is_printing() {
        route.routes = routes.iter().filter_map(RouteKeys::open).collect();
    }
    Ok(())
}

fn route_keys(keys: &mut Keys<'_>, route: &mut RouteKeys) -> Result<(), ConfigError> {
    keys.must("domain", &DOMAIN, &mut route.domain)?;
    keys.must("relay", &RELAY, &mut route.relay)?;
    keys.word("tls", &TLS_OF_ROUTE, &mut route.tls)?;
    keys.maybe("username", &TEXT, &mut route.username)?;
    keys.path("password_file", &mut route.password_file)?;
    let is_half = route.username.is_some() != route.password_file.is_some();
    keys.refuse_if(is_half, "username", "username and password_file go together")?;
    if let Some(file) = &route.password_file {
        let read = password(file);
        let problem = read.as_ref().err().cloned().unwrap_or_default();
        keys.refuse_if(read.is_err(), "password_file", &problem)?;
    }
    Ok(())
}

impl RouteKeys {
    /// The route with its password. Its file could be read a moment ago; the check finds out if it cannot any more.
    fn open(&self) -> Option<StaticRoute> {
        let password = self.password_file.as_ref().map(|file| password(file).unwrap_or_default());
        let credentials = self.username.clone().zip(password);
        Some(StaticRoute {
            domain: self.domain.clone()?,
            relay: self.relay.clone()?,
            tls: self.tls,
            credentials: credentials.map(|(username, password)| Credentials { username, password }),
        })
    }
}

/// The first line of the file.
fn password(file: &std::path::Path) -> Result<String, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() { Err(format!("{}: holds no password", file.display())) } else { Ok(line.to_owned()) }
}

/// `[dkim.…]`, which is not built.
pub(super) fn dkim(keys: &mut Keys<'_>) -> Result<(), ConfigError> {
    keys.not_yet(
        "dkim",
        |value| matches!(value, DeValue::Table(table) if table.is_empty()),
        "signing with DKIM is",
    )
}
