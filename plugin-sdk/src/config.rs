//! Words that many configurations need, read once in `init`: periods of time, networks, patterns, lines of text.
//!
//! Each is a type that [`serde`] reads from a string, with an error that says which text is wrong and why. So a plugin's
//! configuration is a struct of these, and a plugin that runs never meets a value that is none:
//!
//! ```
//! use maitred_plugin_sdk::config::{Networks, Period};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields, default)]
//! struct Config {
//!     /// How long.
//!     delay: Period,
//!     /// For whom not.
//!     skip_ips: Networks,
//! }
//!
//! impl Default for Config {
//!     fn default() -> Self {
//!         Self { delay: Period::minutes(5), skip_ips: Networks::default() }
//!     }
//! }
//! ```

use serde::Deserialize;

mod line;
mod network;
mod pattern;
mod period;
mod several;

pub use line::{LINE_OCTETS_MAX, Line};
pub use network::{Network, Networks};
pub use pattern::{Pattern, Patterns, lowered};
pub use period::Period;
pub use several::Several;

/// What a filter says when what it needs cannot be had for now: its table, the DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTrouble {
    /// No opinion: mail goes on as if the filter were not there.
    #[default]
    Next,
    /// 4xx: the sender tries again.
    Tempfail,
}
