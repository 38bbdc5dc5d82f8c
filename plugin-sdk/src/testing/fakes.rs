//! The host's capabilities outside of Wasm, played by this thread's [`World`](crate::testing::World).

/// The plugin's own table.
#[doc(hidden)]
pub mod store {
    use crate::store::{StoreError, Tokens};
    use crate::testing::{World, world};

    type Result<T> = std::result::Result<T, StoreError>;

    /// # Errors
    /// The trouble that the test made, a key that cannot be one.
    fn checked(world: &World, key: &str) -> Result<()> {
        match &world.table_trouble {
            Some(trouble) => Err(trouble.clone()),
            None if (1..=512).contains(&key.len()) => Ok(()),
            None => Err(StoreError::TooLarge),
        }
    }

    fn alive(world: &World, key: &str) -> Option<Vec<u8>> {
        let (value, expires) = world.table.get(key)?;
        expires.is_none_or(|at| world.now_ms < at).then(|| value.clone())
    }

    fn put(world: &mut World, key: &str, value: &[u8], ttl_seconds: Option<u32>) -> Result<()> {
        checked(world, key)?;
        if value.len() > 64 << 10 {
            return Err(StoreError::TooLarge);
        }
        let expires = ttl_seconds.map(|ttl| world.now_ms + u64::from(ttl) * 1000);
        world.table.insert(key.to_owned(), (value.to_vec(), expires));
        Ok(())
    }

    /// The value of a key.
    pub fn get(key: &str) -> Result<Option<Vec<u8>>> {
        world(|world| checked(world, key).map(|()| alive(world, key)))
    }

    /// Of several keys.
    pub fn get_many(keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>> {
        keys.iter().map(|key| get(key)).collect()
    }

    /// Stores a value.
    pub fn set(key: &str, value: &[u8], ttl_seconds: Option<u32>) -> Result<()> {
        world(|world| put(world, key, value, ttl_seconds))
    }

    /// Removes a key.
    pub fn delete(key: &str) -> Result<()> {
        world(|world| checked(world, key).map(|()| drop(world.table.remove(key))))
    }

    /// Stores unless present; answers what was there.
    pub fn get_or_insert(key: &str, value: &[u8], ttl_seconds: Option<u32>) -> Result<Option<Vec<u8>>> {
        world(|world| {
            checked(world, key)?;
            match alive(world, key) {
                Some(there) => Ok(Some(there)),
                None => put(world, key, value, ttl_seconds).map(|()| None),
            }
        })
    }

    /// Stores, or removes, if the value is the old one.
    pub fn compare_and_set(
        key: &str,
        old: Option<&[u8]>,
        new: Option<&[u8]>,
        ttl_seconds: Option<u32>,
    ) -> Result<bool> {
        world(|world| {
            checked(world, key)?;
            if alive(world, key).as_deref() != old {
                return Ok(false);
            }
            match new {
                Some(new) => put(world, key, new, ttl_seconds)?,
                None => drop(world.table.remove(key)),
            }
            Ok(true)
        })
    }

    /// Counts.
    pub fn increment(key: &str, delta: i64, ttl_seconds: Option<u32>) -> Result<i64> {
        world(|world| {
            checked(world, key)?;
            let there = alive(world, key);
            let before = match &there {
                Some(value) => std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()),
                None => Some(0_i64),
            };
            let count = before.ok_or(StoreError::Kind)?.saturating_add(delta);
            let expires = world.table.get(key).and_then(|(_, expires)| *expires).filter(|_| there.is_some());
            put(world, key, count.to_string().as_bytes(), ttl_seconds)?;
            if let (Some(entry), true) = (world.table.get_mut(key), there.is_some()) {
                entry.1 = expires;
            }
            Ok(count)
        })
    }

    /// Takes from a bucket that fills with time.
    pub fn take_tokens(key: &str, capacity: u32, per_second: f32, cost: u32) -> Result<Tokens> {
        let (full, rate) = (f64::from(capacity), f64::from(per_second));
        if rate <= 0.0 || cost > capacity {
            return Err(StoreError::Kind);
        }
        world(|world| {
            checked(world, key)?;
            let there = alive(world, key).and_then(|value| String::from_utf8(value).ok());
            let seen = there.as_deref().and_then(|text| text.split_once(' '));
            let seen =
                seen.and_then(|(tokens, at)| Some((tokens.parse::<f64>().ok()?, at.parse::<u64>().ok()?)));
            let have = match seen {
                Some((tokens, at)) => {
                    let elapsed = std::time::Duration::from_millis(world.now_ms.saturating_sub(at));
                    (tokens + elapsed.as_secs_f64() * rate).min(full)
                }
                None => full,
            };
            let left = have - f64::from(cost);
            if left < 0.0 {
                return Ok(Tokens::Wait((-left / rate * 1000.0).ceil() as u32));
            }
            let now = world.now_ms;
            put(world, key, format!("{left:.3} {now}").as_bytes(), None)?;
            Ok(Tokens::Left(left as u32))
        })
    }

    /// Keys with a prefix behind a cursor.
    pub fn scan(prefix: &str, after: Option<&str>, max: u32) -> Result<Vec<String>> {
        world(|world| {
            if let Some(trouble) = &world.table_trouble {
                return Err(trouble.clone());
            }
            let keys = world.table.keys().filter(|key| key.starts_with(prefix));
            let keys = keys.filter(|key| after.is_none_or(|after| key.as_str() > after));
            Ok(keys.filter(|key| alive(world, key).is_some()).take(max as usize).cloned().collect())
        })
    }
}

/// The DNS.
#[doc(hidden)]
pub mod dns {
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    use crate::dns::DnsError;
    use crate::testing::{World, world};

    fn look<T: Clone>(
        name: &str,
        of: impl Fn(&World) -> &BTreeMap<String, Vec<T>>,
    ) -> Result<Vec<T>, DnsError> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        world(|world| {
            if world.dns_troubles.contains(&name) {
                return Err(DnsError::Temporary("time-out".to_owned()));
            }
            match of(world).get(&name) {
                Some(found) if found.is_empty() => Err(DnsError::NoRecord),
                Some(found) => Ok(found.clone()),
                None => Err(DnsError::NoSuchName),
            }
        })
    }

    /// A and AAAA records.
    pub fn lookup_ip(name: &str) -> Result<Vec<String>, DnsError> {
        look(name, |world| &world.ips)
    }

    /// TXT records.
    pub fn lookup_txt(name: &str) -> Result<Vec<String>, DnsError> {
        look(name, |world| &world.txts)
    }

    /// MX records.
    pub fn lookup_mx(name: &str) -> Result<Vec<(u16, String)>, DnsError> {
        look(name, |world| &world.mxs)
    }

    /// PTR records.
    pub fn lookup_ptr(ip: &str) -> Result<Vec<String>, DnsError> {
        look(ip, |world| &world.ptrs)
    }

    /// One address or domain in many lists.
    pub fn lookup_lists(query: &str, zones: &[&str]) -> Vec<Result<Vec<String>, DnsError>> {
        let name = match query.parse() {
            Ok(IpAddr::V4(v4)) => {
                let [a, b, c, d] = v4.octets();
                format!("{d}.{c}.{b}.{a}")
            }
            Ok(IpAddr::V6(v6)) => {
                let digits = format!("{:032x}", v6.to_bits());
                digits.chars().rev().map(String::from).collect::<Vec<_>>().join(".")
            }
            Err(_) => query.to_owned(),
        };
        let listed = |zone: &&str| match lookup_ip(&format!("{name}.{zone}")) {
            Err(DnsError::NoSuchName | DnsError::NoRecord) => Ok(Vec::new()),
            found => found,
        };
        zones.iter().map(listed).collect()
    }
}

/// Who is here.
#[doc(hidden)]
pub mod directory {
    use crate::directory::Resolved;
    use crate::testing::world;

    /// Whether we take mail for it.
    pub fn is_local_domain(domain: &str) -> bool {
        world(|world| world.domains.iter().any(|known| known.eq_ignore_ascii_case(domain)))
    }

    /// Accounts and subaddresses; this world has no aliases.
    pub fn resolve(address: &str) -> Resolved {
        let Some((local, domain)) = address.rsplit_once('@').filter(|(_, domain)| is_local_domain(domain))
        else {
            return Resolved::Remote;
        };
        let user = local.split('+').next().unwrap_or(local);
        let wanted = [address.to_owned(), format!("{user}@{domain}")];
        let found = world(|world| wanted.into_iter().find(|address| world.accounts.contains(address)));
        found.map_or(Resolved::Unknown, |account| Resolved::LeadsTo(vec![account], Vec::new()))
    }
}

/// Requests to named servers.
#[doc(hidden)]
pub mod http {
    use crate::http::{HttpError, Request, Response};
    use crate::testing::world;

    /// Answers what the test said for this URL; any other is denied.
    pub fn send(request: Request) -> Result<Response, HttpError> {
        world(|world| {
            let response = world.responses.get(&request.url).cloned();
            world.requests.push(request);
            response.ok_or(HttpError::Denied)
        })
    }
}

/// New messages.
#[doc(hidden)]
pub mod submit {
    use crate::submit::SubmitError;
    use crate::testing::world;

    /// Keeps it for the test to look at.
    pub fn submit(sender: &str, recipients: &[&str], raw: &[u8]) -> Result<String, SubmitError> {
        if recipients.is_empty() {
            return Err(SubmitError::Invalid("no recipient".to_owned()));
        }
        let recipients = recipients.iter().map(|to| (*to).to_owned()).collect();
        world(|world| {
            world.submitted.push((sender.to_owned(), recipients, raw.to_vec()));
            Ok(format!("m{}", world.submitted.len()))
        })
    }
}

/// Whether mail comes from where it says.
#[doc(hidden)]
pub mod authentication {
    use crate::authentication::MethodResult;
    use crate::testing::world;

    /// What is known at this hook.
    pub fn results() -> Vec<MethodResult> {
        world(|world| world.authentication.clone())
    }
}

/// Numbers of this plugin.
#[doc(hidden)]
pub mod metrics {
    use crate::testing::world;

    fn series(name: &str, labels: &[(&str, &str)]) -> String {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{name}{{{}}}", labels.join(","))
    }

    /// Counts up.
    pub fn counter_add(name: &str, labels: &[(&str, &str)], delta: u64) {
        world(|world| *world.metrics.entry(series(name, labels)).or_default() += delta as f64);
    }

    /// Sets a value.
    pub fn gauge_set(name: &str, labels: &[(&str, &str)], value: f64) {
        world(|world| {
            world.metrics.insert(series(name, labels), value);
        });
    }
}

/// Chance, the same in every run.
#[doc(hidden)]
pub mod random {
    use crate::testing::world;

    /// Octets.
    pub fn octets(len: u32) -> Vec<u8> {
        (0..len).map(|_| number().to_le_bytes()[7]).collect()
    }

    /// A number.
    pub fn number() -> u64 {
        world(|world| {
            world.chance =
                world.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            world.chance
        })
    }
}
