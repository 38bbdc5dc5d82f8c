//! The bundled filter: rules that an operator writes, each a condition and what happens.

mod rule;

use maitred_plugin_sdk::prelude::*;

use rule::{Action, Config, Facts, Rule};

/// The plugin.
pub struct Rules {
    rules: Vec<Rule>,
}

/// How much of a body is looked at.
const BODY_OCTETS_MAX: u32 = 256 << 10;

impl Plugin for Rules {
    const SUMMARY: &'static str = "Tags, quarantines or refuses mail by configured rules";

    fn init(config: &str) -> Result<Self, String> {
        let config: Config = serde_json::from_str(config).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(Self { rules: config.rules })
    }

    fn on_message(&self, session: &dyn Session, message: &dyn Message) -> Decision {
        let facts = Facts::gather(&self.rules, session, message, BODY_OCTETS_MAX);
        let mut decision = Decision::next();
        for rule in self.rules.iter().filter(|rule| rule.when.holds(&facts)) {
            decision = decision.with(Edit::Tag("rules".to_owned(), rule.name.clone()));
            decision.verdict = match &rule.action {
                Action::Tag => {
                    let value = rule.text.clone().unwrap_or_else(|| rule.name.clone());
                    decision = decision.with_header("X-Maitred-Rule", value);
                    continue;
                }
                Action::Flag => {
                    decision = decision
                        .with(Edit::AddFlag(rule.text.clone().unwrap_or_else(|| "\\Flagged".to_owned())));
                    continue;
                }
                Action::File => {
                    let mailbox = rule.text.clone().unwrap_or_else(|| "Junk".to_owned());
                    decision = decision.with(Edit::Place(mailbox, Vec::new()));
                    continue;
                }
                Action::Quarantine => Verdict::Quarantine(rule.reason()),
                Action::Discard => Verdict::Discard(rule.reason()),
                Action::Tempfail => {
                    Verdict::Tempfail(Refusal { enhanced: Some((4, 7, 1)), text: rule.reason() })
                }
                Action::Refuse => Verdict::Reject(Refusal { enhanced: Some((5, 7, 1)), text: rule.reason() }),
            };
            return decision;
        }
        decision
    }
}

maitred_plugin_sdk::export!(Rules: message);

#[cfg(test)]
mod tests {
    use maitred_plugin_sdk::testing::{FakeMessage, FakeSession};

    use super::*;

    fn ask(config: &str, message: &str) -> Decision {
        Rules::init(config).unwrap().on_message(&FakeSession::default(), &FakeMessage::new(message))
    }

    #[test]
    fn a_subject_is_refused_in_the_rules_words() {
        let config = r#"{"rules":[{"name":"casino","when":{"subject":"*casino*"},"action":"refuse","text":"No casinos here"}]}"#;
        assert_eq!(
            ask(config, "Subject: Best CASINO\n\nhi").verdict,
            Verdict::Reject(Refusal { enhanced: Some((5, 7, 1)), text: "No casinos here".to_owned() })
        );
        assert_eq!(ask(config, "Subject: lunch\n\nhi"), Decision::next());
    }

    #[test]
    fn a_tag_goes_on_to_the_next_rule_and_a_verdict_ends_it() {
        let config = r#"{"rules":[
            {"name":"list","when":{"header":{"name":"List-Id","value":"*"}},"action":"tag"},
            {"name":"big","when":{"larger":10},"action":"quarantine"},
            {"name":"never","when":{},"action":"discard"}]}"#;
        let decision = ask(config, "Subject: x\nList-Id: <l>\n\nhello there");
        assert_eq!(decision.verdict, Verdict::Quarantine("big".to_owned()));
        let header = Edit::AddHeader("X-Maitred-Rule".to_owned(), b"list".to_vec(), Position::First);
        assert!(decision.edits.contains(&header), "{decision:?}");
    }

    #[test]
    fn all_parts_of_a_condition_must_hold() {
        let config = r#"{"rules":[{"name":"r","when":{"sender":"*@b.test","recipient":"bob@*","body":"*needle*"},"action":"discard"}]}"#;
        assert_eq!(ask(config, "Subject: x\n\na NEEDLE here").verdict, Verdict::Discard("r".to_owned()));
        assert_eq!(ask(config, "Subject: x\n\nhay").verdict, Verdict::Next);
    }

    #[test]
    fn without_configuration_the_spam_test_string_is_refused() {
        let gtube = "Subject: x\n\nXJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";
        assert!(matches!(ask("{}", gtube).verdict, Verdict::Reject(_)));
        assert_eq!(ask("{}", "Subject: lunch\n\nhi"), Decision::next());
    }

    #[test]
    fn a_bad_configuration_says_what_is_wrong() {
        for (config, told) in [
            ("{\"rulez\":[]}", "rulez"),
            ("{\"rules\":[{\"name\":\"\",\"when\":{},\"action\":\"tag\"}]}", "name"),
            (
                "{\"rules\":[{\"name\":\"r\",\"when\":{\"remote_ip\":\"10.0.0.0/99\"},\"action\":\"tag\"}]}",
                "10.0.0.0/99",
            ),
        ] {
            let error = Rules::init(config).err().unwrap();
            assert!(error.contains(told), "{error}");
        }
    }
}
