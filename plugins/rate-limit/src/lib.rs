//! Limits in time: of connections, messages and recipients, for each address, account, sender's domain, recipient.
//!
//! Each limit is a token bucket in the plugin's table: so much comes in with time, up to a burst; each event takes one.
//! All limits must hold, or the answer is 4.7.1 and how long to wait. Where there is no table, nothing is bound.

mod limit;

use maitred_plugin_sdk::config::{Line, Networks, OnTrouble, Period};
use maitred_plugin_sdk::prelude::*;
use maitred_plugin_sdk::store::Tokens;
use serde::Deserialize;

use limit::{Limit, Moment, Per};

/// The plugin.
pub struct RateLimit {
    config: Config,
}

/// What an operator may set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// All of them must hold.
    limits: Vec<Limit>,
    /// Clients that are not bound, but by the limits of their accounts.
    exempt: Networks,
    /// What who is over a limit is told; `{wait}` stands for how long it lasts.
    text: Line,
    /// Without the table.
    on_trouble: OnTrouble,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Vec::new(),
            exempt: Networks::loopback(),
            text: "Too much mail, please try again in {wait}".into(),
            on_trouble: OnTrouble::default(),
        }
    }
}

impl Plugin for RateLimit {
    const SUMMARY: &'static str = "Bounds how much clients, accounts and senders may send";

    fn init(config: &str) -> Result<Self, String> {
        let config: Config = serde_json::from_str(config).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(Self { config })
    }

    fn interest(&self) -> Vec<Hook> {
        let moments = [Moment::Connect, Moment::Mail(""), Moment::Rcpt("", "")];
        let counted = |moment: &Moment<'_>| self.config.limits.iter().any(|limit| limit.counts_at(*moment));
        moments.into_iter().filter(counted).map(Moment::hook).collect()
    }

    fn on_connect(&self, session: &dyn Session) -> Decision {
        self.count(session, Moment::Connect)
    }

    fn on_mail(&self, session: &dyn Session, sender: &str) -> Decision {
        self.count(session, Moment::Mail(sender))
    }

    fn on_rcpt(&self, session: &dyn Session, sender: &str, recipient: &Recipient) -> Decision {
        self.count(session, Moment::Rcpt(sender, &recipient.address))
    }
}

impl RateLimit {
    /// Takes from each bucket that this moment is about, until one is empty.
    fn count(&self, session: &dyn Session, moment: Moment<'_>) -> Decision {
        let info = session.info();
        // The peer of LMTP is a server of ours, and so is what we make ourselves.
        if info.listener == "lmtp" || info.direction == Direction::Internal {
            return Decision::next();
        }
        for limit in &self.config.limits {
            let Some(subject) = limit.subject(moment, &info, &self.config.exempt) else { continue };
            let name = limit.name();
            let taken =
                store::take_tokens(&format!("{name} {subject}"), limit.capacity(), limit.per_second(), 1);
            match taken {
                Ok(Tokens::Left(_)) => {}
                Ok(Tokens::Wait(wait_ms)) => return self.refuse(limit, &name, &subject, wait_ms),
                Err(error) => {
                    log(Level::Warn, &format!("{name}: the table is not available: {error:?}"));
                    if self.config.on_trouble == OnTrouble::Tempfail {
                        return put_off("Too busy to look this up, please try again later".to_owned());
                    }
                }
            }
        }
        Decision::next()
    }

    fn refuse(&self, limit: &Limit, name: &str, subject: &str, wait_ms: u32) -> Decision {
        // A client that sends too much is usual; an account that does may be in somebody else's hands.
        let level = if limit.per == Per::Account { Level::Warn } else { Level::Info };
        log(level, &format!("{subject} is over {name} ({} in {})", limit.limit, limit.every));
        metrics::counter_add("refused_total", &[("limit", name)], 1);
        let text = limit.text.as_ref().unwrap_or(&self.config.text);
        put_off(text.replace("{wait}", &wait(wait_ms)))
            .with(Edit::Tag("rate-limit".to_owned(), name.to_owned()))
    }
}

fn put_off(text: String) -> Decision {
    Verdict::Tempfail(Refusal { enhanced: Some((4, 7, 1)), text }).into()
}

/// For a person: whole seconds, or whole minutes, or whole hours.
fn wait(wait_ms: u32) -> String {
    // A rate is not exact: of a long wait, parts of a second say nothing.
    let seconds = u64::from(wait_ms) / 1_000;
    let rounded = match seconds {
        ..119 => u64::from(wait_ms).div_ceil(1_000).max(1),
        119..7_200 => seconds.div_ceil(60) * 60,
        _ => seconds.div_ceil(3_600) * 3_600,
    };
    Period::from(std::time::Duration::from_secs(rounded)).to_string()
}

impl Config {
    /// What a type cannot say.
    fn check(&self) -> Result<(), String> {
        if self.limits.is_empty() {
            return Err("no limits: there must be at least one".to_owned());
        }
        let mut names = Vec::new();
        for limit in &self.limits {
            limit.check()?;
            let name = limit.name();
            // They would take from one bucket.
            if names.contains(&name) {
                return Err(format!("two limits are called {name}: give one of them another name"));
            }
            names.push(name);
        }
        Ok(())
    }
}

maitred_plugin_sdk::export!(RateLimit: connect, mail, rcpt, interest);

#[cfg(test)]
mod tests;
