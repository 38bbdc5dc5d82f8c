//! Greylisting: mail from a stranger is put off once, and taken when it comes again (RFC 6647).
//!
//! A stranger is a triplet of the client's network, the sender and the recipient that was not seen before. Software that
//! sends spam seldom tries twice; servers do. A client's network that came again a few times is no stranger any more.
//! The table is asked once for who is known, twice for who is not. Where there is no table, nobody is put off.

mod record;
mod sender;

use maitred_plugin_sdk::address;
use maitred_plugin_sdk::config::{Line, Network, Networks, OnTrouble, Patterns, Period, lowered};
use maitred_plugin_sdk::prelude::*;
use serde::Deserialize;

use record::{Client, Keys, Triplet};

/// The plugin.
pub struct Greylist {
    config: Config,
}

/// What an operator may set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// How long a stranger waits.
    delay: Period,
    /// Until when it must have come again.
    window: Period,
    /// How long who came again is known, from the last time.
    lifetime: Period,
    /// How often a network came again before it is no stranger to anybody. 0: never.
    auto_allow: u32,
    /// Bits of an IPv4 address that make a network.
    ipv4_prefix: u32,
    /// Bits of an IPv6 address that make a network.
    ipv6_prefix: u32,
    /// Clients that never wait.
    skip_ips: Networks,
    /// Domains of senders that never wait.
    skip_domains: Patterns,
    /// Recipients whose senders never wait.
    skip_recipients: Patterns,
    /// What who waits is told.
    text: Line,
    /// Without the table.
    on_trouble: OnTrouble,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            delay: Period::minutes(5),
            window: Period::hours(4),
            lifetime: Period::days(36),
            auto_allow: 5,
            // RFC 6647 §5, §7: large senders try again from a neighbour.
            ipv4_prefix: 24,
            ipv6_prefix: 64,
            skip_ips: Networks::loopback(),
            skip_domains: Patterns::default(),
            skip_recipients: Patterns::default(),
            text: "Greylisted, please try again in a few minutes".into(),
            on_trouble: OnTrouble::default(),
        }
    }
}

/// By which term an answer holds: about who never waits, about a triplet, about a network.
const TRUSTED: u32 = 0;
const KNOWN: u32 = 1;
const CLIENT: u32 = 2;

/// For so long who is known is not looked up again.
const FRESH_SECONDS_MAX: u32 = 600;

/// What an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Not seen before.
    New,
    /// Too early again.
    Early,
    /// Again, in time; after so many milliseconds.
    Passed(u64),
    /// Passed before.
    Known,
    /// From a network that is no stranger.
    Client,
}

impl Plugin for Greylist {
    const SUMMARY: &'static str = "Puts off mail from strangers until they try again";

    fn init(config: &str) -> Result<Self, String> {
        let config: Config = serde_json::from_str(config).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(Self { config })
    }

    /// Who is no stranger need not be looked up for each mail.
    fn freshness(&self) -> Vec<Term> {
        let bits = |bits: u32| u8::try_from(bits).unwrap_or(u8::MAX);
        let network = Fact::RemoteNetwork(bits(self.config.ipv4_prefix), bits(self.config.ipv6_prefix));
        // The table notes who comes within an eighth of the lifetime: it must be asked as often.
        let seconds = FRESH_SECONDS_MAX.min(self.config.lifetime.as_seconds() / 8);
        // In the order of their numbers.
        let terms = [
            vec![Fact::RemoteIp, Fact::SenderDomain, Fact::Recipients],
            vec![network.clone(), Fact::Sender, Fact::Recipients],
            vec![network],
        ];
        terms.into_iter().map(|made_of| Term { seconds, made_of }).collect()
    }

    fn on_rcpt(&self, session: &dyn Session, sender: &str, recipient: &Recipient) -> Decision {
        let info = session.info();
        let client =
            info.remote_ip.parse().ok().filter(|_| !self.is_trusted(&info, sender, &recipient.address));
        let Some(ip) = client else {
            // Made of the configuration and of who they are: that does not change.
            hold(TRUSTED);
            return Decision::next();
        };
        let network = Network::around(ip, self.config.ipv4_prefix, self.config.ipv6_prefix);
        match self.look_up(&Keys::of(network, sender, &recipient.address)) {
            Ok(standing) => {
                match standing {
                    Standing::New | Standing::Early | Standing::Passed(_) => {}
                    Standing::Known => hold(KNOWN),
                    Standing::Client => hold(CLIENT),
                }
                self.answer(standing)
            }
            Err(error) => {
                log(Level::Warn, &format!("the table is not available: {error:?}"));
                metrics::counter_add("attempts_total", &[("standing", "unavailable")], 1);
                match self.config.on_trouble {
                    OnTrouble::Next => Decision::next(),
                    OnTrouble::Tempfail => self.put_off(),
                }
            }
        }
    }
}

impl Greylist {
    /// Whether it is not for us to be wary: users, our own machines, and who was named.
    fn is_trusted(&self, info: &SessionInfo, sender: &str, recipient: &str) -> bool {
        !info.is_stranger()
            || info.remote_ip.parse().is_ok_and(|ip| self.config.skip_ips.hold(ip))
            || self.config.skip_domains.match_any(address::domain(sender))
            || self.config.skip_recipients.match_any(&lowered(recipient.to_owned()))
    }

    /// Looks an attempt up, and notes it.
    fn look_up(&self, keys: &Keys) -> Result<Standing, store::StoreError> {
        let now = now_ms();
        let (mut client, mut triplet) = (None, None);
        if self.config.auto_allow > 0 {
            let mut found = store::get_many(&[&keys.client, &keys.triplet])?.into_iter();
            (client, triplet) = (found.next().flatten(), found.next().flatten());
            let known = client.as_deref().and_then(Client::read).unwrap_or_default();
            if known.successes >= self.config.auto_allow {
                if self.is_stale(known.noted_ms, now) {
                    self.note(&keys.client, &Client { noted_ms: now, ..known }.written())?;
                }
                return Ok(Standing::Client);
            }
        }
        if triplet.is_none() {
            let waiting = Triplet::Waiting(now).written();
            let window = self.config.window.as_seconds();
            // What another session wrote in the meantime counts.
            triplet = store::get_or_insert(&keys.triplet, waiting.as_bytes(), Some(window))?;
        }
        let Some(found) = triplet else { return Ok(Standing::New) };
        match Triplet::read(&found) {
            Some(Triplet::Waiting(since)) if now < since.saturating_add(self.config.delay.as_ms()) => {
                Ok(Standing::Early)
            }
            Some(Triplet::Waiting(since)) => {
                let passed = Triplet::Passed(now).written();
                let lifetime = Some(self.config.lifetime.as_seconds());
                // One of several sessions notes it, so that a network has one success from one triplet.
                if store::compare_and_set(&keys.triplet, Some(&found), Some(passed.as_bytes()), lifetime)? {
                    self.count(&keys.client, client.as_deref(), now)?;
                }
                Ok(Standing::Passed(now.saturating_sub(since)))
            }
            Some(Triplet::Passed(noted)) => {
                if self.is_stale(noted, now) {
                    self.note(&keys.triplet, &Triplet::Passed(now).written())?;
                }
                Ok(Standing::Known)
            }
            None => {
                let waiting = Triplet::Waiting(now).written();
                store::set(&keys.triplet, waiting.as_bytes(), Some(self.config.window.as_seconds()))?;
                Ok(Standing::New)
            }
        }
    }

    /// One more success of a network. When two sessions count at a time one is lost, which does no harm.
    fn count(&self, key: &str, before: Option<&[u8]>, now: u64) -> Result<(), store::StoreError> {
        if self.config.auto_allow == 0 {
            return Ok(());
        }
        let known = before.and_then(Client::read).unwrap_or_default();
        let after = Client { successes: known.successes.saturating_add(1), noted_ms: now }.written();
        let lifetime = Some(self.config.lifetime.as_seconds());
        store::compare_and_set(key, before, Some(after.as_bytes()), lifetime).map(drop)
    }

    fn note(&self, key: &str, value: &str) -> Result<(), store::StoreError> {
        store::set(key, value.as_bytes(), Some(self.config.lifetime.as_seconds()))
    }

    /// A lifetime begins again with each mail; but written down it is only eight times in a lifetime, to spare the disk.
    fn is_stale(&self, noted_ms: u64, now: u64) -> bool {
        now.saturating_sub(noted_ms) > self.config.lifetime.as_ms() / 8
    }

    fn answer(&self, standing: Standing) -> Decision {
        let (decision, name) = match standing {
            Standing::New => (self.put_off(), "new"),
            Standing::Early => (self.put_off(), "early"),
            Standing::Passed(_) => (Decision::next(), "passed"),
            Standing::Known => (Decision::next(), "known"),
            Standing::Client => (Decision::next(), "client"),
        };
        metrics::counter_add("attempts_total", &[("standing", name)], 1);
        let value = match standing {
            Standing::Passed(after_ms) => format!("passed after {} s", after_ms / 1_000),
            _ => name.to_owned(),
        };
        decision.with(Edit::Tag("greylist".to_owned(), value))
    }

    fn put_off(&self) -> Decision {
        let text = self.config.text.to_string();
        Verdict::Tempfail(Refusal { enhanced: Some((4, 7, 1)), text }).into()
    }
}

impl Config {
    /// What a type cannot say.
    fn check(&self) -> Result<(), String> {
        if self.delay >= self.window {
            return Err(format!("window ({}) must be longer than delay ({})", self.window, self.delay));
        }
        if self.lifetime.is_zero() {
            return Err("lifetime must be longer than 0s".to_owned());
        }
        if !(1..=32).contains(&self.ipv4_prefix) || !(1..=128).contains(&self.ipv6_prefix) {
            return Err("ipv4_prefix is 1 to 32, ipv6_prefix 1 to 128".to_owned());
        }
        Ok(())
    }
}

maitred_plugin_sdk::export!(Greylist: rcpt, freshness);

#[cfg(test)]
mod tests;
