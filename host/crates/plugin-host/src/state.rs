//! What one call has: its limits, its handles, its way outside, an empty WASI.

use std::sync::Arc;
use std::time::{Duration, Instant};

use maitred_mail::Timestamp;
use maitred_policy::{Ask, Asker, Capability, HookCall, Outside, Reply, SessionFacts, Space, Subject};
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{
    Deterministic, HostMonotonicClock, HostWallClock, Rng as _, WasiCtx, WasiCtxView, WasiView, thread_rng,
};

use crate::config::CallLimits;
use crate::grants::Grants;
use crate::metrics::Metrics;

/// The state of a sandbox.
pub(crate) struct State {
    pub(crate) table: ResourceTable,
    /// No files, no sockets, no environment, no standard streams: what language runtimes link without using it.
    /// Made when the guest asks for it, as few do.
    wasi: Option<WasiCtx>,
    pub(crate) memory: MemoryLimit,
    pub(crate) budget: Budget,
    pub(crate) plugin: Arc<Identity>,
    pub(crate) means: Means,
    pub(crate) spent: Spent,
    /// By which of its terms the answer holds.
    pub(crate) term: Option<usize>,
    /// What the call is about, when it may ask whether that is true.
    subject: Option<Arc<Subject>>,
    chance: Chance,
}

/// What all calls of one loaded plugin share.
pub(crate) struct Identity {
    /// Its configured name.
    pub(crate) name: Arc<str>,
    /// Its configuration, as the guest reads it.
    pub(crate) json: Arc<str>,
    pub(crate) limits: CallLimits,
    pub(crate) grants: Grants,
    pub(crate) metrics: Arc<Metrics>,
}

/// Where one call reaches, and what is written down of it.
pub(crate) struct Means {
    pub(crate) outside: Arc<dyn Outside>,
    /// Unix milliseconds: the same for the whole call.
    pub(crate) now_ms: u64,
    pub(crate) seed: Seed,
    /// Every question and its reply, when the call is recorded.
    pub(crate) transcript: Option<Vec<(Ask, Reply)>>,
    /// Its effects are void: it counts and logs nothing.
    pub(crate) is_void: bool,
}

/// Where chance comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seed {
    /// From the system.
    System,
    /// The same again for the same seed.
    Fixed(u64),
}

/// What a call has used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    /// In which it waited for the world outside.
    pub(crate) waited: Duration,
}

/// Lets memory and tables grow so far, and remembers when it did not: the guest only sees an allocation fail.
pub(crate) struct MemoryLimit {
    octets_max: u64,
    /// Of all memories of the instance.
    pub(crate) octets: u64,
    pub(crate) was_refused: bool,
}

/// What is left of host calls and octets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    calls: u32,
    octets: u64,
    log_lines: u32,
    /// Questions to the world outside.
    asks: u32,
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
pub(crate) const RANDOM_OCTETS_MAX: u64 = 64 << 10;
/// Of the time that a call can still wait: who is told about it answers before it is over.
const PATIENCE: f32 = 0.9;
/// Handles that a guest holds.
const HANDLES_MAX: usize = 1_000;

impl State {
    pub(crate) fn new(plugin: &Arc<Identity>, means: Means) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self {
            table,
            wasi: None,
            memory: MemoryLimit { octets_max: plugin.limits.memory, octets: 0, was_refused: false },
            budget: Budget::of(&plugin.limits),
            plugin: Arc::clone(plugin),
            chance: Chance::new(means.seed),
            means,
            spent: Spent::default(),
            term: None,
            subject: None,
        }
    }

    /// While it sets up: nothing outside is there, the clock stands at its beginning and chance is the same each time, so that what it
    /// makes is made of the component and its configuration alone. `is_again`: it has said already what it says then.
    pub(crate) fn setting_up(plugin: &Arc<Identity>, is_again: bool) -> Self {
        let outside = Arc::new(crate::outside::Nowhere);
        let seed = Seed::Fixed(0);
        Self::new(plugin, Means { outside, now_ms: 0, seed, transcript: None, is_void: is_again })
    }

    /// It is set up: from now on it has what a call has.
    pub(crate) fn begin(&mut self, means: Means) {
        self.wasi = None;
        self.term = None;
        self.chance = Chance::new(means.seed);
        self.budget = Budget::of(&self.plugin.limits);
        self.means = means;
    }

    /// Asks the world outside; charged, timed, and written down when the call is recorded.
    pub(crate) async fn ask(&mut self, octets: usize, ask: Ask) -> Result<Reply, Exhausted> {
        self.budget.spend(octets)?;
        self.budget.asks = self.budget.asks.checked_sub(1).ok_or(Exhausted("questions to the outside"))?;
        let capability = ask.capability();
        if !self.plugin.grants.has(capability) {
            // Who imports what was not granted is refused at load: this is the second lock.
            return Ok(ask.unavailable("not granted"));
        }
        let asker = Asker {
            space: Space { plugin: Arc::clone(&self.plugin.name), octets_max: self.plugin.limits.table },
            origins: self.plugin.grants.origins(),
            now: Timestamp(i64::try_from(self.means.now_ms).unwrap_or(i64::MAX)),
            subject: self.subject.clone(),
            patience: self.plugin.limits.wait.saturating_sub(self.spent.waited).mul_f32(PATIENCE),
        };
        if !self.means.is_void {
            self.plugin.metrics.used(capability);
        }
        let kept = self.means.transcript.is_some().then(|| ask.clone());
        let outside = Arc::clone(&self.means.outside);
        let began = Instant::now();
        let reply = outside.ask(&asker, ask).await;
        self.spent.waited += began.elapsed();
        if let (Some(transcript), Some(ask)) = (&mut self.means.transcript, kept) {
            transcript.push((ask, reply.clone()));
        }
        Ok(reply)
    }

    /// What the call is about.
    pub(crate) fn set_subject(&mut self, session: &SessionFacts, call: HookCall<'_>) {
        let may_ask = self.plugin.grants.has(Capability::Authentication);
        self.subject = if may_ask { Subject::of(session, call).map(Arc::new) } else { None };
    }

    /// Random octets.
    pub(crate) fn random(&mut self, octets: usize) -> Vec<u8> {
        self.chance.octets(octets)
    }
}

/// Standing clocks, and chance from where the call has it.
fn wasi(means: &Means) -> WasiCtx {
    let mut wasi = WasiCtx::builder();
    wasi.max_random_size(RANDOM_OCTETS_MAX);
    wasi.wall_clock(Still(Duration::from_millis(means.now_ms)));
    if let Seed::Fixed(seed) = means.seed {
        // What differs from run to run must not be seen by what can be run again.
        wasi.monotonic_clock(Still(Duration::ZERO));
        wasi.secure_random(Deterministic::new(octets_of(seed)));
        wasi.insecure_random(Deterministic::new(octets_of(seed)));
        wasi.insecure_random_seed(u128::from(seed));
    }
    wasi.build()
}

impl Budget {
    fn of(limits: &CallLimits) -> Self {
        Self { calls: limits.host_calls, octets: limits.octets, log_lines: LOG_LINES_MAX, asks: limits.asks }
    }

    /// For what no plugin pays: so many octets.
    pub(crate) fn of_octets(octets: u64) -> Self {
        Self { calls: u32::MAX, octets, log_lines: 0, asks: 0 }
    }

    /// One call of the host that moves so many octets.
    pub(crate) fn spend(&mut self, octets: usize) -> Result<(), Exhausted> {
        self.calls = self.calls.checked_sub(1).ok_or(Exhausted("host calls"))?;
        self.octets = self.octets.checked_sub(octets as u64).ok_or(Exhausted("octets"))?;
        Ok(())
    }

    /// Calls of the host that were made, of so many.
    pub(crate) fn made(&self, of: u32) -> u64 {
        u64::from(of - self.calls.min(of))
    }

    /// One line in the log; false when it is one too many.
    pub(crate) fn may_log(&mut self) -> bool {
        let left = self.log_lines.checked_sub(1);
        self.log_lines = left.unwrap_or(0);
        left.is_some()
    }
}

/// Octets by chance, made when somebody asks.
struct Chance {
    seed: Seed,
    source: Option<blake3::OutputReader>,
}

impl Chance {
    fn new(seed: Seed) -> Self {
        Self { seed, source: None }
    }

    fn octets(&mut self, octets: usize) -> Vec<u8> {
        let mut out = vec![0; octets];
        let seed = self.seed;
        self.source.get_or_insert_with(|| stream(seed)).fill(&mut out);
        out
    }
}

fn stream(seed: Seed) -> blake3::OutputReader {
    match seed {
        Seed::System => {
            let mut key = [0; 32];
            rand_octets(&mut key);
            blake3::Hasher::new_keyed(&key).finalize_xof()
        }
        Seed::Fixed(seed) => blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof(),
    }
}

/// Enough for what runtimes ask at once; then it begins again.
fn octets_of(seed: u64) -> Vec<u8> {
    let mut octets = vec![0; 1 << 10];
    stream(Seed::Fixed(seed)).fill(&mut octets);
    octets
}

/// From the system's source, by the way that WASI takes.
fn rand_octets(out: &mut [u8]) {
    thread_rng().fill_bytes(out);
}

/// A seed for a call that shall be run again.
pub(crate) fn new_seed() -> u64 {
    let mut octets = [0; 8];
    rand_octets(&mut octets);
    u64::from_le_bytes(octets)
}

/// A clock that stands.
struct Still(Duration);

impl HostWallClock for Still {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

impl HostMonotonicClock for Still {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
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
        let means = &self.means;
        WasiCtxView { ctx: self.wasi.get_or_insert_with(|| wasi(means)), table: &mut self.table }
    }
}
