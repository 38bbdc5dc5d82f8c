//! The resolver: asks, remembers as long as the TTL says, and tells "no" from "not now".

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as LibraryError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use maitred_mail::Domain;
use maitred_mail::dns::{Answer, DnsError, Mx, Resolver};

use crate::Config;

/// Asks the DNS.
pub struct Dns {
    /// Or why there is none: then every answer is "not now".
    resolver: Result<TokioResolver, String>,
    questions: AtomicU64,
}

impl Dns {
    /// Opens nothing yet. Without usable servers it is told when something is asked.
    pub fn new(config: &Config) -> Self {
        Self { resolver: build(config), questions: AtomicU64::new(0) }
    }

    /// How many questions were asked of it, answered from memory or not.
    pub fn questions(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }

    /// All records of this kind, those of aliases (CNAME) followed.
    async fn ask(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, DnsError> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        let resolver = self.resolver.as_ref().map_err(|error| DnsError::Temporary(error.clone()))?;
        let name = Name::from_ascii(name).map_err(|error| DnsError::Temporary(error.to_string()));
        // Absolute, so that no search list is tried.
        let name = name.map(|mut name| {
            name.set_fqdn(true);
            name
        })?;
        let answer = resolver.lookup(name.clone(), kind).await;
        tracing::debug!(%name, %kind, is_answered = answer.is_ok(), "asked the DNS");
        let answer = answer.map_err(judge)?;
        let records = answer.answers().iter().filter(|record| record.record_type() == kind);
        let found: Vec<RData> = records.map(|record| record.data.clone()).collect();
        if found.is_empty() { Err(DnsError::NoRecord) } else { Ok(found) }
    }
}

impl Resolver for Dns {
    fn mx<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Vec<Mx>> {
        Box::pin(async move {
            let found = self.ask(domain.as_str(), RecordType::MX).await?;
            let mut records = Vec::new();
            for record in &found {
                let RData::MX(mx) = record else { continue };
                let exchange = match mx.exchange.is_root() {
                    true => None,
                    false => match Domain::parse(text(&mx.exchange).as_str()) {
                        Ok(name) => Some(name),
                        // A host that cannot be one: the others may do.
                        Err(_) => continue,
                    },
                };
                records.push(Mx { preference: mx.preference, exchange });
            }
            if records.is_empty() {
                return Err(DnsError::Temporary(format!("no usable MX record of {domain}")));
            }
            Ok(records)
        })
    }

    fn ip<'a>(&'a self, host: &'a Domain) -> Answer<'a, Vec<IpAddr>> {
        Box::pin(async move {
            let (v4, v6) = tokio::join!(
                self.ask(host.as_str(), RecordType::A),
                self.ask(host.as_str(), RecordType::AAAA)
            );
            let mut addresses = Vec::new();
            for record in v4.iter().chain(&v6).flatten() {
                match record {
                    RData::A(address) => addresses.push(IpAddr::V4(address.0)),
                    RData::AAAA(address) => addresses.push(IpAddr::V6(address.0)),
                    _ => {}
                }
            }
            match (addresses.is_empty(), v4, v6) {
                (false, ..) => Ok(addresses),
                // One "not now" is enough not to say no.
                (_, Err(error @ DnsError::Temporary(_)), _) | (_, _, Err(error @ DnsError::Temporary(_))) => {
                    Err(error)
                }
                (_, Err(DnsError::NoSuchName), Err(DnsError::NoSuchName)) => Err(DnsError::NoSuchName),
                _ => Err(DnsError::NoRecord),
            }
        })
    }

    fn ptr(&self, ip: IpAddr) -> Answer<'_, Vec<Domain>> {
        Box::pin(async move {
            let found = self.ask(&Name::from(ip).to_ascii(), RecordType::PTR).await?;
            let names = found.iter().filter_map(|record| match record {
                RData::PTR(name) => Domain::parse(&text(&name.0)).ok(),
                _ => None,
            });
            Ok(names.collect())
        })
    }
}

fn build(config: &Config) -> Result<TokioResolver, String> {
    let provider = TokioRuntimeProvider::default();
    let mut builder = if config.servers.is_empty() {
        TokioResolver::builder_tokio().map_err(|error| format!("the system's resolvers: {error}"))?
    } else {
        let servers = config.servers.iter().map(|server| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            NameServerConfig::new(server.ip(), true, connections.into())
        });
        let servers = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        TokioResolver::builder_with_config(servers, provider)
    };
    let options = builder.options_mut();
    options.timeout = config.timeout;
    options.attempts = config.attempts;
    options.cache_size = config.cache_entries;
    options.use_hosts_file = ResolveHosts::Never;
    builder.build().map_err(|error| error.to_string())
}

/// RFC 2308: NXDOMAIN says that there is no such name, an empty answer that there is no such record; anything else says
/// nothing.
fn judge(error: NetError) -> DnsError {
    match &error {
        NetError::Dns(LibraryError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => DnsError::NoSuchName,
            ResponseCode::NoError => DnsError::NoRecord,
            other => DnsError::Temporary(other.to_string()),
        },
        _ => DnsError::Temporary(error.to_string()),
    }
}

/// Without the dot at the end.
fn text(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}
