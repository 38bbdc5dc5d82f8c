//! What the operator says about plugins.

use std::path::PathBuf;
use std::time::Duration;

use maitred_policy::OnError;

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Components dropped here are loaded, replaced ones swapped, removed ones unloaded. `None`: no directory.
    pub directory: Option<PathBuf>,
    /// Where compiled components and the list of disabled plugins are kept.
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
    /// Asked in this order, smallest first. Default 50.
    pub order: i32,
    /// What a fault of it means.
    pub on_error: OnError,
    /// What a call may cost.
    pub limits: CallLimits,
    /// Capabilities. None can be granted in this version: each is refused.
    pub grants: Vec<String>,
    /// Handed to it; a JSON object.
    pub config: serde_json::Value,
}

/// What one call may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Linear memory, octets. Default 32 MiB.
    pub memory: u64,
    /// From the call to its answer. Default 250 ms.
    pub time: Duration,
    /// Calls at a time. Default 64; one more waits for up to `time`.
    pub concurrency: usize,
    /// Calls of the host by one call of the plugin. Default 10,000.
    pub host_calls: u32,
    /// Octets that the host gives and takes in one call. Default 64 MiB.
    pub octets: u64,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            memory: 32 << 20,
            time: Duration::from_millis(250),
            concurrency: 64,
            host_calls: 10_000,
            octets: 64 << 20,
        }
    }
}

impl PluginConfig {
    /// A plugin of this name with the defaults.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            path: None,
            order: 50,
            on_error: OnError::default(),
            limits: CallLimits::default(),
            grants: Vec::new(),
            config: serde_json::Value::Object(serde_json::Map::new()),
        }
    }
}

/// A plugin that came with the binary.
#[derive(Debug, Clone, Copy)]
pub struct Bundled {
    /// Its name.
    pub name: &'static str,
    /// The component.
    pub component: &'static [u8],
}
