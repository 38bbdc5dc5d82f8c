//! One loaded version of a plugin: called in a fresh sandbox each time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use maitred_policy::{Answer, Ask, Fault, Hook, HookCall, Outside, Question, Reply, SessionFacts};
use tokio::sync::{AcquireError, Semaphore};
use tokio::time::timeout;
use wasmtime::component::InstancePre;
use wasmtime::{Store, Trap};

use crate::ask::ask;
use crate::bindings::v0_1::exports::maitred::plugin as exports;
use crate::breaker::{Breaker, Turn};
use crate::config::PluginConfig;
use crate::engine::Machine;
use crate::fresh::{Answers, Term};
use crate::hooks::Hooks;
use crate::lane::Long;
use crate::load::{bound, first_line, now_ms};
use crate::outside::Void;
use crate::state::{Exhausted, Identity, Means, Seed, State};
use crate::stats::{Stats, Used};

/// A plugin ready to be called.
pub(crate) struct Loaded {
    pub(crate) machine: Arc<Machine>,
    pub(crate) guest: Guest,
    pub(crate) identity: Arc<Identity>,
    /// The real world.
    pub(crate) outside: Arc<dyn Outside>,
    pub(crate) config: PluginConfig,
    pub(crate) origin: Origin,
    /// As `1.0.0@0123abcd`.
    pub(crate) version: Arc<str>,
    pub(crate) stats: Stats,
    /// What it answered that still holds.
    fresh: Answers,
    /// One for each hook: where it fails, it is left alone.
    breakers: [Breaker; Hook::ALL.len()],
    slots: Arc<Semaphore>,
}

/// What the loader made of a component.
pub(crate) struct Guest {
    pub(crate) pre: InstancePre<State>,
    pub(crate) hooks: Hooks,
    /// By which its answers may hold for longer than a call.
    pub(crate) terms: Vec<Term>,
    /// It could not be frozen behind its `init`: each instance sets up first.
    pub(crate) setup: Option<exports::lifecycle::GuestIndices>,
    /// What it says its version is.
    pub(crate) version: String,
    /// BLAKE3 of the component, hexadecimal.
    pub(crate) digest: String,
}

/// What a call used, what it asked outside, and by which of its terms the answer holds.
#[derive(Default)]
struct Beside {
    used: Used,
    transcript: Vec<(Ask, Reply)>,
    term: Option<usize>,
}

type Called = (Result<Answer, Fault>, Beside);

/// Where a component came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Bundled,
    Configured,
    Directory,
}

/// What a call came to.
pub(crate) struct Ran {
    pub(crate) answer: Result<Answer, Fault>,
    pub(crate) elapsed: Duration,
    /// What it asked outside, if that was to be written down.
    pub(crate) transcript: Vec<(Ask, Reply)>,
    /// By which of its terms that holds.
    term: Option<usize>,
}

impl Origin {
    pub(crate) fn name(self) -> &'static str {
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
    pub(crate) fn new(
        machine: Arc<Machine>,
        mut guest: Guest,
        (identity, outside): (Arc<Identity>, Arc<dyn Outside>),
        config: PluginConfig,
        origin: Origin,
    ) -> Self {
        let terms = std::mem::take(&mut guest.terms);
        let short: String = guest.digest.chars().take(8).collect();
        Self {
            machine,
            origin,
            version: format!("{}@{short}", guest.version).into(),
            slots: Arc::new(Semaphore::new(config.limits.concurrency.clamp(1, Semaphore::MAX_PERMITS))),
            stats: Stats::new(),
            fresh: Answers::new(terms),
            breakers: std::array::from_fn(|_| Breaker::new(Instant::now())),
            identity,
            outside,
            guest,
            config,
        }
    }

    /// True when loading this would make the same plugin again.
    pub(crate) fn is(&self, digest: &str, config: &PluginConfig, origin: Origin) -> bool {
        self.guest.digest == digest && self.config == *config && self.origin == origin
    }

    pub(crate) fn digest(&self) -> &str {
        &self.guest.digest
    }

    /// It fails too often at one of its hooks, and is not asked there.
    pub(crate) fn is_broken(&self) -> bool {
        self.breakers.iter().any(Breaker::is_open)
    }

    /// What it says its version is.
    pub(crate) fn own_version(&self) -> &str {
        &self.guest.version
    }

    pub(crate) fn hooks(&self) -> &Hooks {
        &self.guest.hooks
    }

    pub(crate) fn has(&self, hook: Hook) -> bool {
        self.guest.hooks.has(hook)
    }

    /// What it has answered to one like this, if that still holds.
    pub(crate) async fn recall(&self, session: &SessionFacts, call: HookCall<'_>) -> Option<Answer> {
        let decision = self.fresh.find(session, call, Instant::now()).await?;
        self.stats.note_found(call.hook());
        Some(Answer::Filter(decision))
    }

    /// Asks it, and keeps what it says that holds.
    pub(crate) async fn run_and_keep(
        self: &Arc<Self>,
        session: &SessionFacts,
        call: HookCall<'_>,
        means: Means,
    ) -> (Result<Answer, Fault>, Duration) {
        let ran = self.run_guarded(session, call, means).await;
        if let (Some(term), Ok(Answer::Filter(decision))) = (ran.term, &ran.answer) {
            self.fresh.keep(session, call, decision, term, Instant::now()).await;
        }
        (ran.answer, ran.elapsed)
    }

    /// Asks it, unless it failed too often.
    pub(crate) async fn run_guarded(
        self: &Arc<Self>,
        session: &SessionFacts,
        call: HookCall<'_>,
        means: Means,
    ) -> Ran {
        let breaker = self.breakers.get(call.hook() as usize);
        if breaker.is_some_and(|breaker| !breaker.may_call(Instant::now())) {
            let answer = Err(Fault::Broken);
            self.stats.note(call.hook(), &answer, Used::default());
            return Ran { answer, elapsed: Duration::ZERO, transcript: Vec::new(), term: None };
        }
        let ran = self.run(session, call, means).await;
        // Who waited in vain for a free instance did not fail.
        let has_failed = matches!(&ran.answer, Err(fault) if !matches!(fault, Fault::Busy(_)));
        let plugin = &self.config.name;
        match breaker
            .map_or(Turn::Same, |breaker| breaker.note(has_failed, session.peer.remote.ip(), Instant::now()))
        {
            Turn::Same => {}
            Turn::Opened(pause) => tracing::error!(
                plugin,
                plugin.version = &*self.version,
                ?pause,
                "plugin fails too often: it is not asked for a while, on_error holds"
            ),
            Turn::Closed => {
                tracing::info!(
                    plugin,
                    plugin.version = &*self.version,
                    hook = call.hook().name(),
                    "plugin is asked again"
                );
            }
        }
        ran
    }

    /// Asks it.
    pub(crate) async fn run(
        self: &Arc<Self>,
        session: &SessionFacts,
        call: HookCall<'_>,
        means: Means,
    ) -> Ran {
        let began = Instant::now();
        let (answer, Beside { used, transcript, term }) = self.run_in_time(session, call, means).await;
        let used = Used { elapsed: began.elapsed(), ..used };
        self.stats.note(call.hook(), &answer, used);
        Ran { answer, elapsed: used.elapsed, transcript, term }
    }

    /// Asks it with its effects void; nothing is counted.
    pub(crate) async fn rehearse(self: &Arc<Self>, session: &SessionFacts, call: HookCall<'_>) -> Ran {
        let means = Means {
            outside: Arc::new(Void::over(Arc::clone(&self.outside), Arc::default())),
            now_ms: now_ms(),
            seed: Seed::System,
            transcript: None,
            is_void: true,
        };
        let began = Instant::now();
        let (answer, Beside { transcript, .. }) = self.run_in_time(session, call, means).await;
        Ran { answer, elapsed: began.elapsed(), transcript, term: None }
    }

    async fn run_in_time(
        self: &Arc<Self>,
        session: &SessionFacts,
        call: HookCall<'_>,
        means: Means,
    ) -> Called {
        let time = self.config.limits.time;
        let free = async {
            let own = Arc::clone(&self.slots).acquire_owned().await?;
            Ok((own, Arc::clone(&self.machine.calls).acquire_owned().await?))
        };
        let free = timeout(time, free).await.ok().and_then(Result::<_, AcquireError>::ok);
        let Some(slots) = free else { return (Err(Fault::Busy(time)), Beside::default()) };
        let long = Long::default();
        let called = Arc::clone(self).call(session.clone(), call.to_question(), means, long.clone());
        let called = async move {
            // Held for as long as the sandbox is there.
            let _slots = slots;
            called.await
        };
        self.machine.run(&long, called).await
    }

    /// One call in a sandbox of its own.
    async fn call(
        self: Arc<Self>,
        session: SessionFacts,
        question: Question,
        means: Means,
        long: Long,
    ) -> Called {
        let time = self.config.limits.time;
        let (state, later) = match &self.guest.setup {
            None => (State::new(&self.identity, means), None),
            Some(setup) => (State::setting_up(&self.identity, true), Some((setup, means))),
        };
        let mut store = Store::new(&self.machine.engine, state);
        if let Err(error) = bound(&self.machine, &mut store, time, &long) {
            return (Err(Fault::Trap(first_line(&error))), Beside::default());
        }
        let _running = self.machine.running();
        let called = async {
            let instance = self.guest.pre.instantiate_async(&mut store).await?;
            if let Some((setup, means)) = later {
                let set_up = setup.load(&mut store, &instance)?.call_init(&mut store).await?;
                set_up.map_err(wasmtime::Error::msg)?;
                store.data_mut().begin(means);
            }
            ask(&self.guest.hooks, &mut store, &instance, session, question).await
        };
        let answer = match timeout(time + self.config.limits.wait + GRACE, called).await {
            Ok(Ok(answer)) => answer.map_err(Fault::Answer),
            Ok(Err(error)) => Err(self.fault(&store, &error)),
            Err(_) => Err(Fault::Time(time)),
        };
        let state = store.data_mut();
        let used = Used {
            elapsed: Duration::ZERO,
            waited: state.spent.waited,
            host_calls: state.budget.made(self.config.limits.host_calls),
            memory: state.memory.octets,
        };
        let transcript = state.means.transcript.take().unwrap_or_default();
        (answer, Beside { used, transcript, term: state.term.take() })
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
            Some(Trap::Interrupt | Trap::OutOfFuel) => Fault::Time(self.config.limits.time),
            Some(trap) => Fault::Trap(trap.to_string()),
            None => Fault::Trap(first_line(error)),
        }
    }
}
