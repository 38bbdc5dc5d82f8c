//! DMARC (RFC 9989): mail that is not from who it says is treated as the owner of that domain wants; what was found of a
//! sender is said in the message (RFC 8601), and counts for those who judge it.
//!
//! The server verifies, once for all plugins; here is decided. What cannot be verified now is no forgery.

mod field;

use std::collections::{BTreeMap, BTreeSet};

use maitred_plugin_sdk::authentication::{AuthResult, MethodResult};
use maitred_plugin_sdk::config::{Line, Networks, OnTrouble, Patterns, lowered};
use maitred_plugin_sdk::prelude::*;
use serde::Deserialize;

/// The plugin.
pub struct Dmarc {
    config: Config,
}

/// What an operator may set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// The name under which this server says what it found (RFC 8601 §2.5).
    authserv_id: String,
    /// What is done where the owner wants mail refused.
    on_reject: Treatment,
    /// What is done where the owner wants mail put aside.
    on_quarantine: Treatment,
    /// Forwarders whose seal (RFC 8617) is believed: what they passed on is not treated.
    trusted_sealers: Patterns,
    /// Clients whose mail is not treated.
    skip_ips: Networks,
    /// Domains of authors whose mail is not treated.
    skip_domains: Patterns,
    /// What a finding adds to the score of a message, by `method=result`.
    scores: BTreeMap<String, f32>,
    /// Whether what was found is said in a header field.
    header: bool,
    /// What who is refused is told; `{domain}` stands for that of the author.
    text: Line,
    /// What cannot be verified now.
    on_trouble: OnTrouble,
}

/// What is done with forged mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Treatment {
    /// Refused.
    Reject,
    /// Taken into Junk.
    Quarantine,
    /// Taken as any mail; what was found is there to read.
    Mark,
}

/// The methods that there are results of.
const METHODS: [&str; 5] = ["iprev", "spf", "dkim", "arc", "dmarc"];
/// Forged fields that are removed one by one; where there are more, every field of that name goes.
const FORGED_MAX: usize = 50;
/// RFC 1035 §2.3.4.
const DOMAIN_OCTETS_MAX: usize = 255;

impl Default for Config {
    fn default() -> Self {
        Self {
            authserv_id: String::new(),
            on_reject: Treatment::Reject,
            on_quarantine: Treatment::Quarantine,
            trusted_sealers: Patterns::default(),
            skip_ips: Networks::default(),
            skip_domains: Patterns::default(),
            scores: BTreeMap::new(),
            header: true,
            text: "This is not from {domain}, which wants such mail refused (DMARC)".into(),
            on_trouble: OnTrouble::default(),
        }
    }
}

impl Plugin for Dmarc {
    const SUMMARY: &'static str =
        "Treats forged mail as the owner of its domain wants, and says what was found";

    fn init(config: &str) -> Result<Self, String> {
        let config: Config = serde_json::from_str(config).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(Self { config })
    }

    fn on_message(&self, session: &dyn Session, message: &dyn Message) -> Decision {
        let info = session.info();
        if !info.is_stranger() {
            // A server of ours may have verified; a user has not.
            let decision = Decision::next();
            return if info.account.is_some() { self.unforged(message, decision) } else { decision };
        }
        let results = authentication::results();
        let dmarc = results.iter().find(|of| of.method == "dmarc");
        let verdict = dmarc.map_or(Verdict::Next, |dmarc| self.treated(&info, dmarc, &results));
        let result = dmarc.map_or("none", |of| of.result.name());
        metrics::counter_add("messages_total", &[("result", result), ("treatment", name(&verdict))], 1);
        if matches!(verdict, Verdict::Reject(_) | Verdict::Tempfail(_)) {
            return verdict.into();
        }
        let mut decision = self.unforged(message, verdict.into());
        if self.config.header {
            decision = decision.with_header(field::NAME, field::value(&self.config.authserv_id, &results));
        }
        self.counted(&results, decision).with(Edit::Tag("dmarc".to_owned(), result.to_owned()))
    }
}

impl Dmarc {
    /// What is done with a message of which DMARC says this.
    fn treated(&self, client: &SessionInfo, dmarc: &MethodResult, results: &[MethodResult]) -> Verdict {
        match (dmarc.result, self.config.on_trouble) {
            (AuthResult::Temperror, OnTrouble::Tempfail) => {
                let text = "Who sent this cannot be verified now, please try again".to_owned();
                return Verdict::Tempfail(Refusal { enhanced: Some((4, 7, 1)), text });
            }
            (AuthResult::Fail, _) => {}
            _ => return Verdict::Next,
        }
        // Whatever somebody writes into From, the answer must be one that the server takes.
        let domain = &field::printable(dmarc.property("header.from").unwrap_or_default());
        let treatment = match dmarc.property("policy.dmarc") {
            Some("reject") => self.config.on_reject,
            Some("quarantine") => self.config.on_quarantine,
            _ => Treatment::Mark,
        };
        if treatment == Treatment::Mark || self.is_excused(client, domain, results) {
            return Verdict::Next;
        }
        if treatment == Treatment::Quarantine {
            return Verdict::Quarantine(format!("not from {domain} (DMARC)"));
        }
        // RFC 7372: several checks failed, that of SPF and that of DKIM.
        let text = self.config.text.replace("{domain}", domain);
        Verdict::Reject(Refusal { enhanced: Some((5, 7, 26)), text })
    }

    /// Whether mail of such a client, author or forwarder is taken all the same.
    fn is_excused(&self, client: &SessionInfo, domain: &str, results: &[MethodResult]) -> bool {
        let is_trusted = |of: &MethodResult| {
            let sealer = of.property("header.d").unwrap_or_default().to_owned();
            of.method == "arc"
                && of.result == AuthResult::Pass
                && self.config.trusted_sealers.match_any(&lowered(sealer))
        };
        client.remote_ip.parse().is_ok_and(|ip| self.config.skip_ips.hold(ip))
            || self.config.skip_domains.match_any(&lowered(domain.to_owned()))
            || results.iter().any(is_trusted)
    }

    /// Without the fields that somebody else wrote in our name.
    fn unforged(&self, message: &dyn Message, decision: Decision) -> Decision {
        let fields = message.headers();
        let ours = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(field::NAME));
        let forged =
            ours.zip(0_u32..).filter(|((_, value), _)| field::is_by(value, &self.config.authserv_id));
        let forged: Vec<u32> = forged.map(|(_, nth)| nth).collect();
        if forged.len() > FORGED_MAX {
            return decision.with(Edit::RemoveAllHeaders(field::NAME.to_owned()));
        }
        // From below, so that those above keep their number.
        let remove =
            |decision: Decision, nth: &u32| decision.with(Edit::RemoveHeader(field::NAME.to_owned(), *nth));
        forged.iter().rev().fold(decision, remove)
    }

    /// With a symbol for each finding that counts, once.
    fn counted(&self, results: &[MethodResult], decision: Decision) -> Decision {
        let found: BTreeSet<(&str, &str)> =
            results.iter().map(|of| (of.method.as_str(), of.result.name())).collect();
        found.into_iter().fold(decision, |decision, (method, result)| {
            match self.config.scores.get(&format!("{method}={result}")) {
                Some(score) => {
                    decision.with(Edit::Symbol(format!("{method}:{result}"), *score, String::new()))
                }
                None => decision,
            }
        })
    }
}

/// What a metric calls it.
fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Reject(_) => "reject",
        Verdict::Tempfail(_) => "tempfail",
        Verdict::Quarantine(_) => "quarantine",
        _ => "none",
    }
}

impl Config {
    /// What a type cannot say.
    fn check(&self) -> Result<(), String> {
        let id = &self.authserv_id;
        let is_name = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
        if id.is_empty() {
            return Err(
                "authserv_id: the name of this server is needed, such as \"mx.example.org\"".to_owned()
            );
        }
        if id.len() > DOMAIN_OCTETS_MAX || !id.bytes().all(is_name) {
            return Err(format!("authserv_id: {id:?} is no name of a server"));
        }
        for (finding, score) in &self.scores {
            let (method, result) = finding.split_once('=').unwrap_or((finding, ""));
            if !METHODS.contains(&method) || AuthResult::named(result).is_none() {
                return Err(format!("scores: {finding:?} is no finding, as \"spf=softfail\" is"));
            }
            if !score.is_finite() {
                return Err(format!("scores: the score of {finding} is no number"));
            }
        }
        Ok(())
    }
}

maitred_plugin_sdk::export!(Dmarc: message);

#[cfg(test)]
mod tests;
