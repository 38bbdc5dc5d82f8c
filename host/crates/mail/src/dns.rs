//! What mail asks the DNS: RFC 1035, RFC 5321 §5.1, RFC 7505. The resolver itself is behind [`Resolver`].

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use crate::Domain;

/// An MX record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mx {
    /// Lower is tried first.
    pub preference: u16,
    /// The host; `None` is the root label, which with one record says that the domain takes no mail (RFC 7505).
    pub exchange: Option<Domain>,
}

/// Why there is no answer. The difference between "no" and "not now" decides between a bounce and a retry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// NXDOMAIN: the name does not exist.
    #[error("no such name")]
    NoSuchName,
    /// The name exists, but has no such record.
    #[error("no such record")]
    NoRecord,
    /// SERVFAIL, a time-out, an unreachable or lying server: try later.
    #[error("DNS trouble: {0}")]
    Temporary(String),
}

/// A future that answers a DNS question.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, DnsError>> + Send + 'a>>;

/// Whoever answers DNS questions: the real resolver, or a fake that counts them.
pub trait Resolver: Send + Sync {
    /// All MX records, in no order.
    fn mx<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Vec<Mx>>;
    /// A and AAAA records.
    fn ip<'a>(&'a self, host: &'a Domain) -> Answer<'a, Vec<IpAddr>>;
    /// PTR records.
    fn ptr(&self, ip: IpAddr) -> Answer<'_, Vec<Domain>>;
    /// TXT records, the strings of each joined; what is not UTF-8 is replaced.
    fn txt<'a>(&'a self, name: &'a Domain) -> Answer<'a, Vec<String>>;
    /// A records only, of a name that need not be a host's: `2.0.0.127.list.example` (RFC 5782).
    fn listed<'a>(&'a self, name: &'a str) -> Answer<'a, Vec<std::net::Ipv4Addr>>;
}
