//! The host's capabilities as a plugin calls them.

use super::base::maitred::plugin as host;

/// The plugin's own table.
pub mod store {
    use super::host::store as to;
    use crate::store::{StoreError, Tokens};

    type Result<T> = std::result::Result<T, StoreError>;

    fn failed(of: to::StoreError) -> StoreError {
        match of {
            to::StoreError::Full(octets) => StoreError::Full(octets),
            to::StoreError::TooLarge => StoreError::TooLarge,
            to::StoreError::Kind => StoreError::Kind,
            to::StoreError::Unavailable(cause) => StoreError::Unavailable(cause),
        }
    }

    pub fn get(key: &str) -> Result<Option<Vec<u8>>> {
        to::get(key).map_err(failed)
    }

    pub fn get_many(keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        to::get_many(&keys).map_err(failed)
    }

    pub fn set(key: &str, value: &[u8], ttl_seconds: Option<u32>) -> Result<()> {
        to::set(key, value, ttl_seconds).map_err(failed)
    }

    pub fn delete(key: &str) -> Result<()> {
        to::delete(key).map_err(failed)
    }

    pub fn get_or_insert(key: &str, value: &[u8], ttl_seconds: Option<u32>) -> Result<Option<Vec<u8>>> {
        to::get_or_insert(key, value, ttl_seconds).map_err(failed)
    }

    pub fn compare_and_set(
        key: &str,
        old: Option<&[u8]>,
        new: Option<&[u8]>,
        ttl_seconds: Option<u32>,
    ) -> Result<bool> {
        to::compare_and_set(key, old, new, ttl_seconds).map_err(failed)
    }

    pub fn increment(key: &str, delta: i64, ttl_seconds: Option<u32>) -> Result<i64> {
        to::increment(key, delta, ttl_seconds).map_err(failed)
    }

    pub fn take_tokens(key: &str, capacity: u32, per_second: f32, cost: u32) -> Result<Tokens> {
        let taken = to::take_tokens(key, capacity, per_second, cost).map_err(failed)?;
        Ok(taken.map_or_else(Tokens::Wait, Tokens::Left))
    }

    pub fn scan(prefix: &str, after: Option<&str>, max: u32) -> Result<Vec<String>> {
        to::scan(prefix, after, max).map_err(failed)
    }
}

/// The DNS.
pub mod dns {
    use super::host::dns as to;
    use crate::dns::DnsError;

    type Result<T> = std::result::Result<T, DnsError>;

    fn failed(of: to::DnsError) -> DnsError {
        match of {
            to::DnsError::NoSuchName => DnsError::NoSuchName,
            to::DnsError::NoRecord => DnsError::NoRecord,
            to::DnsError::Temporary(cause) => DnsError::Temporary(cause),
            to::DnsError::Invalid => DnsError::Invalid,
        }
    }

    pub fn lookup_ip(name: &str) -> Result<Vec<String>> {
        to::lookup_ip(name).map_err(failed)
    }

    pub fn lookup_txt(name: &str) -> Result<Vec<String>> {
        to::lookup_txt(name).map_err(failed)
    }

    pub fn lookup_mx(name: &str) -> Result<Vec<(u16, String)>> {
        let found = to::lookup_mx(name).map_err(failed)?;
        Ok(found.into_iter().map(|mx| (mx.preference, mx.exchange)).collect())
    }

    pub fn lookup_ptr(ip: &str) -> Result<Vec<String>> {
        to::lookup_ptr(ip).map_err(failed)
    }

    pub fn lookup_lists(query: &str, zones: &[&str]) -> Vec<Result<Vec<String>>> {
        let zones: Vec<String> = zones.iter().map(|zone| (*zone).to_owned()).collect();
        to::lookup_lists(query, &zones).into_iter().map(|found| found.map_err(failed)).collect()
    }
}

/// Who is here.
pub mod directory {
    use super::host::directory as to;
    use crate::directory::Resolved;

    pub fn is_local_domain(domain: &str) -> bool {
        to::is_local_domain(domain)
    }

    pub fn resolve(address: &str) -> Resolved {
        match to::resolve(address) {
            to::Resolved::LeadsTo(leads) => Resolved::LeadsTo(leads.accounts, leads.remote),
            to::Resolved::Unknown => Resolved::Unknown,
            to::Resolved::Remote => Resolved::Remote,
        }
    }
}

/// Requests to named servers.
pub mod http {
    use super::host::http as to;
    use crate::http::{HttpError, Request, Response};

    pub fn send(request: Request) -> Result<Response, HttpError> {
        let Request { method, url, headers, body, timeout_ms } = request;
        match to::send(&to::Request { method, url, headers, body, timeout_ms }) {
            Ok(to::Response { status, headers, body }) => Ok(Response { status, headers, body }),
            Err(to::HttpError::Denied) => Err(HttpError::Denied),
            Err(to::HttpError::Invalid(why)) => Err(HttpError::Invalid(why)),
            Err(to::HttpError::Timeout) => Err(HttpError::Timeout),
            Err(to::HttpError::TooLarge) => Err(HttpError::TooLarge),
            Err(to::HttpError::Failed(why)) => Err(HttpError::Failed(why)),
        }
    }
}

/// New messages.
pub mod submit {
    use super::host::submit as to;
    use crate::submit::SubmitError;

    pub fn submit(sender: &str, recipients: &[&str], raw: &[u8]) -> Result<String, SubmitError> {
        let recipients: Vec<String> = recipients.iter().map(|to| (*to).to_owned()).collect();
        to::submit(sender, &recipients, raw).map_err(|error| match error {
            to::SubmitError::Rate(wait) => SubmitError::Rate(wait),
            to::SubmitError::Invalid(why) => SubmitError::Invalid(why),
            to::SubmitError::Unavailable(why) => SubmitError::Unavailable(why),
        })
    }
}

/// Whether mail comes from where it says.
pub mod authentication {
    use super::host::authentication as to;
    use crate::authentication::{AuthResult, MethodResult};

    pub fn results() -> Vec<MethodResult> {
        let result = |of| match of {
            to::AuthResult::None => AuthResult::None,
            to::AuthResult::Pass => AuthResult::Pass,
            to::AuthResult::Fail => AuthResult::Fail,
            to::AuthResult::Softfail => AuthResult::Softfail,
            to::AuthResult::Neutral => AuthResult::Neutral,
            to::AuthResult::Temperror => AuthResult::Temperror,
            to::AuthResult::Permerror => AuthResult::Permerror,
            to::AuthResult::Policy => AuthResult::Policy,
        };
        let found = to::results().into_iter();
        let found = found.map(|to::MethodResult { method, result: of, reason, properties }| MethodResult {
            method,
            result: result(of),
            reason,
            properties,
        });
        found.collect()
    }
}

/// Numbers of this plugin.
pub mod metrics {
    use super::host::metrics as to;

    fn owned(labels: &[(&str, &str)]) -> Vec<(String, String)> {
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    pub fn counter_add(name: &str, labels: &[(&str, &str)], delta: u64) {
        to::counter_add(name, &owned(labels), delta);
    }

    pub fn gauge_set(name: &str, labels: &[(&str, &str)], value: f64) {
        to::gauge_set(name, &owned(labels), value);
    }
}

/// Chance.
pub mod random {
    use super::host::random as to;

    pub fn octets(len: u32) -> Vec<u8> {
        to::octets(len)
    }

    pub fn number() -> u64 {
        to::number()
    }
}
