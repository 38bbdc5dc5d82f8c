//! A plugin's place in the chain: the version in service, the one that is tried out beside it, and the recording.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use maitred_policy::{Answer, Called, Fault, Hook, HookCall, OnError, Plugin, SessionFacts};

use crate::config::PluginConfig;
use crate::loaded::{Loaded, Ran};
use crate::record::Recorder;
use crate::state::new_seed;
use crate::trial::{Asked, OnTrial, obeyed_means};

/// One place. A change of it makes a new one, in a new chain.
pub(crate) struct Seat {
    pub(crate) config: PluginConfig,
    pub(crate) primary: Option<Arc<Loaded>>,
    pub(crate) trial: Option<Arc<OnTrial>>,
    pub(crate) recorder: Arc<Recorder>,
}

impl Seat {
    /// The version in service, where that is all there is to it: as nearly always.
    fn alone(&self) -> Option<&Arc<Loaded>> {
        self.primary.as_ref().filter(|_| self.trial.is_none() && !self.recorder.is_on())
    }

    /// The other version of a trial that goes on, if it has something to say at this hook.
    fn other(&self, is_canary: bool, hook: Hook) -> Option<(&Arc<OnTrial>, Option<Arc<Loaded>>)> {
        let trial = self.trial.as_ref().filter(|trial| trial.is_on())?;
        let (one, other) = (self.primary.as_ref(), Some(&trial.candidate));
        let concerns = [one, other].into_iter().flatten().any(|loaded| loaded.has(hook));
        // What is only told has no verdict to compare.
        (concerns && !hook.is_event())
            .then(|| (trial, if is_canary { self.primary.clone() } else { other.cloned() }))
    }

    /// Asks the one that is obeyed: this one, or the version in service.
    async fn ask(
        &self,
        canary: Option<&Arc<OnTrial>>,
        session: &SessionFacts,
        call: HookCall<'_>,
    ) -> (Called, Option<Ran>, u64, u64) {
        let hook = call.hook();
        let candidate = canary.map(|trial| &trial.candidate);
        let obeyed = candidate.or(self.primary.as_ref()).filter(|loaded| loaded.has(hook));
        let is_kept = self.recorder.is_on() || self.other(canary.is_some(), hook).is_some();
        let seed = if is_kept { new_seed() } else { 0 };
        let Some(obeyed) = obeyed else {
            let version = candidate.map_or_else(|| "none".into(), |loaded| Arc::clone(&loaded.version));
            let called = Called { version, elapsed: Duration::ZERO, answer: Ok(Answer::Told) };
            return (called, None, seed, crate::load::now_ms());
        };
        let means = obeyed_means(obeyed, is_kept.then_some(seed));
        let now_ms = means.now_ms;
        let ran = obeyed.run_guarded(session, call, means).await;
        let called =
            Called { version: Arc::clone(&obeyed.version), elapsed: ran.elapsed, answer: ran.answer.clone() };
        (called, Some(ran), seed, now_ms)
    }
}

#[async_trait]
impl Plugin for Seat {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn has(&self, hook: Hook) -> bool {
        match (&self.primary, &self.trial) {
            // Which hooks it would have nobody knows; at the whole message, once, `on_error` can still do all that it says.
            (None, None) => hook == Hook::Message,
            (primary, trial) => {
                primary.as_ref().is_some_and(|loaded| loaded.has(hook))
                    || trial.as_ref().is_some_and(|trial| trial.is_on() && trial.candidate.has(hook))
            }
        }
    }

    fn on_error(&self, hook: Hook) -> OnError {
        self.config.on_error(hook)
    }

    async fn recall(&self, session: &SessionFacts, call: HookCall<'_>) -> Option<Called> {
        let primary = self.alone()?;
        let answer = primary.recall(session, call).await?;
        Some(Called { version: Arc::clone(&primary.version), elapsed: Duration::ZERO, answer: Ok(answer) })
    }

    async fn call(&self, session: &SessionFacts, call: HookCall<'_>) -> Called {
        if self.primary.is_none() && self.trial.is_none() {
            return Called {
                version: "missing".into(),
                elapsed: Duration::ZERO,
                answer: Err(Fault::Missing),
            };
        }
        if let Some(primary) = self.alone() {
            let (answer, elapsed) = primary.run_and_keep(session, call, obeyed_means(primary, None)).await;
            return Called { version: Arc::clone(&primary.version), elapsed, answer };
        }
        Box::pin(self.call_kept(session, call)).await
    }

    async fn rehearse(&self, session: &SessionFacts, call: HookCall<'_>) -> Called {
        let is_canary = self.trial.as_ref().is_some_and(|trial| trial.takes(session, call));
        let candidate = self.trial.as_ref().filter(|_| is_canary).map(|trial| &trial.candidate);
        match candidate.or(self.primary.as_ref()) {
            Some(loaded) => {
                let Ran { answer, elapsed, .. } = loaded.rehearse(session, call).await;
                Called { version: Arc::clone(&loaded.version), elapsed, answer }
            }
            None => Called { version: "none".into(), elapsed: Duration::ZERO, answer: Ok(Answer::Told) },
        }
    }
}

impl Seat {
    /// A call that is compared or recorded.
    async fn call_kept(&self, session: &SessionFacts, call: HookCall<'_>) -> Called {
        let began = Instant::now();
        let hook = call.hook();
        // Asked once: it may be taken back while it answers.
        let canary = self.trial.as_ref().filter(|trial| trial.takes(session, call));
        let before = self.recorder.is_on().then(|| as_it_is(session, &self.config.name));
        let (called, ran, seed, now_ms) = self.ask(canary, session, call).await;
        let transcript = ran.map(|ran| ran.transcript).unwrap_or_default();
        let is_asked = !matches!(called.answer, Err(Fault::Broken | Fault::Busy(_)));
        if let Some(before) = before.filter(|_| is_asked) {
            self.recorder.keep(before, call.to_question(), &called, &transcript, (seed, now_ms));
        }
        if let Some(trial) = canary {
            trial.obeyed(&called.answer);
            if let Some(primary) = &self.primary {
                trial.judge_time(primary);
            }
            if let (Err(fault), Some(primary)) = (&called.answer, &self.primary) {
                // A canary that fails costs no mail: who is in service is asked.
                tracing::warn!(plugin = self.config.name, plugin.version = &*called.version, hook = hook.name(), %fault, "canary failed");
                return in_its_stead(primary, session, call, began).await;
            }
        }
        let Some((trial, other)) = self.other(canary.is_some(), hook) else { return called };
        let asked = Asked {
            session: session.clone(),
            question: call.to_question(),
            is_canary: canary.is_some(),
            answer: called.answer.clone(),
            transcript,
            seed,
            now_ms,
        };
        trial.compare_later(other, asked);
        called
    }
}

/// A session with what this plugin has noted by now: what the call itself notes is no part of the question.
fn as_it_is(session: &SessionFacts, plugin: &str) -> SessionFacts {
    let notes = session.notes.lock().unwrap_or_else(PoisonError::into_inner);
    let own = notes.iter().filter(|((of, _), _)| of == plugin);
    let own = own.map(|(place, value)| (place.clone(), value.clone())).collect();
    SessionFacts { notes: Arc::new(Mutex::new(own)), ..session.clone() }
}

/// What the version in service says; if it has not that hook, nothing.
async fn in_its_stead(
    primary: &Arc<Loaded>,
    session: &SessionFacts,
    call: HookCall<'_>,
    began: Instant,
) -> Called {
    let answer = if primary.has(call.hook()) {
        primary.run_guarded(session, call, obeyed_means(primary, None)).await.answer
    } else {
        Ok(Answer::Told)
    };
    Called { version: Arc::clone(&primary.version), elapsed: began.elapsed(), answer }
}
