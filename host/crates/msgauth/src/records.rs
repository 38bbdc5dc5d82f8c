//! Text records of the DNS as the library wants them: what is known, what was asked for in vain.
//!
//! The library looks into a cache before it asks the DNS. This cache has an answer to everything: a name that is not known yet is
//! "not now" and is noted, so that it can be asked for and the question put again.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::dkim::Atps;
use mail_auth::dmarc::Dmarc;
use mail_auth::hickory_resolver::proto::op::ResponseCode;
use mail_auth::{DnsError as LibraryError, DnssecStatus, Error, RecordSet, ResolverCache, Txt};
use maitred_mail::Domain;
use maitred_mail::dns::{DnsError, Resolver};
use tokio::time::timeout;

/// Names asked for because of one message: keys of signatures and policies; as many for its seals.
const NAMES_MAX: usize = 64;

/// What is known.
#[derive(Default)]
pub(crate) struct Records {
    known: Mutex<HashMap<Box<str>, Txt>>,
    missing: Mutex<BTreeSet<String>>,
}

impl Records {
    /// A name that will be asked for.
    pub(crate) fn want(&self, name: &str) {
        let name = name.to_lowercase();
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
    }

    /// Asks for all that was missing, each in this time. False when nothing was.
    pub(crate) async fn ask(&self, resolver: &dyn Resolver, patience: Duration) -> bool {
        let missing = std::mem::take(&mut *self.missing.lock().unwrap_or_else(PoisonError::into_inner));
        let left = NAMES_MAX.saturating_sub(self.known().len());
        let in_time = async |name: &String| {
            let late = |_| Txt::Error(not_now("not in time"));
            timeout(patience, look_up(resolver, name)).await.unwrap_or_else(late)
        };
        let found = join_all(missing.iter().take(left).map(in_time)).await;
        let mut known = self.known();
        for (number, name) in missing.iter().enumerate() {
            let record = found.get(number).cloned();
            let record =
                record.unwrap_or_else(|| Txt::Error(not_now(&format!("more than {NAMES_MAX} names"))));
            known.insert(name.as_str().into(), record);
        }
        !missing.is_empty()
    }

    /// There is a policy under exactly this name.
    pub(crate) fn has_policy(&self, name: &str) -> bool {
        matches!(self.known().get(name), Some(Txt::Dmarc(_)))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Box<str>, Txt>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolverCache<Box<str>, Txt> for Records {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let Some(known) = self.known().get(name) {
            return Some(known.clone());
        }
        if let Some(name) = Spelling::of(name) {
            self.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        }
        Some(Txt::Error(not_now("not asked yet")))
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

/// Addresses: the library wants to know whether an author's domain exists. It hears that it does; who asks looks for himself.
pub(crate) struct Existing;

impl ResolverCache<Box<str>, RecordSet<Ipv4Addr>> for Existing {
    fn get<Q>(&self, _: &Q) -> Option<RecordSet<Ipv4Addr>>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        Some(RecordSet { rrset: [].into(), dnssec_status: DnssecStatus::Indeterminate })
    }

    fn remove<Q>(&self, _: &Q) -> Option<RecordSet<Ipv4Addr>>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: RecordSet<Ipv4Addr>, _: Instant) {}
}

/// The seam of the library gives a key as something that can be hashed and compared, and nothing else. A string gives its octets to
/// whoever hashes it.
#[derive(Default)]
struct Spelling(Vec<u8>);

impl Spelling {
    fn of<Q: Hash + ?Sized>(name: &Q) -> Option<String> {
        let mut spelling = Self::default();
        name.hash(&mut spelling);
        // Behind a string stands an octet that is in none.
        spelling.0.retain(|octet| *octet != 0xff);
        String::from_utf8(spelling.0).ok()
    }
}

impl Hasher for Spelling {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }
}

async fn look_up(resolver: &dyn Resolver, asked: &str) -> Txt {
    let none = |code| Txt::Error(Error::Dns(LibraryError::RecordNotFound(code)));
    // RFC 6651: where to report failures to. Nobody is reported to.
    let is_report = asked.starts_with("_report.");
    let Some(name) = Domain::parse(asked.trim_end_matches('.')).ok().filter(|_| !is_report) else {
        return none(ResponseCode::NXDomain);
    };
    match resolver.txt(&name).await {
        Ok(texts) if asked.starts_with("_dmarc.") => policy(&texts),
        // RFC 6541.
        Ok(texts) if asked.contains("._atps.") => first::<Atps>(&texts),
        Ok(texts) => first::<DomainKey>(&texts),
        Err(DnsError::NoSuchName) => none(ResponseCode::NXDomain),
        Err(DnsError::NoRecord) => none(ResponseCode::NoError),
        Err(DnsError::Temporary(why)) => Txt::Error(not_now(&why)),
    }
}

/// The first that can be read; else why the last cannot.
fn first<T: TxtRecordParser + Into<Txt>>(texts: &[String]) -> Txt {
    let mut record = Err(Error::Dns(LibraryError::InvalidRecordType));
    for text in texts {
        record = T::parse(text.as_bytes());
        if record.is_ok() {
            break;
        }
    }
    record.into()
}

/// RFC 9989 §4.10: several policies under one name are none.
fn policy(texts: &[String]) -> Txt {
    let mut policies = texts.iter().filter(|text| {
        let version: String = text.chars().filter(|c| !c.is_whitespace()).take(8).collect();
        version == "v=DMARC1"
    });
    match (policies.next(), policies.next()) {
        (Some(only), None) => first::<Dmarc>(std::slice::from_ref(only)),
        _ => Txt::Error(Error::Dns(LibraryError::InvalidRecordType)),
    }
}

fn not_now(why: &str) -> Error {
    Error::Dns(LibraryError::Resolver(why.to_owned()))
}
