//! Whose mail is forwarded, and where to.

use maitred_plugin_sdk::address;
use maitred_plugin_sdk::config::{Pattern, Several, lowered};
use maitred_plugin_sdk::{Placement, Recipient};
use serde::Deserialize;

/// A rule; the first that is about a recipient holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The address that was given, or that of the account it leads to.
    recipient: Several<Pattern>,
    /// Where a copy goes.
    forward: Several<Target>,
    /// Whether one stays here.
    #[serde(default = "yes")]
    keep: bool,
    /// Where that one stays.
    #[serde(default = "inbox")]
    mailbox: String,
}

/// An address; `{local}` as its local part is that of the recipient.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Target {
    /// `None`: that of the recipient.
    local: Option<String>,
    domain: String,
}

/// Addresses of one rule, as the contract has it.
const TARGETS_MAX: usize = 20;

const fn yes() -> bool {
    true
}

fn inbox() -> String {
    "INBOX".to_owned()
}

impl Rule {
    /// Whether it is about this recipient.
    pub fn is_about(&self, recipient: &Recipient, account: &str) -> bool {
        let names = [Some(recipient.address.as_str()), recipient.original.as_deref(), Some(account)];
        names.into_iter().flatten().any(|name| {
            let name = lowered(name.to_owned());
            self.recipient.iter().any(|pattern| pattern.matches(&name))
        })
    }

    /// Where copies go. Not to the recipient itself: that would come back.
    pub fn targets(&self, recipient: &Recipient, account: &str) -> Vec<String> {
        let mut targets: Vec<String> = Vec::new();
        for target in self.forward.iter().filter_map(|target| target.of(&recipient.address)) {
            let is_itself =
                [recipient.address.as_str(), account].iter().any(|name| name.eq_ignore_ascii_case(&target));
            if !is_itself && !targets.contains(&target) {
                targets.push(target);
            }
        }
        targets
    }

    /// What stays here.
    pub fn placements(&self) -> Vec<Placement> {
        let kept = Placement { mailbox: self.mailbox.clone(), flags: Vec::new() };
        self.keep.then_some(kept).into_iter().collect()
    }

    /// What a type cannot say.
    pub fn check(&self) -> Result<(), String> {
        if self.forward.len() > TARGETS_MAX {
            return Err(format!(
                "{} addresses to forward to, where {TARGETS_MAX} are the most",
                self.forward.len()
            ));
        }
        let is_level = |level: &str| !level.is_empty() && !level.chars().any(char::is_control);
        if self.mailbox.len() > 255 || !self.mailbox.split('/').all(is_level) {
            return Err(format!("{:?} is no mailbox", self.mailbox));
        }
        Ok(())
    }
}

impl Target {
    fn of(&self, recipient: &str) -> Option<String> {
        match &self.local {
            Some(local) => address::join(local, &self.domain),
            None => address::join(&address::split(recipient)?.0, &self.domain),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address to forward to");
        let (local, domain) = address::split(&text).ok_or_else(wrong)?;
        let domain = domain.to_ascii_lowercase();
        let is_name = domain.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._[]:".contains(&octet));
        // In quotes where it needs them: else it may be two addresses in one text.
        let is_written_so =
            address::join(&local, &domain).is_some_and(|whole| whole.eq_ignore_ascii_case(&text));
        if !is_name || !is_written_so {
            return Err(wrong());
        }
        Ok(Self { local: Some(local).filter(|local| local != "{local}"), domain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        let rule: Rule = serde_json::from_str(text).unwrap();
        rule.check().unwrap();
        rule
    }

    fn to(address: &str, original: Option<&str>) -> Recipient {
        Recipient { address: address.to_owned(), original: original.map(str::to_owned) }
    }

    #[test]
    fn a_rule_is_about_an_address_or_an_account() {
        let rule = rule(r#"{"recipient":["Bob@a.test","*@old.test"],"forward":"bob@b.test"}"#);
        for (recipient, account, is_about) in [
            (to("bob@a.test", None), "bob@a.test", true),
            (to("info@a.test", None), "BOB@a.test", true),
            (to("amy@a.test", Some("amy@old.test")), "amy@a.test", true),
            (to("amy@a.test", None), "amy@a.test", false),
        ] {
            assert_eq!(rule.is_about(&recipient, account), is_about, "{recipient:?} {account}");
        }
    }

    #[test]
    fn copies_go_to_each_address_once_and_never_back() {
        let rule = rule(
            r#"{"recipient":"*","forward":["x@b.test","Bob@a.test","x@B.test","{local}@c.test"],"keep":false}"#,
        );
        let targets = rule.targets(&to("bob+y@a.test", None), "bob@a.test");
        assert_eq!(targets, ["x@b.test", "bob+y@c.test"]);
        assert!(rule.placements().is_empty());
        assert_eq!(
            rule.targets(&to("\"a b\"@a.test", None), "a@a.test"),
            ["x@b.test", "Bob@a.test", "\"a b\"@c.test"]
        );
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for (text, told) in [
            (r#"{"recipient":"*","forward":"bob"}"#, "\"bob\""),
            (r#"{"recipient":"*","forward":"bob@b.test, x@c.test"}"#, "no address"),
            (r#"{"recipient":"*","forward":[]}"#, "empty list"),
            (r#"{"forward":"bob@b.test"}"#, "recipient"),
            (r#"{"recipient":"*","forward":"bob@b.test","kept":true}"#, "kept"),
        ] {
            let error = serde_json::from_str::<Rule>(text).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        let many: Vec<String> = (0..21).map(|number| format!("x{number}@b.test")).collect();
        let many = serde_json::json!({"recipient": "*", "forward": many});
        assert!(
            serde_json::from_value::<Rule>(many).unwrap().check().is_err_and(|error| error.contains("21"))
        );
        let lost = r#"{"recipient":"*","forward":"x@b.test","mailbox":"a//b"}"#;
        assert!(serde_json::from_str::<Rule>(lost).unwrap().check().is_err());
    }
}
