//! Logins: who a peer is, for SMTP, IMAP and POP3 alike; and how guessing is slowed down.
//!
//! RFC 4954 §6, RFC 4616 §2. One place makes [`Authenticated`]; a wrong name and a wrong password are told in the same
//! words; failures count for a pair of (network of the peer, account name), in a table of bounded size.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use maitred_mail::{Address, Authenticated, Class, EnhancedStatus};
use maitred_policy::{
    Answer, Hook, HookCall, LoginAttempt, LoginDecision, LoginFacts, LoginProtocol, SessionFacts,
};
use maitred_store::Store;
use maitred_wire::Clock;
use maitred_wire::sasl::Credentials;

use crate::house::House;

/// Why nobody logged in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No such account, or not its password: which of them is not said.
    #[error("wrong name or password")]
    Wrong,
    /// The password was right, and policy says no. The peer is not told the difference.
    #[error("denied by policy: {0}")]
    Denied(String),
    /// Too many failures: nothing is looked at before the time is over.
    #[error("too many failed logins")]
    Slow {
        /// How long.
        wait: Duration,
    },
    /// The store could not say.
    #[error("logins are not available: {0}")]
    Store(#[source] maitred_store::Error),
}

impl LoginError {
    /// What the peer is told (RFC 4954 §6: 535 5.7.8, 454 4.7.0).
    pub fn status(&self) -> EnhancedStatus {
        match self {
            Self::Wrong | Self::Denied(_) => EnhancedStatus::BAD_CREDENTIALS,
            Self::Slow { .. } | Self::Store(_) => EnhancedStatus::new(Class::Persistent, 7, 0),
        }
    }

    /// The words for the peer, which learns nothing of our disks.
    pub fn public_text(&self) -> &'static str {
        match self {
            Self::Wrong | Self::Denied(_) => "Wrong name or password",
            Self::Slow { .. } => "Too many failed logins, try again later",
            Self::Store(_) => "Logins are not available, try again later",
        }
    }
}

/// Who wants to log in, by which protocol.
pub struct LoginPeer<'a> {
    /// By which protocol.
    pub protocol: LoginProtocol,
    /// The client.
    pub peer: IpAddr,
    /// Whether TLS is there.
    pub has_tls: bool,
    /// SASL mechanism, or `LOGIN`, `USER`.
    pub mechanism: &'a str,
}

impl House {
    /// Who these credentials show the peer to be, if policy lets that account log in by this protocol.
    ///
    /// # Errors
    /// Why nobody.
    pub async fn admit(
        &self,
        from: &LoginPeer<'_>,
        credentials: &Credentials,
    ) -> Result<Authenticated, LoginError> {
        let verified = self.logins.verify(from.peer, credentials).await;
        let chain = (self.chains)();
        if chain.is_silent(Hook::Login) {
            return verified;
        }
        let claimed = || credentials.authentication.clone();
        let attempt = LoginAttempt {
            protocol: from.protocol,
            login: LoginFacts {
                mechanism: from.mechanism.to_owned(),
                identity: verified.as_ref().map_or_else(|_| claimed(), |login| login.address().to_string()),
                has_succeeded: verified.is_ok(),
            },
            remote: from.peer,
            has_tls: from.has_tls,
        };
        let session = SessionFacts::internal(self.now());
        let (answer, said) = chain.first(&session, HookCall::Login(&attempt)).await;
        for said in said.iter().filter(|said| said.fault.is_some()) {
            tracing::warn!(plugin = said.plugin, plugin.version = &*said.version, fault = ?said.fault, "plugin gave no decision");
        }
        match (verified, answer) {
            (Ok(_), Some(Answer::Login(LoginDecision::Deny(reason)))) => Err(LoginError::Denied(reason)),
            (verified, _) => verified,
        }
    }
}

/// Verifies logins. One for the whole server.
pub struct Logins {
    store: Store,
    clock: Arc<dyn Clock>,
    failures_max: u32,
    failures: Mutex<Failures>,
}

impl Logins {
    /// `failures_max` wrong logins of one peer and account are free; 0: all are.
    pub fn new(store: Store, clock: Arc<dyn Clock>, failures_max: u32) -> Self {
        Self { store, clock, failures_max, failures: Mutex::default() }
    }

    /// Who these credentials show the peer to be.
    ///
    /// # Errors
    /// Why nobody.
    pub async fn verify(&self, peer: IpAddr, credentials: &Credentials) -> Result<Authenticated, LoginError> {
        // RFC 4616 §2: acting as someone else is not offered.
        let name = credentials.authentication.trim();
        let is_own = [name, ""].contains(&credentials.authorization.trim());
        let Some(address) = Address::parse(name).ok().filter(|_| is_own) else {
            return Err(LoginError::Wrong);
        };
        let key = Key { network: network(peer), account: address.folded() };
        if let Some(wait) = self.wait(&key) {
            return Err(LoginError::Slow { wait });
        }
        let verified = self.store.verify(name, &credentials.password).await;
        match verified.map_err(LoginError::Store)? {
            Some((account, address)) => {
                self.lock().forget(&key);
                Ok(Authenticated::after_verification(account, address))
            }
            None => {
                self.count(key);
                Err(LoginError::Wrong)
            }
        }
    }

    fn wait(&self, key: &Key) -> Option<Duration> {
        let now = self.clock.now();
        let until = self.lock().find(key)?.until?;
        until.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    fn count(&self, key: Key) {
        if self.failures_max == 0 {
            return;
        }
        let now = self.clock.now();
        let mut failures = self.lock();
        let mut failed = failures.find(&key).copied().unwrap_or_default();
        failed.times = failed.times.saturating_add(1);
        if failed.times >= self.failures_max {
            failed.until = now.checked_add(delay(failed.times - self.failures_max));
        }
        failures.note(key, failed, now);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 1 s, 2 s, 4 s … up to 15 minutes.
fn delay(beyond: u32) -> Duration {
    Duration::from_secs(1 << beyond.min(10)).min(DELAY_MAX)
}

/// One customer has a /64 of IPv6 addresses to guess from.
fn network(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    network: IpAddr,
    account: Address,
}

#[derive(Debug, Clone, Copy, Default)]
struct Failed {
    times: u32,
    until: Option<Instant>,
}

/// Two generations: when the young one is full or old enough, it becomes the old one and the old one is forgotten.
/// So each entry lives for one to two [`GENERATION`]s, and the table is bounded without ever being searched.
#[derive(Debug, Default)]
struct Failures {
    young: HashMap<Key, Failed>,
    old: HashMap<Key, Failed>,
    born: Option<Instant>,
}

impl Failures {
    fn find(&self, key: &Key) -> Option<&Failed> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    fn note(&mut self, key: Key, failed: Failed, now: Instant) {
        let is_aged = self.born.is_none_or(|born| now.duration_since(born) >= GENERATION);
        if is_aged || self.young.len() >= ENTRIES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.born = Some(now);
        }
        self.young.insert(key, failed);
    }

    fn forget(&mut self, key: &Key) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

/// The longest delay.
const DELAY_MAX: Duration = Duration::from_mins(15);
/// How long failures are remembered at least.
const GENERATION: Duration = Duration::from_hours(1);
/// Pairs of peer and account in a generation.
const ENTRIES_MAX: usize = 20_000;
