//! The world outside of a plugin, as this server has it: tables in the store, the resolver, the directory, other servers by HTTP, new
//! messages into the same delivery as any other, what is verified of a sender.
//!
//! RFC 5782 (DNS lists), RFC 3834 (Auto-Submitted). What was not granted does not come here.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use maitred_mail::directory::Resolved;
use maitred_mail::dns::{DnsError, Mx, Resolver};
use maitred_mail::{Address, BodyType, Domain, Envelope, MailParameters, Recipient, ReversePath, Timestamp};
use maitred_policy::outside::{
    HttpError, HttpRequest, HttpResponse, Leads, NewMessage, SubmitError, Unanswered,
};
use maitred_policy::{Ask, Asker, MethodResult, Outside, Reply, SenderAuth, Table};

use crate::deliver::{self, DeliverError};
use crate::house::House;
use crate::{head, trace};

/// The seam to whoever sends requests to other servers: `net`, or a fake in tests.
pub trait Web: Send + Sync {
    /// Sends one request and reads its answer, 1 MiB at most; no redirect is followed.
    fn send<'a>(
        &'a self,
        request: &'a HttpRequest,
        timeout: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>;
}

/// What plugins reach.
pub struct World {
    tables: Arc<dyn Table>,
    resolver: Arc<dyn Resolver>,
    web: Arc<dyn Web>,
    sender_auth: Arc<dyn SenderAuth>,
    /// Mail, once there is a house: plugins are loaded before.
    house: OnceLock<Arc<House>>,
    submitted: Mutex<HashMap<Arc<str>, (Timestamp, u32)>>,
}

/// Without one of its own, a request has so long; the call that waits for it has its limit, which comes first as a rule.
const HTTP_TIME: Duration = Duration::from_mins(1);
/// Messages that a plugin may submit in a minute.
const SUBMITTED_MAX: u32 = 60;
const MINUTE_MS: i64 = 60_000;

impl World {
    /// Everything but mail.
    pub fn new(
        tables: Arc<dyn Table>,
        resolver: Arc<dyn Resolver>,
        web: Arc<dyn Web>,
        sender_auth: Arc<dyn SenderAuth>,
    ) -> Self {
        Self { tables, resolver, web, sender_auth, house: OnceLock::new(), submitted: Mutex::default() }
    }

    /// Mail, too. Once.
    pub fn open(&self, house: Arc<House>) {
        // A second house would be a defect of the caller's; the first stays.
        let _ = self.house.set(house);
    }

    async fn ip(&self, name: &str) -> Result<Vec<String>, Unanswered> {
        let name = domain(name)?;
        let found = self.resolver.ip(&name).await.map_err(unanswered)?;
        Ok(found.iter().map(ToString::to_string).collect())
    }

    async fn txt(&self, name: &str) -> Result<Vec<String>, Unanswered> {
        self.resolver.txt(&domain(name)?).await.map_err(unanswered)
    }

    async fn mx(&self, name: &str) -> Result<Vec<(u16, String)>, Unanswered> {
        let mut found = self.resolver.mx(&domain(name)?).await.map_err(unanswered)?;
        found.sort_by_key(|mx| mx.preference);
        let plain = |Mx { preference, exchange }: Mx| {
            (preference, exchange.map(|name| name.to_string()).unwrap_or_default())
        };
        Ok(found.into_iter().map(plain).collect())
    }

    async fn ptr(&self, ip: &str) -> Result<Vec<String>, Unanswered> {
        let ip: IpAddr = ip.parse().map_err(|_| Unanswered::Invalid)?;
        let found = self.resolver.ptr(ip).await.map_err(unanswered)?;
        Ok(found.iter().map(ToString::to_string).collect())
    }

    /// Not listed is an answer, too.
    async fn listed(&self, query: &str, zone: &str) -> Result<Vec<String>, Unanswered> {
        let name = format!("{}.{}", reversed(query), zone.trim_end_matches('.'));
        let is_legal =
            name.len() <= 253 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if !is_legal || zone.is_empty() {
            return Err(Unanswered::Invalid);
        }
        match self.resolver.listed(&name).await {
            Ok(found) => Ok(found.iter().map(ToString::to_string).collect()),
            Err(DnsError::NoSuchName | DnsError::NoRecord) => Ok(Vec::new()),
            Err(error) => Err(unanswered(error)),
        }
    }

    fn leads(&self, address: &str) -> Leads {
        let (Ok(address), Some(house)) = (Address::parse(address), self.house.get()) else {
            return Leads::Unknown;
        };
        let directory = house.store.directory();
        match directory.resolve(&address) {
            Resolved::To { accounts, remote } => Leads::To {
                accounts: accounts.iter().map(|(_, led)| directory.own_address(led).to_string()).collect(),
                remote: remote.iter().map(ToString::to_string).collect(),
            },
            Resolved::Remote => Leads::Remote,
            Resolved::Unknown | Resolved::Loop => Leads::Unknown,
        }
    }

    async fn http(&self, asker: &Asker, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let origin = origin(&request.url).ok_or_else(|| HttpError::Invalid("the URL".to_owned()))?;
        if !asker.origins.contains(&origin) {
            return Err(HttpError::Denied);
        }
        tracing::info!(
            plugin = &*asker.space.plugin,
            method = request.method,
            origin,
            octets = request.body.len(),
            "plugin sends a request"
        );
        let timeout = match request.timeout_ms {
            0 => HTTP_TIME,
            ms => Duration::from_millis(ms.into()),
        };
        self.web.send(&request, timeout).await
    }

    /// Verified when the first asks; the others are told what it found.
    async fn authentication(&self, asker: &Asker) -> Vec<MethodResult> {
        match &asker.subject {
            Some(subject) => subject.results(&*self.sender_auth, asker.patience).await,
            None => Vec::new(),
        }
    }

    async fn submit(&self, asker: &Asker, message: NewMessage) -> Result<String, SubmitError> {
        let house =
            self.house.get().ok_or_else(|| SubmitError::Unavailable("the server starts".to_owned()))?;
        let envelope = envelope(&message)?;
        self.count(asker)?;
        let content = completed(house, &message.raw)?;
        match deliver::submit_internal(house, &envelope, content).await {
            Ok((id, _)) => {
                tracing::info!(
                    plugin = &*asker.space.plugin, mail.id = %id, reverse_path = %envelope.reverse_path,
                    recipients = envelope.recipients.len(), "plugin submits a message"
                );
                Ok(id.to_string())
            }
            Err(DeliverError::NoRecipients) => {
                Err(SubmitError::Invalid("no recipient can be reached".to_owned()))
            }
            Err(error) if error.status().is_permanent() => Err(SubmitError::Invalid(error.to_string())),
            Err(error) => Err(SubmitError::Unavailable(error.to_string())),
        }
    }

    /// So many in a minute.
    fn count(&self, asker: &Asker) -> Result<(), SubmitError> {
        let mut submitted = self.submitted.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, count) = submitted.entry(Arc::clone(&asker.space.plugin)).or_insert((asker.now, 0));
        let elapsed = asker.now.0.saturating_sub(began.0);
        if !(0..MINUTE_MS).contains(&elapsed) {
            (*began, *count) = (asker.now, 0);
        }
        if *count >= SUBMITTED_MAX {
            let wait = MINUTE_MS - asker.now.0.saturating_sub(began.0);
            return Err(SubmitError::Rate(u32::try_from(wait).unwrap_or(u32::MAX)));
        }
        *count += 1;
        Ok(())
    }
}

#[async_trait]
impl Outside for World {
    async fn ask(&self, asker: &Asker, ask: Ask) -> Reply {
        match ask {
            Ask::Table(op) => Reply::Table(self.tables.apply(&asker.space, &op, asker.now)),
            Ask::Ip(name) => Reply::Texts(self.ip(&name).await),
            Ask::Txt(name) => Reply::Texts(self.txt(&name).await),
            Ask::Mx(name) => Reply::Mx(self.mx(&name).await),
            Ask::Ptr(ip) => Reply::Texts(self.ptr(&ip).await),
            Ask::Lists { query, zones } => {
                Reply::Lists(join_all(zones.iter().map(|zone| self.listed(&query, zone))).await)
            }
            Ask::IsLocal(name) => {
                let found = self.house.get().zip(Domain::parse(&name).ok());
                Reply::IsLocal(found.is_some_and(|(house, name)| house.store.directory().is_local(&name)))
            }
            Ask::Resolve(address) => Reply::Resolved(self.leads(&address)),
            Ask::Http(request) => Reply::Http(self.http(asker, request).await),
            Ask::Submit(message) => Reply::Submitted(self.submit(asker, message).await),
            Ask::Authentication => Reply::Authentication(self.authentication(asker).await),
        }
    }
}

fn domain(name: &str) -> Result<Domain, Unanswered> {
    Domain::parse(name.trim_end_matches('.')).map_err(|_| Unanswered::Invalid)
}

fn unanswered(error: DnsError) -> Unanswered {
    match error {
        DnsError::NoSuchName => Unanswered::NoSuchName,
        DnsError::NoRecord => Unanswered::NoRecord,
        DnsError::Temporary(why) => Unanswered::Temporary(why),
    }
}

/// RFC 5782 §2.1, §2.4: an address back to front, a domain as it is.
fn reversed(query: &str) -> String {
    match query.parse() {
        Ok(IpAddr::V4(v4)) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        Ok(IpAddr::V6(v6)) => {
            let digits: Vec<String> =
                format!("{:032x}", v6.to_bits()).chars().rev().map(String::from).collect();
            digits.join(".")
        }
        Err(_) => query.trim_end_matches('.').to_owned(),
    }
}

/// Scheme and authority of a URL, in lower case. One with a user in it is none: what is in front of `@` hides where it goes.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())?;
    let is_legal = authority.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    is_legal.then(|| format!("{scheme}://{authority}").to_ascii_lowercase())
}

fn envelope(message: &NewMessage) -> Result<Envelope, SubmitError> {
    let address = |text: &str| {
        Address::parse(text).map_err(|error| SubmitError::Invalid(format!("{:.80}: {error}", text)))
    };
    let reverse_path = match message.sender.as_str() {
        "" => ReversePath::Null,
        text => ReversePath::Address(address(text)?),
    };
    let recipients: Vec<Recipient> = message
        .recipients
        .iter()
        .map(|text| Ok(Recipient { address: address(text)?, original: None }))
        .collect::<Result<_, SubmitError>>()?;
    let is_smtputf8 = recipients.iter().any(|to| to.address.is_internationalized())
        || matches!(&reverse_path, ReversePath::Address(address) if address.is_internationalized());
    let body = if message.raw.is_ascii() { BodyType::default() } else { BodyType::EightBitMime };
    Ok(Envelope {
        reverse_path,
        parameters: MailParameters { body, is_smtputf8, ..MailParameters::default() },
        recipients,
    })
}

/// With whole line ends, and with the fields that every message has; and it says that nobody wrote it (RFC 3834 §5).
fn completed(house: &House, raw: &[u8]) -> Result<Bytes, SubmitError> {
    let invalid = |why: &str| Err(SubmitError::Invalid(why.to_owned()));
    if raw.contains(&0) {
        return invalid("a NUL octet");
    }
    let mut lines = Vec::with_capacity(raw.len() + 64);
    for line in raw.split_inclusive(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.contains(&b'\r') || line.len() > 998 {
            return invalid("a bare CR, or a line of more than 998 octets");
        }
        lines.extend_from_slice(line);
        lines.extend_from_slice(b"\r\n");
    }
    if !head::begins_with_field(&lines) {
        return invalid("it does not begin with a header field");
    }
    let end = memchr::memmem::find(&lines, b"\r\n\r\n").map_or(lines.len(), |at| at + 2);
    let (head, rest) = lines.split_at_checked(end).unwrap_or((&lines, &[]));
    let mut above = String::new();
    if !head::has(head, "Date") {
        above.push_str(&trace::date(house.now()));
    }
    if !head::has(head, "Message-ID") {
        above.push_str(&trace::message_id(house.store.next_message_id(), &house.config.hostname));
    }
    if !head::has(head, "Auto-Submitted") {
        above.push_str("Auto-Submitted: auto-generated\r\n");
    }
    let separator: &[u8] = if rest.is_empty() { b"\r\n" } else { b"" };
    Ok([above.as_bytes(), head, separator, rest].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_stands_in_front_of_the_path() {
        let of = |url: &str| origin(url);
        assert_eq!(of("https://API.example.org/a?b").as_deref(), Some("https://api.example.org"));
        assert_eq!(of("http://127.0.0.1:8080").as_deref(), Some("http://127.0.0.1:8080"));
        for wrong in
            ["https://good@evil.example/", "https:///x", "good.example", "https://a b/", "https://a\\@b/"]
        {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_address_is_looked_for_back_to_front() {
        assert_eq!(reversed("192.0.2.99"), "99.2.0.192");
        assert!(
            reversed("2001:db8::1").starts_with("1.0.0.0.")
                && reversed("2001:db8::1").ends_with(".8.b.d.0.1.0.0.2")
        );
        assert_eq!(reversed("example.org"), "example.org");
    }
}
