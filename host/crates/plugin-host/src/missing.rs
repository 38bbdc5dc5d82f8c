//! A plugin that is configured and cannot be had: its mail is treated as if it failed.

use async_trait::async_trait;
use maitred_policy::{Decision, Fault, Hook, HookCall, OnError, Plugin, SessionFacts};

use crate::config::PluginConfig;

/// Stands where the plugin would stand.
pub(crate) struct Missing {
    name: String,
    on_error: OnError,
}

impl Missing {
    pub(crate) fn new(config: &PluginConfig) -> Self {
        Self { name: config.name.clone(), on_error: config.on_error }
    }
}

#[async_trait]
impl Plugin for Missing {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        "missing"
    }

    /// Which hooks it would have nobody knows; at the whole message, once, `on_error` can still do all that it says.
    fn has(&self, hook: Hook) -> bool {
        hook == Hook::Message
    }

    fn on_error(&self) -> OnError {
        self.on_error
    }

    async fn call(&self, _: &SessionFacts, _: HookCall<'_>) -> Result<Decision, Fault> {
        Err(Fault::Missing)
    }
}
