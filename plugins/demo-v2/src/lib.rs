//! The filter that `maitred demo` swaps in: it refuses mail about casinos.

use maitred_plugin_sdk::prelude::*;

/// The plugin.
pub struct Filter;

impl Plugin for Filter {
    const SUMMARY: &'static str = "Refuses mail about casinos";

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn on_headers(&self, _session: &dyn Session, message: &dyn Message) -> Decision {
        match message.header("Subject") {
            Some(subject) if subject.to_lowercase().contains("casino") => {
                Decision::reject("No casinos here, says version 2")
            }
            _ => Decision::next(),
        }
    }
}

maitred_plugin_sdk::export!(Filter: headers);

#[cfg(test)]
mod tests {
    use maitred_plugin_sdk::testing::{FakeMessage, FakeSession};

    use super::*;

    #[test]
    fn it_refuses_by_the_header_alone() {
        let ask = |text: &str| Filter.on_headers(&FakeSession::default(), &FakeMessage::new(text)).verdict;
        assert!(matches!(ask("Subject: Casino tonight\n\nhi"), Verdict::Reject(_)));
        assert_eq!(ask("Subject: lunch\n\nhi"), Verdict::Next);
    }
}
