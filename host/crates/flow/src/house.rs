//! What every stage shares: the store, the plugins, the clock, our name, the limits.

use std::sync::Arc;
use std::time::Duration;

use maitred_mail::{Address, Timestamp};
use maitred_policy::{Chains, Herald, Silence};
use maitred_store::Store;
use maitred_wire::Clock;

use crate::login::Logins;
use crate::maildrop::Maildrops;
use crate::traces::Traces;

/// How flow behaves.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Our name in trace fields and Message-IDs.
    pub hostname: String,
    /// Who gets mail to a postmaster that is no account and no alias. Default: the oldest account of that domain,
    /// else of all (RFC 5321 §4.5.1: such mail must be taken).
    pub postmaster: Option<Address>,
    /// How much.
    pub limits: Limits,
}

/// How much of everything.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// A header section, 1 MiB: 552 5.3.4.
    pub header_octets_max: usize,
    /// Received fields of a message, 100: 554 5.4.6 (RFC 5321 §6.3).
    pub received_max: usize,
    /// How long a plugin may hold a reply back, 30 s.
    pub delay_max: Duration,
    /// Failed logins of one peer and account before it is slowed down, 5; 0: never.
    pub auth_failures: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { hostname: "localhost".to_owned(), postmaster: None, limits: Limits::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_octets_max: 1 << 20,
            received_max: 100,
            delay_max: Duration::from_secs(30),
            auth_failures: 5,
        }
    }
}

/// What every handler holds an `Arc` of.
pub struct House {
    /// Accounts, mail and queue.
    pub store: Store,
    /// The plugins of now; a session or transaction keeps what it took.
    pub chains: Chains,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who may log in.
    pub logins: Logins,
    /// Which POP3 sessions hold what.
    pub maildrops: Maildrops,
    /// Who is told afterwards what happened.
    pub herald: Arc<dyn Herald>,
    /// The last messages.
    pub traces: Traces,
    /// How flow behaves.
    pub config: Config,
}

impl House {
    /// Puts the house together.
    pub fn new(store: Store, chains: Chains, clock: Arc<dyn Clock>, config: Config) -> Self {
        let logins = Logins::new(store.clone(), Arc::clone(&clock), config.limits.auth_failures);
        Self {
            store,
            chains,
            clock,
            logins,
            maildrops: Maildrops::default(),
            herald: Arc::new(Silence),
            traces: Traces::default(),
            config,
        }
    }

    /// The same, and what happens is told to somebody.
    #[must_use]
    pub fn with_herald(self, herald: Arc<dyn Herald>) -> Self {
        Self { herald, ..self }
    }

    /// The time on the wall.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.unix_ms())
    }
}
