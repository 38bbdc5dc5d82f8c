//! The bundled filter: rules that an operator writes, each a condition and what happens.
//!
//! Without configuration it refuses the spam test string (GTUBE), and says in a header field of every message that it looked.

mod expression;
mod facts;
mod fresh;
mod rule;
mod wanted;

use maitred_plugin_sdk::prelude::*;

use facts::Facts;
use rule::{Action, Config, Rule};

/// The plugin.
pub struct Rules {
    config: Config,
    /// What each answer is made of, where that can be said.
    made_of: Option<Vec<Fact>>,
}

/// What the rules say of a message does not change with time.
const FRESH_SECONDS: u32 = 3_600;

/// What the rules that held so far have asked for.
#[derive(Default)]
struct Findings {
    edits: Vec<Edit>,
    names: Vec<String>,
    score: f32,
}

impl Plugin for Rules {
    const SUMMARY: &'static str = "Tags, files, quarantines or refuses mail by configured rules";

    fn init(config: &str) -> Result<Self, String> {
        let mut config: Config = serde_json::from_str(config).map_err(|error| error.to_string())?;
        config.check()?;
        config.prepare();
        let made_of = fresh::made_of(&config);
        Ok(Self { config, made_of })
    }

    fn freshness(&self) -> Vec<Term> {
        let terms = self.made_of.iter();
        terms.map(|made_of| Term { seconds: FRESH_SECONDS, made_of: made_of.clone() }).collect()
    }

    fn on_message(&self, session: &dyn Session, message: &dyn Message) -> Decision {
        if self.made_of.is_some() {
            hold(0);
        }
        let facts = Facts::gather(&self.config.rules, session, message);
        let mut found = Findings::default();
        let mut verdict = Verdict::Next;
        for rule in &self.config.rules {
            if !rule.holds(&facts, found.score) {
                continue;
            }
            found.note(rule);
            match verdict_of(rule) {
                Some(last) => {
                    verdict = last;
                    break;
                }
                None => found.change(rule, message),
            }
        }
        self.announce(&mut found, message);
        Decision { verdict, edits: found.edits }
    }
}

impl Rules {
    /// Says what was found, in place of what somebody else says in our name.
    fn announce(&self, found: &mut Findings, message: &dyn Message) {
        let name = &self.config.header;
        if name.is_empty() {
            return;
        }
        if message.header(name).is_some() {
            found.edits.push(Edit::RemoveAllHeaders(name.clone()));
        }
        let rules = if found.names.is_empty() { "none".to_owned() } else { found.names.join(", ") };
        let value = format!("rules/{}; score={:.1}; rules={rules}", env!("CARGO_PKG_VERSION"), found.score);
        found.edits.push(Edit::AddHeader(name.clone(), value.into_bytes(), Position::First));
    }
}

impl Findings {
    fn note(&mut self, rule: &Rule) {
        self.score += rule.score;
        self.names.push(rule.name.clone());
        self.edits.push(Edit::Symbol(rule.name.clone(), rule.score, rule.reason()));
        self.edits.push(Edit::Tag("rule".to_owned(), rule.name.clone()));
    }

    /// What a rule changes that does not decide.
    fn change(&mut self, rule: &Rule, message: &dyn Message) {
        let edit = match rule.action {
            Action::Tag => {
                let name = rule.header.clone().unwrap_or_else(|| "X-Maitred-Rule".to_owned());
                Edit::AddHeader(name, rule.reason().into_bytes(), Position::First)
            }
            Action::Subject => marked_subject(&rule.reason(), message),
            Action::Flag => Edit::AddFlag(rule.text_or("\\Flagged")),
            Action::File => Edit::Place(rule.text_or("Junk"), Vec::new()),
            Action::Score | Action::Quarantine | Action::Discard | Action::Tempfail | Action::Refuse => {
                return;
            }
        };
        self.edits.push(edit);
    }
}

fn verdict_of(rule: &Rule) -> Option<Verdict> {
    let refusal = |class| Refusal { enhanced: Some((class, 7, 1)), text: rule.reason() };
    match rule.action {
        Action::Score | Action::Tag | Action::Subject | Action::Flag | Action::File => None,
        Action::Quarantine => Some(Verdict::Quarantine(rule.reason())),
        Action::Discard => Some(Verdict::Discard(rule.reason())),
        Action::Tempfail => Some(Verdict::Tempfail(refusal(4))),
        Action::Refuse => Some(Verdict::Reject(refusal(5))),
    }
}

/// The subject with a mark in front. What it says stays encoded as it is.
fn marked_subject(mark: &str, message: &dyn Message) -> Edit {
    let subject = message.headers().into_iter().find(|(name, _)| name.eq_ignore_ascii_case("Subject"));
    match subject {
        Some((_, value)) => {
            let value = [mark.as_bytes(), b" ", value.trim_ascii()].concat();
            Edit::ChangeHeader("Subject".to_owned(), 0, value)
        }
        None => Edit::AddHeader("Subject".to_owned(), mark.as_bytes().to_vec(), Position::Last),
    }
}

maitred_plugin_sdk::export!(Rules: message, freshness);

#[cfg(test)]
mod tests {
    use maitred_plugin_sdk::testing::{FakeMessage, FakeSession};

    use super::*;

    fn ask(config: &str, message: &str) -> Decision {
        Rules::init(config).unwrap().on_message(&FakeSession::default(), &FakeMessage::new(message))
    }

    fn adds(decision: &Decision, name: &str) -> Option<String> {
        decision.edits.iter().find_map(|edit| match edit {
            Edit::AddHeader(added, value, _) if added == name => {
                Some(String::from_utf8_lossy(value).into_owned())
            }
            _ => None,
        })
    }

    #[test]
    fn a_subject_is_refused_in_the_rules_words() {
        let config = r#"{"rules":[{"name":"casino","when":{"subject":"*casino*"},"action":"refuse","text":"No casinos here"}]}"#;
        assert_eq!(
            ask(config, "Subject: Best CASINO\n\nhi").verdict,
            Verdict::Reject(Refusal { enhanced: Some((5, 7, 1)), text: "No casinos here".to_owned() })
        );
        assert_eq!(ask(config, "Subject: lunch\n\nhi").verdict, Verdict::Next);
    }

    #[test]
    fn a_tag_goes_on_to_the_next_rule_and_a_verdict_ends_it() {
        let config = r#"{"rules":[
            {"name":"list","when":{"header":{"name":"List-Id","value":"*"}},"action":"tag","score":0.5},
            {"name":"big","when":{"larger":10},"action":"quarantine","score":2},
            {"name":"never","action":"discard"}]}"#;
        let decision = ask(config, "Subject: x\nList-Id: <l>\n\nhello there");
        assert_eq!(decision.verdict, Verdict::Quarantine("big".to_owned()));
        assert_eq!(adds(&decision, "X-Maitred-Rule").as_deref(), Some("list"));
        let said = adds(&decision, "X-Maitred-Filter").unwrap();
        assert!(said.ends_with("; score=2.5; rules=list, big"), "{said}");
        assert!(decision.edits.contains(&Edit::Symbol("list".to_owned(), 0.5, "list".to_owned())));
    }

    #[test]
    fn each_action_changes_what_it_says() {
        let edits = |action: &str, more: &str| {
            let config = format!(r#"{{"rules":[{{"name":"r","action":"{action}"{more}}}],"header":""}}"#);
            let decision = ask(&config, "Subject: =?utf-8?q?caf=C3=A9?=\n\nhi");
            assert_eq!(decision.verdict, Verdict::Next, "{action}");
            decision.edits.into_iter().skip(2).collect::<Vec<_>>()
        };
        let header = |name: &str, value: &[u8]| {
            vec![Edit::AddHeader(name.to_owned(), value.to_vec(), Position::First)]
        };
        assert_eq!(edits("score", r#","score":1"#), []);
        assert_eq!(edits("tag", r#","header":"X-A","text":"b""#), header("X-A", b"b"));
        let marked = b"[odd] =?utf-8?q?caf=C3=A9?=".to_vec();
        assert_eq!(
            edits("subject", r#","text":"[odd]""#),
            [Edit::ChangeHeader("Subject".to_owned(), 0, marked)]
        );
        assert_eq!(edits("flag", ""), [Edit::AddFlag("\\Flagged".to_owned())]);
        assert_eq!(edits("file", r#","text":"Lists""#), [Edit::Place("Lists".to_owned(), Vec::new())]);
    }

    #[test]
    fn all_parts_of_a_condition_must_hold() {
        let config = r#"{"rules":[{"name":"r","when":{"sender":"*@b.test","recipient":"bob@*","body":"*needle*",
            "helo":"CLIENT.*","remote_ip":"192.0.2.0/24"},"action":"discard"}]}"#;
        assert_eq!(ask(config, "Subject: x\n\na NEEDLE here").verdict, Verdict::Discard("r".to_owned()));
        assert_eq!(ask(config, "Subject: x\n\nhay").verdict, Verdict::Next);
        let elsewhere = config.replace("192.0.2.0", "198.51.100.0");
        assert_eq!(ask(&elsewhere, "Subject: x\n\na NEEDLE here").verdict, Verdict::Next);
    }

    #[test]
    fn an_attachment_is_known_by_its_name() {
        let config = r#"{"rules":[{"name":"exe","when":{"attachment":"*.exe"},"action":"refuse"}]}"#;
        let rules = Rules::init(config).unwrap();
        let mut message = FakeMessage::new("Subject: x\n\nhi");
        assert_eq!(rules.on_message(&FakeSession::default(), &message).verdict, Verdict::Next);
        let part = Part {
            content_type: "application/pdf".to_owned(),
            file_name: Some("Invoice.EXE".to_owned()),
            ..Part::default()
        };
        message.parts.push((part, Vec::new()));
        assert!(matches!(rules.on_message(&FakeSession::default(), &message).verdict, Verdict::Reject(_)));
    }

    #[test]
    fn an_attachment_is_known_by_its_type() {
        let config = r#"{"rules":[{"name":"r","when":{"attachment_type":["application/x-ms*","message/rfc822"]},"action":"refuse"}]}"#;
        let with = |fields: &str| {
            let text = format!(
                "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhi\n--b\n{fields}\n\nx\n--b--\n"
            );
            ask(config, &text).verdict
        };
        for fields in ["Content-Type: application/X-MSDownload; name=a.exe", "Content-Type: message/rfc822"] {
            assert!(matches!(with(fields), Verdict::Reject(_)), "{fields}");
        }
        assert_eq!(with("Content-Type: application/pdf"), Verdict::Next);
        // Text that is shown is not attached, whatever it is.
        let config = config.replace("message/rfc822", "text/*");
        assert_eq!(ask(&config, "Content-Type: text/html\n\nhi").verdict, Verdict::Next);
        let text = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: attachment\n\nhi\n--b--\n";
        assert!(matches!(ask(&config, text).verdict, Verdict::Reject(_)));
    }

    #[test]
    fn any_text_of_a_list_will_do_and_regular_expressions_are_among_them() {
        let config = r#"{"rules":[{"name":"r","when":{"subject":["*lottery*","regex:^(re: )*you (have )?won"]},"action":"discard"}]}"#;
        for (subject, is_found) in
            [("Lottery!", true), ("RE: Re: You WON", true), ("He said you won", false), ("lunch", false)]
        {
            let verdict = ask(config, &format!("Subject: {subject}\n\nhi")).verdict;
            assert_eq!(verdict == Verdict::Discard("r".to_owned()), is_found, "{subject}");
        }
    }

    #[test]
    fn unless_is_an_exception() {
        let config = r#"{"rules":[{"name":"r","when":{"attachment":"*.exe"},
            "unless":{"sender":"*@b.test","header":{"name":"X-Build","value":"*"}},"action":"refuse"}]}"#;
        let verdict = |fields: &str| {
            let text = format!(
                "{fields}Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: a/b; name=a.exe\n\nx\n--b--\n"
            );
            ask(config, &text).verdict
        };
        assert!(matches!(verdict(""), Verdict::Reject(_)));
        assert_eq!(verdict("X-Build: 5\n"), Verdict::Next);
    }

    #[test]
    fn findings_of_others_and_of_earlier_rules_add_up() {
        let config = r#"{"rules":[{"name":"shouts","when":{"subject":"regex:!!!"},"action":"score","score":1.5},
            {"name":"spam","when":{"score":4},"action":"quarantine"}]}"#;
        let rules = Rules::init(config).unwrap();
        let verdict = |subject: &str, symbols: &[(&str, f32)]| {
            let mut message = FakeMessage::new(&format!("Subject: {subject}\n\nhi"));
            message.symbols = symbols.iter().map(|(name, score)| ((*name).to_owned(), *score)).collect();
            rules.on_message(&FakeSession::default(), &message).verdict
        };
        let spam = Verdict::Quarantine("spam".to_owned());
        assert_eq!(verdict("now!!!", &[("DNSBL", 2.5)]), spam);
        assert_eq!(verdict("now", &[("DNSBL", 2.5), ("X", 1.5)]), spam);
        assert_eq!(verdict("now!!!", &[("DNSBL", 2.5), ("FRIEND", -1.0)]), Verdict::Next);
    }

    #[test]
    fn a_tag_and_an_account_can_be_asked_for() {
        let config = r#"{"rules":[{"name":"r","when":{"tag":{"name":"greylist","value":"new*"}},"action":"discard"},
            {"name":"ours","when":{"account":"*@a.test"},"action":"quarantine"}]}"#;
        let rules = Rules::init(config).unwrap();
        let (mut session, mut message) = (FakeSession::default(), FakeMessage::new("Subject: x\n\nhi"));
        assert_eq!(rules.on_message(&session, &message).verdict, Verdict::Next);
        session.info.account = Some("Bob@a.test".to_owned());
        assert_eq!(rules.on_message(&session, &message).verdict, Verdict::Quarantine("ours".to_owned()));
        message.tags.insert("greylist".to_owned(), "New client".to_owned());
        assert_eq!(rules.on_message(&session, &message).verdict, Verdict::Discard("r".to_owned()));
    }

    #[test]
    fn the_fixtures_go_as_they_say() {
        maitred_plugin_sdk::testing::fixtures::play::<Rules>(std::path::Path::new("fixtures")).unwrap();
    }

    #[test]
    fn without_configuration_the_spam_test_string_is_refused_and_the_rest_is_marked() {
        let gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";
        for message in [format!("Subject: x\n\nHello\n{gtube}\n"), format!("Subject: {gtube}\n\nHello")] {
            assert!(matches!(ask("{}", &message).verdict, Verdict::Reject(_)), "{message}");
        }
        let lunch = ask("{}", "Subject: lunch\n\nhi");
        assert_eq!(lunch.verdict, Verdict::Next);
        let said = format!("rules/{}; score=0.0; rules=none", env!("CARGO_PKG_VERSION"));
        assert_eq!(adds(&lunch, "X-Maitred-Filter"), Some(said));
        assert_eq!(lunch.edits.len(), 1);
    }

    #[test]
    fn what_a_stranger_says_in_our_name_goes() {
        let forged = ask("{}", "Subject: x\nx-maitred-filter: rules/9.9; score=-99\n\nhi");
        assert_eq!(forged.edits.first(), Some(&Edit::RemoveAllHeaders("X-Maitred-Filter".to_owned())));
        let silent = ask(r#"{"header":""}"#, "Subject: x\n\nhi");
        assert_eq!(silent, Decision::next());
    }

    #[test]
    fn a_bad_configuration_says_what_is_wrong() {
        for (config, told) in [
            (r#"{"rulez":[]}"#, "rulez"),
            (r#"{"header":"A B"}"#, "A B"),
            (r#"{"rules":[{"name":"","action":"tag"}]}"#, "name"),
            (r#"{"rules":[{"name":"r","when":{"remote_ip":"10.0.0.0/99"},"action":"tag"}]}"#, "10.0.0.0/99"),
            (r#"{"rules":[{"name":"r","when":{"remote_ip":[]},"action":"tag"}]}"#, "empty list"),
            (r#"{"rules":[{"name":"r","when":{"body":"regex:["},"action":"tag"}]}"#, "regular expression"),
            (r#"{"rules":[{"name":"r","action":"explode"}]}"#, "explode"),
            (r#"{"rules":[{"name":"r","action":"tag","text":"a\nb"}]}"#, "one printable line"),
            (r#"{"rules":[{"name":"r","action":"flag","header":"X"}]}"#, "tag"),
        ] {
            let error = Rules::init(config).err().unwrap();
            assert!(error.contains(told), "{error}");
        }
    }
}
