//! From a domain and what the DNS says of it to the hosts that are tried, in order.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use maitred_mail::dns::{DnsError, Mx};
use maitred_mail::{Class, Domain, EnhancedStatus};

use crate::config::{Config, ConfigError, Credentials, Relay, TlsPolicy};

/// A host by name or by address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// Its addresses have to be asked for.
    Name(Domain),
    /// An address literal: nothing to ask.
    Ip(IpAddr),
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// One host to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// Which.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// What the connection must be.
    pub tls: TlsPolicy,
    /// With required TLS: its certificate must be valid for its name too.
    pub needs_valid_certificate: bool,
    /// Who we are there.
    pub credentials: Option<Credentials>,
}

/// What to do for a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Try these, in order.
    Hops(Vec<NextHop>),
    /// Ask for the domain's MX records and call [`Router::by_mx`].
    AskMx,
}

/// Why there is no way to a domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Its name does not exist.
    #[error("domain {0} does not exist")]
    NoSuchDomain(Domain),
    /// It takes no mail (RFC 7505).
    #[error("domain {0} does not accept mail")]
    NullMx(Domain),
    /// Its hosts have no address.
    #[error("no mail host of {0} has an address")]
    NoHost(Domain),
    /// Its best host is ourselves, though the domain is not local.
    #[error("mail for {0} loops back to this server")]
    Loop(Domain),
    /// The DNS does not answer now.
    #[error("DNS trouble for {domain}: {cause}")]
    Dns {
        /// Of which domain.
        domain: Domain,
        /// What happened.
        cause: String,
    },
}

impl RouteError {
    /// RFC 3463 §3.
    pub fn status(&self) -> EnhancedStatus {
        match self {
            // 5.1.2 bad destination system address
            Self::NoSuchDomain(_) => EnhancedStatus::new(Class::Permanent, 1, 2),
            Self::NullMx(_) => EnhancedStatus::NULL_MX,
            // 5.4.4 unable to route
            Self::NoHost(_) => EnhancedStatus::new(Class::Permanent, 4, 4),
            Self::Loop(_) => EnhancedStatus::LOOP,
            // 4.4.3 directory server failure
            Self::Dns { .. } => EnhancedStatus::new(Class::Persistent, 4, 3),
        }
    }
}

/// Knows the static routes and ourselves.
#[derive(Debug, Clone)]
pub struct Router {
    config: Config,
    hostname: Option<Domain>,
    own_addresses: Vec<IpAddr>,
    routes: HashMap<Domain, (Relay, NextHop)>,
}

impl Router {
    /// `hostname`: our name in EHLO; `own_addresses`: those our SMTP listeners are bound to (unspecified ones are
    /// passed over).
    ///
    /// # Errors
    /// See [`Config::check`].
    pub fn new(config: Config, hostname: &str, own_addresses: Vec<IpAddr>) -> Result<Self, ConfigError> {
        config.check()?;
        let routes = config
            .routes
            .iter()
            .map(|route| {
                let tls = route.tls.unwrap_or(config.tls);
                let hop = NextHop {
                    host: host(&route.relay.host),
                    port: route.relay.port,
                    tls,
                    needs_valid_certificate: tls == TlsPolicy::Require,
                    credentials: route.credentials.clone(),
                };
                (route.domain.clone(), (route.relay.clone(), hop))
            })
            .collect();
        Ok(Self { config, hostname: Domain::parse(hostname).ok(), own_addresses, routes })
    }

    /// What to do for mail to this domain.
    pub fn plan(&self, domain: &Domain) -> Plan {
        if let Some((_, hop)) = self.routes.get(domain) {
            return Plan::Hops(vec![hop.clone()]);
        }
        match domain.as_literal() {
            // RFC 5321 §5.1: an address literal is reached directly.
            Some(ip) => Plan::Hops(vec![self.hop(Host::Ip(ip))]),
            None => Plan::AskMx,
        }
    }

    /// The hosts of a domain by its MX records, best first. `seed` decides the order within a preference (RFC 5321 §5.1
    /// asks to spread the load).
    ///
    /// # Errors
    /// [`RouteError`].
    pub fn by_mx(
        &self,
        domain: &Domain,
        answer: Result<Vec<Mx>, DnsError>,
        seed: u64,
    ) -> Result<Vec<NextHop>, RouteError> {
        let mut records = match answer {
            Ok(records) if !records.is_empty() => records,
            // RFC 5321 §5.1: without MX records the domain itself is its mail host ("implicit MX").
            Ok(_) | Err(DnsError::NoRecord) => {
                return if self.is_ourselves(domain) {
                    Err(RouteError::Loop(domain.clone()))
                } else {
                    Ok(vec![self.hop(Host::Name(domain.clone()))])
                };
            }
            Err(DnsError::NoSuchName) => return Err(RouteError::NoSuchDomain(domain.clone())),
            Err(DnsError::Temporary(cause)) => return Err(RouteError::Dns { domain: domain.clone(), cause }),
        };
        // RFC 7505 §3: a null MX stands alone; beside others it means nothing.
        records.retain(|mx| mx.exchange.is_some());
        if records.is_empty() {
            return Err(RouteError::NullMx(domain.clone()));
        }
        shuffle(&mut records, seed);
        records.sort_by_key(|mx| mx.preference);
        // RFC 5321 §5.1: where we are listed ourselves, only better ones may be tried.
        let own =
            records.iter().filter(|mx| mx.exchange.as_ref().is_some_and(|name| self.is_ourselves(name)));
        if let Some(limit) = own.map(|mx| mx.preference).min() {
            records.retain(|mx| mx.preference < limit);
            if records.is_empty() {
                return Err(RouteError::Loop(domain.clone()));
            }
        }
        let names = records.into_iter().filter_map(|mx| mx.exchange);
        Ok(names.take(self.config.hops_max).map(|name| self.hop(host(&name))).collect())
    }

    /// The addresses of a hop to try, in order; `None` when one of them is ourselves, so that neither this hop nor a
    /// later one may be tried.
    pub fn addresses(&self, hop: &NextHop, found: &[IpAddr]) -> Option<Vec<SocketAddr>> {
        if found.iter().any(|ip| self.is_own_address(*ip, hop.port)) {
            return None;
        }
        // RFC 5321 §5.1 leaves the order to us: families in turn, so that one that is cut off costs one try.
        let (v6, v4): (Vec<_>, Vec<_>) = found.iter().map(IpAddr::to_canonical).partition(IpAddr::is_ipv6);
        let longest = v6.len().max(v4.len());
        let in_turn = (0..longest).flat_map(|at| [v6.get(at), v4.get(at)]).flatten();
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for ip in in_turn {
            let address = SocketAddr::new(*ip, hop.port);
            if !addresses.contains(&address) && addresses.len() < self.config.addresses_max {
                addresses.push(address);
            }
        }
        Some(addresses)
    }

    /// The address of ours to reach this one from.
    pub fn source_for(&self, to: IpAddr) -> Option<IpAddr> {
        self.config.source_addresses.iter().copied().find(|own| own.is_ipv4() == to.is_ipv4())
    }

    fn hop(&self, host: Host) -> NextHop {
        let (port, tls) = (self.config.port, self.config.tls);
        NextHop { host, port, tls, needs_valid_certificate: false, credentials: None }
    }

    fn is_ourselves(&self, name: &Domain) -> bool {
        // Where all servers live on one machine, their names are all there is to tell them apart.
        self.hostname.as_ref() == Some(name) || !self.config.allow_loopback_mx && name.as_str() == "localhost"
    }

    fn is_own_address(&self, ip: IpAddr, port: u16) -> bool {
        // A static route to another port of this machine is what someone wants; so is loopback in tests.
        if self.config.allow_loopback_mx || self.routes.values().any(|(_, hop)| is_static(hop, ip, port)) {
            return false;
        }
        let ip = ip.to_canonical();
        ip.is_loopback() || ip.is_unspecified() || self.own_addresses.contains(&ip)
    }
}

fn is_static(hop: &NextHop, ip: IpAddr, port: u16) -> bool {
    hop.port == port && hop.host == Host::Ip(ip)
}

fn host(name: &Domain) -> Host {
    name.as_literal().map_or_else(|| Host::Name(name.clone()), Host::Ip)
}

/// Fisher and Yates, with a small generator of our own (splitmix64): spreading load needs no better one.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for at in (1..items.len()).rev() {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let place = (mixed ^ (mixed >> 31)) % (at as u64 + 1);
        items.swap(at, usize::try_from(place).unwrap_or(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StaticRoute;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    fn router(config: Config) -> Router {
        Router::new(config, "mx.a.test", vec!["192.0.2.9".parse().unwrap()]).unwrap()
    }

    fn mx(records: &[(u16, &str)]) -> Vec<Mx> {
        let exchange = |name: &str| (name != ".").then(|| domain(name));
        records
            .iter()
            .map(|(preference, name)| Mx { preference: *preference, exchange: exchange(name) })
            .collect()
    }

    fn names(records: &[(u16, &str)], seed: u64) -> Result<Vec<String>, RouteError> {
        let hops = router(Config::default()).by_mx(&domain("b.test"), Ok(mx(records)), seed)?;
        Ok(hops.iter().map(|hop| hop.host.to_string()).collect())
    }

    #[test]
    fn preference_is_the_order_and_equals_are_shuffled() {
        let records = [(20, "c.b.test"), (10, "a.b.test"), (10, "b.b.test")];
        let orders: std::collections::HashSet<_> =
            (0..50).map(|seed| names(&records, seed).unwrap()).collect();
        let expected = [["a.b.test", "b.b.test", "c.b.test"], ["b.b.test", "a.b.test", "c.b.test"]];
        assert_eq!(orders, expected.map(|order| order.map(str::to_owned).to_vec()).into());
    }

    #[test]
    fn null_mx_is_permanent_and_only_alone() {
        let error = names(&[(0, ".")], 0).unwrap_err();
        assert_eq!(error.status().to_string(), "5.1.10");
        assert_eq!(names(&[(0, "."), (10, "a.b.test")], 0).unwrap(), ["a.b.test"]);
    }

    #[test]
    fn our_own_name_cuts_the_list_and_alone_it_is_a_loop() {
        let records = [(10, "a.b.test"), (20, "mx.a.test"), (20, "b.b.test"), (30, "c.b.test")];
        assert_eq!(names(&records, 3).unwrap(), ["a.b.test"]);
        let error = names(&[(10, "mx.a.test"), (20, "b.b.test")], 0).unwrap_err();
        assert_eq!(error.status().to_string(), "5.4.6");
    }

    #[test]
    fn no_record_is_an_implicit_mx_no_name_a_bounce_and_trouble_a_retry() {
        let router = router(Config::default());
        let by = |answer| router.by_mx(&domain("b.test"), Err(answer), 0);
        assert_eq!(by(DnsError::NoRecord).unwrap()[0].host, Host::Name(domain("b.test")));
        assert_eq!(by(DnsError::NoSuchName).unwrap_err().status().to_string(), "5.1.2");
        assert_eq!(by(DnsError::Temporary("SERVFAIL".into())).unwrap_err().status().to_string(), "4.4.3");
    }

    #[test]
    fn sixty_hosts_are_not_all_tried() {
        let names: Vec<_> = (0..60).map(|n| format!("mx{n}.b.test")).collect();
        let records: Vec<_> = names.iter().map(|name| (10, name.as_str())).collect();
        assert_eq!(super::tests::names(&records, 0).unwrap().len(), 10);
    }

    #[test]
    fn a_literal_and_a_static_route_ask_no_dns() {
        let route = StaticRoute {
            domain: domain("c.test"),
            relay: Relay::parse("127.0.0.1:2626").unwrap(),
            tls: Some(TlsPolicy::None),
            credentials: None,
        };
        let router = router(Config { routes: vec![route], ..Config::default() });
        let Plan::Hops(hops) = router.plan(&domain("[192.0.2.7]")) else { panic!() };
        assert_eq!(router.addresses(&hops[0], &["192.0.2.7".parse().unwrap()]).unwrap()[0].port(), 25);
        let Plan::Hops(hops) = router.plan(&domain("c.test")) else { panic!() };
        assert_eq!((hops[0].port, hops[0].tls), (2626, TlsPolicy::None));
        assert!(router.addresses(&hops[0], &["127.0.0.1".parse().unwrap()]).is_some());
        assert_eq!(router.plan(&domain("b.test")), Plan::AskMx);
    }

    #[test]
    fn our_own_addresses_and_loopback_are_ourselves() {
        let hop = router(Config::default()).hop(Host::Name(domain("mx.b.test")));
        for ip in ["127.0.0.1", "::1", "0.0.0.0", "::ffff:127.0.0.1", "192.0.2.9"] {
            let found = ["192.0.2.1".parse().unwrap(), ip.parse().unwrap()];
            assert_eq!(router(Config::default()).addresses(&hop, &found), None, "{ip}");
            let tests = router(Config { allow_loopback_mx: true, ..Config::default() });
            assert_eq!(tests.addresses(&hop, &found).unwrap().len(), 2);
        }
    }

    #[test]
    fn address_families_take_turns() {
        let hop = router(Config::default()).hop(Host::Name(domain("mx.b.test")));
        let found = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|ip| ip.parse().unwrap());
        let order: Vec<_> = router(Config::default())
            .addresses(&hop, &found)
            .unwrap()
            .iter()
            .map(|a| a.ip().to_string())
            .collect();
        assert_eq!(order, ["2001:db8::1", "192.0.2.1", "192.0.2.2"]);
    }

    proptest::proptest! {
        #[test]
        fn every_order_is_by_preference_and_never_passes_ourselves(
            records in proptest::collection::vec((0u16..4, 0usize..6), 1..20), seed in proptest::num::u64::ANY
        ) {
            let all = ["m0.b.test", "m1.b.test", "m2.b.test", "m3.b.test", "mx.a.test", "."];
            let records: Vec<_> = records.into_iter().map(|(p, n)| (p, all[n])).collect();
            let own = records.iter().filter(|(_, n)| *n == "mx.a.test").map(|(p, _)| *p).min();
            match names(&records, seed) {
                Ok(order) => {
                    let best = |name: &str| records.iter().filter(|(_, n)| *n == name).map(|(p, _)| *p).min();
                    proptest::prop_assert!(!order.is_empty() && order.len() <= 10);
                    proptest::prop_assert!(order.iter().all(|n| n != "." && n != "mx.a.test"));
                    proptest::prop_assert!(order.iter().all(|n| own.is_none_or(|own| best(n).unwrap() < own)));
                }
                Err(error) => proptest::prop_assert!(error.status().is_permanent()),
            }
        }
    }
}
