//! What every plugin may use: log, configuration, clock, chance, numbers.

use wasmtime::Result;

use crate::bindings::v0_1::maitred::plugin::{answers, clock, config, log, metrics, random};
use crate::metrics::Number;
use crate::state::State;

/// A line of the log.
const LOG_OCTETS_MAX: usize = 1 << 10;
/// Random octets at once.
const RANDOM_OCTETS_MAX: u32 = 4 << 10;

impl log::Host for State {
    async fn log(&mut self, level: log::Level, message: String) -> Result<()> {
        self.budget.spend(message.len())?;
        if self.budget.may_log() && !self.means.is_void {
            let printable = |c: char| if c.is_control() { ' ' } else { c };
            let text: String = message.chars().take(LOG_OCTETS_MAX).map(printable).collect();
            let plugin = &*self.plugin.name;
            match level {
                log::Level::Trace => tracing::trace!(plugin, text, "plugin says"),
                log::Level::Debug => tracing::debug!(plugin, text, "plugin says"),
                log::Level::Info => tracing::info!(plugin, text, "plugin says"),
                log::Level::Warn => tracing::warn!(plugin, text, "plugin says"),
                log::Level::Error => tracing::error!(plugin, text, "plugin says"),
            }
        }
        Ok(())
    }
}

impl config::Host for State {
    async fn get(&mut self) -> Result<String> {
        self.budget.spend(self.plugin.json.len())?;
        Ok(self.plugin.json.to_string())
    }
}

impl clock::Host for State {
    async fn now_ms(&mut self) -> Result<u64> {
        self.budget.spend(8)?;
        Ok(self.means.now_ms)
    }
}

impl random::Host for State {
    async fn octets(&mut self, len: u32) -> Result<Vec<u8>> {
        let octets = usize::try_from(len.min(RANDOM_OCTETS_MAX))?;
        self.budget.spend(octets)?;
        Ok(self.random(octets))
    }

    async fn number(&mut self) -> Result<u64> {
        self.budget.spend(8)?;
        let octets: [u8; 8] = self.random(8).try_into().unwrap_or_default();
        Ok(u64::from_le_bytes(octets))
    }
}

impl metrics::Host for State {
    async fn counter_add(&mut self, name: String, labels: Vec<(String, String)>, delta: u64) -> Result<()> {
        self.note(&name, &labels, Number::Counter(delta))
    }

    async fn gauge_set(&mut self, name: String, labels: Vec<(String, String)>, value: f64) -> Result<()> {
        self.note(&name, &labels, Number::Gauge(value))
    }
}

impl answers::Host for State {
    async fn hold(&mut self, term: u32) -> Result<()> {
        self.budget.spend(4)?;
        self.term = usize::try_from(term).ok();
        Ok(())
    }
}

impl State {
    fn note(&mut self, name: &str, labels: &[(String, String)], number: Number) -> Result<()> {
        self.budget.spend(name.len() + 16 * labels.len())?;
        if !self.means.is_void {
            self.plugin.metrics.note(name, labels, number);
        }
        Ok(())
    }
}
