//! From the octets of a component to a plugin that can be called: verify, compile, initialise, freeze.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maitred_policy::Hook;
use wasmtime::component::{Component, Instance, InstancePre, Lift, Linker, WasmList};
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use crate::bindings::v0_1;
use crate::bindings::v0_1::exports::maitred::plugin as exports;
use crate::cache::Cache;
use crate::config::PluginConfig;
use crate::engine::{MEMORY_MAX, Machine};
use crate::loaded::{Guest, Loaded, Origin};
use crate::state::State;

/// A component larger than this is not looked at.
pub(crate) const COMPONENT_OCTETS_MAX: u64 = 64 << 20;
/// What a guest hands over in one crossing.
const CROSSING_OCTETS_MAX: usize = 64 << 20;
/// `init` may take so long.
const INIT_TIME: Duration = Duration::from_secs(5);

/// The hooks of a component; an absent one costs nothing.
#[derive(Clone)]
pub(crate) struct Hooks {
    pub(crate) connect: Option<exports::connect_hook::GuestIndices>,
    pub(crate) helo: Option<exports::helo_hook::GuestIndices>,
    pub(crate) auth: Option<exports::auth_hook::GuestIndices>,
    pub(crate) mail: Option<exports::mail_hook::GuestIndices>,
    pub(crate) rcpt: Option<exports::rcpt_hook::GuestIndices>,
    pub(crate) headers: Option<exports::headers_hook::GuestIndices>,
    pub(crate) message: Option<exports::message_hook::GuestIndices>,
    pub(crate) disconnect: Option<exports::disconnect_hook::GuestIndices>,
}

impl Hooks {
    fn of(pre: &InstancePre<State>) -> Self {
        Self {
            connect: exports::connect_hook::GuestIndices::new(pre).ok(),
            helo: exports::helo_hook::GuestIndices::new(pre).ok(),
            auth: exports::auth_hook::GuestIndices::new(pre).ok(),
            mail: exports::mail_hook::GuestIndices::new(pre).ok(),
            rcpt: exports::rcpt_hook::GuestIndices::new(pre).ok(),
            headers: exports::headers_hook::GuestIndices::new(pre).ok(),
            message: exports::message_hook::GuestIndices::new(pre).ok(),
            disconnect: exports::disconnect_hook::GuestIndices::new(pre).ok(),
        }
    }

    /// Whether there is this one.
    pub(crate) fn has(&self, hook: Hook) -> bool {
        match hook {
            Hook::Connect => self.connect.is_some(),
            Hook::Helo => self.helo.is_some(),
            Hook::Auth => self.auth.is_some(),
            Hook::Mail => self.mail.is_some(),
            Hook::Rcpt => self.rcpt.is_some(),
            Hook::Headers => self.headers.is_some(),
            Hook::Message => self.message.is_some(),
            Hook::Disconnect => self.disconnect.is_some(),
        }
    }

    /// Which there are.
    pub(crate) fn list(&self) -> Vec<Hook> {
        const ALL: [Hook; 8] = [
            Hook::Connect,
            Hook::Helo,
            Hook::Auth,
            Hook::Mail,
            Hook::Rcpt,
            Hook::Headers,
            Hook::Message,
            Hook::Disconnect,
        ];
        ALL.into_iter().filter(|hook| self.has(*hook)).collect()
    }
}

/// What makes plugins out of components.
pub(crate) struct Loader {
    pub(crate) machine: Arc<Machine>,
    linker: Linker<State>,
    cache: Cache,
}

impl Loader {
    pub(crate) fn new(machine: Arc<Machine>, cache: Cache) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(&machine.engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        v0_1::Host_::add_to_linker::<_, wasmtime::component::HasSelf<State>>(&mut linker, |state| state)?;
        Ok(Self { machine, linker, cache })
    }

    /// Verifies, compiles, initialises and freezes. Takes long: not on the way of mail.
    ///
    /// # Errors
    /// One line that says why not; nothing has changed then.
    pub(crate) async fn load(
        &self,
        octets: &[u8],
        config: &PluginConfig,
        origin: Origin,
    ) -> Result<Loaded, String> {
        if octets.len() as u64 > COMPONENT_OCTETS_MAX {
            return Err(format!("{} octets, more than {COMPONENT_OCTETS_MAX}", octets.len()));
        }
        if config.limits.memory > MEMORY_MAX {
            return Err(format!("limits.memory is above {MEMORY_MAX} octets"));
        }
        if let Some(grant) = config.grants.first() {
            return Err(format!("there is no capability {grant:?} in this version"));
        }
        let json: Arc<str> = config.config.to_string().into();
        let digest = digest(octets);
        let artefact = blake3::Hasher::new()
            .update(digest.as_bytes())
            .update(json.as_bytes())
            .update(&config.limits.memory.to_le_bytes())
            .finalize()
            .to_hex();
        let component = match self.cache.load(&self.machine.engine, &artefact) {
            Some(component) => component,
            None => {
                let frozen = self.freeze(octets, config, &json).await?;
                let component = self.compile(frozen).await?;
                self.cache.keep(&artefact, &component);
                component
            }
        };
        // Looked at again: what an earlier version of the server let pass may lie in the cache.
        check_imports(&self.machine.engine, &component)?;
        let pre = self.link(&component)?;
        let hooks = Hooks::of(&pre);
        if hooks.list().is_empty() {
            return Err("it exports no hook of maitred:plugin@0.1.0".to_owned());
        }
        let mut store = self.store(config, &json);
        let _running = self.machine.running();
        let describing = async {
            let (guest, _) = self.begin(&mut store, &pre).await?;
            guest.call_describe(&mut store).await.map_err(|error| first_line(&error))
        };
        let described = in_time(describing).await.map_err(|said| format!("describe: {said}"))?;
        let version = described.version.chars().filter(|c| !c.is_control()).take(64).collect();
        let guest = Guest { pre, hooks, json, version, digest };
        Ok(Loaded::new(Arc::clone(&self.machine), guest, config.clone(), origin))
    }

    /// Runs `init` once and puts the memory it left into the component: every instance begins there.
    async fn freeze(&self, octets: &[u8], config: &PluginConfig, json: &Arc<str>) -> Result<Vec<u8>, String> {
        let wizer = Wizer::new();
        let (context, instrumented) = wizer
            .instrument_component(octets)
            .map_err(|error| format!("not a component that can be read: {}", first_line(&error)))?;
        let component = self.compile(instrumented).await?;
        check_imports(&self.machine.engine, &component)?;
        let pre = self.link(&component)?;
        let mut store = self.store(config, json);
        let _running = self.machine.running();
        let initialising = async {
            let (guest, instance) = self.begin(&mut store, &pre).await?;
            guest.call_init(&mut store).await.map_err(|error| first_line(&error))??;
            Ok(instance)
        };
        let initialised = in_time(initialising).await;
        let instance = initialised.map_err(|said| {
            let line = said.lines().next().unwrap_or_default();
            let text: String = line.chars().filter(|c| !c.is_control()).take(400).collect();
            format!("init: {text}")
        })?;
        let mut state = Frozen { store, instance, failure: None };
        let frozen =
            wizer.snapshot_component(&context, &mut state).await.map_err(|error| first_line(&error))?;
        match state.failure {
            Some(failure) => Err(format!("its memory cannot be read: {failure}")),
            None => Ok(frozen),
        }
    }

    /// An instance, and its lifecycle.
    async fn begin(
        &self,
        store: &mut Store<State>,
        pre: &InstancePre<State>,
    ) -> Result<(exports::lifecycle::Guest, Instance), String> {
        let lifecycle =
            exports::lifecycle::GuestIndices::new(pre).map_err(|_| "it exports no lifecycle".to_owned())?;
        let instance = pre.instantiate_async(&mut *store).await.map_err(|error| first_line(&error))?;
        let guest = lifecycle.load(store, &instance).map_err(|error| first_line(&error))?;
        Ok((guest, instance))
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

    fn store(&self, config: &PluginConfig, json: &Arc<str>) -> Store<State> {
        let state = State::new(&config.limits, Arc::clone(json), config.name.as_str().into(), now_ms());
        let mut store = Store::new(&self.machine.engine, state);
        bound(&mut store, INIT_TIME);
        store
    }
}

/// BLAKE3 of a component, hexadecimal.
pub(crate) fn digest(octets: &[u8]) -> String {
    blake3::hash(octets).to_hex().to_string()
}

/// Epochs end what runs, this what waits.
async fn in_time<T>(called: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = |_| format!("not done within {INIT_TIME:?}");
    tokio::time::timeout(INIT_TIME + Duration::from_millis(100), called).await.map_err(late)?
}

/// Limits memory, and time from now on.
pub(crate) fn bound(store: &mut Store<State>, time: Duration) {
    store.limiter(|state| &mut state.memory);
    // A guest's strings may all lie in the same octets: what is copied of them is counted, for each crossing.
    store.set_hostcall_fuel(CROSSING_OCTETS_MAX);
    store.set_epoch_deadline(1);
    let began = std::time::Instant::now();
    let mut is_first = true;
    store.epoch_deadline_callback(move |_| {
        if began.elapsed() >= time {
            return Ok(UpdateDeadline::Interrupt);
        }
        // Nearly all calls are over before the second tick: let them, and only then let others have a turn.
        Ok(if std::mem::take(&mut is_first) { UpdateDeadline::Continue(1) } else { UpdateDeadline::Yield(1) })
    });
}

/// Unix time in milliseconds.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Only the contract, and what language runtimes link of WASI; the rest would need a grant.
fn check_imports(engine: &wasmtime::Engine, component: &Component) -> Result<(), String> {
    match component.component_type().imports(engine).find(|(name, _)| !is_free(name)) {
        Some((name, _)) => Err(format!("it imports {name}, which was not granted")),
        None => Ok(()),
    }
}

/// Whether an import needs no grant.
fn is_free(import: &str) -> bool {
    const OURS: [&str; 7] = ["types", "decisions", "host-session", "host-message", "log", "config", "clock"];
    // Standard streams that go nowhere, an empty environment, clocks and random octets.
    const WASI: [&str; 4] = ["wasi:cli", "wasi:io", "wasi:clocks", "wasi:random"];
    let unversioned = import.split('@').next().unwrap_or_default();
    match unversioned.split_once('/') {
        Some(("maitred:plugin", interface)) => OURS.contains(&interface),
        Some((package, _)) => WASI.contains(&package),
        None => false,
    }
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

#[cfg(test)]
mod tests {
    use super::is_free;

    #[test]
    fn what_reaches_outside_needs_a_grant() {
        for import in [
            "wasi:sockets/tcp@0.2.6",
            "wasi:sockets/ip-name-lookup@0.2.6",
            "wasi:filesystem/preopens@0.2.6",
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:clocksx/a@0.2.6",
            "maitred:plugin/store@0.1.0",
            "maitred:plugin/dns@0.1.0",
            "maitred:plugin/c0nfig@0.1.0",
            "own:package/thing",
            "thing",
        ] {
            assert!(!is_free(import), "{import}");
        }
        for import in ["maitred:plugin/host-message@0.1.0", "wasi:cli/stderr@0.2.9", "wasi:io/streams@0.2.12"]
        {
            assert!(is_free(import), "{import}");
        }
    }
}
