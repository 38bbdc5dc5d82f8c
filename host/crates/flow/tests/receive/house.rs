//! A house with two domains' worth of accounts, and clients to talk to it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use maitred_flow::{Arrival, Config, House, Receive};
use maitred_mail::directory::AliasKey;
use maitred_mail::{AccountId, Address, Domain};
use maitred_policy::facts::{MailboxFacts, OutcomeFacts};
use maitred_policy::{
    Answer, Called, Chain, Decision, Fault, Herald, Hook, HookCall, OnError, Peer, Plugin, SessionFacts,
};
use maitred_smtp::server::{Mode, Session};
use maitred_store::{Batch, Faults, Intent, Store};
use maitred_wire::{Clock, Engine as _, Handler as _, Step};

pub struct TestClock {
    start: Instant,
    passed_ms: AtomicU64,
}

impl TestClock {
    pub fn pass(&self, time: Duration) {
        self.passed_ms.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }
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
    pub faults: Faults,
    pub clock: Arc<TestClock>,
    chain: Arc<Mutex<Arc<Chain>>>,
    pub heard: Arc<Heard>,
}

/// What was told afterwards.
#[derive(Default)]
pub struct Heard {
    pub outcomes: Mutex<Vec<OutcomeFacts>>,
    pub mailboxes: Mutex<Vec<MailboxFacts>>,
}

impl Herald for Heard {
    fn outcomes(&self, outcomes: Vec<OutcomeFacts>) {
        self.outcomes.lock().unwrap().extend(outcomes);
    }

    fn mailboxes(&self, events: Vec<MailboxFacts>) {
        self.mailboxes.lock().unwrap().extend(events);
    }
}

pub const PASSWORD: &str = "correct horse";

impl Test {
    /// bob and amy at a.test; `info` leads to bob and to x@c.test; `list` to both; `full` has a quota of 100 octets.
    pub async fn new() -> Self {
        let (store, faults) = Store::memory().unwrap();
        let mut batch = Batch::default();
        batch.intents.push(Intent::AddDomain(Domain::parse("a.test").unwrap()));
        let password_hash = store.hash_password(PASSWORD).await.unwrap();
        for (name, quota) in [("bob@a.test", None), ("amy@a.test", None), ("full@a.test", Some(100))] {
            let password_hash = password_hash.clone();
            batch.intents.push(Intent::AddAccount { address: at(name), password_hash, quota });
        }
        let aliases =
            [("info@a.test", ["bob@a.test", "x@c.test"]), ("list@a.test", ["bob@a.test", "amy@a.test"])];
        for (alias, targets) in aliases {
            let targets = targets.map(at).to_vec();
            batch.intents.push(Intent::SetAlias { key: AliasKey::Address(at(alias)), targets });
        }
        store.commit(batch).await.unwrap();
        let clock = Arc::new(TestClock { start: Instant::now(), passed_ms: AtomicU64::new(0) });
        let chain = Arc::new(Mutex::new(Arc::new(Chain::default())));
        let current = Arc::clone(&chain);
        let config = Config { hostname: "mx.a.test".to_owned(), ..Config::default() };
        let house = House::new(
            store,
            Arc::new(move || Arc::clone(&current.lock().unwrap())),
            Arc::clone(&clock) as Arc<dyn Clock>,
            config,
        );
        let heard = Arc::new(Heard::default());
        let house = house.with_herald(Arc::clone(&heard) as Arc<dyn Herald>);
        Self { house: Arc::new(house), faults, clock, chain, heard }
    }

    pub fn load(&self, plugins: Vec<Arc<dyn Plugin>>) {
        *self.chain.lock().unwrap() = Arc::new(Chain::new(plugins));
    }

    pub async fn connect(&self, mode: Mode) -> Client {
        self.connect_as(mode, false).await
    }

    pub async fn connect_as(&self, mode: Mode, may_relay: bool) -> Client {
        let mut config = maitred_smtp::server::Config::new(mode, "mx.a.test");
        config.allow_plaintext = true;
        let arrival = Arrival {
            session: 7,
            peer: Peer { remote: "192.0.2.9:4025".parse().unwrap(), local: "192.0.2.1:25".parse().unwrap() },
            listener: "smtp",
            mode,
            may_relay,
        };
        let mut client = Client {
            session: Session::new(Arc::new(config)),
            handler: Receive::new(Arc::clone(&self.house), &arrival),
            clock: Arc::clone(&self.clock),
        };
        client.pump(b"").await;
        client.say(if mode == Mode::Lmtp { "LHLO c.test" } else { "EHLO c.test" }).await;
        client
    }

    pub fn account(&self, address: &str) -> AccountId {
        self.house.store.directory().account(&at(address)).unwrap()
    }

    /// What is in a mailbox, oldest first; empty when it is not there.
    pub async fn mail(&self, address: &str, mailbox: &str) -> Vec<String> {
        let store = &self.house.store;
        let Ok(record) = store.mailbox(self.account(address), mailbox).await else { return Vec::new() };
        let id = record.id.unwrap();
        let uids: Vec<_> = store.watch(id).await.unwrap().snapshot().iter().map(|entry| entry.uid).collect();
        let mut contents = Vec::new();
        for record in store.records(id, &uids).await.unwrap() {
            let octets = store.body(&record.body).read(0, usize::MAX).await.unwrap();
            contents.push(String::from_utf8(octets.to_vec()).unwrap());
        }
        contents
    }
}

pub fn at(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// A client on one connection.
pub struct Client {
    session: Session,
    handler: Receive,
    clock: Arc<TestClock>,
}

impl Client {
    /// Says a line; what comes back.
    pub async fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await
    }

    pub async fn send(&mut self, octets: &[u8]) -> String {
        self.pump(octets).await
    }

    /// A whole transaction; the last reply.
    pub async fn letter(&mut self, from: &str, to: &[&str], content: &str) -> String {
        let mut replies = self.say(&format!("MAIL FROM:<{from}>")).await;
        for recipient in to {
            replies += &self.say(&format!("RCPT TO:<{recipient}>")).await;
        }
        let go_ahead = self.say("DATA").await;
        if !go_ahead.starts_with("354") {
            return replies + &go_ahead;
        }
        self.send(format!("{content}.\r\n").as_bytes()).await
    }

    pub async fn log_in(&mut self, name: &str, password: &str) -> String {
        self.say("AUTH LOGIN").await;
        self.say(&base64(name)).await;
        self.say(&base64(password)).await
    }

    /// The connection is gone.
    pub async fn vanish(mut self) {
        self.handler.closed(&mut self.session).await;
    }

    async fn pump(&mut self, octets: &[u8]) -> String {
        let mut out = Vec::new();
        let mut rest = octets;
        loop {
            match self.session.poll(self.clock.now()) {
                Step::Send(octets) => out.extend_from_slice(&octets),
                Step::Event(event) => self.handler.handle(&mut self.session, event).await,
                Step::Wait { .. } if !rest.is_empty() => {
                    let taken = self.session.input(rest);
                    rest = &rest[taken..];
                    if taken == 0 {
                        break;
                    }
                }
                Step::Wait { .. } | Step::Close | Step::StartTls => break,
            }
        }
        String::from_utf8(out).unwrap()
    }
}

fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let number = three.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

type Says = dyn Fn(&SessionFacts, HookCall<'_>) -> Result<Answer, Fault> + Send + Sync;

/// A plugin that is a closure.
pub struct Fake {
    name: &'static str,
    hook: Hook,
    on_error: OnError,
    answer: Box<Says>,
    is_held: bool,
}

impl Fake {
    pub fn asked(
        name: &'static str,
        hook: Hook,
        answer: impl Fn(&SessionFacts, HookCall<'_>) -> Result<Decision, Fault> + Send + Sync + 'static,
    ) -> Arc<dyn Plugin> {
        Self::says(name, hook, move |session, call| answer(session, call).map(Answer::Filter))
    }

    /// One of a hook that is no filter.
    pub fn says(
        name: &'static str,
        hook: Hook,
        answer: impl Fn(&SessionFacts, HookCall<'_>) -> Result<Answer, Fault> + Send + Sync + 'static,
    ) -> Arc<dyn Plugin> {
        Arc::new(Self { name, hook, on_error: OnError::Tempfail, answer: Box::new(answer), is_held: false })
    }

    /// One that need not be called: its answers hold.
    pub fn holds(
        name: &'static str,
        hook: Hook,
        answer: impl Fn(&SessionFacts, HookCall<'_>) -> Decision + Send + Sync + 'static,
    ) -> Arc<dyn Plugin> {
        let answer = Box::new(move |session: &SessionFacts, call: HookCall<'_>| {
            Ok(Answer::Filter(answer(session, call)))
        });
        Arc::new(Self { name, hook, on_error: OnError::Tempfail, answer, is_held: true })
    }
}

#[async_trait]
impl Plugin for Fake {
    fn name(&self) -> &str {
        self.name
    }

    fn has(&self, hook: Hook) -> bool {
        self.hook == hook
    }

    fn on_error(&self, _: Hook) -> OnError {
        self.on_error
    }

    async fn recall(&self, session: &SessionFacts, call: HookCall<'_>) -> Option<Called> {
        let answer = self.is_held.then(|| (self.answer)(session, call))?;
        Some(Called { version: "1.0.0@00000000".into(), elapsed: Duration::ZERO, answer })
    }

    async fn call(&self, session: &SessionFacts, call: HookCall<'_>) -> Called {
        assert!(!self.is_held, "{} is called at {:?}", self.name, call.hook());
        let answer = (self.answer)(session, call);
        Called { version: "1.0.0@00000000".into(), elapsed: Duration::ZERO, answer }
    }
}
