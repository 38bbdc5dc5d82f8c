//! What the operator says about plugins.

use std::path::PathBuf;
use std::time::Duration;

use maitred_policy::{Hook, OnError, Trial};

use crate::grants::Grants;

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Components dropped here are loaded, replaced ones swapped, removed ones unloaded. `None`: no directory.
    pub directory: Option<PathBuf>,
    /// Where compiled components, earlier versions, recordings and the list of disabled plugins are kept.
    pub state: PathBuf,
    /// Each `[[plugin]]`.
    pub plugins: Vec<PluginConfig>,
}

/// One `[[plugin]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginConfig {
    /// A bundled one, or any name with `path`.
    pub name: String,
    /// The component; `None`: the bundled one of that name.
    pub path: Option<PathBuf>,
    /// How it is tried out; `None`: it is obeyed.
    pub trial: Option<Trial>,
    /// Asked in this order, smallest first. Default 50.
    pub order: i32,
    /// What a fault of it means. `None`: no opinion at filter hooks, logins and events, try later at routing and delivery.
    pub on_error: Option<OnError>,
    /// What a call may cost.
    pub limits: CallLimits,
    /// Capabilities.
    pub grants: Grants,
    /// How often it is given a tick, if it has that hook. Default 60 s.
    pub tick: Duration,
    /// Handed to it; a JSON object.
    pub config: serde_json::Value,
}

/// What one call may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Linear memory, octets. Default 32 MiB.
    pub memory: u64,
    /// From the call to its answer, waiting not counted. Default 250 ms.
    pub time: Duration,
    /// Waiting for table, DNS and others outside. Default 5 s.
    pub wait: Duration,
    /// Calls at a time. Default 64; one more waits for up to `time`.
    pub concurrency: usize,
    /// Calls of the host by one call of the plugin. Default 10,000.
    pub host_calls: u32,
    /// Of these, questions to table, DNS, directory and others outside. Default 200.
    pub asks: u32,
    /// Octets that the host gives and takes in one call. Default 64 MiB.
    pub octets: u64,
    /// Octets of its table, over all calls. Default 64 MiB.
    pub table: u64,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            memory: 32 << 20,
            time: Duration::from_millis(250),
            wait: Duration::from_secs(5),
            concurrency: 64,
            host_calls: 10_000,
            asks: 200,
            octets: 64 << 20,
            table: 64 << 20,
        }
    }
}

impl PluginConfig {
    /// A plugin of this name with the defaults.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            path: None,
            trial: None,
            order: 50,
            on_error: None,
            limits: CallLimits::default(),
            grants: Grants::default(),
            tick: Duration::from_mins(1),
            config: serde_json::Value::Object(serde_json::Map::new()),
        }
    }

    /// What a fault means at this hook: nothing is lost or misled because a plugin failed.
    pub fn on_error(&self, hook: Hook) -> OnError {
        self.on_error.unwrap_or(match hook {
            Hook::Resolve | Hook::Route | Hook::Deliver => OnError::Tempfail,
            Hook::Connect
            | Hook::Helo
            | Hook::Auth
            | Hook::Mail
            | Hook::Rcpt
            | Hook::Headers
            | Hook::Message
            | Hook::Disconnect
            | Hook::Outcome
            | Hook::Login
            | Hook::Mailbox
            | Hook::Tick => OnError::Next,
        })
    }
}

/// A plugin that came with the binary.
#[derive(Debug, Clone, Copy)]
pub struct Bundled {
    /// Its name.
    pub name: &'static str,
    /// The component.
    pub component: &'static [u8],
    /// Loaded without being configured.
    pub is_default: bool,
}
