//! What a plugin may use when it was granted: its table, the DNS, the directory, HTTP, new messages, what is verified of senders.
//!
//! Each is one question to [`maitred_policy::Outside`]; a reply of another kind than the question is a defect of ours and ends the call.

use maitred_policy::outside::{
    HttpError, HttpRequest, HttpResponse, Leads, NewMessage, SubmitError, Unanswered,
};
use maitred_policy::table::KEYS_MAX;
use maitred_policy::{Ask, AuthResult, Change, MethodResult, Reply, TableAnswer, TableError, TableOp};
use wasmtime::Result;

use crate::bindings::v0_1::maitred::plugin::{authentication, directory, dns, http, store, submit};
use crate::state::{Exhausted, State};

/// Lists asked at once.
const LISTS_MAX: usize = 32;
/// Content of a request, and a submitted message.
const CONTENT_OCTETS_MAX: usize = 1 << 20;
/// Recipients of a submitted message.
const RECIPIENTS_MAX: usize = 100;

type Stored<T> = std::result::Result<T, store::StoreError>;

fn defect() -> wasmtime::Error {
    wasmtime::Error::msg("broken: a reply of another kind than the question")
}

impl State {
    async fn table(&mut self, octets: usize, op: TableOp) -> Result<Stored<TableAnswer>> {
        match self.ask(octets, Ask::Table(op)).await? {
            Reply::Table(answer) => Ok(answer.map_err(|error| match error {
                TableError::Full(octets) => store::StoreError::Full(octets),
                TableError::TooLarge => store::StoreError::TooLarge,
                TableError::Kind => store::StoreError::Kind,
                TableError::Unavailable(why) => store::StoreError::Unavailable(why),
            })),
            _ => Err(defect()),
        }
    }

    async fn change(&mut self, key: String, octets: usize, change: Change) -> Result<Stored<TableAnswer>> {
        self.table(key.len() + octets, TableOp::Change(key, change)).await
    }

    async fn texts(
        &mut self,
        octets: usize,
        ask: Ask,
    ) -> Result<std::result::Result<Vec<String>, dns::DnsError>> {
        match self.ask(octets, ask).await? {
            Reply::Texts(found) => Ok(found.map_err(unanswered)),
            _ => Err(defect()),
        }
    }
}

/// The answer of this kind, or an error of ours.
macro_rules! answered {
    ($answer:expr, $pattern:pat => $value:expr) => {
        match $answer {
            Ok($pattern) => Ok(Ok($value)),
            Ok(_) => Err(defect()),
            Err(error) => Ok(Err(error)),
        }
    };
}

impl store::Host for State {
    async fn get(&mut self, key: String) -> Result<Stored<Option<Vec<u8>>>> {
        answered!(self.table(key.len(), TableOp::Get(key)).await?, TableAnswer::Value(value) => value)
    }

    async fn get_many(&mut self, keys: Vec<String>) -> Result<Stored<Vec<Option<Vec<u8>>>>> {
        if keys.len() > KEYS_MAX {
            return Err(Exhausted("keys in one call").into());
        }
        let octets = keys.iter().map(|key| 16 + key.len()).sum();
        answered!(self.table(octets, TableOp::GetMany(keys)).await?, TableAnswer::Values(values) => values)
    }

    async fn set(&mut self, key: String, value: Vec<u8>, ttl: Option<u32>) -> Result<Stored<()>> {
        let answer = self.change(key, value.len(), Change::Set { value, ttl }).await?;
        answered!(answer, TableAnswer::Done => ())
    }

    async fn delete(&mut self, key: String) -> Result<Stored<()>> {
        answered!(self.change(key, 0, Change::Delete).await?, TableAnswer::Done => ())
    }

    async fn get_or_insert(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl: Option<u32>,
    ) -> Result<Stored<Option<Vec<u8>>>> {
        let answer = self.change(key, value.len(), Change::GetOrInsert { value, ttl }).await?;
        answered!(answer, TableAnswer::Value(there) => there)
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        old: Option<Vec<u8>>,
        new: Option<Vec<u8>>,
        ttl: Option<u32>,
    ) -> Result<Stored<bool>> {
        let octets = [&old, &new].into_iter().flatten().map(Vec::len).sum();
        let answer = self.change(key, octets, Change::CompareAndSet { old, new, ttl }).await?;
        answered!(answer, TableAnswer::Swapped(is_done) => is_done)
    }

    async fn increment(&mut self, key: String, delta: i64, ttl: Option<u32>) -> Result<Stored<i64>> {
        answered!(self.change(key, 8, Change::Increment { delta, ttl }).await?, TableAnswer::Count(count) => count)
    }

    async fn take_tokens(
        &mut self,
        key: String,
        capacity: u32,
        per_second: f32,
        cost: u32,
    ) -> Result<Stored<std::result::Result<u32, u32>>> {
        // What is no number could not be written down; as little as this one does it fill a bucket.
        let per_second = if per_second.is_finite() { per_second } else { 0.0 };
        match self.change(key, 16, Change::TakeTokens { capacity, per_second, cost }).await? {
            Ok(TableAnswer::Taken(left)) => Ok(Ok(Ok(left))),
            Ok(TableAnswer::Wait(ms)) => Ok(Ok(Err(ms))),
            Ok(_) => Err(defect()),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn scan(&mut self, prefix: String, after: Option<String>, max: u32) -> Result<Stored<Vec<String>>> {
        let octets = prefix.len() + 64 * usize::try_from(max)?.min(KEYS_MAX);
        answered!(self.table(octets, TableOp::Scan { prefix, after, max }).await?, TableAnswer::Keys(keys) => keys)
    }
}

fn unanswered(of: Unanswered) -> dns::DnsError {
    match of {
        Unanswered::NoSuchName => dns::DnsError::NoSuchName,
        Unanswered::NoRecord => dns::DnsError::NoRecord,
        Unanswered::Temporary(why) => dns::DnsError::Temporary(why),
        Unanswered::Invalid => dns::DnsError::Invalid,
    }
}

impl dns::Host for State {
    async fn lookup_ip(&mut self, name: String) -> Result<std::result::Result<Vec<String>, dns::DnsError>> {
        self.texts(name.len(), Ask::Ip(name)).await
    }

    async fn lookup_txt(&mut self, name: String) -> Result<std::result::Result<Vec<String>, dns::DnsError>> {
        self.texts(name.len(), Ask::Txt(name)).await
    }

    async fn lookup_mx(&mut self, name: String) -> Result<std::result::Result<Vec<dns::Mx>, dns::DnsError>> {
        match self.ask(name.len(), Ask::Mx(name)).await? {
            Reply::Mx(Ok(found)) => Ok(Ok(found
                .into_iter()
                .map(|(preference, exchange)| dns::Mx { preference, exchange })
                .collect())),
            Reply::Mx(Err(error)) => Ok(Err(unanswered(error))),
            _ => Err(defect()),
        }
    }

    async fn lookup_ptr(&mut self, ip: String) -> Result<std::result::Result<Vec<String>, dns::DnsError>> {
        self.texts(ip.len(), Ask::Ptr(ip)).await
    }

    async fn lookup_lists(
        &mut self,
        query: String,
        zones: Vec<String>,
    ) -> Result<Vec<std::result::Result<Vec<String>, dns::DnsError>>> {
        if zones.len() > LISTS_MAX {
            return Err(Exhausted("lists in one call").into());
        }
        let octets = query.len() + zones.iter().map(String::len).sum::<usize>();
        match self.ask(octets, Ask::Lists { query, zones }).await? {
            Reply::Lists(found) => Ok(found.into_iter().map(|of| of.map_err(unanswered)).collect()),
            _ => Err(defect()),
        }
    }
}

impl directory::Host for State {
    async fn is_local_domain(&mut self, domain: String) -> Result<bool> {
        match self.ask(domain.len(), Ask::IsLocal(domain)).await? {
            Reply::IsLocal(is_local) => Ok(is_local),
            _ => Err(defect()),
        }
    }

    async fn resolve(&mut self, address: String) -> Result<directory::Resolved> {
        match self.ask(address.len(), Ask::Resolve(address)).await? {
            Reply::Resolved(Leads::To { accounts, remote }) => {
                Ok(directory::Resolved::LeadsTo(directory::Leads { accounts, remote }))
            }
            Reply::Resolved(Leads::Unknown) => Ok(directory::Resolved::Unknown),
            Reply::Resolved(Leads::Remote) => Ok(directory::Resolved::Remote),
            _ => Err(defect()),
        }
    }
}

impl http::Host for State {
    async fn send(
        &mut self,
        request: http::Request,
    ) -> Result<std::result::Result<http::Response, http::HttpError>> {
        let http::Request { method, url, headers, body, timeout_ms } = request;
        if body.len() > CONTENT_OCTETS_MAX {
            return Ok(Err(http::HttpError::Invalid("more than 1 MiB".to_owned())));
        }
        let octets = url.len() + body.len() + headers.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>();
        let request = HttpRequest { method, url, headers, body, timeout_ms };
        match self.ask(octets, Ask::Http(request)).await? {
            Reply::Http(Ok(HttpResponse { status, headers, body })) => {
                self.budget.spend(body.len())?;
                Ok(Ok(http::Response { status, headers, body }))
            }
            Reply::Http(Err(error)) => Ok(Err(match error {
                HttpError::Denied => http::HttpError::Denied,
                HttpError::Invalid(why) => http::HttpError::Invalid(why),
                HttpError::Timeout => http::HttpError::Timeout,
                HttpError::TooLarge => http::HttpError::TooLarge,
                HttpError::Failed(why) => http::HttpError::Failed(why),
            })),
            _ => Err(defect()),
        }
    }
}

impl submit::Host for State {
    async fn submit(
        &mut self,
        sender: String,
        recipients: Vec<String>,
        raw: Vec<u8>,
    ) -> Result<std::result::Result<String, submit::SubmitError>> {
        let invalid = |why: &str| Ok(Err(submit::SubmitError::Invalid(why.to_owned())));
        if raw.len() > CONTENT_OCTETS_MAX {
            return invalid("more than 1 MiB");
        }
        if recipients.is_empty() || recipients.len() > RECIPIENTS_MAX {
            return invalid("1 to 100 recipients");
        }
        let octets = raw.len();
        match self.ask(octets, Ask::Submit(NewMessage { sender, recipients, raw })).await? {
            Reply::Submitted(Ok(id)) => Ok(Ok(id)),
            Reply::Submitted(Err(error)) => Ok(Err(match error {
                SubmitError::Rate(ms) => submit::SubmitError::Rate(ms),
                SubmitError::Invalid(why) => submit::SubmitError::Invalid(why),
                SubmitError::Unavailable(why) => submit::SubmitError::Unavailable(why),
            })),
            _ => Err(defect()),
        }
    }
}

impl authentication::Host for State {
    async fn results(&mut self) -> Result<Vec<authentication::MethodResult>> {
        match self.ask(0, Ask::Authentication).await? {
            Reply::Authentication(found) => {
                self.budget.spend(found.iter().map(MethodResult::octets).sum())?;
                Ok(found.into_iter().map(method_result).collect())
            }
            _ => Err(defect()),
        }
    }
}

fn method_result(of: MethodResult) -> authentication::MethodResult {
    let MethodResult { method, result, reason, properties } = of;
    let result = match result {
        AuthResult::None => authentication::AuthResult::None,
        AuthResult::Pass => authentication::AuthResult::Pass,
        AuthResult::Fail => authentication::AuthResult::Fail,
        AuthResult::Softfail => authentication::AuthResult::Softfail,
        AuthResult::Neutral => authentication::AuthResult::Neutral,
        AuthResult::Temperror => authentication::AuthResult::Temperror,
        AuthResult::Permerror => authentication::AuthResult::Permerror,
        AuthResult::Policy => authentication::AuthResult::Policy,
    };
    authentication::MethodResult { method, result, reason, properties }
}
