//! Block lists and allow lists of the DNS (RFC 5782), about the client's address and the sender's domain.
//!
//! Each list has a weight; what comes to the threshold is refused, the rest is marked for those who judge the message. A
//! list is asked once in a session. One that gives no answer says nothing: nobody is refused for it.

mod codes;
mod list;

use maitred_plugin_sdk::address;
use maitred_plugin_sdk::config::{Line, Networks, Patterns, Period, lowered};
use maitred_plugin_sdk::prelude::*;
use serde::Deserialize;

use list::{Findings, List, ZONES_MAX};

/// The plugin.
pub struct Dnsbl {
    config: Config,
}

/// What an operator may set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Lists of addresses.
    lists: Vec<List>,
    /// Lists of domains, asked about that of the sender.
    domain_lists: Vec<List>,
    /// What is refused. Without: nothing.
    reject: Option<f32>,
    /// When the client is judged.
    at: Stage,
    /// Clients that no list is asked about.
    skip_ips: Networks,
    /// Recipients that listed clients reach, too.
    skip_recipients: Patterns,
    /// The header field that says what was found. Empty: none.
    header: String,
    /// For how long what was said holds for the same client and sender. 0: each is judged anew.
    remember: Period,
    /// What who is refused is told; `{what}` and `{lists}` stand for what is listed, and where.
    text: Line,
}

/// When the client is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    /// Before the greeting.
    Connect,
    /// At each recipient, when it is known who logged in.
    Rcpt,
    /// With the message.
    Message,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lists: Vec::new(),
            domain_lists: Vec::new(),
            reject: None,
            at: Stage::Rcpt,
            skip_ips: Networks::default(),
            skip_recipients: Patterns::default(),
            header: "X-DNSBL".to_owned(),
            remember: Period::minutes(1),
            text: "{what} is listed in {lists}".into(),
        }
    }
}

/// By which term an answer holds: about who is no stranger, about a recipient that is open to all, about a client, about a message.
const USER: u32 = 0;
const OPEN: u32 = 1;
const CLIENT: u32 = 2;
const MESSAGE: u32 = 3;

impl Plugin for Dnsbl {
    const SUMMARY: &'static str = "Asks block lists and allow lists of the DNS about clients and senders";

    fn init(config: &str) -> Result<Self, String> {
        let config: Config = serde_json::from_str(config).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(Self { config })
    }

    fn interest(&self) -> Vec<Hook> {
        let client = match self.config.at {
            Stage::Connect => Some(Hook::Connect),
            Stage::Rcpt => Some(Hook::Rcpt),
            Stage::Message => None,
        };
        client.into_iter().chain([Hook::Message]).collect()
    }

    fn freshness(&self) -> Vec<Term> {
        let seconds = self.config.remember.as_seconds();
        if seconds == 0 {
            return Vec::new();
        }
        let header = Some(&self.config.header).filter(|header| !header.is_empty());
        let header = header.map(|header| Fact::Header(header.clone()));
        let message = [Some(Fact::RemoteIp), Some(Fact::SenderDomain), header, self.recipients()];
        // In the order of their numbers.
        let terms = [
            Vec::new(),
            vec![Fact::Recipients],
            [Some(Fact::RemoteIp), self.recipients()].into_iter().flatten().collect(),
            message.into_iter().flatten().collect(),
        ];
        terms.into_iter().map(|made_of| Term { seconds, made_of }).collect()
    }

    fn on_connect(&self, session: &dyn Session) -> Decision {
        match self.config.at {
            Stage::Connect => self.judge_client(session),
            Stage::Rcpt | Stage::Message => Decision::next(),
        }
    }

    fn on_rcpt(&self, session: &dyn Session, _sender: &str, recipient: &Recipient) -> Decision {
        match self.config.at {
            Stage::Rcpt if !self.is_open_to_all(&recipient.address) => self.judge_client(session),
            // Made of the recipient alone: that need not be asked again.
            Stage::Rcpt => {
                hold(OPEN);
                Decision::next()
            }
            Stage::Connect | Stage::Message => Decision::next(),
        }
    }

    fn on_message(&self, session: &dyn Session, message: &dyn Message) -> Decision {
        let info = session.info();
        if !info.is_stranger() {
            hold(USER);
            return Decision::next();
        }
        let envelope = message.envelope();
        let found = [self.find_client(session, &info), self.find_sender(session, &envelope.sender)];
        let found: Vec<_> = found.into_iter().flatten().collect();
        let is_open = envelope.recipients.iter().all(|recipient| self.is_open_to_all(&recipient.address));
        if found.iter().all(|found| found.is_whole) {
            hold(MESSAGE);
        }
        match self.refusal(&found) {
            Some(refusal) if !is_open => Verdict::Reject(refusal).into(),
            _ => self.marked(&found, message),
        }
    }
}

impl Dnsbl {
    fn judge_client(&self, session: &dyn Session) -> Decision {
        let info = session.info();
        if !info.is_stranger() {
            hold(USER);
            return Decision::next();
        }
        let found: Vec<_> = self.find_client(session, &info).into_iter().collect();
        if found.iter().all(|found| found.is_whole) {
            hold(CLIENT);
        }
        self.refusal(&found).map_or_else(Decision::next, |refusal| Verdict::Reject(refusal).into())
    }

    /// Where some recipients are open to all, an answer is made of who they are.
    fn recipients(&self) -> Option<Fact> {
        (!self.config.skip_recipients.is_empty()).then_some(Fact::Recipients)
    }

    fn find_client(&self, session: &dyn Session, info: &SessionInfo) -> Option<Findings<'_>> {
        if self.config.lists.is_empty() {
            return None;
        }
        let client = list::asked(&info.remote_ip, &self.config.skip_ips)?;
        Some(list::find(session, "client", &self.config.lists, client.to_string()))
    }

    fn find_sender(&self, session: &dyn Session, sender: &str) -> Option<Findings<'_>> {
        // An address literal has no domain.
        let domain =
            Some(address::domain(sender)).filter(|domain| !domain.is_empty() && !domain.starts_with('['));
        let domain = domain.filter(|_| !self.config.domain_lists.is_empty())?;
        Some(list::find(session, "sender", &self.config.domain_lists, domain.to_owned()))
    }

    fn is_open_to_all(&self, recipient: &str) -> bool {
        self.config.skip_recipients.match_any(&lowered(recipient.to_owned()))
    }

    /// What the client is told, when all that was found comes to the threshold.
    fn refusal(&self, found: &[Findings<'_>]) -> Option<Refusal> {
        let score: f32 = found.iter().map(Findings::score).sum();
        self.config.reject.filter(|threshold| score >= *threshold)?;
        let against = found.iter().max_by(|a, b| a.score().total_cmp(&b.score()))?;
        let mut names: Vec<&str> = against.against().map(List::name).collect();
        names.dedup();
        let text = self.config.text.replace("{what}", &against.what).replace("{lists}", &names.join(", "));
        let url = against.against().find_map(|list| list.url.as_ref());
        let url = url.map(|url| format!("; see {}", url.replace("{what}", &against.what)));
        Some(Refusal { enhanced: Some((5, 7, 1)), text: text + &url.unwrap_or_default() })
    }

    /// Says what was found, in place of what somebody else says in our name.
    fn marked(&self, found: &[Findings<'_>], message: &dyn Message) -> Decision {
        let mut decision = Decision::next();
        let header = &self.config.header;
        if !header.is_empty() && message.header(header).is_some() {
            decision = decision.with(Edit::RemoveAllHeaders(header.clone()));
        }
        let mut said = Vec::new();
        for (findings, list) in found.iter().flat_map(|of| of.lists.iter().map(move |list| (of, list))) {
            let name = format!("dnsbl:{}", list.name());
            decision = decision.with(Edit::Symbol(name, list.weight, findings.what.clone()));
            said.push(format!("{} ({})", list.name(), findings.what));
        }
        if said.is_empty() {
            return decision;
        }
        let score: f32 = found.iter().map(Findings::score).sum();
        let said = said.join(", ");
        if !header.is_empty() {
            decision = decision.with_header(header.clone(), format!("score={score:.1}; lists={said}"));
        }
        decision.with(Edit::Tag("dnsbl".to_owned(), said))
    }
}

impl Config {
    /// What a type cannot say.
    fn check(&self) -> Result<(), String> {
        if self.lists.is_empty() && self.domain_lists.is_empty() {
            return Err("no lists: name at least one in lists or domain_lists".to_owned());
        }
        for (key, lists) in [("lists", &self.lists), ("domain_lists", &self.domain_lists)] {
            let zones = list::zones(lists).len();
            if zones > ZONES_MAX {
                return Err(format!("{key}: {zones} zones, where {ZONES_MAX} can be asked at once"));
            }
            if let Some(list) = lists.iter().find(|list| !list.weight.is_finite()) {
                return Err(format!("{key}: the weight of {} is no number", list.name()));
            }
        }
        if self.reject.is_some_and(|threshold| !(threshold.is_finite() && threshold > 0.0)) {
            return Err("reject must be above 0".to_owned());
        }
        let is_field = |octet: u8| octet.is_ascii_graphic() && octet != b':';
        if !self.header.bytes().all(is_field) {
            return Err(format!("{:?} is no header field", self.header));
        }
        Ok(())
    }
}

maitred_plugin_sdk::export!(Dnsbl: connect, rcpt, message, interest, freshness);

#[cfg(test)]
mod tests;
