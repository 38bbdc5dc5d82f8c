//! A house whose queue is run by hand, without timers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use maitred_flow::{Config, House, Relay, deliver};
use maitred_mail::{Address, Domain, Envelope, MailParameters, Recipient, ReversePath, Timestamp};
use maitred_policy::{
    Answer, Called, Chain, Hook, HookCall, Hop, OnError, Plugin, RouteDecision, SessionFacts,
};
use maitred_queue::Standing;
use maitred_route::Router;
use maitred_store::{Batch, Faults, Intent, Store};
use maitred_wire::Clock;

use crate::world::World;

pub struct TestClock {
    start: Instant,
    passed_ms: AtomicU64,
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.passed_ms.load(Ordering::Relaxed))
    }

    fn unix_ms(&self) -> i64 {
        1_795_515_244_000 + i64::try_from(self.passed_ms.load(Ordering::Relaxed)).unwrap()
    }
}

pub struct Test {
    pub house: Arc<House>,
    pub relay: Arc<Relay>,
    pub world: Arc<World>,
    pub faults: Faults,
    pub clock: Arc<TestClock>,
    chain: Arc<Mutex<Arc<Chain>>>,
}

type Answers = dyn Fn(&str, &[Hop]) -> RouteDecision + Send + Sync;

/// Is given the subject of the message and the hops that were found.
struct Routes(Box<Answers>);

#[async_trait]
impl Plugin for Routes {
    fn name(&self) -> &str {
        "routes"
    }

    fn has(&self, hook: Hook) -> bool {
        hook == Hook::Route
    }

    fn on_error(&self, _: Hook) -> OnError {
        OnError::Tempfail
    }

    async fn call(&self, _: &SessionFacts, call: HookCall<'_>) -> Called {
        let HookCall::Route(facts, _, hops) = call else { panic!() };
        let head = String::from_utf8(facts.head.to_vec()).unwrap();
        let subject = head.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
        let answer = Ok(Answer::Route((self.0)(subject, hops)));
        Called { version: "1".into(), elapsed: Duration::ZERO, answer }
    }
}

pub const LETTER: &str = "From: <amy@a.test>\r\nSubject: hello\r\n\r\nHello,\r\n.dots\r\n";

impl Test {
    /// amy and `full` (who has no room) at a.test; one host, mx.b.test at 192.0.2.10, for b.test.
    pub async fn new() -> Self {
        Self::with(maitred_route::Config::default()).await
    }

    pub async fn with(routes: maitred_route::Config) -> Self {
        let (store, faults) = Store::memory().unwrap();
        let mut batch = Batch::default();
        batch.intents.push(Intent::AddDomain(Domain::parse("a.test").unwrap()));
        for (name, quota) in [("amy@a.test", None), ("full@a.test", Some(10))] {
            // Nobody logs in here.
            let password_hash = "*".to_owned();
            batch.intents.push(Intent::AddAccount { address: at(name), password_hash, quota });
        }
        store.commit(batch).await.unwrap();
        let clock = Arc::new(TestClock { start: Instant::now(), passed_ms: AtomicU64::new(0) });
        let config = Config { hostname: "mx.a.test".to_owned(), ..Config::default() };
        let chain = Arc::new(Mutex::new(Arc::new(Chain::default())));
        let current = Arc::clone(&chain);
        let chains = Arc::new(move || Arc::clone(&current.lock().unwrap()));
        let house = Arc::new(House::new(store, chains, Arc::clone(&clock) as Arc<dyn Clock>, config));
        let world = Arc::new(World::default());
        world.has_mx("b.test", &[(10, "mx.b.test")]);
        world.has_address("mx.b.test", "192.0.2.10");
        let router = Router::new(routes, "mx.a.test", vec!["192.0.2.1".parse().unwrap()]).unwrap();
        let queue = maitred_queue::Config::default();
        let (resolver, dialer) = (Arc::clone(&world), Arc::clone(&world));
        let relay = Relay::new(Arc::clone(&house), router, queue, resolver, dialer, Box::new(|| ()));
        Self { house, relay: Arc::new(relay), world, faults, clock, chain }
    }

    /// One plugin with the routing hook, which answers this to everything.
    pub fn route(&self, answer: impl Fn(&str, &[Hop]) -> RouteDecision + Send + Sync + 'static) {
        let router: Arc<dyn Plugin> = Arc::new(Routes(Box::new(answer)));
        *self.chain.lock().unwrap() = Arc::new(Chain::new(vec![router]));
    }

    /// amy sends a letter.
    pub async fn send(&self, to: &[&str]) {
        self.send_as("amy@a.test", to, MailParameters::default()).await;
    }

    pub async fn send_as(&self, from: &str, to: &[&str], parameters: MailParameters) {
        let reverse_path = if from.is_empty() { ReversePath::Null } else { ReversePath::Address(at(from)) };
        let recipients = to.iter().map(|to| Recipient { address: at(to), original: None }).collect();
        let envelope = Envelope { reverse_path, parameters, recipients };
        deliver::submit_internal(&self.house, &envelope, LETTER.into()).await.unwrap();
    }

    /// Does all that is due, as the courier does.
    pub async fn run(&self) {
        for _ in 0..10_000 {
            self.relay.take_new().await.unwrap();
            if let Some(id) = self.relay.next_overdue() {
                self.relay.settle(id).await;
            } else if let Some(unit) = self.relay.next_unit() {
                self.relay.attempt(unit).await;
            } else {
                let next = self.relay.next_wake(true);
                assert!(next.is_none_or(|at| at > self.relay.now()), "the courier would spin");
                return;
            }
        }
        panic!("the queue does not come to rest");
    }

    /// Lets time pass, and does what becomes due when it does.
    pub async fn pass(&self, time: Duration) {
        let end = self.relay.now().plus(time);
        for _ in 0..10_000 {
            let next = self.relay.next_wake(true).filter(|at| *at <= end);
            let until = next.unwrap_or(end).since(self.relay.now());
            self.clock.passed_ms.fetch_add(u64::try_from(until.as_millis()).unwrap(), Ordering::Relaxed);
            self.run().await;
            if next.is_none() {
                return;
            }
        }
        panic!("the queue does not come to rest");
    }

    /// How many messages the store has queued; the relay agrees.
    pub async fn queued(&self) -> usize {
        let count = self.house.store.queue().await.unwrap().len();
        assert_eq!(count, self.relay.len());
        count
    }

    /// The only entry in the queue.
    pub fn only(&self) -> Standing {
        let mut all = self.relay.list();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// In how many minutes the only entry is tried again.
    pub fn minutes_left(&self) -> u64 {
        let next: Timestamp = self.only().next_attempt.expect("a next attempt");
        next.since(self.relay.now()).as_secs() / 60
    }

    /// What is in amy's INBOX.
    pub async fn inbox(&self) -> Vec<String> {
        let store = &self.house.store;
        let account = store.directory().account(&at("amy@a.test")).unwrap();
        let id = store.mailbox(account, "INBOX").await.unwrap().id.unwrap();
        let uids: Vec<_> = store.watch(id).await.unwrap().snapshot().iter().map(|entry| entry.uid).collect();
        let mut contents = Vec::new();
        for record in store.records(id, &uids).await.unwrap() {
            let octets = store.body(&record.body).read(0, usize::MAX).await.unwrap();
            contents.push(String::from_utf8(octets.to_vec()).unwrap());
        }
        contents
    }

    /// The only report in amy's INBOX.
    pub async fn report(&self) -> String {
        let mut inbox = self.inbox().await;
        assert_eq!(inbox.len(), 1, "{inbox:?}");
        inbox.remove(0)
    }
}

pub fn at(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// The text of a reason why a recipient waits.
pub fn reason(standing: &Standing) -> String {
    match &standing.entry.recipients[0].state {
        maitred_queue::State::Fresh => "fresh".to_owned(),
        maitred_queue::State::Deferred { status, text, .. } => format!("{status} {text}"),
    }
}
