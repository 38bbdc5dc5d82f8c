//! Runs policy plugins: WebAssembly components in a sandbox each, loaded, limited, called and swapped while mail flows.
//!
//! The only room that knows wasmtime. A call runs in a fresh instance made from a snapshot of the plugin's memory after its
//! `init`; it may use so much memory, time and host calls, and what it answers is checked before anybody believes it.
//! A component that imports what was not granted, or what nothing grants, is refused at load.

mod answer;
mod ask;
mod bench;
mod bindings;
mod breaker;
mod cache;
mod capability;
mod config;
mod engine;
mod fresh;
mod grants;
mod herald;
mod hooks;
mod host;
mod lane;
mod load;
mod loaded;
mod metrics;
mod outside;
mod parts;
mod record;
mod seat;
mod state;
mod stats;
mod step;
mod tick;
mod trial;
mod versions;
mod watch;

pub use bench::kept::Kept;
pub use bench::{Bench, Inspection, Replay, Replayed};
pub use config::{Bundled, CallLimits, Config, PluginConfig};
pub use engine::prepare;
pub use grants::Grants;
pub use herald::PluginHerald;
pub use host::{Error, OwnMetric, PluginHost};
pub use outside::Nowhere;
