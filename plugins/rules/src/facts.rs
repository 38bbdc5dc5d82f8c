//! What is known of a message: the host is asked once, and only for what some rule looks at.

use std::net::IpAddr;

use maitred_plugin_sdk::config::lowered;
use maitred_plugin_sdk::{Message, Part, Session};

use crate::rule::{Condition, Rule};

/// What is known of a message. Texts are lowered.
pub struct Facts<'a> {
    /// For what is only asked when a rule comes to it: fields by name, tags.
    pub message: &'a dyn Message,
    /// The reverse-path.
    pub sender: String,
    /// The forward-paths.
    pub recipients: Vec<String>,
    /// The client's name.
    pub helo: String,
    /// The client's address.
    pub remote_ip: Option<IpAddr>,
    /// The account that logged in.
    pub account: Option<String>,
    /// The Subject fields.
    pub subjects: Vec<String>,
    /// How large it is.
    pub octets: u64,
    /// The first of its body.
    pub body: String,
    /// The subjects and text parts.
    pub contents: Vec<String>,
    /// Names of files.
    pub file_names: Vec<String>,
    /// Types of what is attached.
    pub attached_types: Vec<String>,
    /// The sum of what earlier plugins found.
    pub score: f32,
}

/// How much of a body, and of each text part, is looked at.
const BODY_OCTETS_MAX: u32 = 256 << 10;
/// How many text parts are looked at.
const TEXTS_MAX: usize = 20;

impl<'a> Facts<'a> {
    /// Asks the host for what any of the rules needs.
    pub fn gather(rules: &[Rule], session: &dyn Session, message: &'a dyn Message) -> Self {
        let needs = |part: fn(&Condition) -> bool| {
            let conditions = rules.iter().flat_map(|rule| [Some(&rule.when), rule.unless.as_ref()]);
            conditions.flatten().any(part)
        };
        let needs_content = needs(|when| when.content.is_some());
        let needs_parts = needs(|when| when.attachment.is_some() || when.attachment_type.is_some());
        let mut facts = Self::nothing(message);
        if needs(|when| when.helo.is_some() || when.remote_ip.is_some() || when.account.is_some()) {
            let info = session.info();
            facts.helo = lowered(info.helo.unwrap_or_default());
            facts.remote_ip = info.remote_ip.parse().ok();
            facts.account = info.account.map(lowered);
        }
        if needs(|when| when.sender.is_some() || when.recipient.is_some()) {
            let envelope = message.envelope();
            facts.sender = lowered(envelope.sender);
            facts.recipients = envelope.recipients.into_iter().map(|to| lowered(to.address)).collect();
        }
        if needs_content || needs(|when| when.subject.is_some()) {
            facts.subjects = message.header_all("Subject").into_iter().map(lowered).collect();
        }
        if needs(|when| when.larger.is_some()) {
            facts.octets = message.size();
        }
        if needs(|when| when.body.is_some()) {
            facts.body = text(message.read_body(0, BODY_OCTETS_MAX));
        }
        if needs(|when| when.score.is_some()) {
            facts.score = message.symbols().iter().map(|(_, score)| score).sum();
        }
        if needs_content || needs_parts {
            facts.look_into(message.parts(), needs_content);
        }
        facts
    }

    fn nothing(message: &'a dyn Message) -> Self {
        Self {
            message,
            sender: String::new(),
            recipients: Vec::new(),
            helo: String::new(),
            remote_ip: None,
            account: None,
            subjects: Vec::new(),
            octets: 0,
            body: String::new(),
            contents: Vec::new(),
            file_names: Vec::new(),
            attached_types: Vec::new(),
            score: 0.0,
        }
    }

    fn look_into(&mut self, parts: Vec<Part>, needs_content: bool) {
        if needs_content {
            let texts = (0..).zip(&parts).filter(|(_, part)| part.content_type.starts_with("text/"));
            let texts = texts.filter_map(|(index, _)| self.message.part_text(index, BODY_OCTETS_MAX));
            self.contents = texts.take(TEXTS_MAX).map(lowered).collect();
            self.contents.extend(self.subjects.iter().cloned());
        }
        let attached = parts.iter().filter(|part| is_attached(part));
        self.attached_types = attached.map(|part| part.content_type.clone()).collect();
        self.file_names = parts.into_iter().filter_map(|part| part.file_name).map(lowered).collect();
    }
}

/// Whether a part is a file of its own: it has a name, says so, or is neither text nor a frame around others.
fn is_attached(part: &Part) -> bool {
    let is_shown = ["text/", "multipart/"].iter().any(|kind| part.content_type.starts_with(kind));
    part.file_name.is_some() || part.disposition.as_deref() == Some("attachment") || !is_shown
}

/// Octets as lowered text; what is not UTF-8 is replaced.
fn text(octets: Vec<u8>) -> String {
    lowered(String::from_utf8(octets).unwrap_or_else(|error| {
        let lossy = String::from_utf8_lossy(error.as_bytes());
        lossy.into_owned()
    }))
}
