//! A rule: when it holds, and what it does.

use std::net::IpAddr;

use maitred_plugin_sdk::{Message, Session};
use serde::Deserialize;

use crate::pattern::{Pattern, lowered};

/// The plugin's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// In order. Without any, the test string that all spam filters know is refused.
    pub rules: Vec<Rule>,
    /// The header field that says what this filter found, on every message. Empty: none.
    pub header: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { rules: default_rules(), header: "X-Maitred-Filter".to_owned() }
    }
}

/// One rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// In tags, logs and headers.
    pub name: String,
    /// All parts that are given must hold.
    #[serde(default)]
    pub when: Condition,
    /// What happens.
    pub action: Action,
    /// What the peer is told, what the header says, the mark on the subject, which flag, which mailbox. Default: the name, or
    /// what the action says.
    pub text: Option<String>,
    /// The header field of `tag`. Default `X-Maitred-Rule`.
    pub header: Option<String>,
    /// Counts towards the score of the message.
    #[serde(default)]
    pub score: f32,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Nothing but the score, and the next rule.
    Score,
    /// A header field, and the next rule.
    Tag,
    /// The text in front of the subject, and the next rule.
    Subject,
    /// A flag on the delivered message (`\Flagged`), and the next rule.
    Flag,
    /// Another mailbox (`Junk`), and the next rule.
    File,
    /// Into Junk, with the reason.
    Quarantine,
    /// Accepted and dropped.
    Discard,
    /// 4xx.
    Tempfail,
    /// 5xx.
    Refuse,
}

/// When a rule holds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// The reverse-path.
    pub sender: Option<Pattern>,
    /// Any recipient.
    pub recipient: Option<Pattern>,
    /// The client's name in HELO or EHLO.
    pub helo: Option<Pattern>,
    /// The client's address: one, or a network such as `10.0.0.0/8`.
    pub remote_ip: Option<Network>,
    /// The Subject field.
    pub subject: Option<Pattern>,
    /// Any header field.
    pub header: Option<HeaderCondition>,
    /// The first 256 KiB of the body, as it was sent.
    pub body: Option<Pattern>,
    /// What a person reads: the Subject field, or a text part, of which the first 256 KiB.
    pub content: Option<Pattern>,
    /// The name of any file in it, such as `*.exe`.
    pub attachment: Option<Pattern>,
    /// More octets than this.
    pub larger: Option<u64>,
}

/// A header field with a value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderCondition {
    /// Which field.
    pub name: String,
    /// Its value.
    pub value: Pattern,
}

/// An address, or all that begin with the same bits.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    base: IpAddr,
    bits: u32,
}

/// What is known of a message: only what some rule asks for. Texts are lowered.
pub struct Facts<'a> {
    message: &'a dyn Message,
    sender: String,
    recipients: Vec<String>,
    helo: String,
    remote_ip: Option<IpAddr>,
    subjects: Vec<String>,
    octets: u64,
    body: String,
    /// The subjects and text parts.
    contents: Vec<String>,
    file_names: Vec<String>,
}

/// How much of a body, and of each text part, is looked at.
const BODY_OCTETS_MAX: u32 = 256 << 10;
/// How many text parts are looked at.
const TEXTS_MAX: usize = 20;

fn default_rules() -> Vec<Rule> {
    const GTUBE: &str = "*XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X*";
    vec![Rule {
        name: "gtube".to_owned(),
        when: Condition { content: Some(GTUBE.to_owned().into()), ..Condition::default() },
        action: Action::Refuse,
        text: Some("This is the spam test string".to_owned()),
        header: None,
        score: 0.0,
    }]
}

impl Config {
    /// What a type cannot say.
    pub fn check(&self) -> Result<(), String> {
        let is_field = |name: &str| name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':');
        if !is_field(&self.header) {
            return Err(format!("{:?} is no header field", self.header));
        }
        for rule in &self.rules {
            let wrong = |what: String| Err(format!("rule {}: {what}", rule.name));
            if rule.name.is_empty() || rule.name.len() > 100 || rule.name.chars().any(char::is_control) {
                return Err("a rule needs a name of at most 100 printable characters".to_owned());
            }
            if rule.text.iter().any(|text| text.chars().any(char::is_control)) {
                return wrong("its text is more than one printable line".to_owned());
            }
            if !rule.score.is_finite() {
                return wrong("its score is no number".to_owned());
            }
            if let Some(header) = rule.header.as_ref().filter(|name| name.is_empty() || !is_field(name)) {
                return wrong(format!("{header:?} is no header field"));
            }
            if rule.header.is_some() && rule.action != Action::Tag {
                return wrong("only the action \"tag\" has a header".to_owned());
            }
        }
        Ok(())
    }
}

impl Rule {
    /// The text, else this.
    pub fn text_or(&self, default: &str) -> String {
        self.text.clone().unwrap_or_else(|| default.to_owned())
    }

    /// The text, else the name.
    pub fn reason(&self) -> String {
        self.text_or(&self.name)
    }
}

impl<'a> Facts<'a> {
    /// Asks the host for what any of the rules needs.
    pub fn gather(rules: &[Rule], session: &dyn Session, message: &'a dyn Message) -> Self {
        let needs = |part: fn(&Condition) -> bool| rules.iter().any(|rule| part(&rule.when));
        let info = needs(|when| when.helo.is_some() || when.remote_ip.is_some()).then(|| session.info());
        let envelope =
            needs(|when| when.sender.is_some() || when.recipient.is_some()).then(|| message.envelope());
        let (sender, recipients) = envelope.map_or_else(Default::default, |envelope| {
            let recipients = envelope.recipients.into_iter().map(|recipient| lowered(recipient.address));
            (lowered(envelope.sender), recipients.collect())
        });
        let (helo, remote_ip) = info.map_or_else(Default::default, |info| {
            (lowered(info.helo.unwrap_or_default()), info.remote_ip.parse().ok())
        });
        let needs_content = needs(|when| when.content.is_some());
        let subjects: Vec<String> = if needs_content || needs(|when| when.subject.is_some()) {
            message.header_all("Subject").into_iter().map(lowered).collect()
        } else {
            Vec::new()
        };
        let parts = if needs_content || needs(|when| when.attachment.is_some()) {
            message.parts()
        } else {
            Vec::new()
        };
        let mut contents = Vec::new();
        if needs_content {
            let texts = (0..).zip(&parts).filter(|(_, part)| part.content_type.starts_with("text/"));
            let texts = texts.filter_map(|(index, _)| message.part_text(index, BODY_OCTETS_MAX));
            contents.extend(texts.take(TEXTS_MAX).map(lowered));
            contents.extend(subjects.iter().cloned());
        }
        let needs_body = needs(|when| when.body.is_some());
        Self {
            message,
            sender,
            recipients,
            helo,
            remote_ip,
            subjects,
            octets: if needs(|when| when.larger.is_some()) { message.size() } else { 0 },
            body: if needs_body { text(message.read_body(0, BODY_OCTETS_MAX)) } else { String::new() },
            contents,
            file_names: parts.into_iter().filter_map(|part| part.file_name).map(lowered).collect(),
        }
    }
}

/// Octets as lowered text; what is not UTF-8 is replaced.
fn text(octets: Vec<u8>) -> String {
    lowered(String::from_utf8(octets).unwrap_or_else(|error| {
        let lossy = String::from_utf8_lossy(error.as_bytes());
        lossy.into_owned()
    }))
}

impl Condition {
    /// True when every part that is given holds.
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        let is = |pattern: &Option<Pattern>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
        };
        let is_any = |pattern: &Option<Pattern>, texts: &[String]| {
            pattern.as_ref().is_none_or(|pattern| texts.iter().any(|text| pattern.matches(text)))
        };
        let has_field = |wanted: &HeaderCondition| {
            let values = facts.message.header_all(&wanted.name);
            values.into_iter().any(|value| wanted.value.matches(&lowered(value)))
        };
        is(&self.sender, &facts.sender)
            && is_any(&self.recipient, &facts.recipients)
            && is(&self.helo, &facts.helo)
            && self
                .remote_ip
                .as_ref()
                .is_none_or(|network| facts.remote_ip.is_some_and(|address| network.holds(address)))
            && self.larger.is_none_or(|octets| facts.octets > octets)
            && is_any(&self.subject, &facts.subjects)
            && self.header.as_ref().is_none_or(has_field)
            && is(&self.body, &facts.body)
            && is_any(&self.attachment, &facts.file_names)
            && is_any(&self.content, &facts.contents)
    }
}

impl Network {
    fn holds(&self, address: IpAddr) -> bool {
        let wide = |ip: IpAddr| match ip {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
        self.base.is_ipv4() == address.is_ipv4() && (wide(self.base) ^ wide(address)) & mask == 0
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address and no network");
        let (base, bits) =
            text.split_once('/').map_or((text.as_str(), None), |(base, bits)| (base, Some(bits)));
        let base: IpAddr = base.parse().map_err(|_| wrong())?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), str::parse).map_err(|_| wrong())?;
        if bits > width { Err(wrong()) } else { Ok(Self { base, bits }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses() {
        for (network, address, is_inside) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("2001:db8::/32", "2001:db8::1", true),
            ("0.0.0.0/0", "::1", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("::/0", "2001:db8::1", true),
        ] {
            let network = Network::try_from(network.to_owned()).unwrap();
            assert_eq!(network.holds(address.parse().unwrap()), is_inside, "{network:?} {address}");
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "::/129", "10.0.0.0/-1"] {
            assert!(Network::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
