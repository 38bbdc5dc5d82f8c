//! How several answers become one.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use maitred_mail::{Class, EnhancedStatus, Timestamp};
use maitred_policy::{
    Answer, Called, Chain, Decision, Direction, Edit, Fault, Findings, Hook, HookCall, OnError, Outcome,
    Peer, Plugin, Refusal, SessionFacts, Verdict,
};

/// Answers what it was told to, at one hook.
struct Fake {
    name: &'static str,
    hook: Hook,
    on_error: OnError,
    answer: Result<Decision, Fault>,
    held: Option<Decision>,
    asked: AtomicUsize,
    order: Arc<Mutex<Vec<&'static str>>>,
}

#[async_trait]
impl Plugin for Fake {
    fn name(&self) -> &str {
        self.name
    }

    fn has(&self, hook: Hook) -> bool {
        hook == self.hook
    }

    fn on_error(&self, _: Hook) -> OnError {
        self.on_error
    }

    async fn recall(&self, _: &SessionFacts, _: HookCall<'_>) -> Option<Called> {
        let answer = Ok(Answer::Filter(self.held.clone()?));
        Some(Called { version: "1.0.0@00000000".into(), elapsed: Duration::ZERO, answer })
    }

    async fn call(&self, _: &SessionFacts, _: HookCall<'_>) -> Called {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.order.lock().unwrap_or_else(PoisonError::into_inner).push(self.name);
        let answer = self.answer.clone().map(Answer::Filter);
        Called { version: "1.0.0@00000000".into(), elapsed: Duration::ZERO, answer }
    }
}

fn fake(name: &'static str, answer: Result<Decision, Fault>) -> Fake {
    Fake {
        name,
        hook: Hook::Connect,
        on_error: OnError::Next,
        answer,
        held: None,
        asked: AtomicUsize::new(0),
        order: Arc::default(),
    }
}

fn saying(verdict: Verdict, edits: Vec<Edit>) -> Result<Decision, Fault> {
    Ok(Decision { verdict, edits })
}

fn tag(name: &str) -> Edit {
    Edit::Tag(name.to_owned(), String::new())
}

fn refusal() -> Refusal {
    Refusal { status: EnhancedStatus::new(Class::Permanent, 7, 1), text: "no".to_owned() }
}

/// Fakes never wait.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn ask(fakes: Vec<Fake>) -> (Option<Outcome>, Vec<usize>) {
    let fakes: Vec<Arc<Fake>> = fakes.into_iter().map(Arc::new).collect();
    let chain = Chain::new(fakes.iter().map(|fake| Arc::clone(fake) as Arc<dyn Plugin>).collect());
    let session = SessionFacts {
        id: "s1".to_owned(),
        listener: "smtp".to_owned(),
        direction: Direction::Inbound,
        peer: Peer { remote: ([192, 0, 2, 1], 40000).into(), local: ([127, 0, 0, 1], 25).into() },
        helo: None,
        tls: None,
        login: None,
        may_relay: false,
        transaction: None,
        started: Timestamp(0),
        notes: Arc::default(),
        findings: Findings::default(),
    };
    let outcome = now(chain.ask(&session, HookCall::Connect));
    (outcome, fakes.iter().map(|fake| fake.asked.load(Ordering::Relaxed)).collect())
}

#[test]
fn who_has_no_opinion_is_followed_by_the_next_and_edits_add_up_in_order() {
    let (outcome, asked) = ask(vec![
        fake("a", saying(Verdict::Next, vec![tag("1")])),
        fake("b", saying(Verdict::Next, Vec::new())),
        fake("c", saying(Verdict::Next, vec![tag("2"), tag("3")])),
    ]);
    let outcome = outcome.unwrap();
    assert_eq!(asked, [1, 1, 1]);
    assert_eq!(outcome.verdict, Verdict::Next);
    assert_eq!(outcome.edits, [tag("1"), tag("2"), tag("3")]);
    let said: Vec<&str> = outcome.said.iter().map(|said| said.plugin.as_str()).collect();
    assert_eq!(said, ["a", "c"], "who neither decided nor changed anything has said nothing");
}

#[test]
fn the_first_opinion_holds_and_nobody_is_asked_after_it() {
    for verdict in [
        Verdict::Accept,
        Verdict::Reject(refusal()),
        Verdict::Tempfail(refusal()),
        Verdict::Quarantine("odd".to_owned()),
        Verdict::Discard("junk".to_owned()),
        Verdict::Disconnect(refusal()),
    ] {
        let (outcome, asked) = ask(vec![
            fake("a", saying(Verdict::Next, vec![tag("kept")])),
            fake("b", saying(verdict.clone(), vec![tag("last")])),
            fake("c", saying(Verdict::Discard("never".to_owned()), Vec::new())),
        ]);
        let outcome = outcome.unwrap();
        assert_eq!(asked, [1, 1, 0], "{verdict:?}");
        assert_eq!(outcome.verdict, verdict);
        assert_eq!(outcome.edits, [tag("kept"), tag("last")]);
    }
}

#[test]
fn who_has_answered_already_is_not_called() {
    let held = |name, verdict, edits| {
        let held = Some(Decision { verdict, edits });
        Fake { held, ..fake(name, Err(Fault::Missing)) }
    };
    let (outcome, asked) = ask(vec![
        held("a", Verdict::Next, vec![tag("1")]),
        fake("b", saying(Verdict::Next, vec![tag("2")])),
        held("c", Verdict::Reject(refusal()), Vec::new()),
        fake("d", saying(Verdict::Next, Vec::new())),
    ]);
    let outcome = outcome.unwrap();
    assert_eq!(asked, [0, 1, 0, 0]);
    assert_eq!(outcome.verdict, Verdict::Reject(refusal()));
    assert_eq!(outcome.edits, [tag("1"), tag("2")]);
    let said: Vec<&str> = outcome.said.iter().map(|said| said.plugin.as_str()).collect();
    assert_eq!(said, ["a", "b", "c"], "it is told as if it had been called");
}

#[test]
fn a_fault_means_what_on_error_says() {
    let fault = || Err(Fault::Time(Duration::from_millis(250)));
    let class = |verdict: &Verdict| match verdict {
        Verdict::Reject(refusal) | Verdict::Tempfail(refusal) => Some(refusal.status.class),
        _ => None,
    };
    for (on_error, name, status, is_last) in [
        (OnError::Next, "next", None, false),
        (OnError::Tempfail, "tempfail", Some(Class::Persistent), true),
        (OnError::Reject, "reject", Some(Class::Permanent), true),
        (OnError::Quarantine, "quarantine", None, true),
    ] {
        let (outcome, asked) = ask(vec![
            Fake { on_error, ..fake("broken", fault()) },
            fake("next", saying(Verdict::Next, vec![tag("after")])),
        ]);
        let outcome = outcome.unwrap();
        assert_eq!((outcome.verdict.name(), class(&outcome.verdict)), (name, status));
        assert_eq!(asked, [1, usize::from(!is_last)]);
        assert_eq!(outcome.said[0].verdict, "fault");
        assert_eq!(outcome.said[0].fault, fault().err());
    }
}

#[test]
fn a_plugin_is_only_asked_at_the_hooks_it_has() {
    let at_rcpt =
        Fake { hook: Hook::Rcpt, ..fake("r", saying(Verdict::Discard("no".to_owned()), Vec::new())) };
    let (outcome, asked) = ask(vec![at_rcpt, fake("c", saying(Verdict::Accept, Vec::new()))]);
    assert_eq!((outcome.unwrap().verdict, asked), (Verdict::Accept, vec![0, 1]));
    let chain = Chain::new(vec![Arc::new(fake("c", saying(Verdict::Next, Vec::new())))]);
    assert!(chain.is_silent(Hook::Message) && !chain.is_silent(Hook::Connect));
}

#[test]
fn they_run_in_the_order_of_the_chain() {
    let order: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let next = |name| Fake { order: Arc::clone(&order), ..fake(name, saying(Verdict::Next, Vec::new())) };
    ask(vec![next("b"), next("a"), next("c")]);
    assert_eq!(*order.lock().unwrap(), ["b", "a", "c"]);
}
