//! The seam to whatever runs plugins.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::chain::Chain;
use crate::decision::Decision;
use crate::facts::{Hook, HookCall, SessionFacts};

/// What a trap, a time-out or a missing plugin means (`on_error` in the configuration).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// As if it had no opinion.
    #[default]
    Next,
    /// 451 4.7.1: the sender keeps the message.
    Tempfail,
    /// 550 5.7.1.
    Reject,
    /// Accepted into Junk.
    Quarantine,
}

/// Why a call gave no decision. That call is over; the server and every other session are not touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The guest trapped: panic, `unreachable`, out of bounds, stack overflow.
    #[error("trapped: {0}")]
    Trap(String),
    /// Its time was up.
    #[error("exceeded its time of {0:?}")]
    Time(std::time::Duration),
    /// It asked for more memory than it may have.
    #[error("exceeded its memory of {0} octets")]
    Memory(u64),
    /// It made too many host calls, or too much output.
    #[error("exceeded its budget of {0}")]
    Budget(&'static str),
    /// It answered what is not allowed: a header with a line end, an unknown recipient …
    #[error("invalid answer: {0}")]
    Answer(String),
    /// No instance was free in time.
    #[error("no instance free within {0:?}")]
    Busy(std::time::Duration),
    /// It is configured, and its component is gone or was refused.
    #[error("not loaded")]
    Missing,
}

/// One loaded version of a plugin.
#[async_trait]
pub trait Plugin: Send + Sync {
    /// Its configured name.
    fn name(&self) -> &str;
    /// Its own version and digest, as `1.0.0@0123abcd`.
    fn version(&self) -> &str;
    /// Whether it exports this hook. One that is not exported costs nothing.
    fn has(&self, hook: Hook) -> bool;
    /// What a fault of it means.
    fn on_error(&self) -> OnError;
    /// Asks it.
    async fn call(&self, session: &SessionFacts, call: HookCall<'_>) -> Result<Decision, Fault>;
}

/// A loaded plugin as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PluginFacts {
    /// Configured name.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// BLAKE3 of the component, hexadecimal.
    pub digest: String,
    /// Asked in this order, smallest first.
    pub order: i32,
    /// Not asked while false.
    pub is_enabled: bool,
    /// The hooks it exports.
    pub hooks: Vec<Hook>,
    /// `bundled`, `configured` or `directory`.
    pub origin: String,
    /// Calls so far.
    pub calls: u64,
    /// Calls without a decision so far.
    pub faults: u64,
}

/// Why a plugin was not loaded; the version before it stays.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No such plugin.
    #[error("no plugin named {0}")]
    Unknown(String),
    /// The component was refused: not a component, an ungranted import, no hook, `init` failed …
    #[error("plugin {name} refused: {reason}")]
    Refused {
        /// Which.
        name: String,
        /// Why, in one line.
        reason: String,
    },
    /// The file could not be read, or the plugin directory not written.
    #[error("plugin file: {0}")]
    File(String),
}

/// Loads, swaps and switches plugins while mail flows.
#[async_trait]
pub trait Registry: Send + Sync {
    /// The chain as it is now. A session or transaction keeps the one it took.
    fn chain(&self) -> Arc<Chain>;
    /// What is loaded.
    fn list(&self) -> Vec<PluginFacts>;
    /// Loads a component under a name (default: the file's), swapping the version in service.
    async fn load(&self, name: Option<String>, file: &Path) -> Result<PluginFacts, RegistryError>;
    /// Switches a plugin on or off.
    async fn enable(&self, name: &str, is_enabled: bool) -> Result<PluginFacts, RegistryError>;
}
