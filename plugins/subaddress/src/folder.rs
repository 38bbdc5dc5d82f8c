//! From what stands behind the separator to a mailbox, or to none.
//!
//! Whoever writes to an address chooses the text, so all that is not plainly a name of a mailbox is none: the mail goes to
//! INBOX then.

use maitred_plugin_sdk::config::{Pattern, Several, lowered};
use serde::Deserialize;

/// What an operator may set: which texts are mailboxes, and which.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Between user and folder.
    pub separator: Several<Separator>,
    /// Whether the user may be another name of the account: an alias, a catch-all.
    pub aliases: bool,
    /// Above them all. Empty: nothing.
    pub base: Base,
    /// Between levels. Empty: there is one level.
    pub level_separator: LevelSeparator,
    /// How it is spelt.
    pub case: Case,
    /// What may be in a level beside letters and digits of US-ASCII.
    pub characters: Characters,
    /// How many levels, without those of the base.
    pub depth: usize,
    /// How many octets, without the base.
    pub length: usize,
    /// These and no others. Empty: all.
    pub only: Vec<Name>,
    /// None of these, nor what is below them.
    pub never: Vec<Name>,
}

/// One sign between user and folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Separator(pub char);

/// A mailbox: levels with `/` between them; or nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Base(String);

/// One character, or none.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct LevelSeparator(Option<char>);

/// How a mailbox is spelt.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Case {
    /// In lower case, so that there is one mailbox however the address is written.
    Lower,
    /// As the address has it.
    Keep,
    /// In lower case, but for the first letter.
    Capital,
}

/// Characters that are no danger in a name.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Characters(String);

/// A mailbox as an operator names it: with `*` a pattern, else in this spelling.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
pub struct Name {
    text: String,
    pattern: Pattern,
}

/// Octets of a mailbox, and what of them a base may have: a local part has 64 (RFC 5321 §4.5.3.1.1).
const MAILBOX_OCTETS_MAX: usize = 255;
const BASE_OCTETS_MAX: usize = MAILBOX_OCTETS_MAX - 65;

/// What a list of mailboxes, a quoted text or another server gives a meaning.
const SPECIAL: &str = "/\\%*\"'~#&{}()|<>`$;";

impl Default for Config {
    fn default() -> Self {
        // Mail that a stranger puts there is lost, learned from, or seems to be one's own.
        let never = ["Archive", "Drafts", "Junk", "Outbox", "Sent", "Spam", "Trash"];
        Self {
            separator: Separator('+').into(),
            aliases: false,
            base: Base::default(),
            level_separator: LevelSeparator(Some('.')),
            case: Case::Lower,
            characters: Characters("-_".to_owned()),
            depth: 2,
            length: 40,
            only: Vec::new(),
            never: never.map(|name| name.to_owned().into()).into(),
        }
    }
}

impl Config {
    /// The mailbox that a text is; `None` for INBOX.
    pub fn mailbox(&self, detail: &str) -> Option<String> {
        if !(1..=self.length).contains(&detail.len()) {
            return None;
        }
        let levels: Vec<&str> = match self.level_separator.0 {
            Some(separator) => detail.split(separator).collect(),
            None => vec![detail],
        };
        if levels.len() > self.depth || !levels.iter().all(|level| self.is_level(level)) {
            return None;
        }
        let path = self.spelt(&levels.join("/"));
        let mailbox = if self.base.0.is_empty() { path } else { format!("{}/{path}", self.base.0) };
        self.allowed(mailbox).filter(|mailbox| !mailbox.eq_ignore_ascii_case("INBOX"))
    }

    fn is_level(&self, level: &str) -> bool {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || self.characters.0.contains(c);
        let is_empty = level.chars().all(|c| matches!(c, '.' | ' '));
        level.chars().all(is_plain) && !is_empty && level.trim() == level
    }

    fn spelt(&self, path: &str) -> String {
        match self.case {
            Case::Keep => path.to_owned(),
            Case::Lower => lowered(path.to_owned()),
            Case::Capital => {
                let path = lowered(path.to_owned());
                let mut chars = path.chars();
                chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
            }
        }
    }

    /// The mailbox in the operator's spelling, if it has one, unless it is not wanted.
    fn allowed(&self, mailbox: String) -> Option<String> {
        let low = lowered(mailbox.clone());
        let above = low.match_indices('/').filter_map(|(at, _)| low.get(..at));
        let is_banned = above
            .chain([low.as_str()])
            .any(|place| self.never.iter().any(|name| name.pattern.matches(place)));
        if is_banned {
            return None;
        }
        if self.only.is_empty() {
            return Some(mailbox);
        }
        let name = self.only.iter().find(|name| name.pattern.matches(&low))?;
        Some(if name.text.contains('*') { mailbox } else { name.text.clone() })
    }

    /// What a type cannot say.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=10).contains(&self.depth) {
            return Err("depth is 1 to 10".to_owned());
        }
        if !(1..=64).contains(&self.length) {
            return Err("length is 1 to 64".to_owned());
        }
        let plain = |name: &&Name| !name.text.contains('*');
        match self.only.iter().filter(plain).find(|name| Base::try_from(name.text.clone()).is_err()) {
            Some(name) => Err(format!("{:?} in only is no mailbox", name.text)),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for Separator {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(one), None) if one.is_ascii_punctuation() && one != '@' => Ok(Self(one)),
            _ => Err(format!("the separator {text:?} is not one sign of punctuation")),
        }
    }
}

impl TryFrom<String> for Base {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_level =
            |level: &str| !level.is_empty() && !level.chars().any(|c| c.is_control() || "%*\\".contains(c));
        let is_mailbox = text.len() <= BASE_OCTETS_MAX && text.split('/').all(is_level);
        if is_mailbox || text.is_empty() { Ok(Self(text)) } else { Err(format!("{text:?} is no mailbox")) }
    }
}

impl TryFrom<String> for LevelSeparator {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (None, _) => Ok(Self(None)),
            (Some(one), None) if one.is_ascii_punctuation() => Ok(Self(Some(one))),
            _ => Err(format!("the level_separator {text:?} is not one sign of punctuation, or \"\"")),
        }
    }
}

impl TryFrom<String> for Characters {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.chars().find(|c| c.is_control() || SPECIAL.contains(*c)) {
            Some(c) => Err(format!("{c:?} in characters has a meaning of its own in names of mailboxes")),
            None => Ok(Self(text)),
        }
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self { pattern: Pattern::from(text.clone()), text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config::default();
        change(&mut config);
        config
    }

    fn names(texts: &[&str]) -> Vec<Name> {
        texts.iter().map(|text| (*text).to_owned().into()).collect()
    }

    #[test]
    fn a_plain_text_is_a_mailbox() {
        let config = Config::default();
        for (detail, mailbox) in
            [("rust", "rust"), ("Lists.Rust", "lists/rust"), ("a-b_2", "a-b_2"), ("inboxes", "inboxes")]
        {
            assert_eq!(config.mailbox(detail).as_deref(), Some(mailbox), "{detail}");
        }
    }

    #[test]
    fn a_hostile_text_is_none() {
        let config = Config::default();
        for detail in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a.",
            "a/b",
            "../../etc",
            "a\\b",
            "a\0b",
            "a\r\nb",
            "%",
            "*",
            "a b",
            "größe",
            "a.b.c",
            "\u{202e}a",
            "~root",
            "#news",
            "INBOX",
            "inbox",
            &*"x".repeat(41),
        ] {
            assert_eq!(config.mailbox(detail), None, "{detail:?}");
        }
    }

    #[test]
    fn even_wide_settings_leave_names_that_are_some() {
        let config = config(|config| {
            config.characters = Characters(". ä".to_owned());
            config.level_separator = LevelSeparator(None);
        });
        for (detail, mailbox) in [
            ("a b", Some("a b")),
            ("Bär", Some("bär")),
            (".", None),
            ("..", None),
            (" a", None),
            ("a ", None),
        ] {
            assert_eq!(config.mailbox(detail).as_deref(), mailbox, "{detail:?}");
        }
    }

    #[test]
    fn case_base_depth_and_length_are_settings() {
        let of = |change: fn(&mut Config), detail: &str| config(change).mailbox(detail);
        assert_eq!(of(|f| f.case = Case::Keep, "Lists.Rust").as_deref(), Some("Lists/Rust"));
        assert_eq!(of(|f| f.case = Case::Capital, "LISTS.Rust").as_deref(), Some("Lists/rust"));
        assert_eq!(of(|f| f.base = Base("Plus".to_owned()), "a").as_deref(), Some("Plus/a"));
        assert_eq!(of(|f| f.base = Base("Plus".to_owned()), "sent").as_deref(), Some("Plus/sent"));
        assert_eq!(of(|f| f.base = Base("Plus".to_owned()), "inbox").as_deref(), Some("Plus/inbox"));
        assert_eq!(of(|f| f.depth = 1, "a.b"), None);
        assert_eq!(of(|f| f.length = 3, "abcd"), None);
        assert_eq!(of(|f| f.level_separator = LevelSeparator(Some('-')), "a-b").as_deref(), Some("a/b"));
        assert_eq!(of(|f| f.level_separator = LevelSeparator(None), "a.b"), None);
    }

    #[test]
    fn mailboxes_of_the_server_are_not_for_strangers() {
        let config = Config::default();
        for detail in ["sent", "SENT", "Trash", "drafts", "junk.a", "sent.2026"] {
            assert_eq!(config.mailbox(detail), None, "{detail}");
        }
        assert_eq!(config.mailbox("sentry").as_deref(), Some("sentry"));
        assert_eq!(config.mailbox("lists.sent").as_deref(), Some("lists/sent"));
    }

    #[test]
    fn only_some_mailboxes_in_the_operators_spelling() {
        let config = config(|config| config.only = names(&["Lists/Rust", "INBOX/Shop", "projects/*"]));
        for (detail, mailbox) in [
            ("lists.rust", Some("Lists/Rust")),
            ("inbox.shop", Some("INBOX/Shop")),
            ("Projects.X", Some("projects/x")),
            ("lists.c", None),
            ("projects", None),
        ] {
            assert_eq!(config.mailbox(detail).as_deref(), mailbox, "{detail}");
        }
    }

    #[test]
    fn settings_that_are_none_are_named() {
        for wrong in ["a//b", "/a", "a/", "a\nb", "a%"] {
            assert!(Base::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        for wrong in ["ab", "x", " ", "1"] {
            assert!(LevelSeparator::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        for wrong in ["-/", "*", "a\u{1}", "\\"] {
            assert!(Characters::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        assert!(config(|f| f.depth = 0).check().is_err() && config(|f| f.length = 65).check().is_err());
        assert!(config(|f| f.only = names(&["a//b"])).check().is_err());
    }
}
