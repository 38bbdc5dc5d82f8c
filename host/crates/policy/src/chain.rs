//! Several plugins, one answer.

use std::sync::Arc;

use maitred_mail::{Class, EnhancedStatus};

use crate::decision::{Decision, Edit, Refusal, Verdict};
use crate::facts::{Hook, HookCall, SessionFacts};
use crate::registry::{Fault, OnError, Plugin};

/// The plugins of one generation, in order. Immutable: a swap makes a new one, whoever holds this one keeps it.
#[derive(Default)]
pub struct Chain {
    plugins: Vec<Arc<dyn Plugin>>,
}

/// Where sessions get the chain of now from.
pub type Chains = Arc<dyn Fn() -> Arc<Chain> + Send + Sync>;

/// One plugin's part in an outcome, for logs and traces.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its name.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// Its verdict's name, or `fault`.
    pub verdict: &'static str,
    /// The fault, when there was one.
    pub fault: Option<Fault>,
}

/// What the chain as a whole answered.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The verdict that holds: the first that is not `Next`.
    pub verdict: Verdict,
    /// All edits, in the order in which the plugins ran.
    pub edits: Vec<Edit>,
    /// Who said what (plugins without an opinion left out).
    pub said: Vec<Said>,
}

impl Chain {
    /// These plugins, already in order.
    pub fn new(plugins: Vec<Arc<dyn Plugin>>) -> Self {
        Self { plugins }
    }

    /// True when no plugin has this hook: the caller can save the work of preparing the facts.
    pub fn is_silent(&self, hook: Hook) -> bool {
        !self.plugins.iter().any(|plugin| plugin.has(hook))
    }

    /// Asks one plugin after the other, until one has an opinion. Edits of all that were asked are kept. All see the same
    /// facts: who applies edits between them asks each by itself, with [`Chain::of`] and [`Outcome::take`].
    pub async fn ask(&self, session: &SessionFacts, call: HookCall<'_>) -> Outcome {
        let mut outcome = Outcome { verdict: Verdict::Next, edits: Vec::new(), said: Vec::new() };
        for plugin in self.of(call.hook()) {
            if outcome.take(plugin.as_ref(), plugin.call(session, call).await) {
                break;
            }
        }
        outcome
    }

    /// The plugins that have this hook, in order: for a caller that changes the message between them.
    pub fn of(&self, hook: Hook) -> impl Iterator<Item = &Arc<dyn Plugin>> {
        self.plugins.iter().filter(move |plugin| plugin.has(hook))
    }
}

impl Outcome {
    /// Nothing said yet.
    pub fn silent() -> Self {
        Self { verdict: Verdict::Next, edits: Vec::new(), said: Vec::new() }
    }

    /// Adds one plugin's answer; true when the stage is decided.
    pub fn take(&mut self, plugin: &dyn Plugin, answer: Result<Decision, Fault>) -> bool {
        let (decision, fault) = match answer {
            Ok(decision) => (decision, None),
            Err(fault) => (Decision { verdict: failed(plugin.on_error()), edits: Vec::new() }, Some(fault)),
        };
        if fault.is_some() || decision.verdict != Verdict::Next || !decision.edits.is_empty() {
            self.said.push(Said {
                plugin: plugin.name().to_owned(),
                version: plugin.version().to_owned(),
                verdict: if fault.is_some() { "fault" } else { decision.verdict.name() },
                fault,
            });
        }
        self.edits.extend(decision.edits);
        self.verdict = decision.verdict;
        self.verdict != Verdict::Next
    }
}

/// What a fault means under this setting.
fn failed(on_error: OnError) -> Verdict {
    let refusal = |class| Refusal {
        status: EnhancedStatus::new(class, 7, 1),
        text: "A policy check could not be completed".to_owned(),
    };
    match on_error {
        OnError::Next => Verdict::Next,
        OnError::Tempfail => Verdict::Tempfail(refusal(Class::Persistent)),
        OnError::Reject => Verdict::Reject(refusal(Class::Permanent)),
        OnError::Quarantine => Verdict::Quarantine("a policy check could not be completed".to_owned()),
    }
}
