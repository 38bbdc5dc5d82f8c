//! One loaded version of a plugin: called in a fresh sandbox each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use maitred_policy::{
    Decision, Fault, Hook, HookCall, LoginFacts, OnError, Plugin, PluginFacts, SessionFacts, facts,
};
use tokio::sync::{AcquireError, Semaphore};
use tokio::time::timeout;
use wasmtime::component::{Instance, InstancePre, Resource};
use wasmtime::{Store, Trap};

use crate::answer::{decision, to_recipient};
use crate::bindings::v0_1::exports::maitred::plugin::auth_hook::Attempt;
use crate::bindings::v0_1::maitred::plugin::decisions;
use crate::capability::{MessageHandle, SessionHandle};
use crate::config::PluginConfig;
use crate::engine::Machine;
use crate::load::{Hooks, bound, first_line, now_ms};
use crate::state::{Exhausted, State};

/// A plugin ready to be called.
pub(crate) struct Loaded {
    machine: Arc<Machine>,
    guest: Guest,
    pub(crate) config: PluginConfig,
    pub(crate) origin: Origin,
    name: Arc<str>,
    version: String,
    slots: Semaphore,
    calls: AtomicU64,
    faults: AtomicU64,
}

/// What the loader made of a component.
pub(crate) struct Guest {
    pub(crate) pre: InstancePre<State>,
    pub(crate) hooks: Hooks,
    /// The configuration, as the guest reads it.
    pub(crate) json: Arc<str>,
    /// What it says its version is.
    pub(crate) version: String,
    /// BLAKE3 of the component, hexadecimal.
    pub(crate) digest: String,
}

/// Where a component came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Bundled,
    Configured,
    Directory,
}

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Self::Bundled => "bundled",
            Self::Configured => "configured",
            Self::Directory => "directory",
        }
    }
}

/// Beyond its own time a call may take so long until the next tick sees it.
const GRACE: Duration = Duration::from_millis(100);

impl Loaded {
    pub(crate) fn new(machine: Arc<Machine>, guest: Guest, config: PluginConfig, origin: Origin) -> Self {
        let short: String = guest.digest.chars().take(8).collect();
        Self {
            machine,
            origin,
            name: config.name.as_str().into(),
            version: format!("{}@{short}", guest.version),
            slots: Semaphore::new(config.limits.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            calls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            guest,
            config,
        }
    }

    /// True when loading this would make the same plugin again.
    pub(crate) fn is(&self, digest: &str, config: &PluginConfig, origin: Origin) -> bool {
        self.guest.digest == digest && self.config == *config && self.origin == origin
    }

    pub(crate) fn facts(&self, is_enabled: bool) -> PluginFacts {
        PluginFacts {
            name: self.config.name.clone(),
            version: self.guest.version.clone(),
            digest: self.guest.digest.clone(),
            order: self.config.order,
            is_enabled,
            hooks: self.guest.hooks.list(),
            origin: self.origin.name().to_owned(),
            calls: self.calls.load(Ordering::Relaxed),
            faults: self.faults.load(Ordering::Relaxed),
        }
    }

    async fn run(&self, session: &SessionFacts, call: HookCall<'_>) -> Result<Decision, Fault> {
        let time = self.config.limits.time;
        let slots = async { Ok((self.slots.acquire().await?, self.machine.calls.acquire().await?)) };
        let free = timeout(time, slots).await.ok().and_then(Result::<_, AcquireError>::ok);
        let _slots = free.ok_or(Fault::Busy(time))?;
        let json = Arc::clone(&self.guest.json);
        let state = State::new(&self.config.limits, json, Arc::clone(&self.name), now_ms());
        let mut store = Store::new(&self.machine.engine, state);
        bound(&mut store, time);
        let _running = self.machine.running();
        let called = async {
            let instance = self.guest.pre.instantiate_async(&mut store).await?;
            self.call_hook(&mut store, &instance, session, call).await
        };
        match timeout(time + GRACE, called).await {
            Ok(Ok(answer)) => decision(answer).map_err(Fault::Answer),
            Ok(Err(error)) => Err(self.fault(&store, &error)),
            Err(_) => Err(Fault::Time(time)),
        }
    }

    async fn call_hook(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        session: &SessionFacts,
        call: HookCall<'_>,
    ) -> wasmtime::Result<decisions::Decision> {
        let nothing = || decisions::Decision { verdict: decisions::Verdict::Next, edits: Vec::new() };
        let s = give_session(store, session)?;
        let hooks = &self.guest.hooks;
        match call {
            HookCall::Connect => match &hooks.connect {
                Some(hook) => hook.load(&mut *store, instance)?.call_on_connect(store, s).await,
                None => Ok(nothing()),
            },
            HookCall::Helo(name) => match &hooks.helo {
                Some(hook) => hook.load(&mut *store, instance)?.call_on_helo(store, s, name).await,
                None => Ok(nothing()),
            },
            HookCall::Auth(login) => match &hooks.auth {
                Some(hook) => hook.load(&mut *store, instance)?.call_on_auth(store, s, &attempt(login)).await,
                None => Ok(nothing()),
            },
            HookCall::Mail(path) => match &hooks.mail {
                Some(hook) => {
                    hook.load(&mut *store, instance)?.call_on_mail(store, s, &facts::plain(path)).await
                }
                None => Ok(nothing()),
            },
            HookCall::Rcpt(path, to) => match &hooks.rcpt {
                Some(hook) => {
                    let guest = hook.load(&mut *store, instance)?;
                    guest.call_on_rcpt(store, s, &facts::plain(path), &to_recipient(to)).await
                }
                None => Ok(nothing()),
            },
            HookCall::Headers(facts) => match &hooks.headers {
                Some(hook) => {
                    let message = give_message(store, facts, false)?;
                    hook.load(&mut *store, instance)?.call_on_headers(store, s, message).await
                }
                None => Ok(nothing()),
            },
            HookCall::Message(facts) => match &hooks.message {
                Some(hook) => {
                    let message = give_message(store, facts, true)?;
                    hook.load(&mut *store, instance)?.call_on_message(store, s, message).await
                }
                None => Ok(nothing()),
            },
            HookCall::Disconnect => {
                if let Some(hook) = &hooks.disconnect {
                    hook.load(&mut *store, instance)?.call_on_disconnect(store, s).await?;
                }
                Ok(nothing())
            }
        }
    }

    /// What an error of a call means. The guest sees a failed allocation only, so a refused one is looked at first.
    fn fault(&self, store: &Store<State>, error: &wasmtime::Error) -> Fault {
        if store.data().memory.was_refused {
            return Fault::Memory(self.config.limits.memory);
        }
        if let Some(Exhausted(what)) = error.downcast_ref() {
            return Fault::Budget(what);
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Fault::Time(self.config.limits.time),
            Some(trap) => Fault::Trap(trap.to_string()),
            None => Fault::Trap(first_line(error)),
        }
    }
}

fn give_session(store: &mut Store<State>, facts: &SessionFacts) -> wasmtime::Result<Resource<SessionHandle>> {
    Ok(store.data_mut().table.push(SessionHandle { facts: facts.clone() })?)
}

fn give_message(
    store: &mut Store<State>,
    facts: &maitred_policy::MessageFacts,
    has_body: bool,
) -> wasmtime::Result<Resource<MessageHandle>> {
    Ok(store.data_mut().table.push(MessageHandle { facts: facts.clone(), has_body, parts: None })?)
}

fn attempt(login: &LoginFacts) -> Attempt {
    Attempt {
        mechanism: login.mechanism.clone(),
        identity: login.identity.clone(),
        succeeded: login.has_succeeded,
    }
}

#[async_trait]
impl Plugin for Loaded {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn has(&self, hook: Hook) -> bool {
        self.guest.hooks.has(hook)
    }

    fn on_error(&self) -> OnError {
        self.config.on_error
    }

    async fn call(&self, session: &SessionFacts, call: HookCall<'_>) -> Result<Decision, Fault> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = self.run(session, call).await;
        if answer.is_err() {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }
}
