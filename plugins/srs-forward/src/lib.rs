//! Forwarding, with a reverse-path that is ours (the Sender Rewriting Scheme).
//!
//! Who forwards mail as it is sends for a domain that has not allowed him to, and SPF fails. So the sender becomes an
//! address of ours with the sender in it, signed and dated; a report to that address is led back to the sender. Nobody
//! else can make such an address, so nobody can send to others through us. Mail is never refused because it cannot be
//! forwarded: what has no place goes to INBOX.

mod rule;
mod srs;

use maitred_plugin_sdk::address;
use maitred_plugin_sdk::config::{Period, Several};
use maitred_plugin_sdk::prelude::*;
use serde::Deserialize;

use rule::Rule;
use srs::{Digest, HASH_LENGTHS, Scheme, Secret, Wrong};

/// The plugin.
pub struct SrsForward {
    rules: Vec<Rule>,
    domain: String,
    overlong: Overlong,
    spam_score: Option<f32>,
    scheme: Scheme,
}

/// What an operator may set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Whose mail goes where.
    #[serde(default)]
    rules: Vec<Rule>,
    /// Our domain, that rewritten senders are in.
    domain: String,
    /// The first one signs, all are good.
    secret: Several<Secret>,
    /// How it is signed.
    #[serde(default = "sha256")]
    digest: Digest,
    /// Characters of the signature.
    #[serde(default = "six")]
    hash_length: usize,
    /// How long reports are led back.
    #[serde(default = "three_weeks")]
    max_age: Period,
    /// The sender of mail whose rewritten one would be too long.
    #[serde(default)]
    overlong: Overlong,
    /// What is kept and not forwarded: mail of which earlier plugins have found so much.
    spam_score: Option<f32>,
}

/// What a sender becomes whose rewritten address would be longer than an address may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Overlong {
    /// It stays, and SPF fails.
    #[default]
    Keep,
    /// `<>`, and no report goes back.
    Null,
}

const fn sha256() -> Digest {
    Digest::Sha256
}

const fn six() -> usize {
    6
}

const fn three_weeks() -> Period {
    Period::days(21)
}

impl Plugin for SrsForward {
    const SUMMARY: &'static str = "Forwards mail, with a reverse-path that is ours (SRS)";

    fn init(config: &str) -> Result<Self, String> {
        let config: Config = serde_json::from_str(config).map_err(|error| error.to_string())?;
        config.try_into()
    }

    fn on_resolve(&self, _session: &dyn Session, _sender: &str, recipient: &str) -> Resolution {
        let Some((local, _)) = address::split(recipient).filter(|(_, domain)| *domain == self.domain) else {
            return Resolution::Next;
        };
        let Some(original) = self.scheme.original(&local, now_ms()) else { return Resolution::Next };
        let refuse = |detail, text: &str| {
            Resolution::Reject(Refusal { enhanced: Some((5, detail, 1)), text: text.to_owned() })
        };
        let (resolution, result) = match original {
            Ok(original) => (Resolution::Rewrite(vec![original]), "returned"),
            Err(Wrong::Malformed) => (refuse(1, "No such user here"), "malformed"),
            Err(Wrong::Forged) => (refuse(7, "This forwarded address was not made here"), "forged"),
            Err(Wrong::Expired) => (refuse(1, "This forwarded address has expired"), "expired"),
        };
        metrics::counter_add("returned_total", &[("result", result)], 1);
        resolution
    }

    fn on_deliver(
        &self,
        _session: &dyn Session,
        message: &dyn Message,
        recipient: &Recipient,
        account: &str,
    ) -> DeliveryDecision {
        let Some(rule) = self.rules.iter().find(|rule| rule.is_about(recipient, account)) else {
            return DeliveryDecision::Next;
        };
        let forward = rule.targets(recipient, account);
        // What we send on as spam is held against us.
        if forward.is_empty() || self.is_spam(message) {
            return DeliveryDecision::Next;
        }
        let forward_as = self.forward_as(&message.envelope().sender, &forward);
        metrics::counter_add("forwarded_total", &[], 1);
        DeliveryDecision::Deliver(Delivery { placements: rule.placements(), forward, forward_as })
    }
}

impl SrsForward {
    /// The reverse-path of what is forwarded; `None`: as it is.
    fn forward_as(&self, sender: &str, forward: &[String]) -> Option<String> {
        let is_ours = |address: &str| directory::is_local_domain(address::domain(address));
        // For our own domains we may send, and among ourselves nobody asks.
        let (local, domain) = address::split(sender).filter(|_| !is_ours(sender))?;
        if forward.iter().all(|target| is_ours(target)) {
            return None;
        }
        let rewritten = address::join(&self.scheme.rewritten(&local, domain, now_ms()), &self.domain);
        match (rewritten, self.overlong) {
            (Some(rewritten), _) => Some(rewritten),
            (None, Overlong::Keep) => None,
            (None, Overlong::Null) => Some(String::new()),
        }
    }

    fn is_spam(&self, message: &dyn Message) -> bool {
        self.spam_score
            .is_some_and(|least| message.symbols().iter().map(|(_, score)| score).sum::<f32>() >= least)
    }
}

impl TryFrom<Config> for SrsForward {
    type Error = String;

    fn try_from(config: Config) -> Result<Self, String> {
        for (number, rule) in (1..).zip(&config.rules) {
            rule.check().map_err(|error| format!("rule {number}: {error}"))?;
        }
        let domain = config.domain.to_ascii_lowercase();
        let is_name = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
        if domain.is_empty() || domain.len() > 255 || !domain.bytes().all(is_name) {
            return Err(format!("{:?} is no domain", config.domain));
        }
        if !HASH_LENGTHS.contains(&config.hash_length) {
            return Err(format!("hash_length is {} to {}", HASH_LENGTHS.start(), HASH_LENGTHS.end()));
        }
        if config.spam_score.is_some_and(|score| !score.is_finite()) {
            return Err("spam_score is no number".to_owned());
        }
        let days_max = srs::days(config.max_age).ok_or("max_age is 1d to 512d")?;
        let scheme = Scheme {
            secrets: config.secret,
            digest: config.digest,
            hash_length: config.hash_length,
            days_max,
        };
        Ok(Self {
            rules: config.rules,
            domain,
            overlong: config.overlong,
            spam_score: config.spam_score,
            scheme,
        })
    }
}

maitred_plugin_sdk::export!(SrsForward: resolve, deliver);

#[cfg(test)]
mod tests;
