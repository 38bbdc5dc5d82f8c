//! {{name}}: refuses a word in the subject, marks the rest. Begin here.

use maitred_plugin_sdk::prelude::*;
use serde_json::Value;

/// The plugin: what its configuration says.
pub struct Policy {
    word: String,
}

impl Plugin for Policy {
    const SUMMARY: &'static str = "Refuses a word in the subject";

    // Runs once. The server freezes what it made, and every call starts from there.
    fn init(config: &str) -> Result<Self, String> {
        let config: Value = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let word = match config.get("word") {
            None => Some("casino"),
            Some(word) => word.as_str().filter(|word| !word.is_empty()),
        };
        Ok(Self { word: word.ok_or("word: must be a text")?.to_lowercase() })
    }

    // The whole message, before the server takes it. More hooks: the methods of `Plugin`.
    fn on_message(&self, _session: &dyn Session, message: &dyn Message) -> Decision {
        let subject = message.header("Subject").unwrap_or_default().to_lowercase();
        if subject.contains(&self.word) {
            let text = format!("No {} here", self.word);
            return Verdict::Reject(Refusal { enhanced: Some((5, 7, 1)), text }).into();
        }
        Decision::next().with_header("X-Seen-By", "{{name}}")
    }
}

// The hooks that the server calls: `Policy: rcpt, message`.
maitred_plugin_sdk::export!(Policy: message);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use maitred_plugin_sdk::testing::fixtures;

    use super::*;

    #[test]
    fn fixtures_are_answered_as_they_say() {
        fixtures::play::<Policy>(Path::new("fixtures")).unwrap();
    }

    #[test]
    fn a_configuration_with_another_word_than_a_text_is_refused() {
        assert_eq!(Policy::init(r#"{"word": 5}"#).err().as_deref(), Some("word: must be a text"));
        assert!(Policy::init("{}").is_ok());
    }
}
