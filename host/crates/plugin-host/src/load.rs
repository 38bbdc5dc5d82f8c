//! From the octets of a component to a plugin that can be called: verify, compile, initialise, freeze, let it try itself.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use maitred_policy::{Hook, Outside};
use wasmtime::component::{Component, Instance, InstancePre, Lift, Linker, WasmList};
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wizer::{ComponentContext, ComponentInstanceState, Wizer};

use crate::bindings::v0_1;
use crate::bindings::v0_1::exports::maitred::plugin as exports;
use crate::cache::Cache;
use crate::config::PluginConfig;
use crate::engine::{MEMORY_MAX, Machine, Pace};
use crate::fresh::Term;
use crate::grants::{Grants, needed};
use crate::hooks::{Hooks, named};
use crate::lane::{Long, processor_nanos};
use crate::loaded::{Guest, Loaded, Origin};
use crate::metrics::Metrics;
use crate::state::{Identity, State};

/// A component larger than this is not looked at.
pub(crate) const COMPONENT_OCTETS_MAX: u64 = 64 << 20;
/// What a guest hands over in one crossing.
const CROSSING_OCTETS_MAX: usize = 64 << 20;
/// Instructions of a replayed call, or of its `init`: some seconds' worth.
const FUEL_MAX: u64 = 10_000_000_000;
/// Who computes for so long behind its first tick takes long: about the time to the second. What a busy machine kept from computing meets
/// ticks, too, and does not.
const LONG: Duration = Duration::from_micros(450);
/// A call that takes long may compute for its time. Where others keep it from computing, it has so many times as long for that.
const PATIENCE: u32 = 4;
/// `init` may take so long.
const INIT_TIME: Duration = Duration::from_secs(5);

/// What makes plugins out of components.
pub(crate) struct Loader {
    pub(crate) machine: Arc<Machine>,
    linker: Linker<State>,
    /// `None`: on the bench.
    cache: Option<Cache>,
    /// What the bench has compiled, by digest.
    compiled: Mutex<HashMap<String, Component>>,
    outside: Arc<dyn Outside>,
}

impl Loader {
    /// Without a cache everything is compiled each time.
    pub(crate) fn new(
        machine: Arc<Machine>,
        cache: Option<Cache>,
        outside: Arc<dyn Outside>,
    ) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(&machine.engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        v0_1::Plugin::add_to_linker::<_, wasmtime::component::HasSelf<State>>(&mut linker, |state| state)?;
        Ok(Self { machine, linker, cache, compiled: Mutex::default(), outside })
    }

    /// Verifies, compiles, initialises, freezes, and lets it try itself. Takes long: not on the way of mail.
    ///
    /// # Errors
    /// One line that says why not; nothing has changed then.
    pub(crate) async fn load(
        &self,
        octets: &[u8],
        config: &PluginConfig,
        origin: Origin,
        metrics: &Arc<Metrics>,
    ) -> Result<Loaded, String> {
        if octets.len() as u64 > COMPONENT_OCTETS_MAX {
            return Err(format!("{} octets, more than {COMPONENT_OCTETS_MAX}", octets.len()));
        }
        if config.limits.memory > MEMORY_MAX {
            return Err(format!("limits.memory is above {MEMORY_MAX} octets"));
        }
        let digest = digest(octets);
        let identity = Arc::new(Identity {
            name: config.name.as_str().into(),
            json: config.config.to_string().into(),
            limits: config.limits,
            grants: config.grants.clone(),
            metrics: Arc::clone(metrics),
        });
        let artefact = blake3::Hasher::new()
            .update(digest.as_bytes())
            .update(identity.json.as_bytes())
            .update(&config.limits.memory.to_le_bytes())
            .finalize()
            .to_hex();
        let (component, is_frozen) = self.component(octets, &digest, &identity, &artefact).await?;
        // Looked at again: what another configuration or version of the server let pass may lie in the cache.
        check_imports(&self.machine.engine, &component, &config.grants)?;
        let pre = self.link(&component)?;
        let hooks = Hooks::of(&pre);
        if hooks.list().is_empty() {
            return Err("it exports no hook of maitred:plugin@0.1.1".to_owned());
        }
        let (mut store, long) = self.store(&identity)?;
        let _running = self.machine.running();
        let begins = pre.clone();
        let describing = async move {
            let (guest, _) = begin(&mut store, &begins).await?;
            let described = guest.call_describe(&mut store).await.map_err(|error| first_line(&error))?;
            if !is_frozen {
                let set_up = guest.call_init(&mut store).await.map_err(|error| first_line(&error));
                set_up.and_then(|said| said).map_err(|said| init_failed(&said))?;
            }
            Ok(described)
        };
        let told = |said: String| if said.starts_with("init: ") { said } else { format!("describe: {said}") };
        let described = self.in_time(&long, describing).await.map_err(told)?;
        let tried = self.self_test(&identity, &pre, is_frozen).await;
        tried.map_err(|said| on_one_line("self-test", &said))?;
        let wanted = self.interest(&identity, &pre, is_frozen).await;
        let hooks = match wanted.map_err(|said| on_one_line("interest", &said))? {
            Some(wanted) => hooks.only(&wanted),
            None => hooks,
        };
        let terms = self.terms(&identity, &pre, is_frozen).await;
        let terms = terms.map_err(|said| on_one_line("freshness", &said))?;
        let version = described.version.chars().filter(|c| !c.is_control()).take(64).collect();
        // One that cannot be frozen sets up at each call.
        let setup = if is_frozen { None } else { exports::lifecycle::GuestIndices::new(&pre).ok() };
        let guest = Guest { pre, hooks, terms, setup, version, digest };
        let outside = Arc::clone(&self.outside);
        Ok(Loaded::new(Arc::clone(&self.machine), guest, (identity, outside), config.clone(), origin))
    }

    /// Compiled, and frozen behind its `init` where that can be done.
    async fn component(
        &self,
        octets: &[u8],
        digest: &str,
        identity: &Arc<Identity>,
        artefact: &str,
    ) -> Result<(Component, bool), String> {
        let Some(cache) = &self.cache else {
            // On the bench: one component, many configurations, each called a few times.
            let known = self.compiled.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned();
            let component = match known {
                Some(component) => component,
                None => self.compile(octets.to_vec()).await?,
            };
            let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
            compiled.insert(digest.to_owned(), component.clone());
            return Ok((component, false));
        };
        let engine = &self.machine.engine;
        if let Some(component) = cache.load(engine, artefact) {
            return Ok((component, true));
        }
        // Of a component that cannot be frozen, what is compiled does not depend on its configuration.
        if let Some(component) = cache.load(engine, digest) {
            return Ok((component, false));
        }
        match Wizer::new().instrument_component(octets) {
            Ok((context, instrumented)) => {
                let frozen = self.freeze(&context, instrumented, identity).await?;
                let component = self.compile(frozen).await?;
                cache.keep(artefact, &component);
                Ok((component, true))
            }
            Err(error) => {
                let unreadable = |said: String| {
                    format!("not a component that can be read: {}", said.trim_end_matches('['))
                };
                let component = self.compile(octets.to_vec()).await.map_err(unreadable)?;
                tracing::info!(
                    plugin = &*identity.name,
                    why = first_line(&error),
                    "plugin cannot be frozen: it sets up at each call"
                );
                cache.keep(digest, &component);
                Ok((component, false))
            }
        }
    }

    /// What a component is, without granting it anything: its words about itself only if it imports nothing that needs a grant.
    ///
    /// # Errors
    /// It is no component.
    pub(crate) async fn look_at(&self, octets: &[u8]) -> Result<Seen, String> {
        let component = self.compile(octets.to_vec()).await?;
        let kind = component.component_type();
        let imports: Vec<String> =
            kind.imports(&self.machine.engine).map(|(name, _)| name.to_owned()).collect();
        let exports: Vec<String> =
            kind.exports(&self.machine.engine).map(|(name, _)| name.to_owned()).collect();
        let has = |hook: &Hook| {
            let wanted = format!("maitred:plugin/{}-hook@", hook.name());
            exports.iter().any(|export| export.starts_with(&wanted))
        };
        let hooks = Hook::ALL.into_iter().filter(has).collect();
        let identity = Arc::new(Identity {
            name: "inspected".into(),
            json: "{}".into(),
            limits: crate::config::CallLimits::default(),
            grants: Grants::default(),
            metrics: Arc::default(),
        });
        let mut described = None;
        if let Ok(pre) = self.link(&component) {
            let (mut store, long) = self.store(&identity)?;
            let _running = self.machine.running();
            let describing = async move {
                let (guest, _) = begin(&mut store, &pre).await?;
                guest.call_describe(&mut store).await.map_err(|error| first_line(&error))
            };
            described = self.in_time(&long, describing).await.ok();
        }
        Ok(Seen { imports, hooks, described })
    }

    /// Runs `init` once and puts the memory it left into the component: every instance begins there.
    async fn freeze(
        &self,
        context: &ComponentContext<'_>,
        instrumented: Vec<u8>,
        identity: &Arc<Identity>,
    ) -> Result<Vec<u8>, String> {
        let component = self.compile(instrumented).await?;
        check_imports(&self.machine.engine, &component, &identity.grants)?;
        let pre = self.link(&component)?;
        let (mut store, long) = self.store(identity)?;
        let _running = self.machine.running();
        let initialising = async move {
            let (guest, instance) = begin(&mut store, &pre).await?;
            guest.call_init(&mut store).await.map_err(|error| first_line(&error))??;
            Ok((store, instance))
        };
        let initialised = self.in_time(&long, initialising).await;
        let (store, instance) = initialised.map_err(|said| init_failed(&said))?;
        let mut state = Frozen { store, instance, failure: None };
        let frozen = Wizer::new().snapshot_component(context, &mut state).await.map_err(|error| {
            format!("what `init` left in its memory cannot be kept for later calls: {}", first_line(&error))
        })?;
        match state.failure {
            Some(failure) => Err(format!("its memory cannot be read: {failure}")),
            None => Ok(frozen),
        }
    }

    /// What it tries on itself, if it does, in an instance as a call has it.
    async fn self_test(
        &self,
        identity: &Arc<Identity>,
        pre: &InstancePre<State>,
        is_frozen: bool,
    ) -> Result<(), String> {
        let Ok(test) = exports::self_test::GuestIndices::new(pre) else { return Ok(()) };
        let (mut store, long) = self.store(identity)?;
        let pre = pre.clone();
        let trying = async move {
            let instance = begin_set_up(&mut store, &pre, is_frozen).await?;
            let test = test.load(&mut store, &instance).map_err(|error| first_line(&error))?;
            test.call_run(&mut store).await.map_err(|error| first_line(&error))?
        };
        self.in_time(&long, trying).await
    }

    /// Which hooks it has use for, if it says so, in an instance as a call has it.
    async fn interest(
        &self,
        identity: &Arc<Identity>,
        pre: &InstancePre<State>,
        is_frozen: bool,
    ) -> Result<Option<Vec<Hook>>, String> {
        let Ok(interest) = exports::interest::GuestIndices::new(pre) else { return Ok(None) };
        let (mut store, long) = self.store(identity)?;
        let pre = pre.clone();
        let asking = async move {
            let instance = begin_set_up(&mut store, &pre, is_frozen).await?;
            let interest = interest.load(&mut store, &instance).map_err(|error| first_line(&error))?;
            interest.call_hooks(&mut store).await.map_err(|error| first_line(&error))
        };
        let names = self.in_time(&long, asking).await?;
        named(&names).map(Some)
    }

    /// By which terms its answers may hold, if it says so, in an instance as a call has it.
    async fn terms(
        &self,
        identity: &Arc<Identity>,
        pre: &InstancePre<State>,
        is_frozen: bool,
    ) -> Result<Vec<Term>, String> {
        let Ok(freshness) = exports::freshness::GuestIndices::new(pre) else { return Ok(Vec::new()) };
        let (mut store, long) = self.store(identity)?;
        let pre = pre.clone();
        let asking = async move {
            let instance = begin_set_up(&mut store, &pre, is_frozen).await?;
            let freshness = freshness.load(&mut store, &instance).map_err(|error| first_line(&error))?;
            freshness.call_terms(&mut store).await.map_err(|error| first_line(&error))
        };
        crate::fresh::checked(self.in_time(&long, asking).await?)
    }

    /// Compiles on a thread of its own: seconds for a large component.
    async fn compile(&self, component: Vec<u8>) -> Result<Component, String> {
        let engine = self.machine.engine.clone();
        let compiled = tokio::task::spawn_blocking(move || Component::from_binary(&engine, &component)).await;
        compiled.map_err(|error| error.to_string())?.map_err(|error| first_line(&error))
    }

    fn link(&self, component: &Component) -> Result<InstancePre<State>, String> {
        self.linker.instantiate_pre(component).map_err(|error| first_line(&error))
    }

    fn store(&self, identity: &Arc<Identity>) -> Result<(Store<State>, Long), String> {
        let mut store = Store::new(&self.machine.engine, State::setting_up(identity, false));
        let long = Long::default();
        bound(&self.machine, &mut store, INIT_TIME, &long).map_err(|error| first_line(&error))?;
        Ok((store, long))
    }

    /// Epochs end what runs, this what waits.
    async fn in_time<T: Send + 'static>(
        &self,
        long: &Long,
        called: impl Future<Output = Result<T, String>> + Send + 'static,
    ) -> Result<T, String> {
        let late = |_| format!("not done within {INIT_TIME:?}");
        let called = tokio::time::timeout(INIT_TIME + Duration::from_millis(100), called);
        self.machine.run(long, called).await.map_err(late)?
    }
}

/// An instance, and its lifecycle.
async fn begin(
    store: &mut Store<State>,
    pre: &InstancePre<State>,
) -> Result<(exports::lifecycle::Guest, Instance), String> {
    let lifecycle =
        exports::lifecycle::GuestIndices::new(pre).map_err(|_| "it exports no lifecycle".to_owned())?;
    let instance = pre.instantiate_async(&mut *store).await.map_err(|error| first_line(&error))?;
    let guest = lifecycle.load(store, &instance).map_err(|error| first_line(&error))?;
    Ok((guest, instance))
}

/// An instance behind its `init`.
async fn begin_set_up(
    store: &mut Store<State>,
    pre: &InstancePre<State>,
    is_frozen: bool,
) -> Result<Instance, String> {
    let (guest, instance) = begin(store, pre).await?;
    if !is_frozen {
        guest.call_init(store).await.map_err(|error| first_line(&error))??;
    }
    Ok(instance)
}

/// What a component says by itself.
pub(crate) struct Seen {
    pub(crate) imports: Vec<String>,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) described: Option<exports::lifecycle::Descriptor>,
}

/// BLAKE3 of a component, hexadecimal.
pub(crate) fn digest(octets: &[u8]) -> String {
    blake3::hash(octets).to_hex().to_string()
}

/// What `init` said, on one line.
fn init_failed(said: &str) -> String {
    on_one_line("init", said)
}

fn on_one_line(who: &str, said: &str) -> String {
    let line = said.lines().next().unwrap_or_default();
    let text: String = line.chars().filter(|c| !c.is_control()).take(400).collect();
    format!("{who}: {text}")
}

/// Limits memory, and time from now on. `long` says so when it takes long.
pub(crate) fn bound(
    machine: &Machine,
    store: &mut Store<State>,
    time: Duration,
    long: &Long,
) -> wasmtime::Result<()> {
    store.limiter(|state| &mut state.memory);
    // A guest's strings may all lie in the same octets: what is copied of them is counted, for each crossing.
    store.set_hostcall_fuel(CROSSING_OCTETS_MAX);
    if machine.pace == Pace::Fuel {
        store.set_fuel(FUEL_MAX)?;
        return Ok(());
    }
    store.set_epoch_deadline(1);
    let began = Instant::now();
    let mut pace = Walk { first: None, before: None, long: long.clone() };
    store.epoch_deadline_callback(move |mut running| {
        // Waiting for the world outside is bounded by the whole call's time, not counted as computing.
        let waited = running.data_mut().spent.waited;
        let elapsed = began.elapsed().saturating_sub(waited);
        if pace.computed(elapsed) >= time || elapsed >= time.saturating_mul(PATIENCE) {
            return Ok(UpdateDeadline::Interrupt);
        }
        Ok(if pace.is_long(elapsed) { UpdateDeadline::Yield(1) } else { UpdateDeadline::Continue(1) })
    });
    Ok(())
}

/// How far a call has come, as its ticks see it.
struct Walk {
    /// At the first tick since it went on: how often it had gone on, what its thread had computed.
    first: Option<(u64, u64)>,
    /// What it had computed when it was found to take long.
    before: Option<Duration>,
    long: Long,
}

impl Walk {
    /// Of a call that is not moved, all the time that it did not wait.
    fn computed(&self, elapsed: Duration) -> Duration {
        let moved = self.before.zip(self.long.computed());
        moved.map_or(elapsed, |(before, since)| before.saturating_add(since))
    }

    /// Nearly all calls are over before their second tick: they are let, and only who goes on computing lets others have a turn.
    fn is_long(&mut self, elapsed: Duration) -> bool {
        if self.before.is_some() {
            return true;
        }
        let (polls, computed) = (self.long.polls(), processor_nanos());
        match self.first {
            Some((before, from)) if before == polls => {
                if Duration::from_nanos(computed.saturating_sub(from)) < LONG {
                    return false;
                }
                self.before = Some(elapsed);
                self.long.note();
                true
            }
            _ => {
                self.first = Some((polls, computed));
                false
            }
        }
    }
}

/// Unix time in milliseconds.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Only the contract as far as it was granted, and what language runtimes link of WASI.
fn check_imports(engine: &wasmtime::Engine, component: &Component, grants: &Grants) -> Result<(), String> {
    for (import, _) in component.component_type().imports(engine) {
        match needed(import) {
            Ok(None) => {}
            Ok(Some(capability)) if grants.has(capability) => {}
            Ok(Some(capability)) => {
                return Err(format!(
                    "it imports {import}, which was not granted: grants = [{:?}]",
                    capability.word()
                ));
            }
            Err(()) => return Err(format!("it imports {import}, which nothing grants")),
        }
    }
    Ok(())
}

/// The first line of an error and of its cause.
pub(crate) fn first_line(error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    cause.lines().next().unwrap_or_default().to_owned()
}

/// An initialised instance whose memory is read out.
struct Frozen {
    store: Store<State>,
    instance: Instance,
    failure: Option<String>,
}

impl Frozen {
    async fn call<R: Lift + Send + Sync + 'static>(&mut self, instance: &str, func: &str) -> Option<R> {
        let called = async {
            let (_, outer) = self.instance.get_export(&mut self.store, None, instance)?;
            let (_, inner) = self.instance.get_export(&mut self.store, Some(&outer), func)?;
            let func = self.instance.get_typed_func::<(), (R,)>(&mut self.store, inner).ok()?;
            func.call_async(&mut self.store, ()).await.ok()
        };
        match called.await {
            Some((value,)) => Some(value),
            None => {
                self.failure = Some(format!("{instance}#{func}"));
                None
            }
        }
    }
}

impl ComponentInstanceState for Frozen {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        if let Some(list) = self.call::<WasmList<u8>>(instance, func).await {
            contents(list.as_le_slice(&self.store));
        }
    }

    fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> impl Future<Output = i32> + Send {
        let call = self.call(instance, func);
        async { call.await.unwrap_or_default() }
    }

    fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> impl Future<Output = i64> + Send {
        let call = self.call(instance, func);
        async { call.await.unwrap_or_default() }
    }

    fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> impl Future<Output = u32> + Send {
        let call = self.call::<f32>(instance, func);
        async { call.await.unwrap_or_default().to_bits() }
    }

    fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> impl Future<Output = u64> + Send {
        let call = self.call::<f64>(instance, func);
        async { call.await.unwrap_or_default().to_bits() }
    }
}
