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
use crate::config::{CallLimits, PluginConfig};
use crate::engine::{MEMORY_MAX, Machine};
use crate::loaded::Loaded;
use crate::state::State;

/// A component larger than this is not looked at.
const COMPONENT_OCTETS_MAX: usize = 64 << 20;
/// `init` may take so long, and so much more memory than nothing.
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

    /// Which there are.
    pub(crate) fn list(&self) -> Vec<Hook> {
        [
            (self.connect.is_some(), Hook::Connect),
            (self.helo.is_some(), Hook::Helo),
            (self.auth.is_some(), Hook::Auth),
            (self.mail.is_some(), Hook::Mail),
            (self.rcpt.is_some(), Hook::Rcpt),
            (self.headers.is_some(), Hook::Headers),
            (self.message.is_some(), Hook::Message),
            (self.disconnect.is_some(), Hook::Disconnect),
        ]
        .into_iter()
        .filter_map(|(is_there, hook)| is_there.then_some(hook))
        .collect()
    }
}

/// What makes plugins out of components.
pub(crate) struct Loader {
    pub(crate) machine: Arc<Machine>,
    linker: Linker<State>,
    cache: Cache,
}

/// A component as it came.
pub(crate) struct Source<'a> {
    pub(crate) component: &'a [u8],
    pub(crate) config: &'a PluginConfig,
    pub(crate) origin: &'static str,
}

impl Loader {
    pub(crate) fn new(machine: Arc<Machine>, cache: Cache) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(&machine.engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        v0_1::Plugin::add_to_linker::<_, wasmtime::component::HasSelf<State>>(&mut linker, |state| state)?;
        Ok(Self { machine, linker, cache })
    }

    /// Verifies, compiles, initialises and freezes. Takes long: not on the way of mail.
    ///
    /// # Errors
    /// One line that says why not; nothing has changed then.
    pub(crate) async fn load(&self, source: &Source<'_>) -> Result<Loaded, String> {
        let config = source.config;
        if source.component.len() > COMPONENT_OCTETS_MAX {
            return Err(format!("{} octets, more than {COMPONENT_OCTETS_MAX}", source.component.len()));
        }
        if config.limits.memory > MEMORY_MAX {
            return Err(format!("limits.memory is above {MEMORY_MAX} octets"));
        }
        if let Some(grant) = config.grants.first() {
            return Err(format!("there is no capability {grant:?} in this version"));
        }
        let json: Arc<str> = config.config.to_string().into();
        let component_digest = blake3::hash(source.component).to_hex();
        let mut both = blake3::Hasher::new();
        both.update(component_digest.as_bytes())
            .update(json.as_bytes())
            .update(&config.limits.memory.to_le_bytes());
        let digest = both.finalize().to_hex();
        let component = match self.cache.load(&self.machine.engine, &digest) {
            Some(component) => component,
            None => {
                let frozen = self.freeze(source, &json).await?;
                let component = self.compile(frozen).await?;
                self.cache.keep(&digest, &component);
                component
            }
        };
        let pre = self.link(&component)?;
        let hooks = Hooks::of(&pre);
        if hooks.list().is_empty() {
            return Err("it exports no hook of maitred:plugin@0.1.0".to_owned());
        }
        let lifecycle =
            exports::lifecycle::GuestIndices::new(&pre).map_err(|_| "it exports no lifecycle".to_owned())?;
        let mut store = self.store(&config.limits, &json, &config.name, INIT_TIME);
        let _running = self.machine.running();
        let instance = pre.instantiate_async(&mut store).await.map_err(|error| first_line(&error))?;
        let guest = lifecycle.load(&mut store, &instance).map_err(|error| first_line(&error))?;
        let described = guest.call_describe(&mut store).await.map_err(|error| first_line(&error))?;
        let printable = |text: String| text.chars().filter(|c| !c.is_control()).take(64).collect::<String>();
        Ok(Loaded::new(
            Arc::clone(&self.machine),
            pre,
            hooks,
            config.clone(),
            json,
            source.origin,
            printable(described.version),
            component_digest.to_string(),
        ))
    }

    /// Runs `init` once and puts the memory it left into the component: every instance begins there.
    async fn freeze(&self, source: &Source<'_>, json: &Arc<str>) -> Result<Vec<u8>, String> {
        check_imports(&self.machine.engine, source.component)?;
        let wizer = Wizer::new();
        let (context, instrumented) =
            wizer.instrument_component(source.component).map_err(|error| first_line(&error))?;
        let component = self.compile(instrumented).await?;
        let pre = self.link(&component)?;
        let lifecycle =
            exports::lifecycle::GuestIndices::new(&pre).map_err(|_| "it exports no lifecycle".to_owned())?;
        let config = source.config;
        let mut store = self.store(&config.limits, json, &config.name, INIT_TIME);
        let _running = self.machine.running();
        let instance = pre.instantiate_async(&mut store).await.map_err(|error| first_line(&error))?;
        let guest = lifecycle.load(&mut store, &instance).map_err(|error| first_line(&error))?;
        let initialised =
            guest.call_init(&mut store).await.map_err(|error| format!("init: {}", first_line(&error)))?;
        initialised.map_err(|said| format!("init: {}", said.lines().next().unwrap_or_default()))?;
        let mut state = Frozen { store, instance, failure: None };
        let frozen =
            wizer.snapshot_component(&context, &mut state).await.map_err(|error| first_line(&error))?;
        match state.failure {
            Some(failure) => Err(format!("its memory cannot be read: {failure}")),
            None => Ok(frozen),
        }
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

    fn store(&self, limits: &CallLimits, json: &Arc<str>, name: &str, time: Duration) -> Store<State> {
        let state = State::new(limits, Arc::clone(json), name.into(), now_ms());
        let mut store = Store::new(&self.machine.engine, state);
        bound(&mut store, time);
        store
    }
}

/// Limits memory, and time from now on.
pub(crate) fn bound(store: &mut Store<State>, time: Duration) {
    store.limiter(|state| &mut state.memory);
    store.set_epoch_deadline(1);
    let began = std::time::Instant::now();
    store.epoch_deadline_callback(move |_| {
        if began.elapsed() >= time { Ok(UpdateDeadline::Interrupt) } else { Ok(UpdateDeadline::Yield(1)) }
    });
}

/// Unix time in milliseconds.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Only the contract, and what language runtimes link of WASI; the rest would need a grant.
fn check_imports(engine: &wasmtime::Engine, component: &[u8]) -> Result<(), String> {
    const FREE: [&str; 9] = [
        "types",
        "decisions",
        "host-session",
        "host-message",
        "log",
        "config",
        "clock",
        "lifecycle",
        "extension",
    ];
    const WASI: [&str; 4] = ["wasi:cli/", "wasi:io/", "wasi:clocks/", "wasi:random/"];
    // Type-checks the component without compiling it for good: a component that cannot be read is refused here.
    let parsed = Component::from_binary(engine, component)
        .map_err(|error| format!("no component: {}", first_line(&error)))?;
    for (name, _) in parsed.component_type().imports(engine) {
        let ours =
            name.strip_prefix("maitred:plugin/").map(|rest| rest.split('@').next().unwrap_or_default());
        match ours {
            Some(interface) if FREE.contains(&interface) => {}
            Some(interface) => return Err(format!("it imports {interface:?}, which was not granted")),
            None if WASI.iter().any(|free| name.starts_with(free)) => {}
            // Linked by Rust's standard library; there are no files and no directories behind it.
            None if name.starts_with("wasi:filesystem/") => {}
            None => return Err(format!("it imports {name}, which was not granted")),
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
