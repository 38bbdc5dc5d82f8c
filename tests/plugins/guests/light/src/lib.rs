//! A plugin that does next to nothing, to be measured: by itself no call of the host, with `{"asks":true}` three.

use maitred_plugin_sdk::prelude::*;

/// The plugin.
pub struct Light {
    asks: bool,
}

impl Plugin for Light {
    const SUMMARY: &'static str = "Does next to nothing";

    fn init(config: &str) -> Result<Self, String> {
        Ok(Self { asks: config.contains("\"asks\":true") })
    }

    fn on_message(&self, session: &dyn Session, message: &dyn Message) -> Decision {
        if !self.asks {
            return Decision::next();
        }
        let info = session.info();
        let subject = message.header("Subject").unwrap_or_default();
        metrics::counter_add("seen_total", &[("listener", &info.listener)], 1);
        Decision::next().with(Edit::Tag("seen".to_owned(), subject))
    }
}

maitred_plugin_sdk::export!(Light: message);
