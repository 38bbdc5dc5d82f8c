//! A rule: when it holds, and what it does.

use std::net::IpAddr;

use maitred_plugin_sdk::{Message, Session};
use serde::Deserialize;

/// The plugin's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// In order. Without any, the test string that all spam filters know is refused.
    #[serde(default = "default_rules")]
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// In tags, logs and headers.
    pub name: String,
    /// All parts that are given must hold.
    pub when: Condition,
    /// What happens.
    pub action: Action,
    /// What the peer is told, what the header says, which flag, which mailbox.
    pub text: Option<String>,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A header field `X-Maitred-Rule`, and the next rule.
    Tag,
    /// A flag on the delivered message, and the next rule.
    Flag,
    /// Another mailbox, and the next rule.
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

/// When a rule holds. Patterns: `*` is any text, case does not matter.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// The reverse-path.
    pub sender: Option<String>,
    /// Any recipient.
    pub recipient: Option<String>,
    /// The client's name in HELO or EHLO.
    pub helo: Option<String>,
    /// The client's address: one, or a network such as `10.0.0.0/8`.
    pub remote_ip: Option<String>,
    /// The Subject field.
    pub subject: Option<String>,
    /// Any header field.
    pub header: Option<HeaderCondition>,
    /// The first 256 KiB of the body, as it was sent.
    pub body: Option<String>,
    /// More octets than this.
    pub larger: Option<u64>,
}

/// A header field with a value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderCondition {
    /// Which field.
    pub name: String,
    /// Pattern.
    pub value: String,
}

/// What is known of a message.
pub struct Facts<'a> {
    message: &'a dyn Message,
    sender: String,
    recipients: Vec<String>,
    helo: String,
    remote_ip: String,
    size: u64,
    body: String,
}

fn default_rules() -> Vec<Rule> {
    vec![Rule {
        name: "gtube".to_owned(),
        when: Condition {
            body: Some("*XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X*".to_owned()),
            ..Condition::default()
        },
        action: Action::Refuse,
        text: Some("This is the spam test string".to_owned()),
    }]
}

impl Config {
    /// What a type cannot say.
    pub fn check(&self) -> Result<(), String> {
        for rule in &self.rules {
            if rule.name.is_empty() || rule.name.chars().any(char::is_control) {
                return Err("a rule needs a name of printable characters".to_owned());
            }
            if let Some(network) = &rule.when.remote_ip {
                parse_network(network)
                    .ok_or_else(|| format!("rule {}: {network:?} is no network", rule.name))?;
            }
        }
        Ok(())
    }
}

impl Rule {
    /// The text, else the name.
    pub fn reason(&self) -> String {
        self.text.clone().unwrap_or_else(|| self.name.clone())
    }
}

impl<'a> Facts<'a> {
    /// Asks the host for what any of the rules needs.
    pub fn gather(
        rules: &[Rule],
        session: &dyn Session,
        message: &'a dyn Message,
        body_octets_max: u32,
    ) -> Self {
        let needs = |part: fn(&Condition) -> bool| rules.iter().any(|rule| part(&rule.when));
        let info = needs(|when| when.helo.is_some() || when.remote_ip.is_some()).then(|| session.info());
        let envelope =
            needs(|when| when.sender.is_some() || when.recipient.is_some()).then(|| message.envelope());
        let body = if needs(|when| when.body.is_some()) {
            message.read_body(0, body_octets_max)
        } else {
            Vec::new()
        };
        let (sender, recipients) = envelope.map_or_else(Default::default, |envelope| {
            (envelope.sender, envelope.recipients.into_iter().map(|recipient| recipient.address).collect())
        });
        let (helo, remote_ip) =
            info.map_or_else(Default::default, |info| (info.helo.unwrap_or_default(), info.remote_ip));
        Self {
            message,
            sender,
            recipients,
            helo,
            remote_ip,
            size: message.size(),
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

impl Condition {
    /// True when every part that is given holds.
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        let is = |pattern: &Option<String>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| matches(pattern, text))
        };
        let has_field = |name: &str, pattern: &str| {
            facts.message.header_all(name).iter().any(|value| matches(pattern, value))
        };
        is(&self.sender, &facts.sender)
            && is(&self.helo, &facts.helo)
            && is(&self.body, &facts.body)
            && self.larger.is_none_or(|octets| facts.size > octets)
            && self
                .recipient
                .as_ref()
                .is_none_or(|pattern| facts.recipients.iter().any(|to| matches(pattern, to)))
            && self.remote_ip.as_ref().is_none_or(|network| is_inside(network, &facts.remote_ip))
            && self.subject.as_ref().is_none_or(|pattern| has_field("Subject", pattern))
            && self.header.as_ref().is_none_or(|header| has_field(&header.name, &header.value))
    }
}

/// `*` is any text; ASCII case does not matter. Linear in the text for each piece of the pattern.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn parse_network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(width), |bits| bits.parse().ok())?;
    (bits <= width).then_some((address, bits))
}

fn is_inside(network: &str, address: &str) -> bool {
    let (Some((base, bits)), Ok(address)) = (parse_network(network), address.parse::<IpAddr>()) else {
        return false;
    };
    let wide = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, true),
        IpAddr::V6(v6) => (v6.to_bits(), false),
    };
    let ((base, base_is_v4), (address, is_v4)) = (wide(base), wide(address));
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
    base_is_v4 == is_v4 && (base & mask) == (address & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text, is_match) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("A*C", "ac", true),
            ("a*c", "abcd", false),
            ("*b*", "abc", true),
            ("abc", "abc", true),
            ("ab", "abc", false),
            ("a*a", "a", false),
            ("*.example", "mx.example", true),
        ] {
            assert_eq!(matches(pattern, text), is_match, "{pattern} {text}");
        }
    }

    #[test]
    fn a_network_holds_its_addresses() {
        assert!(is_inside("10.0.0.0/8", "10.1.2.3") && !is_inside("10.0.0.0/8", "11.1.2.3"));
        assert!(is_inside("2001:db8::/32", "2001:db8::1") && !is_inside("0.0.0.0/0", "::1"));
        assert!(is_inside("0.0.0.0/0", "192.0.2.1") && is_inside("192.0.2.1", "192.0.2.1"));
    }
}
