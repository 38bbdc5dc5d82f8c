//! The seam to whatever runs plugins.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::answer::Answer;
use crate::chain::Chain;
use crate::facts::{Hook, HookCall, MailboxFacts, OutcomeFacts, SessionFacts};

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
    Time(Duration),
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
    Busy(Duration),
    /// It is configured, and its component is gone or was refused.
    #[error("not loaded")]
    Missing,
    /// It failed too often: it is not asked for a while.
    #[error("not asked: it failed too often")]
    Broken,
}

impl Fault {
    /// As metrics name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Trap(_) => "trap",
            Self::Time(_) => "time",
            Self::Memory(_) => "memory",
            Self::Budget(_) => "budget",
            Self::Answer(_) => "answer",
            Self::Busy(_) => "busy",
            Self::Missing => "missing",
            Self::Broken => "breaker",
        }
    }
}

/// What a call came to.
#[derive(Debug, Clone)]
pub struct Called {
    /// The version that was asked, as `1.0.0@0123abcd`.
    pub version: Arc<str>,
    /// What it took.
    pub elapsed: Duration,
    /// What it answered.
    pub answer: Result<Answer, Fault>,
}

/// A plugin of a chain: one version, or two of which one is tried out.
#[async_trait]
pub trait Plugin: Send + Sync {
    /// Its configured name.
    fn name(&self) -> &str;
    /// Whether it exports this hook. One that is not exported costs nothing.
    fn has(&self, hook: Hook) -> bool;
    /// What a fault of it means at this hook.
    fn on_error(&self, hook: Hook) -> OnError;
    /// What it has answered to one like this, if that still holds; `None`: it has to be called.
    async fn recall(&self, _session: &SessionFacts, _call: HookCall<'_>) -> Option<Called> {
        None
    }
    /// Asks it. A filter hook is answered by [`Answer::Filter`], and so on.
    async fn call(&self, session: &SessionFacts, call: HookCall<'_>) -> Called;
    /// Asks it for the sake of the answer alone: what it would change outside is void, and it is not counted.
    async fn rehearse(&self, session: &SessionFacts, call: HookCall<'_>) -> Called {
        self.call(session, call).await
    }
}

/// A loaded plugin as the operator sees it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PluginFacts {
    /// Configured name.
    pub name: String,
    /// The plugin's own version; empty while only a trial runs.
    pub version: String,
    /// BLAKE3 of the component, hexadecimal.
    pub digest: String,
    /// Asked in this order, smallest first.
    pub order: i32,
    /// Not asked while false.
    pub is_enabled: bool,
    /// The hooks it exports.
    pub hooks: Vec<Hook>,
    /// What it was granted.
    pub grants: Vec<String>,
    /// `bundled`, `configured` or `directory`; `awaited`: it is configured, and its component is not there yet.
    pub origin: String,
    /// Calls so far.
    pub calls: u64,
    /// Calls without a decision so far.
    pub faults: u64,
    /// It failed too often and is not asked now.
    pub is_broken: bool,
    /// A version that is tried out beside it.
    pub trial: Option<TrialFacts>,
    /// Versions that were in service before, the last one first.
    pub earlier: Vec<VersionFacts>,
}

/// A version that can be gone back to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VersionFacts {
    /// The plugin's own version.
    pub version: String,
    /// BLAKE3 of the component, hexadecimal.
    pub digest: String,
}

/// How a version is tried out.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trial {
    /// It runs beside the one in service; its effects are void.
    Shadow,
    /// It is obeyed for a share of the mail.
    Canary(Share, Budget),
}

/// Which mail a canary is obeyed for.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Share {
    /// Percent of transactions, 0 to 100.
    pub percent: u8,
    /// Mail from or to these domains, in lower case.
    pub domains: Vec<String>,
    /// Mail from or to these addresses, in lower case.
    pub accounts: Vec<String>,
}

/// What a canary may do before it is taken back.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Calls before it is judged.
    pub calls: u32,
    /// Percent of its calls that may fail.
    pub faults: f32,
    /// Percent of its calls whose verdict may be another one than that of the version in service.
    pub shift: f32,
    /// How many times as long as the version in service its median call may take.
    pub time: f32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { calls: 20, faults: 2.0, shift: 10.0, time: 5.0 }
    }
}

/// How a trial goes.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TrialFacts {
    /// The plugin's own version.
    pub version: String,
    /// BLAKE3 of the component, hexadecimal.
    pub digest: String,
    /// Shadow or canary.
    pub trial: Trial,
    /// Calls of it that were compared with the version in service.
    pub compared: u64,
    /// Of these, how many differ.
    pub differing: u64,
    /// Its calls without a decision.
    pub faults: u64,
    /// Comparisons left out because too many waited.
    pub skipped: u64,
    /// Which differences, the most frequent first.
    pub differences: Vec<Difference>,
    /// Why it was taken back, if it was.
    pub ended: Option<String>,
}

/// One kind of difference between two versions.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Difference {
    /// At which hook.
    pub hook: Hook,
    /// What the version in service answered.
    pub was: String,
    /// What the other one answered.
    pub would: String,
    /// How often.
    pub count: u64,
    /// The first messages (or sessions) it was seen at.
    pub seen_at: Vec<String>,
}

/// What calls of one version at one hook came to.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct HookStats {
    /// Configured name.
    pub plugin: String,
    /// As `1.0.0@0123abcd`.
    pub version: String,
    /// `enforce`, `shadow` or `canary`.
    pub mode: String,
    /// At which hook.
    pub hook: Hook,
    /// Calls.
    pub calls: u64,
    /// Answers that were given again, without a call, because they still held.
    #[serde(default)]
    pub fresh: u64,
    /// Verdict or fault, and how often.
    pub verdicts: std::collections::BTreeMap<String, u64>,
    /// Microseconds that half, nine of ten and 99 of 100 calls took at most.
    pub elapsed_us: [u64; 3],
    /// Seconds that all calls took.
    pub elapsed_s: f64,
    /// Of these, seconds that the plugin waited for the host.
    pub host_s: f64,
    /// Calls of the host.
    pub host_calls: u64,
    /// The most memory that an instance had, octets.
    pub memory_max: u64,
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
    /// It cannot be done with this plugin as it is.
    #[error("plugin {name}: {reason}")]
    State {
        /// Which.
        name: String,
        /// Why not, in one line.
        reason: &'static str,
    },
    /// The file could not be read, or the plugin directory not written.
    #[error("plugin file: {0}")]
    File(String),
}

/// Who is told afterwards what happened. Never waits: what cannot be told in time is left out and counted.
pub trait Herald: Send + Sync {
    /// What became of mail.
    fn outcomes(&self, outcomes: Vec<OutcomeFacts>);
    /// What happened in mailboxes.
    fn mailboxes(&self, events: Vec<MailboxFacts>);
}

/// Nobody listens.
pub struct Silence;

impl Herald for Silence {
    fn outcomes(&self, _: Vec<OutcomeFacts>) {}

    fn mailboxes(&self, _: Vec<MailboxFacts>) {}
}

/// Loads, swaps and switches plugins while mail flows.
#[async_trait]
pub trait Registry: Send + Sync {
    /// The chain as it is now. A session or transaction keeps the one it took.
    fn chain(&self) -> Arc<Chain>;
    /// What is loaded.
    fn list(&self) -> Vec<PluginFacts>;
    /// What calls came to, for each version and hook.
    fn stats(&self) -> Vec<HookStats>;
    /// Loads a component under a name (default: the file's), swapping the version in service.
    async fn load(&self, name: Option<String>, file: &Path) -> Result<PluginFacts, RegistryError>;
    /// Tries a component out beside the version in service.
    async fn try_out(
        &self,
        name: Option<String>,
        file: &Path,
        trial: Trial,
    ) -> Result<PluginFacts, RegistryError>;
    /// The version that is tried out goes into service.
    async fn promote(&self, name: &str) -> Result<PluginFacts, RegistryError>;
    /// Goes back: ends a trial if there is one, else to the version before, or to the one whose digest begins so.
    async fn rollback(&self, name: &str, digest: Option<&str>) -> Result<PluginFacts, RegistryError>;
    /// Switches a plugin on or off.
    async fn enable(&self, name: &str, is_enabled: bool) -> Result<PluginFacts, RegistryError>;
    /// Takes a plugin of the directory out.
    async fn remove(&self, name: &str) -> Result<(), RegistryError>;
    /// Begins (with so many octets at most) or ends a recording of what plugins see and are answered.
    async fn record(&self, name: &str, octets_max: Option<u64>) -> Result<PathBuf, RegistryError>;
}
