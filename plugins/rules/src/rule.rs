//! A rule: when it holds, and what it does.

use maitred_plugin_sdk::config::{Network, Pattern, Several, lowered};
use serde::Deserialize;

use crate::expression::Room;
use crate::facts::Facts;
use crate::wanted::Wanted;

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
    /// When this holds as well, the rule does not.
    pub unless: Option<Condition>,
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

/// When a rule holds: each part that is given, and of several texts in it any.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// The reverse-path.
    pub sender: Option<Several<Wanted>>,
    /// Any recipient.
    pub recipient: Option<Several<Wanted>>,
    /// The client's name in HELO or EHLO.
    pub helo: Option<Several<Wanted>>,
    /// The client's address: one, or a network such as `10.0.0.0/8`.
    pub remote_ip: Option<Several<Network>>,
    /// The account that logged in; nobody did, and nothing matches.
    pub account: Option<Several<Wanted>>,
    /// The Subject field.
    pub subject: Option<Several<Wanted>>,
    /// Any header field.
    pub header: Option<Named>,
    /// The first 256 KiB of the body, as it was sent.
    pub body: Option<Several<Wanted>>,
    /// What a person reads: the Subject field, or a text part, of which the first 256 KiB.
    pub content: Option<Several<Wanted>>,
    /// The name of any file in it, such as `*.exe`.
    pub attachment: Option<Several<Wanted>>,
    /// The type of anything attached, such as `application/x-msdownload`.
    pub attachment_type: Option<Several<Wanted>>,
    /// A tag of a plugin that was asked before.
    pub tag: Option<Named>,
    /// The findings of plugins that were asked before, and of the rules so far, come to at least this.
    pub score: Option<f32>,
    /// More octets than this.
    pub larger: Option<u64>,
}

/// A header field, or a tag, with a value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Which one.
    pub name: String,
    /// Its value.
    pub value: Several<Wanted>,
}

fn default_rules() -> Vec<Rule> {
    const GTUBE: &str = "*XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X*";
    let gtube = Wanted::Pattern(Pattern::from(GTUBE.to_owned()));
    vec![Rule {
        name: "gtube".to_owned(),
        when: Condition { content: Some(gtube.into()), ..Condition::default() },
        unless: None,
        action: Action::Refuse,
        text: Some("This is the spam test string".to_owned()),
        header: None,
        score: 0.0,
    }]
}

impl Config {
    /// Makes quick what was read.
    pub fn prepare(&mut self) {
        let mut room = Room::default();
        let rules = self.rules.iter_mut();
        let conditions = rules.flat_map(|rule| [Some(&mut rule.when), rule.unless.as_mut()]).flatten();
        conditions.flat_map(Condition::texts_mut).for_each(|wanted| wanted.prepare(&mut room));
    }

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
            let conditions = [Some(&rule.when), rule.unless.as_ref()];
            let scores = conditions.iter().flatten().filter_map(|condition| condition.score);
            if scores.chain([rule.score]).any(|score| !score.is_finite()) {
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
    /// Whether it is about this message. `score` is that of the rules so far.
    pub fn holds(&self, facts: &Facts<'_>, score: f32) -> bool {
        let holds = |condition: &Condition| condition.holds(facts, score);
        holds(&self.when) && !self.unless.as_ref().is_some_and(holds)
    }

    /// The text, else this.
    pub fn text_or(&self, default: &str) -> String {
        self.text.clone().unwrap_or_else(|| default.to_owned())
    }

    /// The text, else the name.
    pub fn reason(&self) -> String {
        self.text_or(&self.name)
    }
}

impl Condition {
    /// All that texts are compared with.
    fn texts_mut(&mut self) -> impl Iterator<Item = &mut Wanted> {
        let texts = [
            self.sender.as_mut(),
            self.recipient.as_mut(),
            self.helo.as_mut(),
            self.account.as_mut(),
            self.subject.as_mut(),
            self.header.as_mut().map(|named| &mut named.value),
            self.body.as_mut(),
            self.content.as_mut(),
            self.attachment.as_mut(),
            self.attachment_type.as_mut(),
            self.tag.as_mut().map(|named| &mut named.value),
        ];
        texts.into_iter().flatten().flat_map(|several| several.iter_mut())
    }

    /// True when every part that is given holds. `score` is that of the rules so far.
    fn holds(&self, facts: &Facts<'_>, score: f32) -> bool {
        let is = |wanted: &Option<Several<Wanted>>, text: &str| {
            wanted.as_ref().is_none_or(|any| matches(any, text))
        };
        let is_any = |wanted: &Option<Several<Wanted>>, texts: &[String]| {
            wanted.as_ref().is_none_or(|any| texts.iter().any(|text| matches(any, text)))
        };
        let is_inside = |networks: &Several<Network>| {
            facts.remote_ip.is_some_and(|address| networks.iter().any(|network| network.holds(address)))
        };
        let has_field = |wanted: &Named| {
            let values = facts.message.header_all(&wanted.name);
            values.into_iter().any(|value| matches(&wanted.value, &lowered(value)))
        };
        let has_tag = |wanted: &Named| {
            let value = facts.message.tag(&wanted.name);
            value.is_some_and(|value| matches(&wanted.value, &lowered(value)))
        };
        // What costs least comes first.
        self.larger.is_none_or(|octets| facts.octets > octets)
            && self.score.is_none_or(|least| facts.score + score >= least)
            && self.remote_ip.as_ref().is_none_or(is_inside)
            && is(&self.sender, &facts.sender)
            && is_any(&self.recipient, &facts.recipients)
            && is(&self.helo, &facts.helo)
            && is_any(&self.account, facts.account.as_slice())
            && is_any(&self.attachment, &facts.file_names)
            && is_any(&self.attachment_type, &facts.attached_types)
            && is_any(&self.subject, &facts.subjects)
            && self.tag.as_ref().is_none_or(has_tag)
            && self.header.as_ref().is_none_or(has_field)
            && is(&self.body, &facts.body)
            && is_any(&self.content, &facts.contents)
    }
}

fn matches(any: &[Wanted], text: &str) -> bool {
    any.iter().any(|wanted| wanted.matches(text))
}
