//! The filter that `maitred demo` begins with: it tags mail about casinos.

use maitred_plugin_sdk::prelude::*;

/// The plugin.
pub struct Filter;

impl Plugin for Filter {
    const SUMMARY: &'static str = "Tags mail about casinos";

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn on_message(&self, _session: &dyn Session, message: &dyn Message) -> Decision {
        let subject = message.header("Subject").unwrap_or_default().to_lowercase();
        if subject.contains("casino") {
            return Decision::next().with_header("X-Demo-Filter", "1.0.0; casino");
        }
        Decision::next()
    }
}

maitred_plugin_sdk::export!(Filter: message);

#[cfg(test)]
mod tests {
    use maitred_plugin_sdk::testing::{FakeMessage, FakeSession};

    use super::*;

    #[test]
    fn it_tags_and_refuses_nothing() {
        let ask = |text: &str| Filter.on_message(&FakeSession::default(), &FakeMessage::new(text));
        let decision = ask("Subject: Casino tonight\n\nhi");
        assert_eq!((decision.verdict, decision.edits.len()), (Verdict::Next, 1));
        assert_eq!(ask("Subject: lunch\n\nhi"), Decision::next());
    }
}
