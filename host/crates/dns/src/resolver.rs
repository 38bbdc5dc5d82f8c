//! The resolver: asks, remembers as long as the TTL says, and tells "no" from "not now".

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

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
    config: Config,
    /// Empty as long as it cannot be made: the system may learn its resolvers later than we start.
    resolver: OnceLock<TokioResolver>,
    questions: AtomicU64,
}

impl Dns {
    /// Opens and reads nothing yet. Without usable servers it is told when something is asked.
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), resolver: OnceLock::new(), questions: AtomicU64::new(0) }
    }

    /// Reads the system's resolvers now, if there are any: who shuts files off may not be able to read them later.
    pub fn prepare(&self) {
        if let Err(error) = self.resolver() {
            tracing::debug!(%error, "no resolvers yet");
        }
    }

    /// How many questions were asked of it, answered from memory or not.
    pub fn questions(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }

    /// All records of this kind, those of aliases (CNAME) followed.
    async fn ask(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, DnsError> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        let name = absolute(name)?;
        let resolver = self.resolver()?;
        let began = Instant::now();
        let answer = match resolver.lookup(name.clone(), kind).await {
            Ok(answer) => {
                let records = answer.answers().iter().filter(|record| record.record_type() == kind);
                let found: Vec<RData> = records.map(|record| record.data.clone()).collect();
                if found.is_empty() {
                    Err(DnsError::Temporary("an answer to something else".into()))
                } else {
                    Ok(found)
                }
            }
            Err(error) => Err(match judge(error) {
                Judgement::Certain(error) => error,
                Judgement::NoRecordUnlessAlias => Self::unless_alias(resolver, &name).await,
            }),
        };
        let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &answer {
            Ok(found) => tracing::debug!(%name, %kind, records = found.len(), elapsed_ms, "asked the DNS"),
            Err(error) => tracing::debug!(%name, %kind, %error, elapsed_ms, "asked the DNS"),
        }
        answer
    }

    /// An answer without records and without the SOA that goes with one (RFC 2308 §2.2): small servers answer so when
    /// there is nothing, and the library when it has had enough of following aliases, which is no "no".
    async fn unless_alias(resolver: &TokioResolver, name: &Name) -> DnsError {
        match resolver.lookup(name.clone(), RecordType::CNAME).await {
            Ok(_) => DnsError::Temporary("aliases that lead nowhere".into()),
            Err(error) => match judge(error) {
                Judgement::Certain(error) => error,
                Judgement::NoRecordUnlessAlias => DnsError::NoRecord,
            },
        }
    }

    fn resolver(&self) -> Result<&TokioResolver, DnsError> {
        if let Some(resolver) = self.resolver.get() {
            return Ok(resolver);
        }
        let made = build(&self.config).map_err(DnsError::Temporary)?;
        Ok(self.resolver.get_or_init(|| made))
    }
}

/// Absolute, so that no search list is tried.
fn absolute(name: &str) -> Result<Name, DnsError> {
    let mut name = Name::from_ascii(name).map_err(|error| DnsError::Temporary(error.to_string()))?;
    name.set_fqdn(true);
    Ok(name)
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
            // Names that cannot be host names say as much as none.
            let names: Vec<Domain> = names.collect();
            if names.is_empty() { Err(DnsError::NoRecord) } else { Ok(names) }
        })
    }

    fn txt<'a>(&'a self, name: &'a Domain) -> Answer<'a, Vec<String>> {
        Box::pin(async move {
            let found = self.ask(name.as_str(), RecordType::TXT).await?;
            let texts = found.iter().filter_map(|record| match record {
                RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
                _ => None,
            });
            Ok(texts.collect())
        })
    }

    fn listed<'a>(&'a self, name: &'a str) -> Answer<'a, Vec<Ipv4Addr>> {
        Box::pin(async move {
            let found = self.ask(name, RecordType::A).await?;
            let addresses = found.iter().filter_map(|record| match record {
                RData::A(address) => Some(address.0),
                _ => None,
            });
            Ok(addresses.collect())
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
    // Whatever the system's settings say: a truncated answer must be noticed, large ones come in one packet.
    options.edns0 = true;
    builder.with_tls_config(nobody()?).build().map_err(|error| error.to_string())
}

/// Servers are asked without TLS. The library prepares for it all the same, and would read the system's certificates, which may be out
/// of reach or not there: it is given none.
fn nobody() -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

/// What an error of the library says.
enum Judgement {
    Certain(DnsError),
    NoRecordUnlessAlias,
}

/// RFC 2308 §2: NXDOMAIN says that there is no such name, an empty answer that there is no such record; anything else says
/// nothing.
fn judge(error: NetError) -> Judgement {
    let temporary = |reason: String| Judgement::Certain(DnsError::Temporary(reason));
    let none = match error {
        NetError::Dns(LibraryError::NoRecordsFound(none)) => none,
        // Not its own words: they print the whole question in the library's form.
        NetError::Dns(LibraryError::ResponseCode(code)) => return temporary(format!("answered {code}")),
        other => return temporary(other.to_string()),
    };
    match none.response_code {
        ResponseCode::NXDomain => Judgement::Certain(DnsError::NoSuchName),
        // The library keeps the authority section of such an answer; without it, the SOA came with an alias.
        ResponseCode::NoError if none.soa.is_some() && none.authorities.is_some() => {
            Judgement::Certain(DnsError::NoRecord)
        }
        // RFC 2308 §2.2: name servers without a SOA are a referral, which a resolver should have followed.
        ResponseCode::NoError if none.ns.is_some() => temporary("answered with a referral".into()),
        ResponseCode::NoError => Judgement::NoRecordUnlessAlias,
        other => temporary(format!("answered {other}")),
    }
}

/// Without the dot at the end.
fn text(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}
