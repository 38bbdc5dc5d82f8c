//! SPF: whether a domain lets this client send for it (RFC 7208).
//!
//! The library reads records and expands macros; the walk over them is here, because it is the walk that asks the DNS. Explanations
//! (`exp`) are not looked up: nobody reads them.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::str::FromStr;

use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::spf::{Macro, Mechanism, Qualifier, Spf, Variables};
use maitred_mail::Domain;
use maitred_mail::dns::{DnsError, Resolver};
use maitred_policy::AuthResult;

use crate::iprev::having;

/// RFC 7208 §4.6.4: terms that ask the DNS.
const LOOKUPS_MAX: u32 = 10;
/// RFC 7208 §4.6.4: terms of these whose name is not there.
const VOIDS_MAX: u32 = 2;
/// RFC 7208 §4.6.4: hosts of one `mx`.
const HOSTS_MAX: usize = 10;
/// RFC 7208 §7.3: longer names lose labels in front.
const NAME_OCTETS_MAX: usize = 253;

/// Why there is no other result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// `temperror`
    Temporary(String),
    /// `permerror`
    Permanent(String),
}

/// One evaluation of `check_host()`, with what it has used up.
pub(crate) struct Check<'a> {
    resolver: &'a dyn Resolver,
    client: IpAddr,
    helo: &'a str,
    sender: String,
    lookups: u32,
    voids: u32,
    /// Names of the client that have its address, once asked for.
    names: Option<Vec<Domain>>,
}

type Checked<'a, T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send + 'a>>;

impl<'a> Check<'a> {
    /// For `sender`, as `local@domain`.
    pub(crate) fn new(resolver: &'a dyn Resolver, client: IpAddr, helo: &'a str, sender: String) -> Self {
        Self { resolver, client, helo, sender, lookups: 0, voids: 0, names: None }
    }

    /// RFC 7208 §4: the whole of it, for this domain.
    pub(crate) async fn check(&mut self, domain: &str) -> (AuthResult, Option<String>) {
        match self.check_host(domain).await {
            Ok(result) => (result, None),
            Err(Trouble::Temporary(why)) => (AuthResult::Temperror, Some(why)),
            Err(Trouble::Permanent(why)) => (AuthResult::Permerror, Some(why)),
        }
    }

    fn check_host<'b>(&'b mut self, domain: &'b str) -> Checked<'b, AuthResult> {
        Box::pin(async move {
            let Some(record) = self.record(domain).await? else { return Ok(AuthResult::None) };
            for directive in &record.directives {
                if self.matches(&directive.mechanism, domain).await? {
                    return Ok(match directive.qualifier {
                        Qualifier::Pass => AuthResult::Pass,
                        Qualifier::Fail => AuthResult::Fail,
                        Qualifier::SoftFail => AuthResult::Softfail,
                        Qualifier::Neutral => AuthResult::Neutral,
                    });
                }
            }
            let Some(redirect) = &record.redirect else { return Ok(AuthResult::Neutral) };
            // RFC 7208 §6.1: as if the other domain had been asked, but it has to have a record.
            self.look_up()?;
            let target = self.expand(redirect, domain).await?;
            match self.check_host(&target).await? {
                AuthResult::None => Err(Trouble::Permanent(format!("{target:.80} has no SPF record"))),
                result => Ok(result),
            }
        })
    }

    /// RFC 7208 §4.4, §4.5: the one record of a domain.
    async fn record(&self, domain: &str) -> Result<Option<Spf>, Trouble> {
        // RFC 7208 §4.3: what is no name of several labels has no record.
        let Some(name) = name(domain).filter(|_| domain.trim_end_matches('.').contains('.')) else {
            return Ok(None);
        };
        let texts = match self.resolver.txt(&name).await {
            Ok(texts) => texts,
            Err(DnsError::NoSuchName | DnsError::NoRecord) => return Ok(None),
            Err(DnsError::Temporary(why)) => return Err(Trouble::Temporary(why)),
        };
        let mut records = texts.iter().filter(|text| is_record(text));
        let Some(record) = records.next() else { return Ok(None) };
        if records.next().is_some() {
            return Err(Trouble::Permanent(format!("{name} has several SPF records")));
        }
        let wrong = |()| Trouble::Permanent(format!("the SPF record of {name} cannot be read"));
        if !record.split(' ').skip(1).all(is_term) {
            return Err(wrong(()));
        }
        Spf::parse(record.as_bytes()).map(Some).map_err(|_| wrong(()))
    }

    fn matches<'b>(&'b mut self, mechanism: &'b Mechanism, domain: &'b str) -> Checked<'b, bool> {
        Box::pin(async move {
            match mechanism {
                Mechanism::All => return Ok(true),
                Mechanism::Ip4 { addr, mask } => return Ok(self.is_in(&[(*addr).into()], *mask, 0)),
                Mechanism::Ip6 { addr, mask } => return Ok(self.is_in(&[(*addr).into()], 0, *mask)),
                _ => self.look_up()?,
            }
            match mechanism {
                Mechanism::All | Mechanism::Ip4 { .. } | Mechanism::Ip6 { .. } => Ok(false),
                Mechanism::Include { macro_string } => {
                    let target = self.expand(macro_string, domain).await?;
                    match self.check_host(&target).await? {
                        AuthResult::Pass => Ok(true),
                        AuthResult::None => {
                            Err(Trouble::Permanent(format!("{target:.80} has no SPF record")))
                        }
                        _ => Ok(false),
                    }
                }
                Mechanism::A { macro_string, ip4_mask, ip6_mask } => {
                    let target = self.expand(macro_string, domain).await?;
                    let (found, is_there) = self.addresses(&target).await?;
                    self.note(is_there)?;
                    Ok(self.is_in(&found, *ip4_mask, *ip6_mask))
                }
                Mechanism::Mx { macro_string, ip4_mask, ip6_mask } => {
                    let target = self.expand(macro_string, domain).await?;
                    for host in self.hosts(&target).await? {
                        let (found, _) = self.addresses(host.as_str()).await?;
                        if self.is_in(&found, *ip4_mask, *ip6_mask) {
                            return Ok(true);
                        }
                    }
                    Ok(false)
                }
                Mechanism::Ptr { macro_string } => {
                    let target = self.expand(macro_string, domain).await?.to_ascii_lowercase();
                    Ok(self.client_names().await.iter().any(|name| is_within(name.as_str(), &target)))
                }
                Mechanism::Exists { macro_string } => {
                    let target = self.expand(macro_string, domain).await?;
                    // RFC 7208 §5.7: an A record, whatever the client's address is.
                    let is_there = !listed(self.resolver, &target).await?.is_empty();
                    self.note(is_there)?;
                    Ok(is_there)
                }
            }
        })
    }

    fn look_up(&mut self) -> Result<(), Trouble> {
        self.lookups += 1;
        let is_over = self.lookups > LOOKUPS_MAX;
        if is_over {
            return Err(Trouble::Permanent(format!("more than {LOOKUPS_MAX} lookups")));
        }
        Ok(())
    }

    /// What a term asked for is there, or is not.
    fn note(&mut self, is_there: bool) -> Result<(), Trouble> {
        self.voids += u32::from(!is_there);
        if self.voids > VOIDS_MAX {
            return Err(Trouble::Permanent(format!("more than {VOIDS_MAX} lookups of what is not there")));
        }
        Ok(())
    }

    /// The addresses of a name that are of the client's kind; and whether it has any.
    async fn addresses(&self, target: &str) -> Result<(Vec<IpAddr>, bool), Trouble> {
        if self.client.is_ipv4() {
            let found = listed(self.resolver, target).await?;
            return Ok((found.iter().map(|v4| IpAddr::from(*v4)).collect(), !found.is_empty()));
        }
        let Some(name) = name(target) else { return Ok((Vec::new(), false)) };
        match self.resolver.ip(&name).await {
            Ok(found) => Ok((found.into_iter().filter(IpAddr::is_ipv6).collect(), true)),
            Err(DnsError::NoSuchName | DnsError::NoRecord) => Ok((Vec::new(), false)),
            Err(DnsError::Temporary(why)) => Err(Trouble::Temporary(why)),
        }
    }

    async fn hosts(&mut self, target: &str) -> Result<Vec<Domain>, Trouble> {
        let found = match name(target) {
            Some(name) => self.resolver.mx(&name).await,
            None => Err(DnsError::NoSuchName),
        };
        let found = match found {
            Ok(found) => found,
            Err(DnsError::NoSuchName | DnsError::NoRecord) => Vec::new(),
            Err(DnsError::Temporary(why)) => return Err(Trouble::Temporary(why)),
        };
        self.note(!found.is_empty())?;
        let hosts: Vec<Domain> = found.into_iter().filter_map(|mx| mx.exchange).collect();
        if hosts.len() > HOSTS_MAX {
            return Err(Trouble::Permanent(format!("more than {HOSTS_MAX} hosts of one mx")));
        }
        Ok(hosts)
    }

    /// RFC 7208 §5.5: the client's names that have its address. Trouble there is no match.
    async fn client_names(&mut self) -> &[Domain] {
        if self.names.is_none() {
            let names = match self.resolver.ptr(self.client).await {
                Ok(names) => having(self.resolver, &names, self.client).await.unwrap_or_default(),
                Err(_) => Vec::new(),
            };
            self.names = Some(names);
        }
        self.names.as_deref().unwrap_or_default()
    }

    /// RFC 7208 §7.
    async fn expand(&mut self, text: &Macro, domain: &str) -> Result<String, Trouble> {
        let validated = if text.needs_ptr() {
            self.look_up()?;
            let names = self.client_names().await;
            // RFC 7208 §7.3: the domain itself, else one below it, else any.
            let same = names.iter().find(|name| name.as_str() == domain);
            let below = || names.iter().find(|name| is_within(name.as_str(), domain));
            let found = same.or_else(below).or_else(|| names.first());
            found.map_or_else(|| "unknown".to_owned(), |name| name.as_str().to_owned())
        } else {
            String::new()
        };
        let mut variables = Variables::new();
        variables.set_ip(&self.client);
        variables.set_sender(self.sender.as_bytes());
        variables.set_domain(domain.as_bytes());
        variables.set_helo_domain(self.helo.as_bytes());
        variables.set_validated_domain(validated.as_bytes());
        let expanded = text.eval(&variables, domain, false);
        let mut target = expanded.trim_end_matches('.');
        while target.len() > NAME_OCTETS_MAX {
            target = target.split_once('.').map_or("", |(_, rest)| rest);
        }
        Ok(target.to_owned())
    }

    /// One of the addresses is the client's, as far as the mask of its kind reaches.
    fn is_in(&self, addresses: &[IpAddr], ip4_mask: u32, ip6_mask: u128) -> bool {
        addresses.iter().any(|address| match (self.client, address) {
            (IpAddr::V4(client), IpAddr::V4(address)) => {
                client.to_bits() & ip4_mask == address.to_bits() & ip4_mask
            }
            (IpAddr::V6(client), IpAddr::V6(address)) => {
                client.to_bits() & ip6_mask == address.to_bits() & ip6_mask
            }
            _ => false,
        })
    }
}

/// RFC 7208 §4.5: the version, then a space or nothing.
fn is_record(text: &str) -> bool {
    let (version, rest) = text.split_at_checked(6).unwrap_or((text, ""));
    version.eq_ignore_ascii_case("v=spf1") && (rest.is_empty() || rest.starts_with(' '))
}

/// RFC 7208 §4.6: a modifier, or a mechanism that there is. The library passes over others, and reads addresses generously.
fn is_term(term: &str) -> bool {
    let name_ends = term.find(['=', ':', '/']).unwrap_or(term.len());
    let (name, rest) = term.split_at_checked(name_ends).unwrap_or((term, ""));
    if rest.starts_with('=') {
        return true;
    }
    let name = name.strip_prefix(['+', '-', '~', '?']).unwrap_or(name).to_ascii_lowercase();
    match name.as_str() {
        // Two spaces between terms.
        "" => term.is_empty(),
        "ip4" => is_network::<Ipv4Addr>(rest, 32),
        "ip6" => is_network::<Ipv6Addr>(rest, 128),
        "all" | "a" | "mx" | "ptr" | "include" | "exists" => true,
        _ => false,
    }
}

/// `:` with an address, and a prefix of it or none.
fn is_network<A: FromStr>(text: &str, bits_max: u8) -> bool {
    let Some(text) = text.strip_prefix(':') else { return false };
    let (address, bits) = text.split_once('/').unwrap_or((text, "0"));
    address.parse::<A>().is_ok() && bits.parse().is_ok_and(|bits: u8| bits <= bits_max)
}

/// A name that can be asked for.
fn name(text: &str) -> Option<Domain> {
    Domain::parse(text.trim_end_matches('.')).ok().filter(|name| name.as_literal().is_none())
}

/// `name` is `domain`, or below it.
fn is_within(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// A records of a name, which need not be a host's; what cannot be a name has none.
async fn listed(resolver: &dyn Resolver, target: &str) -> Result<Vec<Ipv4Addr>, Trouble> {
    let is_label =
        |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_graphic());
    let is_legal =
        target.len() <= NAME_OCTETS_MAX && target.split('.').all(is_label) && !target.contains('\\');
    if !is_legal {
        return Ok(Vec::new());
    }
    match resolver.listed(target).await {
        Ok(found) => Ok(found),
        Err(DnsError::NoSuchName | DnsError::NoRecord) => Ok(Vec::new()),
        Err(DnsError::Temporary(why)) => Err(Trouble::Temporary(why)),
    }
}
