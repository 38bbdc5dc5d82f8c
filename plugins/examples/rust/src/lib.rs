//! Doorman in Rust: refuses subjects with blocked words, limits how much a sender may send, marks the rest.
//!
//! The same policy is beside this folder in JavaScript, Python and C. A plugin in Rust is one struct (what the configuration says),
//! one trait (the hooks) and one macro (which hooks the component exports).

mod config;

use maitred_plugin_sdk::prelude::*;

use config::Config;

/// The plugin: what its configuration says.
pub struct Doorman {
    config: Config,
}

/// How long a sender's messages are counted before the count begins again, seconds.
const WINDOW_SECONDS: u32 = 3600;

impl Plugin for Doorman {
    const SUMMARY: &'static str = "Refuses blocked subjects, limits senders, marks the rest";

    // Runs once. The server freezes what it made, and every call starts from there.
    fn init(config: &str) -> Result<Self, String> {
        Ok(Self { config: Config::parse(config)? })
    }

    // For each recipient, before the message comes.
    fn on_rcpt(&self, _session: &dyn Session, sender: &str, _recipient: &Recipient) -> Decision {
        // Reports of failed deliveries come from <>, whoever sends them.
        if sender.is_empty() {
            return Decision::next();
        }
        // The table outlives this call: variables do not.
        match store::increment(&format!("sender:{sender}"), 1, Some(WINDOW_SECONDS)) {
            Ok(count) if count > self.config.limit => {
                let text = "Too much mail from you".to_owned();
                Verdict::Tempfail(Refusal { enhanced: Some((4, 7, 1)), text }).into()
            }
            Ok(_) => Decision::next(),
            Err(error) => {
                log(Level::Warn, &format!("not counted: {error:?}"));
                Decision::next()
            }
        }
    }

    // The whole message, before the server takes it.
    fn on_message(&self, _session: &dyn Session, message: &dyn Message) -> Decision {
        // Decoded already: `=?utf-8?q?C=61sino?=` says "Casino".
        let subject = message.header("Subject").unwrap_or_default().to_lowercase();
        if let Some(word) = self.config.blocked.iter().find(|word| subject.contains(&word.to_lowercase())) {
            let text = format!("No {word} here");
            return Verdict::Reject(Refusal { enhanced: Some((5, 7, 1)), text }).into();
        }
        let said = format!("doorman; size={}; parts={}", message.size(), message.parts().len());
        Decision::next()
            .with_header(&self.config.tag, said)
            .with(Edit::Tag("doorman".to_owned(), "seen".to_owned()))
    }
}

maitred_plugin_sdk::export!(Doorman: rcpt, message);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use maitred_plugin_sdk::testing::{FakeMessage, FakeSession, fixtures, world};

    use super::*;

    // Without Wasm and without a server; the others' components are asked the same.
    #[test]
    fn the_fixtures_of_all_languages_are_answered() {
        fixtures::play::<Doorman>(Path::new("../fixtures")).unwrap();
    }

    #[test]
    fn what_cannot_be_counted_is_taken() {
        let doorman = Doorman::init(r#"{"limit": 1}"#).unwrap();
        let bob = Recipient { address: "bob@a.test".to_owned(), original: None };
        world(|world| world.table.insert("sender:alice@b.test".to_owned(), (b"no number".to_vec(), None)));
        assert_eq!(doorman.on_rcpt(&FakeSession::default(), "alice@b.test", &bob), Decision::next());
    }

    #[test]
    fn a_message_without_a_subject_is_marked() {
        let doorman = Doorman::init(r#"{"blocked": ["casino"]}"#).unwrap();
        let message = FakeMessage::new("From: alice@b.test\r\n\r\ncasino");
        let decision = doorman.on_message(&FakeSession::default(), &message);
        assert_eq!((decision.verdict, decision.edits.len()), (Verdict::Next, 2));
    }
}
