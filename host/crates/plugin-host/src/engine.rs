//! The one wasmtime engine of the process, and the clock that interrupts plugins.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::Thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::lane::{Lane, Long};

/// How many instances there can be at a time, over all plugins.
pub(crate) const INSTANCES_MAX: usize = 128;
/// Of these, how many are left to loads; the others are calls.
const INSTANCES_FOR_LOADS: usize = 8;
/// The largest memory that a plugin can be given.
pub(crate) const MEMORY_MAX: u64 = 256 << 20;
/// Of an instance's memory, so many octets are put back by copying, and stay with the process for the next one: of the pages
/// that were written, where the kernel tells which ([`prepare`]), else of all. What lies behind them is given back to the
/// kernel, and each page of it that is touched again is a fault. A call of a plugin whose memory fits in here has no fault at
/// all, and costs half.
const KEPT_OCTETS: usize = 512 << 10;
/// How often running plugins are looked at. A runaway one is stopped this much too late, and what it waits for its turn and a processor.
pub(crate) const TICK: Duration = Duration::from_micros(500);

/// The engine, with its ticker.
pub(crate) struct Machine {
    pub(crate) engine: Engine,
    pub(crate) pace: Pace,
    /// A permit for each call that may run: the pool is never found empty.
    pub(crate) calls: Arc<Semaphore>,
    /// Where calls that take long compute; none where there is no runtime.
    lane: Option<Lane>,
    running: AtomicUsize,
    ticker: OnceLock<Thread>,
    /// Whose workers run the calls; none where there is no runtime.
    workers: Option<Handle>,
}

/// What bounds a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Time: what mail waits for.
    Time,
    /// Counted instructions, and every number is the same in every run: what is replayed.
    Fuel,
}

/// Counts as running while it lives: the ticker sleeps when nothing runs.
pub(crate) struct Running(Arc<Machine>);

/// Opens what tells which pages of a sandbox were written, `/proc/self/pagemap`. To be called before files are shut off, and
/// before there is a second thread; false where the kernel (before Linux 6.7) cannot tell. Without it a call costs a little more.
pub fn prepare() -> bool {
    PoolingAllocationConfig::is_pagemap_scan_available()
}

impl Machine {
    pub(crate) fn start(pace: Pace) -> wasmtime::Result<Arc<Self>> {
        let workers = Handle::try_current().ok();
        let machine = Arc::new(Self {
            engine: Engine::new(&config(pace))?,
            pace,
            calls: Arc::new(Semaphore::new(INSTANCES_MAX - INSTANCES_FOR_LOADS)),
            lane: workers.as_ref().map(Lane::start).transpose()?,
            running: AtomicUsize::new(0),
            ticker: OnceLock::new(),
            workers,
        });
        let weak = Arc::downgrade(&machine);
        // An OS thread and no task: a plugin that holds every worker must still be interrupted.
        let thread =
            std::thread::Builder::new().name("plugin-ticker".to_owned()).spawn(move || tick(&weak))?;
        // Set once, just above by nobody.
        let _ = machine.ticker.set(thread.thread().clone());
        Ok(machine)
    }

    /// Runs what computes in a sandbox to its end: here, and in the lane once it takes long.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        long: &Long,
        call: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match &self.lane {
            Some(lane) => lane.run(long, call).await,
            None => call.await,
        }
    }

    pub(crate) fn running(self: &Arc<Self>) -> Running {
        if self.running.fetch_add(1, Ordering::AcqRel) == 0
            && let Some(ticker) = self.ticker.get()
        {
            ticker.unpark();
        }
        Running(Arc::clone(self))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(ticker) = self.ticker.get() {
            ticker.unpark();
        }
    }
}

fn tick(machine: &Weak<Machine>) {
    while let Some(machine) = machine.upgrade() {
        let is_idle = machine.running.load(Ordering::Acquire) == 0;
        machine.engine.increment_epoch();
        if !is_idle && let Some(workers) = &machine.workers {
            // The worker that looked at the sockets may be the one that computes now, while the others sleep: one of them wakes up,
            // finds nothing to do, and looks at the sockets in its place.
            drop(workers.spawn(std::future::ready(())));
        }
        drop(machine);
        if is_idle { std::thread::park_timeout(Duration::from_secs(5)) } else { std::thread::sleep(TICK) }
    }
}

fn config(pace: Pace) -> Config {
    let mut config = Config::new();
    match pace {
        Pace::Time => config.epoch_interruption(true),
        Pace::Fuel => config.consume_fuel(true).cranelift_nan_canonicalization(true),
    };
    // What machines may do differently.
    config.wasm_relaxed_simd(false);
    config.concurrency_support(false);
    config.memory_init_cow(true);
    config.cranelift_opt_level(OptLevel::Speed);
    config.wasm_backtrace_max_frames(NonZeroUsize::new(16));
    config.async_stack_size(512 << 10);
    config.max_wasm_stack(256 << 10);
    let n = u32::try_from(INSTANCES_MAX).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(n)
        // Counted in core instances: a component has several.
        .total_core_instances(n * 8)
        .total_memories(n * 2)
        .total_tables(n * 8)
        .total_stacks(n)
        .max_core_instances_per_component(50)
        .max_tables_per_component(20)
        .max_memories_per_component(4)
        .table_elements(60_000)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .max_memory_size(usize::try_from(MEMORY_MAX).unwrap_or(usize::MAX))
        .linear_memory_keep_resident(KEPT_OCTETS)
        .pagemap_scan(Enabled::Auto)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10)
        .max_unused_warm_slots(16);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
