//! What an answer is made of, where the rules look at nothing but what the host can tell apart by itself.

use maitred_plugin_sdk::Fact;
use maitred_plugin_sdk::config::Several;

use crate::rule::{Action, Condition, Config};
use crate::wanted::Wanted;

/// As many as the host takes.
const FACTS_MAX: usize = 64;

/// `None` where some rule looks at more than that: expressions, the raw body, scores, tags, networks.
pub fn made_of(config: &Config) -> Option<Vec<Fact>> {
    let mut facts = Vec::new();
    if !config.header.is_empty() {
        facts.push(Fact::HeaderLike(config.header.clone(), "*".to_owned()));
    }
    for rule in &config.rules {
        if rule.action == Action::Subject {
            // Its edit holds the subject.
            return None;
        }
        for condition in [Some(&rule.when), rule.unless.as_ref()].into_iter().flatten() {
            facts.extend(of_condition(condition)?);
        }
    }
    let mut once: Vec<Fact> = Vec::new();
    facts.into_iter().for_each(|fact| {
        if !once.contains(&fact) {
            once.push(fact);
        }
    });
    (once.len() <= FACTS_MAX).then_some(once)
}

/// An account always counts.
fn of_condition(condition: &Condition) -> Option<Vec<Fact>> {
    let Condition {
        sender,
        recipient,
        helo: None,
        remote_ip: None,
        account: _,
        subject,
        header,
        body: None,
        content,
        attachment,
        attachment_type: None,
        tag: None,
        score: None,
        larger,
    } = condition
    else {
        return None;
    };
    let mut facts: Vec<Fact> = larger.iter().map(|octets| Fact::Larger(*octets)).collect();
    facts.extend(likes(sender.as_ref(), Fact::SenderLike)?);
    facts.extend(likes(recipient.as_ref(), Fact::RecipientLike)?);
    facts.extend(likes(subject.as_ref(), |text| Fact::HeaderLike("Subject".to_owned(), text))?);
    facts.extend(likes(content.as_ref(), Fact::ContentLike)?);
    facts.extend(likes(attachment.as_ref(), Fact::FileLike)?);
    if let Some(named) = header {
        facts.extend(likes(Some(&named.value), |text| Fact::HeaderLike(named.name.clone(), text))?);
    }
    Some(facts)
}

fn likes(wanted: Option<&Several<Wanted>>, fact: impl Fn(String) -> Fact) -> Option<Vec<Fact>> {
    let like = |wanted: &Wanted| match wanted {
        Wanted::Pattern(pattern) => Some(fact(pattern.to_string())),
        Wanted::Expression(_) => None,
    };
    wanted.into_iter().flat_map(|several| several.iter()).map(like).collect()
}

#[cfg(test)]
mod tests {
    use maitred_plugin_sdk::Plugin as _;

    use super::*;
    use crate::Rules;

    fn of(config: &str) -> Option<Vec<Fact>> {
        made_of(&Rules::init(config).unwrap().config)
    }

    #[test]
    fn patterns_are_facts() {
        let like = |name: &str, text: &str| Fact::HeaderLike(name.to_owned(), text.to_owned());
        let [said, gtube] = of("{}").unwrap().try_into().unwrap();
        assert_eq!(said, like("X-Maitred-Filter", "*"));
        assert!(matches!(gtube, Fact::ContentLike(text) if text.contains("gtube-standard")));
        let rules = r#"{"header":"","rules":[
            {"name":"a","when":{"sender":["*@B.test","x@c.test"],"recipient":"bob@*","account":"*","larger":9},"action":"tag"},
            {"name":"b","when":{"subject":"*Casino*","attachment":"*.exe"},
             "unless":{"header":{"name":"X-Build","value":"*"},"content":"*casino*","larger":9},"action":"refuse"}]}"#;
        let texts = |fact: fn(String) -> Fact, text: &str| fact(text.to_owned());
        let wanted = [
            Fact::Larger(9),
            texts(Fact::SenderLike, "*@b.test"),
            texts(Fact::SenderLike, "x@c.test"),
            texts(Fact::RecipientLike, "bob@*"),
            like("Subject", "*casino*"),
            texts(Fact::FileLike, "*.exe"),
            texts(Fact::ContentLike, "*casino*"),
            like("X-Build", "*"),
        ];
        assert_eq!(of(rules).unwrap(), wanted);
    }

    #[test]
    fn what_the_host_cannot_tell_apart_is_asked_each_time() {
        for when in [
            r#"{"subject":"regex:casino"}"#,
            r#"{"helo":"*"}"#,
            r#"{"remote_ip":"192.0.2.0/24"}"#,
            r#"{"body":"*x*"}"#,
            r#"{"attachment_type":"*/*"}"#,
            r#"{"tag":{"name":"a","value":"*"}}"#,
            r#"{"score":1}"#,
        ] {
            for which in ["when", "unless"] {
                let rules = format!(r#"{{"rules":[{{"name":"r","{which}":{when},"action":"tag"}}]}}"#);
                assert_eq!(of(&rules), None, "{rules}");
            }
        }
        assert_eq!(of(r#"{"rules":[{"name":"r","action":"subject"}]}"#), None);
        let many: Vec<String> = (0..=FACTS_MAX).map(|number| format!("\"{number}\"")).collect();
        let many = format!(
            r#"{{"rules":[{{"name":"r","when":{{"subject":[{}]}},"action":"tag"}}]}}"#,
            many.join(",")
        );
        assert_eq!(of(&many), None);
    }
}
