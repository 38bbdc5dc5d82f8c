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
    use maitred_plugin_sdk::testing::{FakeMessage, FakeSession, set_now_ms};

    use super::*;

    const CONFIG: &str = r#"{"blocked": ["casino"], "limit": 1, "tag": "X-Seen"}"#;

    fn asked(message: &str) -> Decision {
        let doorman = Doorman::init(CONFIG).unwrap();
        doorman.on_message(&FakeSession::default(), &FakeMessage::new(message))
    }

    #[test]
    fn a_blocked_word_is_refused_in_any_case() {
        let text = "No casino here".to_owned();
        let refused = Verdict::Reject(Refusal { enhanced: Some((5, 7, 1)), text });
        assert_eq!(asked("Subject: Best CASINO\r\n\r\nhi").verdict, refused);
    }

    #[test]
    fn the_rest_is_marked() {
        let seen = Edit::Tag("doorman".to_owned(), "seen".to_owned());
        let marked = Decision::next().with_header("X-Seen", "doorman; size=20; parts=1").with(seen);
        assert_eq!(asked("Subject: lunch\r\n\r\nhi"), marked);
    }

    #[test]
    fn a_sender_may_send_again_after_an_hour() {
        let doorman = Doorman::init(CONFIG).unwrap();
        let bob = Recipient { address: "bob@a.test".to_owned(), original: None };
        let verdict_for = |sender| doorman.on_rcpt(&FakeSession::default(), sender, &bob).verdict;
        assert_eq!(verdict_for("alice@b.test"), Verdict::Next);
        assert!(matches!(verdict_for("alice@b.test"), Verdict::Tempfail(_)));
        assert_eq!(verdict_for("carol@b.test"), Verdict::Next);
        assert_eq!((verdict_for(""), verdict_for("")), (Verdict::Next, Verdict::Next));
        set_now_ms(u64::from(WINDOW_SECONDS) * 1000);
        assert_eq!(verdict_for("alice@b.test"), Verdict::Next);
    }
}
