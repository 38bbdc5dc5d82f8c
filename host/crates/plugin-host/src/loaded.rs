//! One loaded version of a plugin: called in a fresh sandbox each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use maitred_policy::{
    Decision, Fault, Hook, HookCall, LoginFacts, OnError, Plugin, PluginFacts, SessionFacts, facts,
};
use tokio::sync::Semaphore;
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
    pre: InstancePre<State>,
    hooks: Hooks,
    pub(crate) config: PluginConfig,
    json: Arc<str>,
    name: Arc<str>,
    origin: &'static str,
    own_version: String,
    version: String,
    digest: String,
    slots: Semaphore,
    calls: AtomicU64,
    faults: AtomicU64,
}

/// Beyond its own time a call may take so long until the next tick sees it.
const GRACE: Duration = Duration::from_millis(100);

impl Loaded {
    #[expect(clippy::too_many_arguments, reason = "called once, by the loader, with what it has found out")]
    pub(crate) fn new(
        machine: Arc<Machine>,
        pre: InstancePre<State>,
        hooks: Hooks,
        config: PluginConfig,
        json: Arc<str>,
        origin: &'static str,
        own_version: String,
        digest: String,
    ) -> Self {
        let short: String = digest.chars().take(8).collect();
        Self {
            machine,
            pre,
            hooks,
            json,
            name: config.name.as_str().into(),
            origin,
            version: format!("{own_version}@{short}"),
            own_version,
            digest,
            slots: Semaphore::new(config.limits.concurrency.min(crate::engine::INSTANCES_MAX)),
            config,
            calls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
        }
    }

    pub(crate) fn facts(&self, is_enabled: bool) -> PluginFacts {
        PluginFacts {
            name: self.config.name.clone(),
            version: self.own_version.clone(),
            digest: self.digest.clone(),
            order: self.config.order,
            is_enabled,
            hooks: self.hooks.list(),
            origin: self.origin.to_owned(),
            calls: self.calls.load(Ordering::Relaxed),
            faults: self.faults.load(Ordering::Relaxed),
        }
    }

    async fn run(&self, session: &SessionFacts, call: HookCall<'_>) -> Result<Decision, Fault> {
        let time = self.config.limits.time;
        let busy = |_| Fault::Busy(time);
        let _slot =
            timeout(time, self.slots.acquire()).await.map_err(busy)?.map_err(|_| Fault::Busy(time))?;
        let state = State::new(&self.config.limits, Arc::clone(&self.json), Arc::clone(&self.name), now_ms());
        let mut store = Store::new(&self.machine.engine, state);
        bound(&mut store, time);
        let _running = self.machine.running();
        let called = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
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
        let hooks = &self.hooks;
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
    Ok(store.data_mut().table.push(MessageHandle { facts: facts.clone(), has_body })?)
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
        let hooks = &self.hooks;
        match hook {
            Hook::Connect => hooks.connect.is_some(),
            Hook::Helo => hooks.helo.is_some(),
            Hook::Auth => hooks.auth.is_some(),
            Hook::Mail => hooks.mail.is_some(),
            Hook::Rcpt => hooks.rcpt.is_some(),
            Hook::Headers => hooks.headers.is_some(),
            Hook::Message => hooks.message.is_some(),
            Hook::Disconnect => hooks.disconnect.is_some(),
        }
    }

    fn on_error(&self) -> OnError {
        self.config.on_error
    }

    async fn call(&self, session: &SessionFacts, call: HookCall<'_>) -> Result<Decision, Fault> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = self.run(session, call).await;
        if let Err(fault) = &answer {
            self.faults.fetch_add(1, Ordering::Relaxed);
            let hook = format!("{:?}", call.hook());
            tracing::warn!(plugin = %self.config.name, "plugin.version" = %self.version, hook, fault = %fault, "plugin failed");
        }
        answer
    }
}
