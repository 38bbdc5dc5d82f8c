//! What one call has: its limits, its handles, an empty WASI.

use std::sync::Arc;

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::config::CallLimits;

/// The state of a sandbox.
pub(crate) struct State {
    pub(crate) table: ResourceTable,
    /// No files, no sockets, no environment, no standard streams: what language runtimes link without using it.
    wasi: WasiCtx,
    pub(crate) memory: MemoryLimit,
    pub(crate) budget: Budget,
    pub(crate) config: Arc<str>,
    pub(crate) plugin: Arc<str>,
    pub(crate) now_ms: u64,
}

/// Lets memory and tables grow so far, and remembers when it did not: the guest only sees an allocation fail.
pub(crate) struct MemoryLimit {
    octets_max: u64,
    /// Of all memories of the instance.
    octets: u64,
    pub(crate) was_refused: bool,
}

/// What is left of host calls and octets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    calls: u32,
    octets: u64,
    log_lines: u32,
}

/// A budget is used up: the call ends.
#[derive(Debug, thiserror::Error)]
#[error("budget of {0} used up")]
pub(crate) struct Exhausted(pub(crate) &'static str);

/// Lines in the log by one call.
const LOG_LINES_MAX: u32 = 20;
/// Entries of a table.
const TABLE_ELEMENTS_MAX: usize = 60_000;
/// Random octets at once.
const RANDOM_OCTETS_MAX: u64 = 64 << 10;
/// Handles that a guest holds.
const HANDLES_MAX: usize = 1_000;

impl State {
    pub(crate) fn new(limits: &CallLimits, config: Arc<str>, plugin: Arc<str>, now_ms: u64) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self {
            table,
            wasi: WasiCtx::builder().max_random_size(RANDOM_OCTETS_MAX).build(),
            memory: MemoryLimit { octets_max: limits.memory, octets: 0, was_refused: false },
            budget: Budget { calls: limits.host_calls, octets: limits.octets, log_lines: LOG_LINES_MAX },
            config,
            plugin,
            now_ms,
        }
    }
}

impl Budget {
    /// One call of the host that moves so many octets.
    pub(crate) fn spend(&mut self, octets: usize) -> Result<(), Exhausted> {
        self.calls = self.calls.checked_sub(1).ok_or(Exhausted("host calls"))?;
        self.octets = self.octets.checked_sub(octets as u64).ok_or(Exhausted("octets"))?;
        Ok(())
    }

    /// One line in the log; false when it is one too many.
    pub(crate) fn may_log(&mut self) -> bool {
        let left = self.log_lines.checked_sub(1);
        self.log_lines = left.unwrap_or(0);
        left.is_some()
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let octets = self.octets.saturating_sub(current as u64).saturating_add(desired as u64);
        let is_allowed = octets <= self.octets_max;
        if is_allowed {
            self.octets = octets;
        }
        self.was_refused |= !is_allowed;
        Ok(is_allowed)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
