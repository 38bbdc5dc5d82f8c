//! Several plugins, one answer.

use std::sync::Arc;
use std::time::Duration;

use maitred_mail::{Class, EnhancedStatus};

use crate::answer::{Answer, DeliveryDecision, LoginDecision, Resolution, RouteDecision};
use crate::decision::{Decision, Edit, Refusal, Verdict};
use crate::facts::{Hook, HookCall, SessionFacts};
use crate::registry::{Called, Fault, OnError, Plugin};

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
    /// At which hook.
    pub hook: Hook,
    /// Its name.
    pub plugin: String,
    /// Its version, as `1.0.0@0123abcd`.
    pub version: Arc<str>,
    /// Its verdict's name, or `fault`.
    pub verdict: &'static str,
    /// Why, in the plugin's words.
    pub reason: Option<String>,
    /// The fault, when there was one.
    pub fault: Option<Fault>,
    /// What the call took.
    pub elapsed: Duration,
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
        let mut outcome = Outcome::silent();
        for plugin in self.of(call.hook()) {
            let called = match plugin.recall(session, call).await {
                Some(called) => called,
                None => plugin.call(session, call).await,
            };
            if outcome.take(plugin.as_ref(), call.hook(), called) {
                break;
            }
        }
        outcome
    }

    /// The first answer that is an opinion, for the hooks that are no filters; with who said what.
    pub async fn first(&self, session: &SessionFacts, call: HookCall<'_>) -> (Option<Answer>, Vec<Said>) {
        let mut said = Vec::new();
        for plugin in self.of(call.hook()) {
            let hook = call.hook();
            let Called { version, elapsed, answer } = plugin.call(session, call).await;
            let (answer, fault) = match answer {
                Ok(answer) => (answer, None),
                Err(fault) => (failed(hook, plugin.on_error(hook)), Some(fault)),
            };
            note(&mut said, plugin.as_ref(), hook, (version, elapsed), &answer, fault);
            if !answer.is_next() {
                return (Some(answer), said);
            }
        }
        (None, said)
    }

    /// The plugins that have this hook, in order: for a caller that changes the message between them. Each is to be asked by
    /// [`Plugin::recall`] before it is called.
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
    pub fn take(&mut self, plugin: &dyn Plugin, hook: Hook, called: Called) -> bool {
        let Called { version, elapsed, answer } = called;
        let (answer, fault) = match answer {
            Ok(answer) => (answer, None),
            Err(fault) => (failed(hook, plugin.on_error(hook)), Some(fault)),
        };
        note(&mut self.said, plugin, hook, (version, elapsed), &answer, fault);
        if let Answer::Filter(decision) = answer {
            self.edits.extend(decision.edits);
            self.verdict = decision.verdict;
        }
        self.verdict != Verdict::Next
    }
}

fn note(
    said: &mut Vec<Said>,
    plugin: &dyn Plugin,
    hook: Hook,
    (version, elapsed): (Arc<str>, Duration),
    answer: &Answer,
    fault: Option<Fault>,
) {
    if fault.is_some() || !answer.is_nothing() {
        said.push(Said {
            hook,
            plugin: plugin.name().to_owned(),
            version,
            verdict: if fault.is_some() { "fault" } else { answer.name() },
            reason: answer.reason().map(str::to_owned),
            fault,
            elapsed,
        });
    }
}

/// What a fault means at this hook under this setting.
fn failed(hook: Hook, on_error: OnError) -> Answer {
    let refusal = |class| Refusal {
        status: EnhancedStatus::new(class, 7, 1),
        text: "A policy check could not be completed".to_owned(),
    };
    let (later, never) = (refusal(Class::Persistent), refusal(Class::Permanent));
    let is_next = on_error == OnError::Next;
    let is_final = on_error == OnError::Reject;
    match hook {
        Hook::Resolve if is_next => Answer::Resolution(Resolution::Next),
        Hook::Resolve if is_final => Answer::Resolution(Resolution::Reject(never)),
        Hook::Resolve => Answer::Resolution(Resolution::Tempfail(later)),
        Hook::Route if is_next => Answer::Route(RouteDecision::Next),
        Hook::Route if is_final => Answer::Route(RouteDecision::Bounce(never)),
        Hook::Route => Answer::Route(RouteDecision::Defer(later)),
        Hook::Deliver if is_next => Answer::Delivery(DeliveryDecision::Next),
        Hook::Deliver if is_final => Answer::Delivery(DeliveryDecision::Reject(never)),
        Hook::Deliver => Answer::Delivery(DeliveryDecision::Tempfail(later)),
        Hook::Login if is_next => Answer::Login(LoginDecision::Next),
        Hook::Login => Answer::Login(LoginDecision::Deny(never.text)),
        Hook::Outcome | Hook::Mailbox | Hook::Tick => Answer::Told,
        Hook::Connect
        | Hook::Helo
        | Hook::Auth
        | Hook::Mail
        | Hook::Rcpt
        | Hook::Headers
        | Hook::Message
        | Hook::Disconnect => Answer::Filter(Decision {
            verdict: match on_error {
                OnError::Next => Verdict::Next,
                OnError::Tempfail => Verdict::Tempfail(later),
                OnError::Reject => Verdict::Reject(never),
                OnError::Quarantine => {
                    Verdict::Quarantine("a policy check could not be completed".to_owned())
                }
            },
            edits: Vec::new(),
        }),
    }
}
